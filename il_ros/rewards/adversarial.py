"""Rewards that tell demonstrated steps from a learner's own: GAIL, also from observations alone, and AIRL.

A reward is computed anew whenever a batch is drawn, so that no reward in memory is older than the networks. K seeds
are trained in one product: the rows of a transition are those of all seeds, those of one seed together.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from il_ros.core.settings import at_least, one_of, require_width
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state
from il_ros.policies.protocol import Loss, ModelSpec, Window
from il_ros.rewards.protocol import RewardModel, Transition
from il_ros.rewards.registry import RewardFamily, RewardSettings

SHAPES = ("logit", "softplus", "log_sigmoid")


@dataclass(frozen=True)
class Comparison:
    """Own steps of a learner, as many demonstrated ones, and its log P(action | observation) of any (B,)."""

    own: Transition
    shown: Transition
    log_probability: Callable[[Transition], Tensor]


@dataclass(frozen=True)
class DiscriminatorSettings(RewardSettings):
    """`gradient_penalty`: weight of (|gradient| - 1)^2 between demonstrations and own steps (Gulrajani et al. 2017).

    `absorbing_distance`: from the absorbing state to the mean of the demonstrations, in the network's inputs. The
    penalty bounds the slope to about 1, so a state at distance 1 is rated within 1 of the demonstrations, and own steps
    that are farther away are worth less: the agent would learn to end its episodes.
    """

    hidden: int = 64
    gradient_penalty: float = 10.0
    absorbing_distance: float = 1.0

    def __post_init__(self) -> None:
        require_width("hidden", self.hidden)
        at_least("gradient_penalty", self.gradient_penalty, 0)
        at_least("absorbing_distance", self.absorbing_distance, 1)


@dataclass(frozen=True)
class GailSettings(DiscriminatorSettings):
    """The settings of GAIL.

    `shape` of the reward: the logit (either sign, so that neither a long nor a short episode pays), softplus of it
    (always above 0: living pays), log_sigmoid (always below 0: ending pays).
    `from_states`: of (observation, following): no demonstrated action is needed (GAIfO, Torabi et al. 2018).
    """

    shape: str = "logit"
    from_states: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("shape", self.shape, SHAPES)


@dataclass(frozen=True)
class AirlSettings(DiscriminatorSettings):
    """`discount`: of the shaping; it must be that of the learner, whose temperature must be 1."""

    discount: float = 0.98

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 < self.discount <= 1:
            raise ValueError(f"discount is {self.discount:g}; it must be above 0, and at most 1")


class AdversarialReward(RewardModel):
    """A reward that is learnt beside a policy; `compare` is its loss."""

    gradient_penalty: float
    absorbing_distance: float = 1.0

    def marked(self, window: Window, absorbing: Tensor) -> Tensor:
        """Return the states (B, F + 1) that a network reads, the absorbing state at its distance."""
        state = marked_state(window, absorbing)
        state[:, -1] *= self.absorbing_distance
        return state

    def inputs(self, transition: Transition) -> Tensor:
        """Return what the model reads of each step (B, N)."""
        raise NotImplementedError

    def rated(self, inputs: Tensor) -> Tensor:
        """Return the model's number (B,) for inputs (B, N); the gradient penalty acts on its slope."""
        raise NotImplementedError

    def logits(self, transition: Transition, rated: Tensor, compared: Comparison) -> Tensor:
        """Return the logits (B,) of having been demonstrated, given the model's numbers."""
        return rated

    def compare(self, compared: Comparison, rng: torch.Generator) -> Loss:
        """Return the loss of logistic regression, own steps against demonstrations, summed over the seeds.

        `parts`: the loss, the share told correctly, and the area under the curve (AUC): 0.5 where nothing tells them.
        """
        pair = (compared.own, compared.shown)
        inputs = [self.inputs(each) for each in pair]
        own, shown = (
            self.logits(each, self.rated(values), compared) for each, values in zip(pair, inputs, strict=True)
        )
        seeds = getattr(self, "seeds", 1)
        loss = seeds * (functional.softplus(own) + functional.softplus(-shown)).mean()
        if self.gradient_penalty:
            share = torch.rand(len(own), 1, generator=rng)
            between = (share * inputs[1] + (1 - share) * inputs[0]).requires_grad_()
            (slope,) = torch.autograd.grad(self.rated(between).sum(), between, create_graph=True)
            loss = loss + seeds * self.gradient_penalty * (slope.norm(dim=-1) - 1).square().mean()
        with torch.no_grad():
            right = ((own < 0).float().mean() + (shown > 0).float().mean()) / 2
            pairs = shown.view(seeds, -1, 1) - own.view(seeds, 1, -1)
            area = (pairs > 0).float().mean() + 0.5 * (pairs == 0).float().mean()
        return Loss(
            loss,
            {
                "discriminator_loss": loss.detach() / seeds,
                "discriminator_accuracy": right,
                "discriminator_auc": area,
            },
        )


