"""Agents that maximise reward and entropy: soft Q-learning for a choice, soft actor-critic for numbers.

The reward is computed when a batch is drawn. Nothing ends a value: terminated episodes go on in the absorbing state,
where any action is learnt to lead back; an action that is never learnt there would make dying look good or bad.
K agents learn at once; the rows of a transition (K * B) are those of all of them, those of one together. Each agent's
policy is one of the family `actor`.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.settings import at_least
from il_ros.policies.families.actor import (
    Actor,
    ActorNetwork,
    actor_sizes,
    drawn_log_densities,
    log_densities,
    squashed_gaussian,
)
from il_ros.policies.families.seeded_mlp import SeededMlp, marked_state, one_seed
from il_ros.policies.protocol import Transition, Window
from il_ros.rl.optimiser import Optimiser, follow, named, under


@dataclass(frozen=True)
class AgentSettings:
    """`rate`: of Adam. `target_share`: how far target networks follow in each update. `temperature`: weight of entropy.

    `hidden`: width of the two layers of critics. Soft actor-critic adapts its temperature, from this value on.
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
    """K agents with the policies of `actor`; initial weights come from torch's global generator."""

    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return actions (K * B, A) drawn from the policies."""

    def random(self, rng: torch.Generator) -> Tensor:
        """Return one uniformly drawn action of each agent (K, A)."""

    def log_probability(self, transition: Transition) -> Tensor:
        """Return log P(action | observation) (K * B,), without gradient."""

    def update(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step on a batch with rewards (K * B,); return what it measured.

        Raises FloatingPointError when a loss is not finite.
        """

    def put_into(self, network: ActorNetwork, seed: int) -> None:
        """Give a policy's network the weights of one agent."""

    def take_from(self, network: ActorNetwork) -> None:
        """Give all agents the policy of a network, such as a clone."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`; the tensors are not copied."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to other agents."""


class SoftQ:
    """Soft Q-learning of one choice of A; P(a | s) is proportional to exp(Q(s, a) / temperature).

    Haarnoja et al. 2017, "Reinforcement Learning with Deep Energy-Based Policies".
    """

    def __init__(self, seeds: int, inputs: int, actions: int, actor: Actor, settings: AgentSettings) -> None:
        """`inputs`: the state features F."""
        self._settings, self._seeds, self._actions = settings, seeds, actions
        self._value = SeededMlp(seeds, actor_sizes(inputs, actor, actions, chooses=True))
        self._target = copy.deepcopy(self._value).requires_grad_(False)
        self._optimiser = Optimiser(self._value, settings.rate)

    @torch.no_grad()
    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return drawn actions; see `Agent`."""
        values = self._value.of_rows(marked_state(observation))
        shares = torch.softmax(values / self._settings.temperature, dim=1)
        return self._as_action(torch.multinomial(shares, 1, generator=rng)[:, 0])

    def random(self, rng: torch.Generator) -> Tensor:
        """Return uniformly drawn actions; see `Agent`."""
        return self._as_action(torch.randint(self._actions, (self._seeds,), generator=rng))

    @torch.no_grad()
    def log_probability(self, transition: Transition) -> Tensor:
        """Return log P(action | observation); see `Agent`."""
        values = self._value.of_rows(marked_state(transition.observation, transition.absorbing))
        shares = torch.log_softmax(values / self._settings.temperature, dim=1)
        return _of_choice(shares, transition.action)

    def update(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of soft Q-learning; see `Agent`."""
        temperature = self._settings.temperature
        with torch.no_grad():
            following = self._target.of_rows(marked_state(batch.following, batch.ends))
            after = temperature * torch.logsumexp(following / temperature, dim=1)
            wanted = reward + self._settings.discount * after
        any_action = self._as_action(torch.randint(self._actions, (len(batch),), generator=rng))
        action = torch.where(batch.absorbing[:, None], any_action, batch.action)
        value = _of_choice(self._value.of_rows(marked_state(batch.observation, batch.absorbing)), action)
        loss = self._seeds * functional.smooth_l1_loss(value, wanted)
        self._optimiser.step(loss)
        follow(self._target, self._value, self._settings.target_share)
        return {"value_loss": float(loss.detach()) / self._seeds, "value": float(value.detach().mean())}

    def put_into(self, network: ActorNetwork, seed: int) -> None:
        """Give a network the weights of one agent; its outputs are the logarithms of probabilities."""
        network.perceptron.load_state_dict(one_seed(self._value.state_dict(), seed))
        self._scale_last(network.perceptron, 1 / self._settings.temperature)

    def take_from(self, network: ActorNetwork) -> None:
        """Give all agents the probabilities of a network."""
        for mine in (self._value, self._target):
            mine.load_state_dict(_repeated(network.perceptron, self._seeds))
            self._scale_last(mine, self._settings.temperature)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state; see `Agent`."""
        return named("value", self._optimiser.tensors()) | named("target", self._target.state_dict())

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; see `Agent`."""
        self._optimiser.restore(under("value", tensors))
        self._target.load_state_dict(under("target", tensors))

    def _as_action(self, chosen: Tensor) -> Tensor:
        action: Tensor = 2.0 * functional.one_hot(chosen, self._actions) - 1.0
        return action

    def _scale_last(self, perceptron: SeededMlp, factor: float) -> None:
        with torch.no_grad():
            for parameter in perceptron.layers[-1].parameters():
                parameter.mul_(factor)


