"""Agents that maximise reward and entropy: soft Q-learning for numbered actions, soft actor-critic for continuous ones.

The reward is computed when a batch is drawn. Nothing ends a value: terminated episodes go on in the absorbing state.
"""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.settings import at_least
from il_ros.rl.networks import Optimiser, SeededMlp, follow
from il_ros.rl.transitions import TransitionBatch

_LOG_STD = (-5.0, 0.0)
_LARGEST_ACTION = 0.999  # tanh of it is finite


@dataclass(frozen=True)
class AgentSettings:
    """`rate`: of Adam. `target_share`: how far target networks follow in each update. `temperature`: weight of entropy.

    Soft actor-critic adapts its temperature, from this value on.
    """

    hidden: int = 64
    discount: float = 0.98
    rate: float = 1e-3
    target_share: float = 0.01
    temperature: float = 0.1

    def __post_init__(self) -> None:
        at_least("hidden", self.hidden, 1)
        if not 0 < self.discount < 1:
            raise ValueError(f"discount is {self.discount:g}; it must be above 0 and below 1")
        for name in ("rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be above 0")
        if not 0 < self.target_share <= 1:
            raise ValueError(f"target_share is {self.target_share:g}; it must be above 0, and at most 1")


class Agent(Protocol):
    """K agents. Observations are (K, B, N)."""

    @property
    def action(self) -> Tensor:
        """An example of an action, with its shape and type."""

    def explore(self, observation: Tensor, rng: torch.Generator) -> Tensor:
        """Return actions drawn from the policy."""

    def best(self, observation: Tensor) -> Tensor:
        """Return the most likely actions."""

    def random(self, seeds: int, rng: torch.Generator) -> Tensor:
        """Return one uniformly drawn action of each seed (K, 1, ...)."""

    def log_probability(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return log P(action | observation) (K, B), without gradient."""

    def update(self, batch: TransitionBatch, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step on a batch with rewards (K, B); return what it measured."""


class SoftQ:
    """Soft Q-learning with numbered actions; P(a | s) is proportional to exp(Q(s, a) / temperature).

    Haarnoja et al. 2017, "Reinforcement Learning with Deep Energy-Based Policies".
    """

    def __init__(
        self, seeds: int, observation_size: int, actions: int, settings: AgentSettings, rng: torch.Generator
    ):
        sizes = (observation_size, settings.hidden, settings.hidden, actions)
        self._settings, self._actions = settings, actions
        self._value = SeededMlp(seeds, sizes, rng)
        self._target = copy.deepcopy(self._value).requires_grad_(False)
        self._optimiser = Optimiser(self._value, settings.rate)

    @property
    def action(self) -> Tensor:
        """The number of an action ()."""
        return torch.zeros((), dtype=torch.int64)

    @torch.no_grad()
    def explore(self, observation: Tensor, rng: torch.Generator) -> Tensor:
        """Return drawn actions (K, B)."""
        shares = torch.softmax(self._value(observation) / self._settings.temperature, dim=-1)
        drawn = torch.multinomial(shares.flatten(0, 1), 1, generator=rng)
        return drawn.view(observation.shape[:2])

    @torch.no_grad()
    def best(self, observation: Tensor) -> Tensor:
        """Return the actions with the largest value (K, B)."""
        found: Tensor = self._value(observation).argmax(dim=-1)
        return found

    def random(self, seeds: int, rng: torch.Generator) -> Tensor:
        """Return one drawn action of each seed (K, 1)."""
        return torch.randint(self._actions, (seeds, 1), generator=rng)

    @torch.no_grad()
    def log_probability(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return log P(action | observation) (K, B)."""
        shares = torch.log_softmax(self._value(observation) / self._settings.temperature, dim=-1)
        return shares.gather(-1, action[..., None])[..., 0]

    def update(self, batch: TransitionBatch, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of soft Q-learning on a batch."""
        temperature = self._settings.temperature
        with torch.no_grad():
            after = temperature * torch.logsumexp(self._target(batch.following) / temperature, dim=-1)
            wanted = reward + self._settings.discount * after
        value = self._value(batch.observation).gather(-1, batch.action[..., None])[..., 0]
        loss = functional.smooth_l1_loss(value, wanted, reduction="none").mean(dim=1).sum()
        self._optimiser.step(loss)
        follow(self._target, self._value, self._settings.target_share)
        return {"value_loss": float(loss.detach()), "value": float(value.detach().mean())}


class SoftActorCritic:
    """Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications"), actions (A,) in -1..1.

    Two critics with layer normalisation (Ball et al. 2023, "Efficient Online RL with Offline Data", RLPD); the
    temperature keeps the entropy at -A.
    """

    def __init__(
        self, seeds: int, observation_size: int, actions: int, settings: AgentSettings, rng: torch.Generator
    ):
        self._settings, self._seeds, self._actions = settings, seeds, actions
        hidden = (settings.hidden, settings.hidden)
        self._actor = SeededMlp(seeds, (observation_size, *hidden, 2 * actions), rng)
        self._critics = SeededMlp(2 * seeds, (observation_size + actions, *hidden, 1), rng, layer_norm=True)
        self._targets = copy.deepcopy(self._critics).requires_grad_(False)
        first = torch.full((seeds, 1), math.log(settings.temperature))
        self._log_temperatures = nn.ParameterList([nn.Parameter(first)])
        self._actor_step = Optimiser(self._actor, settings.rate)
        self._critic_step = Optimiser(self._critics, settings.rate)
        self._temperature_step = Optimiser(self._log_temperatures, settings.rate)

    @property
    def action(self) -> Tensor:
        """An action (A,)."""
        return torch.zeros(self._actions)

    @torch.no_grad()
    def explore(self, observation: Tensor, rng: torch.Generator) -> Tensor:
        """Return drawn actions (K, B, A)."""
        return self._drawn(observation, rng)[0]

    @torch.no_grad()
    def best(self, observation: Tensor) -> Tensor:
        """Return the squashed means (K, B, A)."""
        return torch.tanh(self._distribution(observation)[0])

    def random(self, seeds: int, rng: torch.Generator) -> Tensor:
        """Return one drawn action of each seed (K, 1, A)."""
        return torch.rand(seeds, 1, self._actions, generator=rng) * 2 - 1

    @torch.no_grad()
    def log_probability(self, observation: Tensor, action: Tensor) -> Tensor:
        """Return the log density of actions (K, B)."""
        mean, log_std = self._distribution(observation)
        free = torch.atanh(action.clamp(-_LARGEST_ACTION, _LARGEST_ACTION))
        return _log_density((free - mean) / log_std.exp(), log_std, free)

    def update(self, batch: TransitionBatch, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of the critics, the actor and the temperature."""
        (log_temperature,) = self._log_temperatures
        temperature = log_temperature.exp().detach()
        with torch.no_grad():
            action, log_density = self._drawn(batch.following, rng)
            after = (
                self._values(self._targets, batch.following, action).min(dim=1).values
                - temperature * log_density
            )
            wanted = reward + self._settings.discount * after
        value = self._values(self._critics, batch.observation, batch.action)
        loss = (value - wanted[:, None]).square().mean(dim=2).sum()
        self._critic_step.step(loss)
        follow(self._targets, self._critics, self._settings.target_share)
        action, log_density = self._drawn(batch.observation, rng)
        worth = self._values(self._critics, batch.observation, action).mean(dim=1)
        self._actor_step.step((temperature * log_density - worth).mean(dim=1).sum())
        excess = log_density.detach() - self._actions
        self._temperature_step.step(-(log_temperature * excess).mean(dim=1).sum())
        return {"value_loss": float(loss.detach()), "value": float(value.detach().mean())}

    def _distribution(self, observation: Tensor) -> tuple[Tensor, Tensor]:
        mean, free = self._actor(observation).chunk(2, dim=-1)
        low, high = _LOG_STD
        return mean, low + (high - low) * (torch.tanh(free) + 1) / 2

    def _drawn(self, observation: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        mean, log_std = self._distribution(observation)
        noise = torch.randn(mean.shape, generator=rng)
        free = mean + log_std.exp() * noise
        return torch.tanh(free), _log_density(noise, log_std, free)

    def _values(self, critics: SeededMlp, observation: Tensor, action: Tensor) -> Tensor:
        """Return the values of both critics (K, 2, B)."""
        inputs = torch.cat([observation, action], dim=-1).repeat_interleave(2, dim=0)
        found: Tensor = critics(inputs)[..., 0].view(self._seeds, 2, -1)
        return found


def _log_density(noise: Tensor, log_std: Tensor, free: Tensor) -> Tensor:
    """Return the log density of tanh(free) (K, B), where free = mean + std * noise."""
    squashed = 2 * (math.log(2) - free - functional.softplus(-2 * free))  # log(1 - tanh^2), stable
    return (-0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi) - squashed).sum(dim=-1)
