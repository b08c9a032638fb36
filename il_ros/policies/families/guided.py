"""An actor beside the clone that it is to exceed: what it adds to the clone, or a choice between both.

Reinforcement learning (`il_ros.rl`) trains them; the clone stays as it is. Behaviour cloning trains both parts.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.core.settings import one_of, require_width
from il_ros.policies.families.actor import Actor, ActorNetwork, squashed_gaussian
from il_ros.policies.families.registry import Family
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state
from il_ros.policies.protocol import Actions, Batch, Loss, ModelSpec, PolicyModel, continued, weighted_mean

RESIDUAL, CHOICE = "residual", "choice"
WAYS = (RESIDUAL, CHOICE)
FIRST_REACH = 0.1


@dataclass(frozen=True)
class Guided(Actor):
    """The settings of an actor. `way`: RESIDUAL or CHOICE. `critic_hidden`: width of the two layers of its critics."""

    way: str = RESIDUAL
    critic_hidden: int = 64

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("way", self.way, WAYS)
        require_width("critic_hidden", self.critic_hidden)


class GuidedNetwork(PolicyModel):
    """RESIDUAL: clone + reach * actor (Johannink et al. 2019, "Residual Reinforcement Learning for Robot Control").

    CHOICE: that of clone and actor which two critics value more (Hu et al. 2024, "Imitation Bootstrapped
    Reinforcement Learning", eq. 1). `reach` (A,): the largest addition to each normalised number.
    """

    def __init__(self, settings: Guided, spec: ModelSpec) -> None:
        super().__init__()
        self._way = settings.way
        self.clone, self.actor = ActorNetwork(settings, spec), ActorNetwork(settings, spec)
        if self.clone.chooses:
            raise ValueError("a guided actor has numbers, and the contract's action is a choice")
        if self._way == RESIDUAL:
            self.reach: Tensor
            self.register_buffer("reach", torch.full((spec.action_size,), FIRST_REACH))
        else:
            state = settings.history * len(spec.inputs.groups) + 1
            width = settings.critic_hidden
            sizes = (state + settings.horizon * spec.action_size, width, width, 1)
            self.critics = SeededMlp(2, sizes, layer_norm=True)

    @property
    def departure(self) -> float | None:
        """The mean of what a residual may add to each number; None of a choice. See `PolicyModel`."""
        return float(self.reach.mean()) if self._way == RESIDUAL else None

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the losses of both parts: the clone's, and that of what the actor is to add, or of the actor alone."""
        cloned = self.clone.loss(batch, rng)
        if self._way == CHOICE:
            return Loss(cloned.total + self.actor.loss(batch, rng).total, {"clone": cloned.total.detach()})
        assert batch.action is not None
        left = (batch.action - _most_likely(self.clone, batch).detach()) / self.reach
        error = weighted_mean((_most_likely(self.actor, batch) - left.clamp(-1, 1)).square(), batch.weight)
        return Loss(cloned.total + error, {"clone": cloned.total.detach(), "residual": error.detach()})

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the most likely chunk of the combination."""
        clone, actor = (_most_likely(part, batch) for part in (self.clone, self.actor))
        if self._way == RESIDUAL:
            return Actions(continued(residual(clone, self.reach, actor), previous))
        seen = marked_state(batch.observation)
        of_clone, of_actor = (least_value(self.critics, seen, each.flatten(1)) for each in (clone, actor))
        chosen = torch.where((of_actor > of_clone)[:, None, None], actor, clone)
        return Actions(continued(chosen, previous))


def residual(clone: Tensor, reach: Tensor, actor: Tensor) -> Tensor:
    """Return the normalised action (..., A) of a clone with what an actor in -1..1 adds to it."""
    return (clone + reach * actor).clamp(-1, 1)


def least_value(critics: SeededMlp, seen: Tensor, action: Tensor) -> Tensor:
    """Return the lesser value (B,) of two critics for states (B, F + 1) and actions (B, A)."""
    inputs = torch.cat([seen, action], dim=1)
    found: Tensor = critics(inputs.expand(2, *inputs.shape))[..., 0].min(dim=0).values
    return found


def _most_likely(actor: ActorNetwork, batch: Batch) -> Tensor:
    return torch.tanh(squashed_gaussian(actor(batch))[0])


FAMILY = Family(Guided, GuidedNetwork)
