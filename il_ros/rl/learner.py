"""Off-policy imitation: agents learn from a reward that is learnt beside them, from demonstrations and own steps.

K seeds learn at once, each with its own environment, memory and networks; all have the same demonstrations. Half of
each batch of the agents is demonstrated (as in SQIL, and in RLPD for the task's reward).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.settings import at_least, one_of
from il_ros.core.tables import counted
from il_ros.policies.families.actor import Actor, ActorNetwork, is_choice
from il_ros.policies.families.registry import make_network
from il_ros.policies.families.seeded_mlp import one_seed
from il_ros.policies.protocol import Transition, Window
from il_ros.policies.runner import LoadedPolicy
from il_ros.rewards.adversarial import AdversarialReward, AirlSettings, Comparison
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.registry import RewardSettings, make_reward
from il_ros.rl.agents import Agent, AgentSettings, SoftActorCritic, SoftQ
from il_ros.rl.buffer import EnvironmentStep, StepBuffer, joined
from il_ros.rl.demonstrations import RANGES, SHOWN
from il_ros.rl.optimiser import Optimiser, named, under
from il_ros.rl.world import BrokenEnvironmentError, Scales, World

SQIL, TASK = "sqil", "task"
"""Rewards that are no models. SQIL: 1 for demonstrations and 0 for own steps (Reddy et al. 2020). TASK: what the
environment gives."""
_PERFECT = 0.995
_EXPLODED = 1e4
_ALIKE = 0.02
_RECENT = 0.01  # of the running means of what an update measures


@dataclass(frozen=True)
class Imitation:
    """The settings; config/training/gail.yaml explains each."""

    steps: int = 5000
    random_steps: int = 500
    frozen_steps: int = 0
    batch: int = 64
    reward_every: int = 2
    reward_rate: float = 1e-3
    action_range: str = SHOWN
    every: int = 500
    tests: int = 5
    seeds: int = 1
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "reward_every", "every", "tests", "seeds"):
            at_least(name, getattr(self, name), 1)
        for name in ("random_steps", "frozen_steps", "seed"):
            at_least(name, getattr(self, name), 0)
        if not 0 < self.reward_rate < 1:
            raise ValueError(f"reward_rate is {self.reward_rate:g}; it must be above 0 and below 1")
        one_of("action_range", self.action_range, RANGES)
        if self.random_steps >= self.steps:
            raise ValueError(f"random_steps is {self.random_steps}; it must be below steps, {self.steps}")
        if self.random_steps + self.frozen_steps >= self.steps:
            raise ValueError(
                f"frozen_steps is {self.frozen_steps}; with random_steps it must be below steps, {self.steps}"
            )


@dataclass(frozen=True)
class Progress:
    """What is known after a step: `measured`: running means over updates and seeds."""

    step: int
    measured: Mapping[str, float]

    @property
    def warning(self) -> str:
        """What is wrong with the reward, "" if nothing is."""
        if self.measured.get("discriminator_accuracy", 0.0) > _PERFECT:
            return (
                "the discriminator tells all steps from demonstrations: its reward says little; raise "
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

    `reward`: the family of a reward model with its settings, or SQIL or TASK with None. `worlds`: one for each seed.
    `start`: a policy of the family `actor` that all seeds begin with. Initial weights, draws and episodes depend on
    the settings' seed only.
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
    ) -> None:
        _require_fit(settings, scales.contract, actor, agent, reward, worlds, shown)
        self._settings, self._actor, self._scales, self._worlds = settings, actor, scales, list(worlds)
        self._reward_name, self._reward_settings = reward
        seeds = len(worlds)
        features, actions = len(scales.inputs.groups), scales.form.size
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(settings.seed)
            chosen = SoftQ if is_choice(scales.contract) else SoftActorCritic
            self.agent: Agent = chosen(seeds, features, actions, actor, agent)
            self._model = self._made_reward(seeds)
        if start is not None:
            assert isinstance(start.network, ActorNetwork)
            self.agent.take_from(start.network)
        self._reward_step = None if self._model is None else Optimiser(self._model, settings.reward_rate)
        self._own = StepBuffer(seeds, 2 * settings.steps + 2, features, actions)
        self._shown = StepBuffer(seeds, sum(1 + step.terminated for step in shown), features, actions)
        for seed in range(seeds):
            for step in shown:
                self._shown.add(seed, step)
        self._rng = torch.Generator().manual_seed(settings.seed)
        self._measured: dict[str, float] = {}
        self._episodes = [0] * seeds
        self.step = 0
        """The own steps that each seed has taken."""

    def steps(self) -> Iterator[Progress]:
        """Take the steps that are left, and yield after each.

        Raises BrokenEnvironmentError, or FloatingPointError when a loss is not finite; both name the step.
        """
        settings = self._settings
        if not any(self._episodes):
            for seed in range(len(self._worlds)):
                self._begin(seed)
        while self.step < settings.steps:
            self.step += 1
            try:
                self._act()
                found = self._update() if self.step > settings.random_steps else {}
            except (FloatingPointError, BrokenEnvironmentError) as error:
                raise type(error)(f"step {self.step}: {error}") from error
            for name, value in found.items():
                before = self._measured.get(name, value)
                self._measured[name] = before + _RECENT * (value - before)
            yield Progress(self.step, dict(sorted(self._measured.items())))

    def policy(self, seed: int) -> LoadedPolicy:
        """Return the present policy of a seed."""
        contract, normaliser = self._scales.contract, self._scales.normaliser
        with torch.random.fork_rng(devices=[]):
            network = make_network("actor", self._actor, contract, normaliser)
        assert isinstance(network, ActorNetwork)
        self.agent.put_into(network, seed)
        return LoadedPolicy(contract, "actor", self._actor, network, normaliser)

    def reward_model(self, seed: int) -> LoadedReward | None:
        """Return the present reward of a seed; None if the reward is no model."""
        if self._model is None:
            return None
        assert self._reward_settings is not None
        contract, normaliser = self._scales.contract, self._scales.normaliser
        with torch.random.fork_rng(devices=[]):
            network = make_reward(self._reward_name, self._reward_settings, contract, normaliser)
        network.load_state_dict(one_seed(self._model.state_dict(), seed))
        return LoadedReward(contract, self._reward_name, self._reward_settings, network, normaliser)

    def tensors(self) -> dict[str, Tensor]:
        """Return the whole state between two steps, for `restore`."""
        found = named("agent", self.agent.tensors()) | named("own", self._own.tensors())
        if self._reward_step is not None:
            found |= named("reward", self._reward_step.tensors())
        found |= {"rng": self._rng.get_state(), "step": torch.tensor(self.step)}
        found["episodes"] = torch.tensor(self._episodes)
        found |= named(
            "measured",
            {name: torch.tensor(value, dtype=torch.float64) for name, value in self._measured.items()},
        )
        for seed, world in enumerate(self._worlds):
            taken = np.array(world.taken, np.float32).reshape(len(world.taken), self._scales.form.size)
            found[f"taken.{seed}"] = torch.from_numpy(taken)
            found[f"state.{seed}"] = torch.from_numpy(world.state.copy())
        return found

    def restore(self, tensors: Mapping[str, Tensor]) -> list[str]:
        """Go on from the result of `tensors`; return sentences about episodes that could not be gone on with.

        The running episodes are taken up by their actions; where that leads elsewhere, a new episode begins.
        Raises KeyError, ValueError or RuntimeError if the state belongs to another learner; BrokenEnvironmentError.
        """
        self.agent.restore(under("agent", tensors))
        self._own.restore(under("own", tensors))
        if self._reward_step is not None:
            self._reward_step.restore(under("reward", tensors))
        self._rng.set_state(tensors["rng"])
        self.step = int(tensors["step"])
        self._episodes = [int(count) for count in tensors["episodes"]]
        self._measured = {name: float(value) for name, value in under("measured", tensors).items()}
        notes = []
        for seed, world in enumerate(self._worlds):
            if not self._episodes[seed]:
                continue
            try:
                world.replay(
                    self._episode_seed(seed, self._episodes[seed] - 1), tensors[f"taken.{seed}"].numpy()
                )
                same = np.array_equal(world.state, tensors[f"state.{seed}"].numpy())
            except BrokenEnvironmentError:
                same = False
            if not same:
                self._begin(seed)
                notes.append(
                    f"environment {seed} does not repeat its episode: a new one begins, and the result differs from "
                    "that of an uninterrupted training"
                )
        return notes

    def _act(self) -> None:
        """Take one step in each environment."""
        if self.step <= self._settings.random_steps:
            action = self.agent.random(self._rng)
        else:
            states = np.stack([world.state for world in self._worlds])
            action = self.agent.explore(Window(torch.from_numpy(states)[:, None]), self._rng)
        for seed, world in enumerate(self._worlds):
            step, ended = world.step(action[seed].numpy().copy())
            self._own.add(seed, step)
            if ended:
                self._begin(seed)

    def _begin(self, seed: int) -> None:
        """Begin the next episode of a seed, with a start of its own: the same in each run."""
        self._worlds[seed].begin(self._episode_seed(seed, self._episodes[seed]))
        self._episodes[seed] += 1

    def _episode_seed(self, seed: int, episode: int) -> int:
        drawn = np.random.SeedSequence([self._settings.seed, seed, episode]).generate_state(1)[0]
        return int(drawn % (1 << 31))

    def _update(self) -> dict[str, float]:
        settings, seeds = self._settings, len(self._worlds)
        own, shown = self._own.draw(settings.batch, self._rng), self._shown.draw(settings.batch, self._rng)
        measured: dict[str, float] = {}
        if self._model is not None and self.step % settings.reward_every == 0:
            assert self._reward_step is not None
            loss = self._model.compare(Comparison(own, shown, self.agent.log_probability), self._rng)
            self._reward_step.step(loss.total)
            measured = {name: float(part) for name, part in loss.parts.items()}
        both = joined(own, shown, seeds)
        reward = self._rewards(both)
        size = float(reward.abs().mean())
        if not size < _EXPLODED:
            raise FloatingPointError(
                f"the reward has exploded: its mean size is {size:.3g}; lower reward_rate or raise gradient_penalty"
            )
        measured["reward"] = float(reward.mean())
        frozen = self.step <= settings.random_steps + settings.frozen_steps
        if frozen and isinstance(self.agent, SoftActorCritic):
            return measured | self.agent.update_critics(both, reward, self._rng)
        return measured | self.agent.update(both, reward, self._rng)

    def _rewards(self, both: Transition) -> Tensor:
        """Return the rewards (rows,) of own steps and as many demonstrated ones, of each seed."""
        if self._model is not None:
            return self._model.reward(both)
        if self._reward_name == TASK:
            assert both.earned is not None
            return both.earned
        half = torch.zeros(len(self._worlds), self._settings.batch)
        return torch.cat([half, half + 1], dim=1).flatten()

    def _made_reward(self, seeds: int) -> AdversarialReward | None:
        name, settings = self._reward_name, self._reward_settings
        if settings is None:
            return None
        made = make_reward(name, settings, self._scales.contract, self._scales.normaliser, seeds)
        if not isinstance(made, AdversarialReward):
            raise ValueError(f"reward: '{name}' is not learnt beside a policy; use a family such as gail")
        return made


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
    if chosen is not None and (tuple(chosen.inputs) != tuple(actor.inputs)):
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
