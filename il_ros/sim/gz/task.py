"""Builds a task whose scene is in gz-sim."""

from __future__ import annotations

from il_ros.sim.gz.arm import BridgedArm
from il_ros.sim.gz.drive import BridgedDrive
from il_ros.sim.tasks.arm import ArmTask
from il_ros.sim.tasks.drive import DriveTask
from il_ros.sim.tasks.task import GZ, Task, require_simulator, task_class

BridgedScene = BridgedArm | BridgedDrive


def gz_task(name: str) -> tuple[Task, BridgedScene]:
    """Return a task by its name, and its scene. Raises ValueError on an unknown name or a task without gz-sim."""
    kind = task_class(name)
    require_simulator(kind, GZ)
    scene: BridgedScene
    task: Task
    if isinstance(kind, type) and issubclass(kind, DriveTask):
        scene = BridgedDrive(name)
        task = kind(scene)
    elif isinstance(kind, type) and issubclass(kind, ArmTask):
        scene = BridgedArm(name)
        task = kind(scene)
    else:
        raise ValueError(f"task '{name}': only an ArmTask or a DriveTask is observed in gz-sim")
    return task, scene
