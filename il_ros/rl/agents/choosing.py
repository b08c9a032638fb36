"""Imitation bootstrapped reinforcement learning: the critics choose between the clone and the actor.

Hu et al. 2024, "Imitation Bootstrapped Reinforcement Learning" (IBRL), eq. 1 (acting) and 2 (bootstrap).
"""

from __future__ import annotations

import torch
from torch import Tensor

from il_ros.policies.families.actor import ActorNetwork, squashed_gaussian
from il_ros.policies.families.guided import CHOICE, GuidedNetwork
from il_ros.policies.networks.seeded_mlp import marked_state, one_seed
from il_ros.policies.protocol import PolicyModel, Window
from il_ros.rl.agents.actor_critic import SoftActorCritic
from il_ros.rl.agents.agent import AgentSettings, Bounds, CloneUse, Shape, put_seed, repeated
from il_ros.rl.agents.residual import guided


class ChoosingActorCritic(SoftActorCritic):
    """The clone's action is taken where the lesser of both critics values it more than the actor's drawn one.

    Values are those of this choice, so that they are not below the clone's, as far as the critics are right. The
    actor begins as the clone (IBRL's begins anew), and its entropy is not part of values.
    """

    family = "guided"

    def __init__(
        self, shape: Shape, settings: AgentSettings, clone_use: CloneUse, bounds: Bounds | None = None
    ) -> None:
        if settings.entropy_bonus:
            raise ValueError(
                "agent: entropy_bonus is true; a clone has no entropy to compare: false is needed"
            )
        super().__init__(shape, settings, clone_use, bounds)
        self.policy = guided(shape, settings, CHOICE)
        self._clone = shape.actors(chooses=False).requires_grad_(False)

    def take_from(self, clone: ActorNetwork, deviation: Tensor) -> None:
        """Choose between the policy of a network and an actor that begins as it; see `Agent`."""
        for mine in (self._clone, self._actor):
            mine.load_state_dict(repeated(clone.perceptron, self._seeds))

    def put_into(self, network: PolicyModel, seed: int) -> None:
        """Give a network clone, actor and critics of one agent."""
        assert isinstance(network, GuidedNetwork)
        network.clone.perceptron.load_state_dict(one_seed(self._clone.state_dict(), seed))
        network.actor.perceptron.load_state_dict(one_seed(self._actor.state_dict(), seed))
        both = slice(2 * seed, 2 * seed + 2)
        network.critics.load_state_dict(
            {name: values[both].clone() for name, values in self._critics.state_dict().items()}
        )

    def take_back(self, network: PolicyModel, seed: int) -> None:
        """Give one agent the actor of a network, or the clone as its actor; its critics stay."""
        if isinstance(network, GuidedNetwork):
            network = network.actor
        assert isinstance(network, ActorNetwork)
        put_seed(self._actor, seed, network.perceptron)

    @torch.no_grad()
    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return drawn actions, or the clone's where they are worth more; see `Agent`."""
        seen = marked_state(observation)
        drawn = self._drawn(seen, rng, self._noise_of_step(len(seen), rng))[0]
        cloned = self._cloned(seen)
        better = self._least(self._critics, seen, drawn) > self._least(self._critics, seen, cloned)
        return torch.where(better[:, None], drawn, cloned)

    def _value_after(self, following: Tensor, rng: torch.Generator) -> Tensor:
        of_actor = super()._value_after(following, rng)
        return torch.maximum(of_actor, self._least(self._targets, following, self._cloned(following)))

    def _cloned(self, seen: Tensor) -> Tensor:
        return torch.tanh(squashed_gaussian(self._clone.of_rows(seen))[0])
