"""Off-policy imitation: an agent learns from a reward that is learnt beside it, from demonstrations and its own steps.

K seeds learn at once, each with its own demonstrations, environment, memory and networks. Half of each batch of the
agent is demonstrated (as in SQIL, and in RLPD for the task's reward).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.settings import at_least, one_of
from il_ros.core.specs import Vector
from il_ros.rl.agents import Agent, AgentSettings, SoftActorCritic, SoftQ
from il_ros.rl.rewards import Airl, DiscriminatorSettings, Gail, Given, Reward, Sqil
from il_ros.rl.transitions import ReplayBuffer, Scale, Shown, ShownEpisode, joined
from il_ros.training.run import torch_settings

METHODS = ("gail", "gail_states", "airl", "sqil", "task")
"""`gail_states`: GAIL from observations alone. `task`: the environment's reward, with demonstrations in each batch."""
_PERFECT = 0.995
_RECENT = 0.01  # of the running means of what an update measures


@dataclass(frozen=True)
class Imitation:
    """The settings. `random_steps`: own steps before the first update, drawn uniformly.

    `discriminator_every`: updates of the agent per update of the reward. `batch`: own transitions in a batch, and as
    many demonstrated ones.
    """

    method: str = "gail"
    steps: int = 5000
    random_steps: int = 500
    batch: int = 64
    discriminator_every: int = 2
    agent: AgentSettings = field(default_factory=AgentSettings)
    discriminator: DiscriminatorSettings = field(default_factory=DiscriminatorSettings)
    seed: int = 0

    def __post_init__(self) -> None:
        one_of("method", self.method, METHODS)
        for name in ("steps", "batch", "discriminator_every"):
            at_least(name, getattr(self, name), 1)
        at_least("random_steps", self.random_steps, 0)
        if self.random_steps >= self.steps:
            raise ValueError(f"random_steps is {self.random_steps}; it must be below steps, {self.steps}")


@dataclass(frozen=True)
class Progress:
    """What is known after a step: `measured`: running means. `warning`: "" or what is wrong with the reward."""

    step: int
    measured: dict[str, float]
    warning: str = ""


class ImitationLearner:
    """Learns policies of K seeds; `act` applies them.

    `environments`: one Gymnasium environment for each seed, with the same spaces: a flat Box of observations, and
    actions that are a bounded Box or Discrete. `shown`: the demonstrations of each seed, with actions as
    `ActionSpace.to_unit` returns them.
    Raises ValueError when spaces or demonstrations do not fit.
    """

    def __init__(
        self, settings: Imitation, environments: Sequence[Any], shown: Sequence[Sequence[ShownEpisode]]
    ) -> None:
        if not environments or len(environments) != len(shown):
            raise ValueError(
                f"there are {len(environments)} environments and {len(shown)} sets of demonstrations; "
                "each seed needs one of each"
            )
        self._settings, self._environments = settings, list(environments)
        self.space = ActionSpace(environments[0].action_space)
        for index, episodes in enumerate(shown):
            for episode in episodes:
                self.space.require(episode, environments[0].observation_space.shape, index)
        self._scales = [Scale(episodes) for episodes in shown]
        self._shown = Shown(shown, self._scales)
        self._rng = torch.Generator().manual_seed(settings.seed)
        size, seeds = self._scales[0].size, len(shown)
        self.agent = self._agent(seeds, size)
        self.reward = self._reward(seeds, size)
        self._replay = ReplayBuffer(seeds, 2 * settings.steps + 2, size, self.agent.action)

    def run(self, on_step: Callable[[Progress], bool] = lambda progress: True) -> None:
        """Take all steps; `on_step` is called after each, and ends the run by returning False.

        Raises FloatingPointError naming the step when a loss is not finite; the networks are those of the step before.
        """
        with torch_settings(threads=1):  # several threads wait for each other longer than such networks take
            for progress in self._steps():
                if not on_step(progress):
                    return

    def act(self, observations: Vector) -> NDArray[Any]:
        """Return the best actions for observations (K, B, O), as the environments take them."""
        scaled = torch.from_numpy(
            np.stack([scale(each) for scale, each in zip(self._scales, observations, strict=True)])
        )
        return self.space.to_environment(self.agent.best(scaled).numpy())

    def _steps(self) -> Iterator[Progress]:
        settings, seeds = self._settings, len(self._environments)
        episodes = [0] * seeds
        now = [self._begin(seed, episodes) for seed in range(seeds)]
        measured: dict[str, float] = {}
        for step in range(1, settings.steps + 1):
            try:
                self._act(step, now, episodes)
                found = self._update(step) if step > settings.random_steps else {}
            except FloatingPointError as error:
                raise FloatingPointError(f"step {step} of {settings.method}: {error}") from error
            for name, value in found.items():
                measured[name] = measured.get(name, value) + _RECENT * (value - measured.get(name, value))
            yield Progress(step, dict(measured), _warning(measured))

    def _act(self, step: int, now: list[Any], episodes: list[int]) -> None:
        """Take one step in each environment; `now` holds the scaled observations."""
        seeds = len(self._environments)
        if step <= self._settings.random_steps:
            action = self.agent.random(seeds, self._rng)
        else:
            action = self.agent.explore(torch.from_numpy(np.stack(now))[:, None], self._rng)
        taken = self.space.to_environment(action.numpy())
        for seed in range(seeds):
            now[seed] = self._advance(seed, now[seed], action[seed, 0], taken[seed, 0], episodes)

    def _advance(self, seed: int, before: Any, action: Any, taken: Any, episodes: list[int]) -> Any:
        """Take one step of a seed's environment; return the scaled observation of the next one."""
        observation, reward, terminated, truncated, _ = self._environments[seed].step(taken)
        if not (np.isfinite(observation).all() and math.isfinite(float(reward))):
            raise FloatingPointError(f"environment {seed} returned a number that is not finite")
        scale = self._scales[seed]
        after = scale.absorbing if terminated else scale(np.asarray(observation))
        self._replay.add(seed, before, action, after, float(reward))
        if terminated:
            self._replay.add(seed, scale.absorbing, torch.zeros_like(action), scale.absorbing, 0.0)
        return self._begin(seed, episodes) if terminated or truncated else after

    def _begin(self, seed: int, episodes: list[int]) -> NDArray[np.float32]:
        """Start an episode with a start of its own: the same in each run."""
        chosen = int(np.random.SeedSequence([self._settings.seed, seed, episodes[seed]]).generate_state(1)[0])
        episodes[seed] += 1
        observation, _ = self._environments[seed].reset(seed=chosen % (1 << 31))
        return self._scales[seed](np.asarray(observation))

    def _update(self, step: int) -> dict[str, float]:
        settings = self._settings
        own, shown = self._replay.draw(settings.batch, self._rng), self._shown.draw(settings.batch, self._rng)
        measured: dict[str, float] = {}
        if step % settings.discriminator_every == 0:
            measured = self.reward.update(own, shown, self.agent.log_probability, self._rng)
        both = joined(own, shown)
        return measured | self.agent.update(both, self.reward.reward(both), self._rng)

    def _agent(self, seeds: int, size: int) -> Agent:
        chosen = SoftQ if self.space.numbered else SoftActorCritic
        return chosen(seeds, size, self.space.size, self._settings.agent, self._rng)

    def _reward(self, seeds: int, size: int) -> Reward:
        settings, rng = self._settings, self._rng
        if settings.method == "airl":
            return Airl(seeds, size, settings.agent.discount, settings.discriminator, rng)
        if settings.method in ("sqil", "task"):
            return Sqil() if settings.method == "sqil" else Given()
        return Gail(
            seeds,
            size,
            self.space.size,
            settings.discriminator,
            rng,
            numbered=self.space.numbered,
            from_states=settings.method == "gail_states",
        )