class Gail(AdversarialReward):
    """A discriminator's logit (Ho and Ermon 2016; off-policy: Kostrikov et al. 2019, "Discriminator-Actor-Critic")."""

    def __init__(self, settings: GailSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        self.seeds, self._settings, self.gradient_penalty = seeds, settings, settings.gradient_penalty
        self.absorbing_distance = settings.absorbing_distance
        seen = len(spec.inputs.groups) + 1
        second = seen if settings.from_states else spec.action_size
        self.perceptron = SeededMlp(seeds, (seen + second, settings.hidden, settings.hidden, 1))

    def inputs(self, transition: Transition) -> Tensor:
        """Return observation and action, or observation and following one (B, N)."""
        seen = self.marked(transition.observation, transition.absorbing)
        if self._settings.from_states:
            return torch.cat([seen, self.marked(transition.following, transition.ends)], dim=1)
        return torch.cat([seen, transition.action * ~transition.absorbing[:, None]], dim=1)

    def rated(self, inputs: Tensor) -> Tensor:
        """Return the logit (B,)."""
        return self.perceptron.of_rows(inputs)[:, 0]

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the reward (B,) in the shape of the settings, without gradient."""
        logit = self.rated(self.inputs(transition))
        if self._settings.shape == "softplus":
            return functional.softplus(logit)
        return logit if self._settings.shape == "logit" else -functional.softplus(-logit)


class Airl(AdversarialReward):
    """A reward of states with shaping: f = g(s) + discount h(s') - h(s), logit f - log P(a | s).

    Fu et al. 2018, "Learning Robust Rewards with Adversarial IRL", eq. 4 and 5.
    """

    def __init__(self, settings: AirlSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        self.seeds, self.discount, self.gradient_penalty = (
            seeds,
            settings.discount,
            settings.gradient_penalty,
        )
        self.absorbing_distance = settings.absorbing_distance
        sizes = (len(spec.inputs.groups) + 1, settings.hidden, settings.hidden, 1)
        self.state_perceptron, self.potential = (SeededMlp(seeds, sizes) for _ in range(2))

    def inputs(self, transition: Transition) -> Tensor:
        """Return observation and following one (B, N)."""
        before = self.marked(transition.observation, transition.absorbing)
        return torch.cat([before, self.marked(transition.following, transition.ends)], dim=1)

    def rated(self, inputs: Tensor) -> Tensor:
        """Return f (B,)."""
        before, after = inputs.chunk(2, dim=1)
        potential = self.potential.of_rows
        shaped = self.state_perceptron.of_rows(before) + self.discount * potential(after) - potential(before)
        return shaped[:, 0]

    def logits(self, transition: Transition, rated: Tensor, compared: Comparison) -> Tensor:
        """Return f - log P(a | s) (B,)."""
        return rated - compared.log_probability(transition)

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return f (B,), without gradient."""
        return self.rated(self.inputs(transition))

    @torch.no_grad()
    def state_reward(self, transition: Transition) -> Tensor:
        """Return g(s) (B,), the reward without its shaping, for use with other dynamics."""
        return self.state_perceptron.of_rows(self.marked(transition.observation, transition.absorbing))[:, 0]


GAIL = RewardFamily(GailSettings, Gail)
AIRL = RewardFamily(AirlSettings, Airl)
