"""What a simulated task is, whichever robot it has, and how to get one by its name.

A task is stepped by whoever holds the clock: the sim node on a ROS graph, a roll-out in one process.
Between `reset(seed)` and the next one its physics depends on the seed and on the commands only, bit by bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.core.messages import Message
from il_ros.core.specs import Vector
from il_ros.sim.tasks.reading import Reading

RESET_PAUSE_NS = 1_000_000_000
"""How far a reset sets the clock on: longer than any sensible maximal age, so that no message of the episode
before is taken for one of this. It also keeps stamps off zero, which ROS reads as 'no stamp'."""


@dataclass(frozen=True)
class Cameras:
    """Which cameras of a task publish, how large (pixels), and in every how many-th control period."""

    names: tuple[str, ...] = ()
    width: int = 96
    height: int = 96
    divisor: int = 1

    def __post_init__(self) -> None:
        for field in ("width", "height"):
            if not 1 <= getattr(self, field) <= 1920:
                raise ValueError(f"cameras: {field} is {getattr(self, field)}; 1 to 1920 pixels are possible")
        if self.divisor < 1:
            raise ValueError(f"cameras: divisor is {self.divisor}; 1 is a frame in every control period")

    def require(self, known: tuple[str, ...]) -> None:
        """Raise ValueError when a name is none of the cameras that the task has."""
        for name in self.names:
            if name not in known:
                raise ValueError(f"cameras: there is no '{name}'; the task has: {', '.join(known)}")


NO_CAMERAS = Cameras()


class Task(Protocol):
    """A robot with something to do. `streams` and `commands` tell the message type of each topic.

    `streams` holds every topic that `readings` can give, the trigger last; `camera_names` every camera
    there is to choose from. `time_ns` never goes back: it starts at 0, `reset` adds RESET_PAUSE_NS and `step`
    one control period.
    """

    name: str
    streams: Mapping[str, str]
    commands: Mapping[str, str]
    camera_names: tuple[str, ...]
    control_period_ns: int
    time_limit_s: float

    @property
    def time_ns(self) -> int:
        """Simulated time, the stamp of `readings`."""
        ...

    @property
    def success(self) -> bool:
        """True while the task's goal holds."""
        ...

    @property
    def failed(self) -> bool:
        """True once the goal can't be reached any more (the block fell off the table, say)."""
        ...

    def reset(self, seed: int) -> None:
        """Begin an episode whose start is drawn from the seed; call it once before anything else."""
        ...

    def step(self, commands: Mapping[str, Message]) -> None:
        """Take the newest commands by topic, and advance by one control period.

        A topic without a message keeps its last command. Raises ValueError naming topic and value on an
        unknown topic, a wrong length or a number that isn't finite; nothing is stepped then.
        """
        ...

    def readings(self) -> list[Reading]:
        """Return what the sensors say now, the trigger last; cameras only in their control periods."""
        ...

    def state(self) -> Vector:
        """Return all that the physics goes on from, (S,): equal numbers have an equal future."""
        ...

    @property
    def restorable(self) -> bool:
        """Whether `restore` can do it: not every simulator can be set to a state."""
        ...

    def restore(self, state: Vector) -> None:
        """Go on from what `state` returned in an episode of this seed; `reset` comes first.

        Raises ValueError when the simulator can't, or the numbers aren't this task's.
        """
        ...

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return what a camera sees now, (height, width, 3), for pages and films."""
        ...

    def close(self) -> None:
        """Free the graphics context, if there is one."""
        ...


class Expert(Protocol):
    """A scripted teacher: a function of the contract's observation alone, so that a policy can learn it."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, A) in the contract's flat action order.

        None: it gives up, because from here it can't bring the task to its end. What it would do all the same
        is no lesson, so it says nothing, as a person puts the device down.
        """
        ...


_TASKS = {
    "reach": "il_ros.sim.tasks.reach:Reach",
    "push": "il_ros.sim.tasks.push:Push",
    "pick_place": "il_ros.sim.tasks.pick_place:PickPlace",
    "drive": "il_ros.sim.tasks.drive:DriveTask",
}
TASK_NAMES = tuple(_TASKS)
_SCENES = {
    "mujoco": {"arm": "il_ros.sim.mujoco.arm:MujocoArm", "drive": "il_ros.sim.mujoco.drive:MujocoDrive"},
    "gazebo_classic": {
        "arm": "il_ros.sim.gazebo.arm:GazeboArm",
        "drive": "il_ros.sim.gazebo.drive:GazeboDrive",
    },
}
SIMULATORS = tuple(_SCENES)


def make_task(name: str, *, cameras: Cameras = NO_CAMERAS, simulator: str = "mujoco") -> Task:
    """Return a task by its name, in a simulator.

    Raises ValueError on an unknown name, camera or simulator, RuntimeError where the simulator can't start.
    """
    kind = task_class(name)
    if simulator not in _SCENES:
        raise ValueError(f"unknown simulator '{simulator}'; there are: {', '.join(_SCENES)}")
    cameras.require(kind.camera_names)
    task: Task = kind(named(_SCENES[simulator], kind.robot, "robot")(name, cameras), cameras)
    return task


def task_class(name: str) -> Any:
    """Return the class of a task, made of a scene of its `robot`. Raises ValueError on an unknown name."""
    return named(_TASKS, name, "task")


def camera_names(name: str) -> tuple[str, ...]:
    """Return the cameras that a task has. Raises ValueError on an unknown name."""
    cameras: tuple[str, ...] = task_class(name).camera_names
    return cameras


def named(table: Mapping[str, str], name: str, what: str) -> Any:
    """Return the class that `table` gives for a name as 'module:Class', imported only now."""
    if name not in table:
        raise ValueError(f"unknown {what} '{name}'; there are: {', '.join(table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
