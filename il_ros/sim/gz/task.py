"""A task whose scene is heard from gz-sim."""

from __future__ import annotations

from il_ros.sim.gz.arm import HeardArm
from il_ros.sim.gz.drive import HeardDrive
from il_ros.sim.tasks.task import Task, task_class

HeardScene = HeardArm | HeardDrive


def gz_task(name: str) -> tuple[Task, HeardScene]:
    """Return a task by its name, and the scene that is to hear. Raises ValueError on an unknown name."""
    kind = task_class(name)
    scene: HeardScene = HeardDrive(name) if kind.robot == "drive" else HeardArm(name)
    task: Task = kind(scene)
    return task, scene