class SoftActorCritic:
    """Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications"), actions (A,) in -1..1.

    Two critics with layer normalisation (Ball et al. 2023, "Efficient Online RL with Offline Data", RLPD); the
    temperature keeps the entropy at -A.
    """

    def __init__(self, seeds: int, inputs: int, actions: int, actor: Actor, settings: AgentSettings) -> None:
        """`inputs`: the state features F."""
        self._settings, self._seeds, self._actions = settings, seeds, actions
        self._actor = SeededMlp(seeds, actor_sizes(inputs, actor, actions, chooses=False))
        self._critics = SeededMlp(
            2 * seeds, (inputs + 1 + actions, settings.hidden, settings.hidden, 1), layer_norm=True
        )
        self._targets = copy.deepcopy(self._critics).requires_grad_(False)
        first = torch.full((seeds, 1), math.log(settings.temperature))
        self._log_temperatures = nn.ParameterList([nn.Parameter(first)])
        self._steps = {
            "actor": Optimiser(self._actor, settings.rate),
            "critics": Optimiser(self._critics, settings.rate),
            "temperature": Optimiser(self._log_temperatures, settings.rate),
        }

    @torch.no_grad()
    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return drawn actions; see `Agent`."""
        return self._drawn(marked_state(observation), rng)[0]

    def random(self, rng: torch.Generator) -> Tensor:
        """Return uniformly drawn actions; see `Agent`."""
        return torch.rand(self._seeds, self._actions, generator=rng) * 2 - 1

    @torch.no_grad()
    def log_probability(self, transition: Transition) -> Tensor:
        """Return the log density of the actions; see `Agent`."""
        seen = marked_state(transition.observation, transition.absorbing)
        mean, log_std = squashed_gaussian(self._actor.of_rows(seen))
        return log_densities(mean, log_std, transition.action).sum(dim=1)

    def update(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of the critics, the actor and the temperature; see `Agent`."""
        measured = self.update_critics(batch, reward, rng)
        self.update_actor(batch, rng)
        return measured

    def update_critics(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of the critics towards the values of the present actor."""
        following = marked_state(batch.following, batch.ends)
        with torch.no_grad():
            action, log_density = self._drawn(following, rng)
            least = self._values(self._targets, following, action).min(dim=1).values  # (K, B)
            after = least.flatten() - self._temperature(len(batch)) * log_density
            wanted = (reward + self._settings.discount * after).view(self._seeds, 1, -1)
        seen = marked_state(batch.observation, batch.absorbing)
        any_action = torch.rand(batch.action.shape, generator=rng) * 2 - 1
        value = self._values(
            self._critics, seen, torch.where(batch.absorbing[:, None], any_action, batch.action)
        )
        loss = (value - wanted).square().mean(dim=2).sum()
        self._steps["critics"].step(loss)
        follow(self._targets, self._critics, self._settings.target_share)
        return {"value_loss": float(loss.detach()) / self._seeds, "value": float(value.detach().mean())}

    def update_actor(self, batch: Transition, rng: torch.Generator) -> None:
        """Take one step of the actor and of the temperature."""
        seen = marked_state(batch.observation, batch.absorbing)
        action, log_density = self._drawn(seen, rng)
        worth = self._values(self._critics, seen, action).mean(dim=1).flatten()
        self._steps["actor"].step(self._seeds * (self._temperature(len(batch)) * log_density - worth).mean())
        excess = (log_density.detach() - self._actions).view(self._seeds, -1)
        (log_temperature,) = self._log_temperatures
        self._steps["temperature"].step(-(log_temperature * excess).mean(dim=1).sum())

    def put_into(self, network: ActorNetwork, seed: int) -> None:
        """Give a network the weights of one agent."""
        network.perceptron.load_state_dict(one_seed(self._actor.state_dict(), seed))

    def take_from(self, network: ActorNetwork) -> None:
        """Give all agents the policy of a network."""
        self._actor.load_state_dict(_repeated(network.perceptron, self._seeds))

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state; see `Agent`."""
        found = named("targets", self._targets.state_dict())
        for name, optimiser in self._steps.items():
            found |= named(name, optimiser.tensors())
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; see `Agent`."""
        self._targets.load_state_dict(under("targets", tensors))
        for name, optimiser in self._steps.items():
            optimiser.restore(under(name, tensors))

    def _temperature(self, rows: int) -> Tensor:
        """Return the temperature of each row (K * B,)."""
        (log_temperature,) = self._log_temperatures
        each: Tensor = log_temperature.exp().detach().expand(-1, rows // self._seeds)
        return each.flatten()

    def _drawn(self, seen: Tensor, rng: torch.Generator) -> tuple[Tensor, Tensor]:
        mean, log_std = squashed_gaussian(self._actor.of_rows(seen))
        noise = torch.randn(mean.shape, generator=rng)
        free = mean + log_std.exp() * noise
        return torch.tanh(free), drawn_log_densities(noise, log_std, free).sum(dim=1)

    def _values(self, critics: SeededMlp, seen: Tensor, action: Tensor) -> Tensor:
        """Return the values of both critics (K, 2, B)."""
        inputs = torch.cat([seen, action], dim=1).view(self._seeds, -1, seen.shape[1] + self._actions)
        found: Tensor = critics(inputs.repeat_interleave(2, dim=0))[..., 0]
        return found.view(self._seeds, 2, -1)


def _of_choice(values: Tensor, action: Tensor) -> Tensor:
    """Return the value (B,) of the chosen possibility, of values (B, A)."""
    return values.gather(1, action.argmax(dim=1, keepdim=True))[:, 0]


def _repeated(network: nn.Module, seeds: int) -> dict[str, Tensor]:
    """Return the parameters of a network of one seed for one of K seeds."""
    return {name: values.repeat_interleave(seeds, dim=0) for name, values in network.state_dict().items()}
