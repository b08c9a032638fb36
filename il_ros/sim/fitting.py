"""Builds the simulated task for a contract, with the cameras that the contract observes, at their size."""

from __future__ import annotations

from il_ros.core.contract import Contract
from il_ros.sim.tasks.task import NO_CAMERAS, Cameras, Task, make_task


def task_for(name: str, contract: Contract, simulator: str = "mujoco") -> Task:
    """Return the task `name`.

    Raises ValueError on an unknown name, RuntimeError when the simulator can't start.
    """
    seen = [(spec.topic, spec.image) for spec in contract.observations if spec.image is not None]
    names = tuple(topic.partition("/")[0].removesuffix("_camera") for topic, _ in seen)
    cameras = Cameras(names, seen[0][1].width, seen[0][1].height) if seen else NO_CAMERAS
    return make_task(name, cameras=cameras, simulator=simulator)
