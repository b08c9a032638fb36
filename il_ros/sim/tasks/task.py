"""The protocol of a simulated task, and the registered tasks by name.

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

from il_ros.core import plugins
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


def is_over(task: Task) -> bool:
    """Return whether no further step is possible: what the task says (`over`), else after a failure."""
    return bool(getattr(task, "over", task.failed))


def is_terminated(task: Task) -> bool:
    """Return whether the task itself has ended the episode: what it says (`terminated`), else success or failure."""
    return bool(getattr(task, "terminated", task.success or task.failed))


def reward_of(task: Task) -> float:
    """Return the reward of the last step: what the task says (`reward`), else 1 while its success condition holds."""
    return float(getattr(task, "reward", task.success))


def is_judged(task: Task) -> bool:
    """Return whether success is defined: what the task says (`judged`), else yes. Otherwise only rewards count."""
    return bool(getattr(task, "judged", True))


class TaskExpert(Protocol):
    """A scripted expert: a function of the contract's observation alone, so that a policy can learn it."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the proposal (1, A) in the contract's flat action order.

        Returns None when the expert can't complete the task from here: any action would be a bad label.
        """
        ...


class TaskClass(Protocol):
    """What a package registers as a task in `il_ros.tasks`: the class of a simulated task, named like its entry point.

    `goal`: see `Task`. `contract`: the name of a contract of il_ros, or the path of a file (.yaml): what the scripted
    expert observes and commands, and what policies observe by default. `camera_names`: every camera of the task.
    `view`: the topic of the camera that shows a person most, "" without cameras. `simulators`: those it runs in.
    A task may also have `more_cameras`: the names of those that publish only on request (`more_cameras`).
    """

    name: str
    goal: str
    contract: str
    camera_names: tuple[str, ...]
    view: str
    simulators: tuple[str, ...]

    def create(self, cameras: Cameras, simulator: str) -> Task:
        """Return the task in one of its simulators; `cameras` are of `camera_names`. A class method.

        Raises RuntimeError when the simulator can't start.
        """
        ...


_SCENES = {
    "mujoco": {
        "arm": "il_ros.sim.mujoco.arm:MujocoArm",
        "drive": "il_ros.sim.mujoco.drive:MujocoDrive",
        "carry": "il_ros.sim.mujoco.carry:MujocoCarry",
        "press": "il_ros.sim.mujoco.press:MujocoPress",
    },
    "gazebo_classic": {
        "arm": "il_ros.sim.gazebo.arm:GazeboArm",
        "drive": "il_ros.sim.gazebo.drive:GazeboDrive",
    },
}
SIMULATORS = tuple(_SCENES)
"""The simulators of il_ros that a task can be created in."""
GZ = "gz"
_CLASS = (*TaskClass.__annotations__, "create")


def task_names() -> tuple[str, ...]:
    """Return the names of the registered tasks; imports none."""
    return plugins.names(plugins.TASKS)


def cameras_of(kind: TaskClass) -> tuple[str, ...]:
    """Return the names of a task's cameras, with those that its scene adds."""
    return (*kind.camera_names, *more_cameras(kind))


def make_task(name: str, *, cameras: Cameras = NO_CAMERAS, simulator: str = "mujoco") -> Task:
    """Return a task in a simulator, both by name.

    Raises ValueError on an unknown name, camera or simulator, RuntimeError when the simulator can't start.
    """
    kind = task_class(name)
    require_simulator(kind, simulator, GZ)  # gz-sim has a node of its own
    cameras.require(cameras_of(kind))
    return kind.create(cameras, simulator)


def task_class(name: str) -> TaskClass:
    """Return the class of a task. Raises PluginError if it is not registered or cannot be used."""
    found: TaskClass = plugins.load(plugins.TASKS, name, lambda loaded: _fault(loaded, name))
    return found


def more_cameras(kind: TaskClass) -> tuple[str, ...]:
    """Return the cameras of a task that publish only where a contract observes them: what it says (`more_cameras`)."""
    return tuple(getattr(kind, "more_cameras", ()))


def camera_names(name: str) -> tuple[str, ...]:
    """Return the names of a task's cameras. Raises PluginError as `task_class`."""
    return task_class(name).camera_names


def require_simulator(kind: TaskClass, simulator: str, *others: str) -> None:
    """Raise ValueError when a task does not run in a simulator; `others`: those that cannot be used here."""
    here = [each for each in kind.simulators if each not in others]
    if simulator not in here:
        raise ValueError(f"task '{kind.name}': unknown simulator '{simulator}'; there are: {', '.join(here)}")


def scene_of(simulator: str, robot: str, task: str, cameras: Cameras) -> Any:
    """Return the scene of one of il_ros's robots in a simulator. Raises ValueError when it cannot be loaded."""
    name, _, scene = _SCENES[simulator][robot].partition(":")
    try:
        module = import_module(name)
    except RuntimeError as error:  # MuJoCo, with an unknown MUJOCO_GL
        raise ValueError(f"simulator {simulator} cannot be loaded: {error}") from error
    return getattr(module, scene)(task, cameras)


def _fault(loaded: Any, name: str) -> str:
    if not isinstance(loaded, type):
        return f"it is {loaded!r}"
    if missing := plugins.attributes_missing(loaded, _CLASS):
        return missing
    return "" if loaded.name == name else f"its attribute name is {loaded.name!r}, not '{name}'"  # type: ignore[attr-defined]
