"""Whether a simulator can start on this computer: found without starting or importing it."""

from __future__ import annotations

from importlib.util import find_spec

from il_ros.sim.gazebo import process
from il_ros.sim.gz import services
from il_ros.sim.tasks.task import GZ


def why_missing(simulator: str) -> str:
    """Return what a simulator lacks here, and what to install; "" when it lacks nothing."""
    if simulator == GZ:
        return services.why_missing()
    if simulator == "gazebo_classic":
        return process.why_missing()
    return "" if find_spec("mujoco") else "MuJoCo is not installed; type:  pip install mujoco"
