"""Scripted experts, one for each task: memoryless, smooth, and suitable as demonstrators."""

from __future__ import annotations

from il_ros.sim.tasks.task import TaskExpert, named

_EXPERTS = {
    "reach": "il_ros.sim.experts.reach:ReachExpert",
    "push": "il_ros.sim.experts.push:PushExpert",
    "pick_place": "il_ros.sim.experts.pick_place:PickPlaceExpert",
    "drive": "il_ros.sim.experts.drive:DriveExpert",
}


def make_expert(task_name: str) -> TaskExpert:
    """Return the expert of a task. Raises ValueError on an unknown name."""
    expert: TaskExpert = named(_EXPERTS, task_name, "expert for task")()
    return expert
