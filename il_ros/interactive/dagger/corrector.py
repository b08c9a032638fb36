"""A simulated person who corrects a policy that learns by reinforcement, see `il_ros.rl.steps.world.Person`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, velocities
from il_ros.interactive.dagger.interaction import Expert
from il_ros.policies.protocol import Observation


class Corrector:
    """Takes over as `SimulatedHuman` does, and then sends the expert's commands.

    `motion` (A,): see `typical_motion`. `make()`: a new expert for each episode. When the expert gives up, the person
    lets the learner go on. `most_episodes`: those that are watched; the learner is alone in later ones.
    """

    def __init__(
        self,
        contract: Contract,
        motion: Vector,
        make: Callable[[], Expert],
        human_model: HumanModel | None = None,
        most_episodes: int = 1_000_000,
    ) -> None:
        self._parts = (human_model or HumanModel(), motion, velocities(contract))
        self._make, self._left = make, most_episodes
        self.takeovers = 0
        """How often the person took over, in all episodes."""
        self.ticks = 0
        """The ticks in which the person drove."""

    def begin(self, seed: int) -> None:
        """Begin an episode; what the person perceives depends on its seed only."""
        model, motion, velocity = self._parts
        self._watches, self._left = self._left > 0, self._left - 1
        self._human = SimulatedHuman(model, motion, np.random.default_rng([seed, 7]), velocity)
        self._expert, self._drove = self._make(), False

    def correct(self, observation: Observation, command: Vector) -> Vector | None:
        """Return the person's command (A,), None while the learner drives."""
        if not self._watches:
            return None
        advice = self._expert.act(observation)
        own = None if advice is None else self._human.propose(command, advice[0])
        self.takeovers += own is not None and not self._drove
        self.ticks += own is not None
        self._drove = own is not None
        return own
