"""Residual reinforcement learning: what the actor says is added to the clone's action, and bounded."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields

import torch
from torch import Tensor

from il_ros.policies.families.actor import (
    LOG_STD,
    ActorNetwork,
    log_densities,
    squashed_gaussian,
)
from il_ros.policies.families.guided import RESIDUAL, Guided, GuidedNetwork, residual
from il_ros.policies.networks.seeded_mlp import marked_state, one_seed
from il_ros.policies.protocol import PolicyModel
from il_ros.rewards.protocol import Transition
from il_ros.rl.agents.actor_critic import SoftActorCritic
from il_ros.rl.agents.agent import AgentSettings, Bounds, CloneUse, Shape, put_seed, repeated


class ResidualActorCritic(SoftActorCritic):
    """Actions are clone + reach * actor; the critics value the sum, and so can tell where the clone needs help.

    `reach` (A,) is the use's number of deviations of the demonstrations. At first the actor adds nothing but its noise,
    whose entropy is about the one that is kept: `entropy` is that of an addition in units of its reach.
    """

    family = "guided"

    def __init__(
        self, shape: Shape, settings: AgentSettings, clone_use: CloneUse, bounds: Bounds | None = None
    ) -> None:
        super().__init__(shape, settings, clone_use, bounds)
        self.policy = guided(shape, settings, RESIDUAL)
        self._clone = shape.actors(chooses=False).requires_grad_(False)
        self._reach = torch.zeros(shape.actions)

    def take_from(self, clone: ActorNetwork, deviation: Tensor) -> None:
        """Add to the policy of a network; see `Agent`."""
        self._clone.load_state_dict(repeated(clone.perceptron, self._seeds))
        self._reach = (self._clone_use.reach * deviation).clamp(max=1.0)
        for seed in range(self._seeds):
            self._add_nothing(seed)

    def put_into(self, network: PolicyModel, seed: int) -> None:
        """Give a network clone, reach and the weights of one agent."""
        assert isinstance(network, GuidedNetwork)
        network.clone.perceptron.load_state_dict(one_seed(self._clone.state_dict(), seed))
        network.actor.perceptron.load_state_dict(one_seed(self._actor.state_dict(), seed))
        network.reach.copy_(self._reach)

    def take_back(self, network: PolicyModel, seed: int) -> None:
        """Give one agent the residual of a network; of a clone alone, none."""
        if isinstance(network, GuidedNetwork):
            put_seed(self._actor, seed, network.actor.perceptron)
            return
        self._add_nothing(seed)

    @torch.no_grad()
    def log_probability(self, transition: Transition) -> Tensor:
        """Return the log density of the actions; those that the residual cannot reach count as its ends."""
        seen = marked_state(transition.observation, transition.absorbing)
        mean, log_std = squashed_gaussian(self._actor.of_rows(seen))
        added = self._said_for(seen, transition.action)
        return (log_densities(mean, log_std, added) - self._reach.log()).sum(dim=1)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state; see `Agent`. The clone is that of `take_from`."""
        return super().tensors() | {"reach": self._reach}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; see `Agent`."""
        super().restore(tensors)
        self._reach = tensors["reach"].clone()

    def _drawn(
        self, seen: Tensor, rng: torch.Generator, noise: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        added, log_density = super()._drawn(seen, rng, noise)
        return self._action_of(seen, added), log_density

    def _action_of(self, seen: Tensor, said: Tensor) -> Tensor:
        return residual(self._cloned(seen), self._reach, said)

    def _said_for(self, seen: Tensor, action: Tensor) -> Tensor:
        """Return what is to be added, in units of its reach; what it cannot reach counts as its ends."""
        return ((action - self._cloned(seen)) / self._reach).clamp(-1.0, 1.0)

    @torch.no_grad()
    def _add_nothing(self, seed: int) -> None:
        """Let the actor of one agent add nothing but noise; its spread is that of a Gaussian with the kept entropy."""
        for parameter in self._actor.layers[-1].parameters():
            parameter[seed] = 0.0
        log_std = self._settings.entropy - 0.5 * math.log(2 * math.pi * math.e)
        low, high = LOG_STD
        share = min(max((log_std - low) / (high - low), 0.01), 0.99)  # the inverse of `squashed_gaussian`
        self._actor.linear_layers()[-1].bias[seed, ..., self._actions :] = math.atanh(2 * share - 1)

    def _cloned(self, seen: Tensor) -> Tensor:
        return torch.tanh(squashed_gaussian(self._clone.of_rows(seen))[0])


def guided(shape: Shape, settings: AgentSettings, way: str) -> Guided:
    """Return the settings of the policies of agents that act beside a clone."""
    own = {field.name: getattr(shape.actor, field.name) for field in fields(shape.actor)}
    return Guided(**own, way=way, critic_hidden=settings.hidden)
