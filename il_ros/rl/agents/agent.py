"""What all agents have in common: their settings, how they use a clone, and what the learner does with them.

The reward is computed when a batch is drawn. Nothing ends a value: terminated episodes go on in the absorbing state,
where any action is learnt to lead back; an action that is never learnt there would make dying look good or bad.
K agents learn at once; the rows of a transition (K * B) are those of all of them, those of one together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least, one_of, require_width
from il_ros.policies.families.actor import Actor, ActorNetwork, perceptrons
from il_ros.policies.networks.seeded_mlp import SeededMlp
from il_ros.policies.protocol import PolicyModel, Window
from il_ros.rewards.protocol import Transition

START, RESIDUAL, CHOICE = "start", "residual", "choice"
USES = (START, RESIDUAL, CHOICE)
Bounds = tuple[float, float]


@dataclass(frozen=True)
class AgentSettings:
    """`rate`: of Adam. `target_share`: how far target networks follow in each update. `temperature`: weight of entropy.

    `hidden`: width of the two layers of critics. Soft actor-critic adapts its temperature, from this value on, until
    the entropy is `entropy` for each number of an action. `entropy_bonus`: whether values count entropy; without it
    (Ball et al. 2023, section 4.2), a value is what will be earned, and it is kept within what can be.
    `actor_rate`: of the actor; 0: `rate`. `correlation`: of the noise of own actions from one step to the next (numbers
    only): an arm that holds a position averages noise that changes at each tick, and goes nowhere (Lillicrap et al.
    2016, "Continuous Control with Deep Reinforcement Learning", section 3).
    """

    hidden: int = 64
    discount: float = 0.98
    rate: float = 1e-3
    actor_rate: float = 0.0
    target_share: float = 0.01
    temperature: float = 0.1
    entropy: float = -1.0
    entropy_bonus: bool = True
    correlation: float = 0.0

    def __post_init__(self) -> None:
        require_width("hidden", self.hidden)
        at_least("actor_rate", self.actor_rate, 0)
        if not 0 <= self.correlation < 1:
            raise ValueError(f"correlation is {self.correlation:g}; it must be at least 0, and below 1")
        if not 0 < self.discount < 1:
            raise ValueError(f"discount is {self.discount:g}; it must be above 0 and below 1")
        for name in ("rate", "temperature"):
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be above 0")
        if not 0 < self.target_share <= 1:
            raise ValueError(f"target_share is {self.target_share:g}; it must be above 0, and at most 1")
        if not -5 <= self.entropy <= 0.69:
            raise ValueError(
                f"entropy is {self.entropy:g}; it must be from -5 to 0.69, that of an action drawn uniformly from -1..1"
            )


@dataclass(frozen=True)
class CloneUse:
    """How the clone that a training begins with (`--from`) is used.

    `use`: START: its weights are the actor's first ones. RESIDUAL: the actor's answer is added to the clone's, within
    `reach` deviations of the demonstrations. CHOICE: actor or clone acts, whichever the critics value more.
    `weight`: of the cloning loss beside that of reinforcement learning; it falls to 0 over `fade_steps` updates of the
    actor, 0: it stays. That of a residual is of what it adds, in units of its reach. `recorded_weight`: it stands
    in place of a weight of 0 where the steps were recorded, and no own step puts right what the critics overrate.
    """

    use: str = START
    weight: float = 0.0
    fade_steps: int = 0
    reach: float = 2.0
    recorded_weight: float = 1.0

    def __post_init__(self) -> None:
        one_of("use", self.use, USES)
        for name in ("weight", "fade_steps", "recorded_weight"):
            at_least(name, getattr(self, name), 0)
        if not 0 < self.reach <= 100:
            raise ValueError(f"reach is {self.reach:g}; it must be above 0, and at most 100 deviations")

    def of_recorded(self) -> CloneUse:
        """Return the use in a training from recorded steps."""
        return self if self.weight else replace(self, weight=self.recorded_weight, fade_steps=0)

    def weight_after(self, updates: int) -> float:
        """Return the weight of the cloning loss after so many updates of the actor."""
        left = 1.0 if not self.fade_steps else max(0.0, 1.0 - updates / self.fade_steps)
        return self.weight * left


@dataclass(frozen=True)
class Shape:
    """The sizes of K agents: `inputs`: state features F; `actions`: learnt numbers A of an action."""

    seeds: int
    inputs: int
    actions: int
    actor: Actor

    def actors(self, *, chooses: bool) -> SeededMlp:
        """Return the networks of K actors; `chooses`: their action is a choice."""
        return perceptrons(self.seeds, self.inputs, self.actor, self.actions, chooses)


class Agent(Protocol):
    """K agents with policies of `family` and `policy`; initial weights come from torch's global generator."""

    family: str
    policy: Actor

    def explore(self, observation: Window, rng: torch.Generator) -> Tensor:
        """Return actions (K * B, A) drawn from the policies."""

    def random(self, rng: torch.Generator) -> Tensor:
        """Return one uniformly drawn action of each agent (K, A)."""

    def log_probability(self, transition: Transition) -> Tensor:
        """Return log P(action | observation) (K * B,), without gradient."""

    def update(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take one step on a batch with rewards (K * B,); return what it measured.

        The second half of each agent's rows is demonstrated.
        Raises FloatingPointError when a loss is not finite.
        """

    def update_values(self, batch: Transition, reward: Tensor, rng: torch.Generator) -> dict[str, float]:
        """Take a step of the values alone, as `update`; raises ValueError where they are the policy."""

    def put_into(self, network: PolicyModel, seed: int) -> None:
        """Give a policy's network the weights of one agent."""

    def take_from(self, clone: ActorNetwork, deviation: Tensor) -> None:
        """Let all agents begin with a clone. `deviation` (A,): of the demonstrated actions, see `demonstrations`."""

    def take_back(self, network: PolicyModel, seed: int) -> None:
        """Give one agent the policy that `put_into` gave to a network; its values stay."""

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state for `restore`; the tensors are not copied."""

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to other agents."""


def discounts(batch: Transition, discount: float) -> Tensor | float:
    """Return the weight of what follows each step, the discount to the power of the environment steps in between."""
    return discount if batch.ahead is None else discount**batch.ahead


def repeated(network: nn.Module, seeds: int) -> dict[str, Tensor]:
    """Return the parameters of a network of one seed for one of K seeds."""
    return {name: values.repeat_interleave(seeds, dim=0) for name, values in network.state_dict().items()}


def put_seed(network: nn.Module, seed: int, one: nn.Module) -> None:
    """Give one seed of a network of K seeds the parameters of a network of one."""
    given = one.state_dict()
    with torch.no_grad():
        for name, values in network.state_dict().items():
            values[seed : seed + 1] = given[name]
