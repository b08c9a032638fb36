"""Off-policy learning from own steps and demonstrations: what is acted, remembered and learnt in each step.

K seeds learn at once, each with its own environment, memory and networks; all have the same demonstrations. Half of
each batch of the agents is demonstrated (as in SQIL, and in RLPD for rewards that are earned).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.settings import at_least, one_of
from il_ros.core.tables import counted
from il_ros.policies.families.actor import Actor, ActorNetwork, is_choice
from il_ros.policies.families.registry import make_network
from il_ros.policies.protocol import Window
from il_ros.policies.runner import LoadedPolicy
from il_ros.rewards.adversarial import AirlSettings
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.registry import RewardSettings
from il_ros.rl.agents.actor_critic import SoftActorCritic
from il_ros.rl.agents.agent import CHOICE, RESIDUAL, START, Agent, AgentSettings, Bounds, CloneUse, Shape
from il_ros.rl.agents.choosing import ChoosingActorCritic
from il_ros.rl.agents.residual import ResidualActorCritic
from il_ros.rl.agents.soft_q import SoftQ
from il_ros.rl.optimiser import named, under
from il_ros.rl.reward_source import MODEL, SQIL, TASK, Earned, Learnt, RewardSource, Shown
from il_ros.rl.steps.buffer import EnvironmentStep, StepBuffer, joined
from il_ros.rl.steps.demonstrations import ENDED, RANGES, SHORT, SHOWN, deviation_of
from il_ros.rl.steps.own_episodes import OwnEpisodes
from il_ros.rl.steps.world import BrokenEnvironmentError, Scales, World

_PERFECT = 0.995
_EXPLODED = 1e4
_ALIKE = 0.02
_RECENT = 0.01  # of the running means of what an update measures


@dataclass(frozen=True)
class Imitation:
    """The settings; config/training/gail.yaml and bc_rl.yaml explain each."""

    steps: int = 5000
    random_steps: int = 500
    frozen_steps: int = 0
    batch: int = 64
    updates: int = 1
    ahead: int = 1
    keep_successes: bool = False
    reward_every: int = 2
    reward_rate: float = 1e-3
    action_range: str = SHOWN
    short_demonstrations: str = ENDED
    every: int = 500
    tests: int = 5
    level: float = 0.1
    seeds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "updates", "ahead", "reward_every", "every", "tests", "seeds"):
            at_least(name, getattr(self, name), 1)
        for name in ("random_steps", "frozen_steps", "seed"):
            at_least(name, getattr(self, name), 0)
        for name in ("reward_rate", "level"):
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be above 0 and below 1")
        one_of("action_range", self.action_range, RANGES)
        one_of("short_demonstrations", self.short_demonstrations, SHORT)
        if self.random_steps >= self.steps:
            raise ValueError(f"random_steps is {self.random_steps}; it must be below steps, {self.steps}")
        if self.random_steps + self.frozen_steps >= self.steps:
            raise ValueError(
                f"frozen_steps is {self.frozen_steps}; with random_steps it must be below steps, {self.steps}"
            )


@dataclass(frozen=True)
class Progress:
    """What is known after a step: `measured`: running means over updates and seeds; `episodes` begun by all seeds."""

    step: int
    measured: Mapping[str, float]
    episodes: int = 0

    @property
    def warning(self) -> str:
        """What is wrong with the reward, "" if nothing is."""
        if self.measured.get("discriminator_accuracy", 0.0) > _PERFECT:
            return (
                "the discriminator separates all steps from the demonstrations: its reward says little; raise "
                "gradient_penalty"
            )
        if abs(self.measured.get("discriminator_auc", 1.0) - 0.5) < _ALIKE:
            return (
                "the discriminator cannot tell own steps from demonstrations (AUC 0.50): the policy does what was "
                "shown, or the reward says nothing"
            )
        return ""


class ImitationLearner:
    """Learns policies of K seeds; `policy` and `reward_model` return what is learnt.

    `reward`: the family of a reward model with its settings, or SQIL, TASK or MODEL with None: what a step has earned
    is then said by the worlds. `worlds`: one for each seed. `start`: a policy of the family `actor` that all seeds
    begin with, in the way of `clone_use`. `judged`: what is earned is 1 for a success, which ends the episode.
    Initial weights, draws and episodes depend on the settings' seed only.
    Raises ValueError when settings, contract and demonstrations do not fit.
    """

    def __init__(
        self,
        settings: Imitation,
        actor: Actor,
        agent: AgentSettings,
        reward: tuple[str, RewardSettings | None],
        scales: Scales,
        worlds: Sequence[World],
        shown: Sequence[EnvironmentStep],
        start: LoadedPolicy | None = None,
        clone_use: CloneUse | None = None,
        judged: bool = False,
    ) -> None:
        use = clone_use or CloneUse()
        _require_fit(settings, scales.contract, actor, agent, reward, worlds, shown)
        _require_clone(settings, scales.contract, use, start)
        self._settings, self._scales = settings, scales
        self._discount = agent.discount
        seeds = len(worlds)
        shape = Shape(seeds, len(scales.inputs.groups), scales.form.size, actor)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            bounds = (0.0, 1.0) if judged and reward[0] in (TASK, MODEL) else None
            self.agent: Agent = make_agent(scales.contract, shape, agent, use, bounds)
            self.rewards: RewardSource = _rewards(reward, scales, seeds, settings.reward_rate)
        if settings.keep_successes and bounds is None:
            raise ValueError(
                f"keep_successes is true; with the reward {reward[0]} no step says that an episode succeeded: false is "
                "needed"
            )
        if settings.ahead > 1 and not self.rewards.looks_ahead:
            raise ValueError(
                f"ahead is {settings.ahead}; the reward {reward[0]} is that of single steps: 1 is needed"
            )
        if start is not None:
            assert isinstance(start.network, ActorNetwork)
            self.agent.take_from(start.network, deviation_of(shown, start.network))
        self._episodes = OwnEpisodes(worlds, settings.seed)
        self._grows = settings.keep_successes or any(world.corrected for world in worlds)
        most = 2 * settings.steps + 2
        room = sum(1 + step.terminated for step in shown) + most * self._grows
        self._own = StepBuffer(seeds, most, shape.inputs, shape.actions)
        self._shown = StepBuffer(seeds, room, shape.inputs, shape.actions)
        for seed in range(seeds):
            for step in shown:
                self._shown.add(seed, step)
        self._rng = torch.Generator().manual_seed(settings.seed)
        self._measured: dict[str, float] = {}
        self.step = 0
        """The own steps that each seed has taken."""

    def steps(self) -> Iterator[Progress]:
        """Take the steps that are left, and yield after each.

        Raises BrokenEnvironmentError, or FloatingPointError when a loss is not finite; both name the step.
        """
        while self.step < self._settings.steps:
            self.step += 1
            try:
                self._act()
                found = self._update() if self.step > self._settings.random_steps else {}
            except (FloatingPointError, BrokenEnvironmentError) as error:
                raise type(error)(f"step {self.step}: {error}") from error
            for name, value in found.items():
                before = self._measured.get(name, value)
                self._measured[name] = before + _RECENT * (value - before)
            yield Progress(self.step, dict(sorted(self._measured.items())), sum(self._episodes.begun))

    def policy(self, seed: int) -> LoadedPolicy:
        """Return the present policy of a seed."""
        contract, normaliser = self._scales.contract, self._scales.normaliser
        family, settings = self.agent.family, self.agent.policy
        with torch.random.fork_rng(devices=[]):
            network = make_network(family, settings, contract, normaliser)
        self.agent.put_into(network, seed)
        return LoadedPolicy(contract, family, settings, network, normaliser)

    def take_back(self, seed: int, policy: LoadedPolicy) -> None:
        """Let a seed go on from a policy that `policy` returned before, or from the one that it began with."""
        self.agent.take_back(policy.network, seed)

    def reward_model(self, seed: int) -> LoadedReward | None:
        """Return the present reward of a seed; None if the reward is no model that is learnt."""
        return self.rewards.model(seed)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state between two steps, for `restore`."""
        found = named("agent", self.agent.tensors()) | named("own", self._own.tensors())
        found |= named("reward", self.rewards.tensors()) | self._episodes.tensors()
        found |= {"rng": self._rng.get_state(), "step": torch.tensor(self.step)}
        if self._grows:
            found |= named("shown", self._shown.tensors())
        return found | named(
            "measured",
            {name: torch.tensor(value, dtype=torch.float64) for name, value in self._measured.items()},
        )

    def restore(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Go on from the result of `tensors`; return sentences about episodes that could not be gone on with.

        The running episodes are taken up by their actions; where that leads elsewhere, a new episode begins.
        Raises KeyError, ValueError or RuntimeError if the state belongs to another learner; BrokenEnvironmentError.
        """
        self.agent.restore(under("agent", tensors))
        self._own.restore(under("own", tensors))
        self.rewards.restore(under("reward", tensors))
        if self._grows:
            self._shown.restore(under("shown", tensors))
        self._rng.set_state(tensors["rng"])
        self.step = int(tensors["step"])
        self._measured = {name: float(value) for name, value in under("measured", tensors).items()}
        return self._episodes.restore(tensors)

    def _act(self) -> None:
        """Take one step in each environment.

        What a person did is remembered as a demonstration, too, and with `keep_successes` an episode that succeeded.
        """
        states = self._episodes.states
        if self.step <= self._settings.random_steps:
            action = self.agent.random(self._rng)
        else:
            action = self.agent.explore(Window(states[:, None]), self._rng)
        for seed, step in enumerate(self._episodes.step(action.numpy())):
            self._own.add(seed, step)
            ended = self._episodes.ended[seed]
            if self._settings.keep_successes and step.terminated and step.earned > 0:
                self._own.copy_newest(seed, ended, self._shown)
            elif step.shown:
                self._shown.add(seed, step)

    def _update(self) -> dict[str, float]:
        """Learn from batches; only the last one of a step reaches the actor."""
        settings = self._settings
        frozen = self.step <= settings.random_steps + settings.frozen_steps
        measured: dict[str, float] = {}
        for left in reversed(range(settings.updates)):
            ahead = (settings.batch, self._rng, settings.ahead, self._discount)
            own, shown = self._own.draw(*ahead), self._shown.draw(*ahead)
            if not left and self.step % settings.reward_every == 0:
                measured |= self.rewards.learn(own, shown, self.agent.log_probability, self._rng)
            both = joined(own, shown, len(self._episodes.begun))
            reward = self.rewards.of(both)
            size = float(reward.abs().mean())
            if not size < _EXPLODED:
                raise FloatingPointError(
                    f"the reward has exploded: its mean size is {size:.3g}; lower reward_rate or raise gradient_penalty"
                )
            measured["reward"] = float(reward.mean())
            update = self.agent.update_values if frozen or left else self.agent.update
            measured |= update(both, reward, self._rng)
        return measured


def make_agent(
    contract: Contract, shape: Shape, settings: AgentSettings, use: CloneUse, bounds: Bounds | None
) -> Agent:
    """Return the agent of a recipe; initial weights come from torch's global generator."""
    if is_choice(contract):
        return SoftQ(shape, settings)
    kinds: dict[str, type[SoftActorCritic]] = {
        START: SoftActorCritic,
        RESIDUAL: ResidualActorCritic,
        CHOICE: ChoosingActorCritic,
    }
    return kinds[use.use](shape, settings, use, bounds)


def _rewards(
    reward: tuple[str, RewardSettings | None], scales: Scales, seeds: int, rate: float
) -> RewardSource:
    name, settings = reward
    if name == SQIL:
        return Shown(seeds)
    if name in (TASK, MODEL):
        return Earned()
    assert settings is not None
    return Learnt(name, settings, scales, seeds, rate)


def _require_clone(
    settings: Imitation, contract: Contract, use: CloneUse, start: LoadedPolicy | None
) -> None:
    """Raise ValueError when a clone is to be used that is not there, or in a way that does not fit the contract."""
    if start is None and (use.use != START or use.weight):
        what = f"use is {use.use}" if use.use != START else f"weight is {use.weight:g}"
        raise ValueError(
            f"clone: {what}, and there is no clone: give one with --from (`--recipe actor` trains it)"
        )
    if is_choice(contract) and (use.use != START or use.weight or settings.updates > 1):
        raise ValueError(
            "clone: the policy of a choice is its values: use start, weight 0 and updates 1 are needed"
        )


def _require_fit(
    settings: Imitation,
    contract: Contract,
    actor: Actor,
    agent: AgentSettings,
    reward: tuple[str, RewardSettings | None],
    worlds: Sequence[World],
    shown: Sequence[EnvironmentStep],
) -> None:
    """Raise ValueError when the parts of a learner do not fit each other."""
    if len(worlds) != settings.seeds:
        raise ValueError(
            f"got {counted(len(worlds), 'environment')} for {counted(settings.seeds, 'seed')}; each needs one"
        )
    if not shown:
        raise ValueError("the demonstrations have no step from one observation to the next; show longer ones")
    for name in ("history", "horizon"):
        if getattr(actor, name) != 1:
            raise ValueError(f"policy: {name} is {getattr(actor, name)}; a training with own steps needs 1")
    if settings.frozen_steps and is_choice(contract):
        raise ValueError(
            f"frozen_steps is {settings.frozen_steps}; the policy of a choice is its values and cannot stay as it is "
            "while these are learnt: 0 is needed"
        )
    name, chosen = reward
    if name != MODEL and chosen is not None and (tuple(chosen.inputs) != tuple(actor.inputs)):
        raise ValueError(
            f"reward: inputs are {list(chosen.inputs)}; they must be the policy's: {list(actor.inputs)}"
        )
    if isinstance(chosen, AirlSettings):
        if chosen.discount != agent.discount:
            raise ValueError(
                f"reward: discount is {chosen.discount:g}; it must be the agent's, {agent.discount:g}"
            )
        if agent.temperature != 1:
            raise ValueError(
                f"agent: temperature is {agent.temperature:g}; {name} needs 1, as log P(a | s) is in its logit"
            )
