"""The protocol of a simulated task, and the registry of tasks by name.

The caller steps a task: the sim node on a ROS graph, or a roll-out in one process. After `reset(seed)` its
physics depends on the seed and the commands only, bit by bit.
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
"""A reset advances the clock by this: longer than any sensible maximum age, so that messages of the previous
episode are too old for the next one. It also keeps stamps away from zero, which ROS reads as 'no stamp'."""


@dataclass(frozen=True)
class Cameras:
    """The cameras that publish, their size (pixels), and `divisor`, the control periods per frame."""

    names: tuple[str, ...] = ()
    width: int = 96
    height: int = 96
    divisor: int = 1

    def __post_init__(self) -> None:
        for field in ("width", "height"):
            if not 1 <= getattr(self, field) <= 1920:
                raise ValueError(f"cameras: {field} is {getattr(self, field)}; it must be 1 to 1920 pixels")
        if self.divisor < 1:
            raise ValueError(
                f"cameras: divisor is {self.divisor}; it must be 1 (a frame in every control period) or more"
            )

    def require(self, known: tuple[str, ...]) -> None:
        """Raise ValueError when a name is not one of the task's cameras `known`."""
        for name in self.names:
            if name not in known:
                raise ValueError(f"cameras: there is no '{name}'; the task has: {', '.join(known)}")


NO_CAMERAS = Cameras()


class Task(Protocol):
    """A simulated robot with a task. `streams` and `commands` map topics to message types.

    `goal` says in one line what to do and when it has succeeded. `streams` holds every topic of `readings`,
    the trigger last; `camera_names` every camera of the task.
    `time_ns` never decreases: it starts at 0, `reset` adds RESET_PAUSE_NS and `step` one control period.
    """

    name: str
    goal: str
    streams: Mapping[str, str]
    commands: Mapping[str, str]
    camera_names: tuple[str, ...]
    control_period_ns: int
    time_limit_s: float

    @property
    def judged(self) -> bool:
        """Whether the task defines success; without it, only rewards count."""
        ...

    @property
    def time_ns(self) -> int:
        """Simulated time, the stamp of `readings`."""
        ...

    @property
    def success(self) -> bool:
        """True while the task's success condition holds."""
        ...

    @property
    def failed(self) -> bool:
        """True once success has become impossible, as when the block fell off the table."""
        ...

    @property
    def over(self) -> bool:
        """True once the episode has ended and no further step is possible; success alone does not end it."""
        ...

    @property
    def reward(self) -> float:
        """The reward of the last step; 0 after a reset."""
        ...

    def reset(self, seed: int) -> None:
        """Begin an episode whose start is drawn from the seed; must be the first call."""
        ...

    def step(self, commands: Mapping[str, Message]) -> None:
        """Apply the newest commands, by topic, and advance by one control period.

        A topic without a message keeps its last command. Raises ValueError naming topic and value on an
        unknown topic, a wrong length or a non-finite number, without stepping.
        """
        ...

    def readings(self) -> list[Reading]:
        """Return the current sensor readings, the trigger last; cameras only in their control periods."""
        ...

    def state(self) -> Vector:
        """Return the complete state (S,): from equal states, equal commands lead to equal futures."""
        ...

    @property
    def restorable(self) -> bool:
        """Whether `restore` is supported; not every simulator can be set to a state."""
        ...

    def restore(self, state: Vector) -> None:
        """Restore a state returned by `state` in an episode of the same seed; call `reset` first.

        Raises ValueError when the simulator can't, or the state belongs to another task.
        """
        ...

    def picture(self, camera: str, width: int, height: int) -> NDArray[np.uint8]:
        """Return a camera's current image, (height, width, 3), for reports and videos."""
        ...

    def close(self) -> None:
        """Release the graphics context, if there is one."""
        ...


class TaskExpert(Protocol):
    """A scripted expert: a function of the contract's observation alone, so that a policy can learn it."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, A) in the contract's flat action order.

        Returns None when the expert can't complete the task from here: any action would be a bad label.
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
    """Return a task in a simulator, both by name.

    Raises ValueError on an unknown name, camera or simulator, RuntimeError when the simulator can't start.
    """
    kind = task_class(name)
    if simulator not in _SCENES:
        raise ValueError(f"unknown simulator '{simulator}'; there are: {', '.join(_SCENES)}")
    cameras.require(kind.camera_names)
    task: Task = kind(named(_SCENES[simulator], kind.robot, "robot")(name, cameras), cameras)
    return task


def task_class(name: str) -> Any:
    """Return the class of a task; it is constructed from a scene. Raises ValueError on an unknown name."""
    return named(_TASKS, name, "task")


def camera_names(name: str) -> tuple[str, ...]:
    """Return the names of a task's cameras. Raises ValueError on an unknown name."""
    cameras: tuple[str, ...] = task_class(name).camera_names
    return cameras


def named(table: Mapping[str, str], name: str, what: str) -> Any:
    """Import and return the class that `table` lists under `name` as 'module:Class'."""
    if name not in table:
        raise ValueError(f"unknown {what} '{name}'; there are: {', '.join(table)}")
    module, _, attribute = table[name].partition(":")
    return getattr(import_module(module), attribute)
