"""Builds a task whose scene is in gz-sim."""

from __future__ import annotations

from il_ros.sim.gz.arm import BridgedArm
from il_ros.sim.gz.drive import BridgedDrive
from il_ros.sim.tasks.task import Task, task_class

BridgedScene = BridgedArm | BridgedDrive


def gz_task(name: str) -> tuple[Task, BridgedScene]:
    """Return a task by its name, and its scene. Raises ValueError on an unknown name."""
    kind = task_class(name)
    scene: BridgedScene = BridgedDrive(name) if kind.robot == "drive" else BridgedArm(name)
    task: Task = kind(scene)
    return task, scene
