"""Rewards that tell demonstrated transitions from the learner's own.

Each is computed anew whenever a batch is drawn, so that no reward in memory is older than the networks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.settings import one_of
from il_ros.rl.networks import Optimiser, SeededMlp
from il_ros.rl.transitions import TransitionBatch

LogProbability = Callable[[Tensor, Tensor], Tensor]
SHAPES = ("logit", "softplus", "log_sigmoid")


@dataclass(frozen=True)
class DiscriminatorSettings:
    """`gradient_penalty`: weight of (|gradient| - 1)^2 between demonstrations and own steps (Gulrajani et al. 2017).

    `shape` of the reward: the logit (either sign, so that neither a long nor a short episode pays), softplus of it
    (always above 0: living pays), log_sigmoid (always below 0: ending pays).
    """

    hidden: int = 64
    rate: float = 1e-3
    gradient_penalty: float = 10.0
    shape: str = "logit"

    def __post_init__(self) -> None:
        one_of("shape", self.shape, SHAPES)
        if self.gradient_penalty < 0:
            raise ValueError(f"gradient_penalty is {self.gradient_penalty:g}; it must not be negative")


class Reward(Protocol):
    """A reward of transitions."""

    def update(
        self,
        own: TransitionBatch,
        shown: TransitionBatch,
        log_probability: LogProbability,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Learn from a batch of own steps and one of demonstrations; return what it measured."""

    def reward(self, batch: TransitionBatch) -> Tensor:
        """Return the reward (K, B), without gradient."""


class Given:
    """The environment's own reward; demonstrations have 0."""

    def update(
        self,
        own: TransitionBatch,
        shown: TransitionBatch,
        log_probability: LogProbability,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Learn nothing."""
        return {}

    def reward(self, batch: TransitionBatch) -> Tensor:
        """Return the batch's reward."""
        return batch.reward


class Sqil(Given):
    """1 for demonstrations and 0 for own steps (Reddy et al. 2020, "SQIL")."""

    def reward(self, batch: TransitionBatch) -> Tensor:
        """Return which transitions were shown."""
        return batch.shown


class Gail:
    """A discriminator's logit (Ho and Ermon 2016; off-policy: Kostrikov et al. 2019, "Discriminator-Actor-Critic")."""

    def __init__(
        self,
        seeds: int,
        observation_size: int,
        action_size: int,
        settings: DiscriminatorSettings,
        rng: torch.Generator,
        *,
        numbered: bool,
        from_states: bool,
    ) -> None:
        """`action_size`: of the action's numbers, or how many `numbered` actions there are.

        `from_states`: of (observation, following): no demonstrated action is needed (GAIfO, Torabi et al. 2018).
        """
        self._settings, self._actions, self._numbered = settings, action_size, numbered
        self._from_states = from_states
        second = observation_size if from_states else action_size
        sizes = (observation_size + second, settings.hidden, settings.hidden, 1)
        self._network = SeededMlp(seeds, sizes, rng)
        self._optimiser = Optimiser(self._network, settings.rate)

    def update(
        self,
        own: TransitionBatch,
        shown: TransitionBatch,
        log_probability: LogProbability,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Take one step; see `Reward`."""
        inputs = self._inputs(own), self._inputs(shown)
        logits = [self._network(each)[..., 0] for each in inputs]
        return _discriminate(
            self._network, self._optimiser, inputs, logits, self._settings.gradient_penalty, rng
        )

    @torch.no_grad()
    def reward(self, batch: TransitionBatch) -> Tensor:
        """Return the reward (K, B) in the shape of the settings."""
        logit: Tensor = self._network(self._inputs(batch))[..., 0]
        if self._settings.shape == "softplus":
            return functional.softplus(logit)
        return logit if self._settings.shape == "logit" else -functional.softplus(-logit)

    def _inputs(self, batch: TransitionBatch) -> Tensor:
        if self._from_states:
            return torch.cat([batch.observation, batch.following], dim=-1)
        action = functional.one_hot(batch.action, self._actions).float() if self._numbered else batch.action
        return torch.cat([batch.observation, action], dim=-1)


class Airl:
    """A reward of states with shaping: f = g(s) + discount h(s') - h(s), logit f - log P(a | s).

    Fu et al. 2018, "Learning Robust Rewards with Adversarial IRL", eq. 4 and 5. The agent needs temperature 1.
    """

    def __init__(
        self,
        seeds: int,
        observation_size: int,
        discount: float,
        settings: DiscriminatorSettings,
        rng: torch.Generator,
    ) -> None:
        sizes = (observation_size, settings.hidden, settings.hidden, 1)
        self._settings, self._discount = settings, discount
        self._state_reward, self._potential = (SeededMlp(seeds, sizes, rng) for _ in range(2))
        self._optimiser = Optimiser(nn.ModuleList([self._state_reward, self._potential]), settings.rate)

    def update(
        self,
        own: TransitionBatch,
        shown: TransitionBatch,
        log_probability: LogProbability,
        rng: torch.Generator,
    ) -> dict[str, float]:
        """Take one step; see `Reward`."""
        batches = (own, shown)
        inputs = tuple(torch.cat([each.observation, each.following], dim=-1) for each in batches)
        logits = [
            self._shaped(values) - log_probability(each.observation, each.action)
            for values, each in zip(inputs, batches, strict=True)
        ]
        return _discriminate(
            lambda values: self._shaped(values)[..., None],
            self._optimiser,
            inputs,
            logits,
            self._settings.gradient_penalty,
            rng,
        )

    @torch.no_grad()
    def reward(self, batch: TransitionBatch) -> Tensor:
        """Return f (K, B)."""
        return self._shaped(torch.cat([batch.observation, batch.following], dim=-1))

    @torch.no_grad()
    def state_reward(self, observation: Tensor) -> Tensor:
        """Return g(s) (K, B), the reward without its shaping, for use with other dynamics."""
        found: Tensor = self._state_reward(observation)[..., 0]
        return found

    def _shaped(self, values: Tensor) -> Tensor:
        before, after = values.chunk(2, dim=-1)
        shaped = (
            self._state_reward(before) + self._discount * self._potential(after) - self._potential(before)
        )
        found: Tensor = shaped[..., 0]
        return found


def _discriminate(
    network: Callable[[Tensor], Tensor],
    optimiser: Optimiser,
    inputs: tuple[Tensor, ...],
    logits: list[Tensor],
    gradient_penalty: float,
    rng: torch.Generator,
) -> dict[str, float]:
    """Take one step of logistic regression, own steps against demonstrations; return its loss and accuracy."""
    own, shown = logits
    loss = (functional.softplus(own) + functional.softplus(-shown)).mean(dim=1).sum()
    if gradient_penalty:
        share = torch.rand(*inputs[0].shape[:2], 1, generator=rng)
        between = (share * inputs[1] + (1 - share) * inputs[0]).requires_grad_()
        (slope,) = torch.autograd.grad(network(between).sum(), between, create_graph=True)
        loss = loss + gradient_penalty * (slope.norm(dim=-1) - 1).square().mean(dim=1).sum()
    optimiser.step(loss)
    right = ((own < 0).float().mean() + (shown > 0).float().mean()) / 2
    return {"discriminator_loss": float(loss.detach()), "discriminator_accuracy": float(right)}
