"""Experts by word: the task's own script, a trained policy, or a function of yours.

    def act(observation):          # the environment's own observation; of a simulated task, the contract's
        return action              # the environment's own action; None: gives up, the task cannot be completed

A person needs running time and a stop button: `il-ros record`, `il-ros session` and `il-ros run dagger` have them.
"""

from __future__ import annotations

import importlib
import importlib.util
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.core.plugins import OTHERS_CODE, cause_of
from il_ros.core.specs import Vector
from il_ros.envs.tasks import SpaceError
from il_ros.policies.window import TickWindow
from il_ros.sim.experts import make_expert
from il_ros.sim.lockstep import Lockstep
from il_ros.sim.tasks.task import Task, task_class, task_names

if TYPE_CHECKING:
    from il_ros.policies.loading import AnyPolicy

SCRIPTED = "scripted"


class ExpertError(ValueError):
    """An expert that cannot be found or used; the message names it and says what is right."""


class EnvExpert(Protocol):
    """What the loops of this process ask for commands."""

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return absolute commands (H, A) in the contract's flat order, None when giving up."""


class FunctionExpert:
    """A function as the expert of a task.

    Of a Gymnasium environment it gets the environment's observation and returns its action; of a simulated task it
    gets the contract's observation and returns commands (A,) or (H, A). None gives up.
    """

    def __init__(
        self, task: Task, contract: Contract, function: Callable[[Any], Any], name: str = ""
    ) -> None:
        self._task, self._contract, self._function = task, contract, function
        self._name = name or getattr(function, "__name__", "the expert")
        self._of_environment = task.name not in task_names()

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the command (1, A) for the task's present observation, None when the function gives up.

        Raises ExpertError, naming the function, when it fails or returns something else.
        """
        if not self._of_environment:
            return self._chunk(self._ask(observation))
        from il_ros.envs.gym_task import GymTask
        from il_ros.envs.leaves import to_numbers

        task = self._task
        assert isinstance(task, GymTask)
        action = self._ask(task.observation)
        if action is None:
            return None
        try:
            numbers = task.by_topic(to_numbers(task.env.action_space, action))
        except SpaceError as error:
            raise ExpertError(f"{self._name}: {error}") from error
        except (TypeError, ValueError) as error:  # no number at all
            raise ExpertError(f"{self._name}: returned {action!r}: {error}") from error
        return self._chunk(np.concatenate([numbers[spec.topic] for spec in self._contract.actions]))

    def _ask(self, observation: Any) -> Any:
        try:
            return self._function(observation)
        except OTHERS_CODE as error:
            frames = traceback.extract_tb(error.__traceback__)[1:]  # from the function on
            where = f" (line {frames[0].lineno} of {frames[0].filename})" if frames else ""
            raise ExpertError(f"{self._name}: {cause_of(error)}{where}") from error

    def _chunk(self, given: Any) -> Vector | None:
        if given is None:
            return None
        names = self._contract.action_names
        try:
            chunk = np.atleast_2d(np.asarray(given, dtype=np.float64))
        except (TypeError, ValueError):
            chunk = np.empty((0, 0))
        if chunk.ndim != 2 or chunk.shape[1] != len(names) or not np.isfinite(chunk).all():
            raise ExpertError(
                f"{self._name}: returned {given!r}; needed: finite numbers of {', '.join(names)}"
            )
        return chunk


class PolicyExpert:
    """A policy, trained or remote, as the expert of a task; its window of past ticks ends where an episode begins."""

    def __init__(self, task: Task, policy: AnyPolicy) -> None:
        self._task, self._policy = task, policy
        self._window = TickWindow(policy.history, policy.contract.period_ns)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector:
        """Return the commands (H, A) for the task's present tick; raises PolicyError."""
        return self._policy.act(self._window.push(self._task.time_ns, observation))


class StateExpert:
    """The scripted expert of a simulated task, under any contract that commands the same numbers.

    As the node `scripted_expert`, it observes what the task's own contract does, whatever the policy observes, such as
    pictures only: where `contract` lacks a part of that, it reads the task itself. Its commands are put in the order of
    `contract`. Raises ExpertError when `contract` commands other numbers.
    """

    def __init__(self, task: Task, contract: Contract) -> None:
        own = contracts.find(task_class(task.name).contract)
        if sorted(own.action_names) != sorted(contract.action_names):
            raise ExpertError(
                f"contract {contract.name} commands {', '.join(contract.action_names)}; the scripted expert of "
                f"{task.name} commands {', '.join(own.action_names)}"
            )
        self._order = [own.action_names.index(name) for name in contract.action_names]
        self._expert = make_expert(task.name)
        self._observes = not unobserved(task.name, contract)
        self._state = Lockstep(task, own)

    def act(self, observation: Mapping[str, NDArray[Any]]) -> Vector | None:
        """Return the commands (H, A) for the task's present tick, None when the expert gives up.

        Raises NoObservationError naming the streams that the expert lacks.
        """
        chunk = self._expert.act(observation if self._observes else self._state.observe())
        return None if chunk is None else chunk[:, self._order]


def unobserved(task_name: str, contract: Contract) -> list[str]:
    """Return the keys of what a simulated task's scripted expert observes and `contract` lacks, or has otherwise."""
    own = contracts.find(task_class(task_name).contract)
    return [spec.key for spec in own.observations if spec not in contract.observations]


def expert_of(word: str, task: Task, contract: Contract) -> EnvExpert:
    """Return the expert that a word names.

    "scripted": the simulated task's own, see `StateExpert`. A folder: the policy of a checkpoint. FILE.py:NAME or
    module:NAME: a function, or an object with a method `act`. Raises ExpertError when there is none.
    """
    if word == SCRIPTED:
        if task.name not in task_names():
            raise ExpertError(
                f"'{task.name}' has no scripted expert; give a function, such as --expert my_expert.py:act"
            )
        return StateExpert(task, contract)
    if Path(word).is_dir():
        from il_ros.policies.loading import load_policy

        return PolicyExpert(task, load_policy(word, contract))
    place, colon, name = word.rpartition(":")
    if not colon or not place or not name.isidentifier():
        raise ExpertError(
            f"expert '{word}' is not '{SCRIPTED}', a folder with a policy, FILE.py:FUNCTION or module:FUNCTION"
        )
    module = _module(place)
    try:
        found = getattr(module, name, None)
        found = found() if isinstance(found, type) else found
    except OTHERS_CODE as error:
        raise ExpertError(f"expert '{word}': '{name}' cannot be made: {cause_of(error)}") from error
    if found is None:
        raise ExpertError(f"expert '{word}': {place} has no '{name}'")
    function = getattr(found, "act", found)
    if not callable(function):
        raise ExpertError(f"expert '{word}': '{name}' is no function and has no method 'act'")
    return FunctionExpert(task, contract, function, word)


def require_file(place: str) -> None:
    """Raise ExpertError if `place` of an expert (FILE.py in FILE.py:NAME) is a file that does not exist."""
    if place.endswith(".py") and not Path(place).is_file():
        raise ExpertError(f"expert file '{place}' does not exist")


def _module(place: str) -> Any:
    is_file = place.endswith(".py")
    require_file(place)
    try:
        if not is_file:
            return importlib.import_module(place)
        spec = importlib.util.spec_from_file_location(Path(place).stem, place)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
    except OTHERS_CODE as error:
        kind = "file" if is_file else "module"
        raise ExpertError(f"expert {kind} '{place}' cannot be imported: {cause_of(error)}") from error
    return module
