"""Tasks by name: the simulated ones, and any environment that is registered in Gymnasium."""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING, Any

from il_ros.core.plugins import OTHERS_CODE, cause_of
from il_ros.core.tables import counted
from il_ros.sim.fitting import task_for
from il_ros.sim.installed import why_missing
from il_ros.sim.tasks.task import GZ, Task, require_simulator, task_class, task_names

if TYPE_CHECKING:
    from il_ros.core.contract import Contract

_OURS = "il_ros/"
_VERSIONED = re.compile(r"([A-Za-z_][\w.]*:)?([\w-]+/)?[\w.()-]+-v\d+")
MISSING = "needs gymnasium: pip install gymnasium (for LunarLander: 'gymnasium[box2d]')"


class TaskError(ValueError):
    """A task that cannot be made; the message names it and says what there is."""


class SpaceError(ValueError):
    """A space that cannot be recorded or commanded; the message names it and says what would fit."""


def is_environment(name: str) -> bool:
    """Return whether a task's name is that of a Gymnasium environment: 'Pendulum-v1', 'package:Name-v0'."""
    return name not in task_names() and _VERSIONED.fullmatch(name) is not None


def make_environment(name: str, *, pictures: bool = False, **options: Any) -> Any:
    """Return the Gymnasium environment `name`; raises TaskError when it is unknown or its packages are missing."""
    gymnasium = _gymnasium(name)
    if pictures:
        options["render_mode"] = "rgb_array"
    try:
        return gymnasium.make(name, **options)
    except gymnasium.error.DependencyNotInstalled as error:
        raise TaskError(f"environment '{name}': {error}") from error
    except (gymnasium.error.Error, ImportError) as error:
        raise TaskError(f"environment '{name}' is not known: {error}") from error
    except OTHERS_CODE as error:
        raise TaskError(f"environment '{name}' cannot be made: {cause_of(error)}") from error


def require_task(name: str, simulator: str = "mujoco") -> None:
    """Raise TaskError where `make_any_task` would not know the task, or its simulator cannot start; found at once.

    An environment that another module registers is not looked for: that would run its code.
    """
    known = _simulated(name)
    if known in task_names():
        require_simulator(task_class(known), simulator, GZ)
        if missing := why_missing(simulator):
            raise TaskError(f"simulator {simulator}: {missing}")
        return
    _require_environment(name)
    if ":" not in name:
        gymnasium = _gymnasium(name)
        try:
            gymnasium.spec(name)
        except gymnasium.error.Error as error:
            raise TaskError(f"environment '{name}' is not known: {error}") from error


def make_any_task(
    name: str,
    contract: Contract | None = None,
    simulator: str = "mujoco",
    *,
    success_return: float | None = None,
) -> tuple[Task, Contract]:
    """Return a task by name and the contract to drive it with: `contract`, or the task's own.

    `success_return`: see `GymTask`. Raises TaskError on an unknown name, a contract with other numbers of commands or
    such a return that is not finite, RuntimeError when a simulator can't start.
    """
    from il_ros.core import contract as contracts

    if success_return is not None and not math.isfinite(success_return):
        raise TaskError(f"the return of a success is {success_return}; it must be a finite number")
    known = _simulated(name)
    if known in task_names():
        if success_return is not None:
            raise TaskError(
                f"task '{known}' has a success condition of its own; a return is for other environments"
            )
        own = contracts.find(task_class(known).contract) if contract is None else contract
        return task_for(known, own, simulator), own
    _require_environment(name)
    from il_ros.envs.from_env import contract_of
    from il_ros.envs.gym_task import GymTask

    env = make_environment(name)
    own = contract_of(env)
    if contract is not None:
        taken = {spec.topic: spec.size for spec in own.actions}
        for spec in contract.actions:
            if spec.size != taken.get(spec.topic, spec.size):
                env.close()
                raise TaskError(
                    f"contract {contract.name}: {spec.key} has {counted(spec.size, 'number')}; {name} takes "
                    f"{taken[spec.topic]}"
                )
        own = contract
    made: Task = GymTask(env, success_return=success_return, rate_hz=own.rate_hz)
    return made, own


def _simulated(name: str) -> str:
    """Return the name of the simulated task that Gymnasium knows as `name`, and any other name as it is."""
    return name.removeprefix(_OURS).removesuffix("-v0") if name.startswith(_OURS) else name


def _require_environment(name: str) -> None:
    if not is_environment(name):
        raise TaskError(
            f"unknown task '{name}'; there are: {', '.join(task_names())}, and the environments of Gymnasium by their "
            "names, such as Pendulum-v1"
        )


def _gymnasium(name: str) -> Any:
    """Return the module, in which all simulated tasks are registered, too."""
    try:
        import gymnasium
    except ImportError as error:
        raise TaskError(f"environment '{name}' {MISSING}") from error
    from il_ros.envs import registration

    registration.register()
    return gymnasium
