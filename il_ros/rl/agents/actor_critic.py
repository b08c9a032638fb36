"""Soft actor-critic, alone or from a clone: agents whose actions are numbers."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping

import torch
from torch import Tensor, nn

from il_ros.policies.families.actor import (
    ActorNetwork,
    drawn_log_densities,
    log_densities,
    squashed_gaussian,
)
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state, one_seed
from il_ros.policies.protocol import PolicyModel, Window
from il_ros.rewards.protocol import Transition
from il_ros.rl.agents.agent import AgentSettings, Bounds, CloneUse, Shape, discounts, put_seed, repeated
from il_ros.rl.optimiser import Optimiser, follow, named, under

_MOST = 2.0  # of a demonstrated step's advantage, in deviations


class SoftActorCritic:
    """Soft actor-critic (Haarnoja et al. 2018, "Soft Actor-Critic Algorithms and Applications"), actions (A,) in -1..1.

    Two critics with layer normalisation (Ball et al. 2023, "Efficient Online RL with Offline Data", RLPD); the
    temperature keeps the entropy at the settings' one. `bounds`: within which a value without entropy can be.
    With a weight of cloning, the actor's mean is also drawn to the demonstrated actions, more to those that are worth
    more (Nair et al. 2020, "AWAC: Accelerating Online Reinforcement Learning with Offline Datasets", eq. 11).
    """

    family = "actor"

    def __init__(
        self,
        shape: Shape,
        settings: AgentSettings,
        clone_use: CloneUse | None = None,
        bounds: Bounds | None = None,
    ) -> None:
        self.policy = shape.actor
        self._settings, self._seeds, self._actions = settings, shape.seeds, shape.actions
        self._clone_use, self._bounds = clone_use or CloneUse(), bounds
        self._actor = shape.actors(chooses=False)
        self._critics = SeededMlp(
            2 * shape.seeds,
            (shape.inputs + 1 + shape.actions, settings.hidden, settings.hidden, 1),
            layer_norm=True,
        )
        self._targets = copy.deepcopy(self._critics).requires_grad_(False)
        first = torch.full((shape.seeds, 1), math.log(settings.temperature))
        self._log_temperatures = nn.ParameterList([nn.Parameter(first)])
        self._steps = {
            "actor": Optimiser(self._actor, settings.actor_rate or settings.rate),
            "critics": Optimiser(self._critics, settings.rate),
            "temperature": Optimiser(self._log_temperatures, settings.rate),
        }
        self._updates = 0  # of the actor
        self._noise: Tensor | None = None  # of the last own actions, where it is correlated

    @torch.no_grad()
    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return drawn actions; see `Agent`."""
        seen = marked_state(observation)
        return self._drawn(seen, rng, self._noise_of_step(len(seen), rng))[0]

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
        measured = self.update_values(batch, reward, rng)
        self._update_actor(batch, rng)
        return measured

    def update_values(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step of the critics towards the values of the present policy."""
        following = marked_state(batch.following, batch.ends)
        with torch.no_grad():
            after = self._value_after(following, rng)
            weight = discounts(batch, self._settings.discount)
            wanted = reward + weight * after
            if self._bounds is not None and not self._settings.entropy_bonus:
                wanted = wanted.clamp(*self._bounds)
            wanted = wanted.view(self._seeds, 1, -1)
        seen = marked_state(batch.observation, batch.absorbing)
        any_action = torch.rand(batch.action.shape, generator=rng) * 2 - 1
        value = self._values(
            self._critics, seen, torch.where(batch.absorbing[:, None], any_action, batch.action)
        )
        loss = (value - wanted).square().mean(dim=2).sum()
        self._steps["critics"].step(loss)
        follow(self._targets, self._critics, self._settings.target_share)
        return {"value_loss": float(loss.detach()) / self._seeds, "value": float(value.detach().mean())}

    def put_into(self, network: PolicyModel, seed: int) -> None:
        """Give a network the weights of one agent."""
        assert isinstance(network, ActorNetwork)
        network.perceptron.load_state_dict(one_seed(self._actor.state_dict(), seed))

    def take_from(self, clone: ActorNetwork, deviation: Tensor) -> None:
        """Begin with the policy of a network; see `Agent`."""
        self._actor.load_state_dict(repeated(clone.perceptron, self._seeds))

    def take_back(self, network: PolicyModel, seed: int) -> None:
        """Give one agent the policy of a network; see `Agent`."""
        assert isinstance(network, ActorNetwork)
        put_seed(self._actor, seed, network.perceptron)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state; see `Agent`."""
        found = named("targets", self._targets.state_dict())
        for name, optimiser in self._steps.items():
            found |= named(name, optimiser.tensors())
        noise = {} if self._noise is None else {"noise": self._noise}
        return found | {"updates": torch.tensor(self._updates), **noise}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; see `Agent`."""
        self._targets.load_state_dict(under("targets", tensors))
        for name, optimiser in self._steps.items():
            optimiser.restore(under(name, tensors))
        self._updates = int(tensors["updates"]) if "updates" in tensors else 0  # added on 2026-11-29
        self._noise = tensors["noise"].clone() if "noise" in tensors else None

    def _noise_of_step(self, rows: int, rng: torch.Generator) -> Tensor:
        """Return the noise (K * B, A) of own actions, of deviation 1: it goes on from that of the step before."""
        fresh, share = torch.randn(rows, self._actions, generator=rng), self._settings.correlation
        if not share:
            return fresh
        if self._noise is not None:
            fresh = share * self._noise + math.sqrt(1 - share**2) * fresh
        self._noise = fresh
        return fresh

    def _update_actor(self, batch: Transition, rng: torch.Generator) -> None:
        """Take one step of the actor and of the temperature."""
        seen = marked_state(batch.observation, batch.absorbing)
        action, log_density = self._drawn(seen, rng)
        worth = self._values(self._critics, seen, action).mean(dim=1).flatten()
        loss = (self._temperature(len(batch)) * log_density - worth).mean()
        weight = self._clone_use.weight_after(self._updates)
        if weight:
            loss = loss + weight * self._cloning_loss(batch, seen)
        self._steps["actor"].step(self._seeds * loss)
        excess = (log_density.detach() + self._settings.entropy * self._actions).view(self._seeds, -1)
        (log_temperature,) = self._log_temperatures
        self._steps["temperature"].step(-(log_temperature * excess).mean(dim=1).sum())
        self._updates += 1

    def _cloning_loss(self, batch: Transition, seen: Tensor) -> Tensor:
        """Return the weighted squared error (), summed over an action, of the mean on demonstrated steps.

        The weights exp(advantage / its deviation in the batch), of mean 1, are bounded.
        """
        seen, action, absorbing = (self._of_shown(each) for each in (seen, batch.action, batch.absorbing))
        mean = torch.tanh(squashed_gaussian(self._actor.of_rows(seen))[0])
        error = (mean - self._said_for(seen, action)).square().sum(dim=1) * ~absorbing
        with torch.no_grad():
            acts = action, self._action_of(seen, mean)
            done, own = (self._values(self._critics, seen, each).mean(dim=1) for each in acts)
            advantage = done - own
            weight = (advantage / (advantage.std(dim=1, keepdim=True) + 1e-6)).clamp(-_MOST, _MOST).exp()
            weight = weight / weight.mean(dim=1, keepdim=True)
        return (weight * error.view(self._seeds, -1)).mean()

    def _action_of(self, seen: Tensor, said: Tensor) -> Tensor:
        """Return the actions (K * B, A) that follow from what the actor says, -1..1: itself."""
        return said

    def _said_for(self, seen: Tensor, action: Tensor) -> Tensor:
        """Return what the actor is to say (K * B, A) for these actions; the inverse of `_action_of`."""
        return action

    def _of_shown(self, rows: Tensor) -> Tensor:
        """Return the demonstrated rows (K * B / 2, ...), the second half of those of each agent (K * B, ...)."""
        each = rows.view(self._seeds, -1, *rows.shape[1:])
        return each[:, each.shape[1] // 2 :].flatten(0, 1)

    def _value_after(self, following: Tensor, rng: torch.Generator) -> Tensor:
        """Return the value (K * B,) of the present policy in states, by the target networks."""
        action, log_density = self._drawn(following, rng)
        least = self._least(self._targets, following, action)
        if not self._settings.entropy_bonus:
            return least
        return least - self._temperature(len(following)) * log_density

    def _temperature(self, rows: int) -> Tensor:
        """Return the temperature of each row (K * B,)."""
        (log_temperature,) = self._log_temperatures
        each: Tensor = log_temperature.exp().detach().expand(-1, rows // self._seeds)
        return each.flatten()

    def _drawn(
        self, seen: Tensor, rng: torch.Generator, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Return drawn actions (K * B, A), and log densities (K * B,) of the actor. `noise` (K * B, A): None: new."""
        mean, log_std = squashed_gaussian(self._actor.of_rows(seen))
        if noise is None:
            noise = torch.randn(mean.shape, generator=rng)
        free = mean + log_std.exp() * noise
        return torch.tanh(free), drawn_log_densities(noise, log_std, free).sum(dim=1)

    def _least(self, critics: SeededMlp, seen: Tensor, action: Tensor) -> Tensor:
        """Return the lesser value (K * B,) of both critics."""
        return self._values(critics, seen, action).min(dim=1).values.flatten()

    def _values(self, critics: SeededMlp, seen: Tensor, action: Tensor) -> Tensor:
        """Return the values of both critics (K, 2, B)."""
        inputs = torch.cat([seen, action], dim=1).view(self._seeds, -1, seen.shape[1] + self._actions)
        found: Tensor = critics(inputs.repeat_interleave(2, dim=0))[..., 0]
        return found.view(self._seeds, 2, -1)
