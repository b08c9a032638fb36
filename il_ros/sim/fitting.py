"""Builds the simulated task for a contract, with the cameras that the contract observes, at their size."""

from __future__ import annotations

from il_ros.core.contract import Contract
from il_ros.sim.tasks.task import NO_CAMERAS, Cameras, Task, cameras_of, make_task, task_class


def task_for(name: str, contract: Contract, simulator: str = "mujoco") -> Task:
    """Return the task `name`.

    Raises ValueError on an unknown name, and on a camera of the contract that the task lacks, RuntimeError when the
    simulator can't start.
    """
    seen = [(spec.key, spec.topic, spec.image) for spec in contract.observations if spec.image is not None]
    names = tuple(topic.partition("/")[0].removesuffix("_camera") for _, topic, _ in seen)
    known = cameras_of(task_class(name)) if seen else ()
    for (key, topic, _), camera in zip(seen, names, strict=True):
        if camera not in known:
            raise ValueError(
                f"contract '{contract.name}', observations.{key}: {topic} is of a camera '{camera}', which the task "
                f"'{name}' lacks; the task has: {', '.join(known) or 'none'}"
            )
    cameras = Cameras(names, seen[0][2].width, seen[0][2].height) if seen else NO_CAMERAS
    return make_task(name, cameras=cameras, simulator=simulator)
