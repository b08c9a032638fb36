"""Where the rewards of a batch come from: a model that is learnt beside the policy, SQIL's rule, or what was earned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

import torch
from torch import Tensor

from il_ros.policies.networks.seeded_mlp import one_seed
from il_ros.rewards.adversarial import AdversarialReward, Comparison
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.protocol import Transition
from il_ros.rewards.registry import RewardSettings, make_reward
from il_ros.rl.optimiser import Optimiser
from il_ros.rl.steps.world import Scales

SQIL, TASK, MODEL = "sqil", "task", "model"
"""Rewards that are not learnt beside the policy. SQIL: 1 for demonstrations and 0 for own steps (Reddy et al. 2020).
TASK: what the environment gives. MODEL: what a reward model in a file gives."""
LogProbability = Callable[[Transition], Tensor]


class RewardSource(Protocol):
    """The rewards of K seeds. `looks_ahead`: whether a batch may lead several steps ahead."""

    looks_ahead: bool

    def learn(
        self, own: Transition, shown: Transition, likely: LogProbability, rng: torch.Generator
    ) -> dict[str, float]:
        """Take one step of learning; return what it measured. Raises FloatingPointError."""

    def of(self, both: Transition) -> Tensor:
        """Return the rewards (rows,) of own steps and as many demonstrated ones, of each seed."""

    def model(self, seed: int) -> LoadedReward | None:
        """Return the present model of a seed; None if there is none."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to another source."""


class Earned:
    """What each step has earned (TASK, MODEL)."""

    looks_ahead = True

    def learn(
        self, own: Transition, shown: Transition, likely: LogProbability, rng: torch.Generator
    ) -> dict[str, float]:
        """Nothing is learnt."""
        return {}

    def of(self, both: Transition) -> Tensor:
        """See `RewardSource`."""
        assert both.earned is not None
        return both.earned

    def model(self, seed: int) -> None:
        """There is none."""

    def tensors(self) -> dict[str, Tensor]:
        """There is no state."""
        return {}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """There is no state."""


class Shown(Earned):
    """SQIL: 1 for demonstrated steps, 0 for own ones."""

    looks_ahead = False

    def __init__(self, seeds: int) -> None:
        self._seeds = seeds

    def of(self, both: Transition) -> Tensor:
        """See `RewardSource`."""
        half = torch.zeros(self._seeds, len(both) // self._seeds // 2)
        return torch.cat([half, half + 1], dim=1).flatten()


class Learnt:
    """A reward model of each seed that is learnt beside its policy; its initial weights are torch's global generator's.

    Raises ValueError when models of the family are not learnt in this way.
    """

    looks_ahead = False

    def __init__(
        self, family: str, settings: RewardSettings, scales: Scales, seeds: int, rate: float
    ) -> None:
        self._family, self._settings, self._scales = family, settings, scales
        made = make_reward(family, settings, scales.contract, scales.normaliser, seeds)
        if not isinstance(made, AdversarialReward):
            raise ValueError(f"reward: '{family}' is not learnt beside a policy; use a family such as gail")
        self.network, self._optimiser = made, Optimiser(made, rate)

    def learn(
        self, own: Transition, shown: Transition, likely: LogProbability, rng: torch.Generator
    ) -> dict[str, float]:
        """See `RewardSource`."""
        loss = self.network.compare(Comparison(own, shown, likely), rng)
        self._optimiser.step(loss.total)
        return {name: float(part) for name, part in loss.parts.items()}

    def of(self, both: Transition) -> Tensor:
        """See `RewardSource`."""
        return self.network.reward(both)

    def model(self, seed: int) -> LoadedReward:
        """See `RewardSource`."""
        contract, normaliser = self._scales.contract, self._scales.normaliser
        with torch.random.fork_rng(devices=[]):
            network = make_reward(self._family, self._settings, contract, normaliser)
        network.load_state_dict(one_seed(self.network.state_dict(), seed))
        return LoadedReward(contract, self._family, self._settings, network, normaliser)

    def tensors(self) -> dict[str, Tensor]:
        """See `RewardSource`."""
        return self._optimiser.tensors()

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """See `RewardSource`."""
        self._optimiser.restore(tensors)
