"""An environment under a contract, in the normalised numbers of a learner's networks."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.rl.steps.buffer import EnvironmentStep, State

Observation = Mapping[str, NDArray[Any]]


class ContractEnvironment(Protocol):
    """Observations by the contract's keys, actions (A,) absolute in its flat order: `TaskEnv` and `RosEnv`."""

    def reset(self, *, seed: int | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode."""

    def step(self, action: Vector) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Return the next observation, the reward, whether the task terminated, whether the episode is cut off."""


class Scales(NamedTuple):
    """How a contract's observations and commands become the numbers of a network, and back."""

    contract: Contract
    inputs: Inputs
    normaliser: Normaliser
    form: ActionForm

    def state(self, observation: Observation) -> State:
        """Return the normalised state (F,), as a policy with this normaliser sees it; raises PolicyError."""
        return self.normaliser.inputs(self.inputs.state_features(observation)).astype(np.float32)

    def command(self, action: NDArray[np.float32], observation: Observation) -> Vector:
        """Return the absolute command (A,) of a normalised action (L,), as a policy would send it."""
        restored = self.normaliser.actions.restore(action.astype(np.float64))
        return self.form.commands(restored, observation)

    def action(self, command: Vector, observation: Observation) -> NDArray[np.float32]:
        """Return the normalised action (L,) of an absolute command (A,), within what an action may be: -1..1."""
        learnt = self.form.learnt_at(command[None], observation)[0]
        return np.clip(self.normaliser.actions.normalise(learnt), -1.0, 1.0).astype(np.float32)


class Person(Protocol):
    """Who may take over from the learner in the middle of an episode, as a person at the robot does."""

    def begin(self, seed: int) -> None:
        """Begin an episode; the learner drives."""

    def correct(self, observation: Observation, command: Vector) -> Vector | None:
        """Return the command (A,) that is sent instead of the learner's; None: the learner drives."""


class StepJudge(Protocol):
    """What rates the steps of a world instead of its environment, see `il_ros.rl.steps.judge`."""

    def begin(self) -> None:
        """Begin an episode."""

    def rate(
        self, before: Observation, command: Vector, after: Observation, terminated: bool
    ) -> tuple[float, bool]:
        """Return the reward of a step, and whether it ends the episode."""


class BrokenEnvironmentError(RuntimeError):
    """An environment raised an error or returned a number that is not finite, in the middle of a training."""


class World:
    """The environment of one seed. `begin` before `step`, and again after an episode's end.

    `person`: corrects the learner. `judge`: gives the rewards; None: the environment does.
    """

    def __init__(
        self,
        environment: ContractEnvironment,
        scales: Scales,
        name: str = "the environment",
        person: Person | None = None,
        judge: StepJudge | None = None,
    ) -> None:
        self._environment, self._scales, self._name = environment, scales, name
        self._person, self._judge = person, judge
        self._observation: Observation = {}
        self.state: State = np.zeros(0, np.float32)
        """The normalised state (F,) of the running episode."""
        self.taken: list[NDArray[np.float32]] = []
        """The normalised actions of the running episode."""

    @property
    def corrected(self) -> bool:
        """Whether a person may take over."""
        return self._person is not None

    def begin(self, seed: int) -> None:
        """Begin the episode of a seed; raises BrokenEnvironmentError."""
        try:
            self._observation, _ = self._environment.reset(seed=seed)
            self.state = self._scales.state(self._observation)
        except Exception as error:  # whatever an environment raises
            raise BrokenEnvironmentError(f"{self._name} cannot be reset to seed {seed}: {error}") from error
        self.taken = []
        if self._person is not None:
            self._person.begin(seed)
        if self._judge is not None:
            self._judge.begin()

    def step(self, action: NDArray[np.float32]) -> tuple[EnvironmentStep, bool]:
        """Take a normalised action (L,); return the step, and whether the episode has ended.

        A person's command takes the action's place; the step then has it, as the nearest action that there is.
        Raises BrokenEnvironmentError.
        """
        before, seen = self.state, self._observation
        shown = False
        try:
            command = self._scales.command(action, seen)
            if self._person is not None:
                corrected = self._person.correct(seen, command)
                if corrected is not None:
                    action, shown = self._scales.action(corrected, seen), True
                    command = self._scales.command(action, seen)
            self._observation, earned, terminated, truncated, info = self._environment.step(command)
            if not info.get("observed", True):
                raise ValueError(info["reason"])
            self.state = self._scales.state(self._observation)
            if self._judge is not None:
                earned, ends = self._judge.rate(seen, command, self._observation, terminated)
                terminated = terminated or ends
        except Exception as error:
            raise BrokenEnvironmentError(
                f"{self._name}, step {len(self.taken) + 1} of an episode: {error}"
            ) from error
        if not math.isfinite(earned):
            raise BrokenEnvironmentError(f"{self._name} gave the reward {earned}")
        self.taken.append(action)
        step = EnvironmentStep(before, action, self.state, float(earned), bool(terminated), shown)
        return step, bool(terminated or truncated)

    def replay(self, seed: int, actions: NDArray[np.float32]) -> None:
        """Begin the episode of a seed and take its first actions (T, L) again.

        Raises BrokenEnvironmentError, also where a person corrects: what a person does cannot be repeated.
        """
        if self._person is not None:
            raise BrokenEnvironmentError(f"{self._name}: what a person does cannot be repeated")
        self.begin(seed)
        for action in actions:
            _, ended = self.step(action)
            if ended:
                raise BrokenEnvironmentError(f"{self._name} ends earlier than before with the same actions")