class ActionSpace:
    """The actions of an environment: numbers, or vectors scaled to -1..1; raises ValueError for other spaces."""

    def __init__(self, space: Any) -> None:
        self.numbered = hasattr(space, "n")
        if self.numbered:
            self.size, self._first = int(space.n), int(getattr(space, "start", 0))
            return
        low, high = (np.asarray(getattr(space, name, np.nan), np.float64) for name in ("low", "high"))
        if low.ndim != 1 or not (np.isfinite(low).all() and np.isfinite(high).all()):
            raise ValueError(f"actions are {space}; they must be Discrete, or a Box (A,) with finite bounds")
        self.size, self._middle, self._half = len(low), (low + high) / 2, (high - low) / 2

    def to_environment(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return actions as the environment takes them."""
        if self.numbered:
            return np.asarray(actions + self._first)
        return np.asarray(self._middle + self._half * actions, np.float32)

    def to_unit(self, actions: NDArray[Any]) -> NDArray[Any]:
        """Return actions of the environment as demonstrations hold them: from 0 on, or in -1..1."""
        if self.numbered:
            return np.asarray(actions) - self._first
        return ((np.asarray(actions) - self._middle) / self._half).astype(np.float32)

    def require(self, episode: ShownEpisode, observation_shape: tuple[int, ...], seed: int) -> None:
        """Raise ValueError when a demonstration does not fit these actions, or observations of the shape."""
        name = f"a demonstration of seed {seed}"
        if episode.observations.shape[1:] != observation_shape:
            raise ValueError(
                f"{name} has observations of shape {episode.observations.shape[1:]}; the environment has "
                f"{observation_shape}"
            )
        actions = episode.actions
        if self.numbered:
            if (
                actions.ndim != 1
                or actions.dtype.kind not in "iu"
                or not (0 <= actions.min() <= actions.max() < self.size)
            ):
                raise ValueError(f"{name} must have actions that are whole numbers from 0 to {self.size - 1}")
        elif actions.shape[1:] != (self.size,) or np.abs(actions).max() > 1 + 1e-6:
            raise ValueError(f"{name} must have actions of shape (N, {self.size}) within -1..1; see to_unit")


def _warning(measured: dict[str, float]) -> str:
    if measured.get("discriminator_accuracy", 0.0) > _PERFECT:
        return "the discriminator tells all steps from demonstrations: its reward says little; raise gradient_penalty"
    return ""
