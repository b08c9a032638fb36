"""Evaluation of a policy: success rate over seeded episodes in the embedded simulator."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from il_ros.control.chunks.execution import ChunkPlayer, Execution
from il_ros.control.limiter.in_process import InProcessLimiter
from il_ros.core.contract import Contract
from il_ros.core.specs import CHOICE, Vector, shortest
from il_ros.policies.protocol import Observation, Policy, PolicyError
from il_ros.policies.remote.policy import RemotePolicy
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.window import TickWindow
from il_ros.records.trials import success_interval
from il_ros.sim.rollout import Act, rollout
from il_ros.sim.tasks.task import Task

RESAMPLES = 10_000


@dataclass(frozen=True)
class Episode:
    """The result of one episode. `error`: the policy's error message; such an episode is no success.

    `total_reward`: the sum of the task's rewards (the return). `judged`: whether the task defines success.
    `gave_up`: the policy, as an expert may, returned no action. `jerk`: see `jerk_of`.
    """

    seed: int
    success: bool
    failed: bool
    duration_s: float
    error: str = ""
    total_reward: float = 0.0
    judged: bool = True
    gave_up: bool = False
    jerk: float | None = None

    @property
    def score(self) -> float:
        """What the episode counts in a comparison: success, or the return where success is not defined."""
        return float(self.success) if self.judged else self.total_reward

    @property
    def ending(self) -> str:
        """The outcome in one or two words."""
        if self.error:
            return "policy error"
        if self.gave_up:
            return "gave up"
        ended = "time is up" if self.judged else "ended"
        return "success" if self.success else "failure" if self.failed else ended


@dataclass(frozen=True)
class Evaluation:
    """The episodes of one policy on one task; raises ValueError if there are none."""

    task: str
    version: str
    episodes: tuple[Episode, ...]

    def __post_init__(self) -> None:
        if not self.episodes:
            raise ValueError("an evaluation needs at least one episode")

    @property
    def successes(self) -> int:
        """The number of successful episodes."""
        return sum(episode.success for episode in self.episodes)

    @property
    def rate(self) -> float:
        """The success rate."""
        return self.successes / len(self.episodes)

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the success rate."""
        return success_interval(self.successes, len(self.episodes))

    @property
    def judged(self) -> bool:
        """Whether the task defines success; otherwise only the returns count."""
        return any(episode.judged for episode in self.episodes)

    @property
    def mean_return(self) -> float:
        """The mean of the episodes' returns."""
        return float(np.mean([episode.total_reward for episode in self.episodes]))

    @property
    def return_interval(self) -> tuple[float, float]:
        """The 95 % percentile bootstrap interval of the mean return (Efron and Tibshirani 1993, ch. 13)."""
        returns = np.array([episode.total_reward for episode in self.episodes])
        draws = np.random.default_rng(0).integers(0, len(returns), (RESAMPLES, len(returns)))
        low, high = np.quantile(returns[draws].mean(axis=1), (0.025, 0.975))
        return float(low), float(high)

    @property
    def time_to_success_s(self) -> float | None:
        """The median duration of the successful episodes, in seconds; None without one."""
        durations = [episode.duration_s for episode in self.episodes if episode.success]
        return float(np.median(durations)) if durations else None

    @property
    def jerk(self) -> float | None:
        """The mean of the episodes' jerks; None where none has one."""
        jerks = [episode.jerk for episode in self.episodes if episode.jerk is not None]
        return float(np.mean(jerks)) if jerks else None

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary."""
        return {
            "task": self.task,
            "version": self.version,
            "count": len(self.episodes),
            "successes": self.successes,
            "rate": self.rate,
            "interval_95": list(self.interval),
            "judged": self.judged,
            "mean_return": self.mean_return,
            "return_interval_95": list(self.return_interval),
            "time_to_success_s": self.time_to_success_s,
            "jerk": self.jerk,
            "episodes": [asdict(episode) for episode in self.episodes],
        }


def evaluate(
    policy: Policy,
    contract: Contract,
    task: Task,
    seeds: Iterable[int],
    *,
    version: str = "",
    hold_s: float = 0.0,
    execute: int = 1,
    on_episode: Callable[[Episode], None] = lambda _: None,
) -> Evaluation:
    """Run one episode per seed and call `on_episode` with each result.

    Each action passes the safety limiter, as on the robot. An episode succeeds if the success condition holds for
    `hold_s` seconds. `execute`: ticks from one computation to the next, meanwhile the chunk is played, as by the policy
    server; 1: the policy computes at every tick.
    Raises ValueError if the contract does not fit the task, if there are no seeds, or if `execute` is below 1.
    """
    episodes = []
    limiter = InProcessLimiter(contract)
    for seed in seeds:
        limiter.begin()
        act = _playing(policy, contract, execute)
        try:
            done = rollout(task, _limited(act, limiter), contract, seed, hold_s=hold_s)
            episode = Episode(
                seed,
                done.success,
                done.failed,
                done.duration_s,
                total_reward=done.total_reward,
                judged=done.judged,
                gave_up=done.gave_up,
                jerk=jerk_of(contract, done.actions),
            )
        except PolicyError as error:
            episode = Episode(seed, False, False, 0.0, str(error))
        episodes.append(episode)
        on_episode(episode)
    return Evaluation(task.name, version, tuple(episodes))


def jerk_of(contract: Contract, commands: Vector) -> float | None:
    """Return how jerky commands (T, A) are: the root mean square of their third derivative, in units per s^3.

    Numbers of choices don't count. None where there are none others, or fewer than four commands. Angles of continuous
    joints go the shortest way.
    """
    columns = [
        index
        for action in contract.actions
        if action.quantity != CHOICE
        for index in range(contract.action_size)[contract.action_slices[action.key]]
    ]
    if len(commands) < 4 or not columns:
        return None
    steps = shortest(np.diff(commands[:, columns], axis=0), contract.turns[columns])
    third = np.diff(steps, n=2, axis=0) * contract.rate_hz**3
    return float(np.sqrt(np.mean(third**2)))


def _playing(policy: Policy, contract: Contract, execute: int) -> Act:
    """Return what a policy drives an episode by: its chunks from the step that is due, with a window of past ticks."""
    seen: Callable[[int, Observation], Any] = (
        TickWindow(policy.history, contract.period_ns).push
        if isinstance(policy, (LoadedPolicy, RemotePolicy))
        else lambda _, observation: observation
    )
    chunks, ticks = ChunkPlayer(contract, Execution(execute)), itertools.count()

    def act(observation: Observation) -> Vector | None:
        now_ns = next(ticks) * contract.period_ns
        shown = seen(now_ns, observation)
        if chunks.due(now_ns):
            chunks.begin(now_ns)
            proposed = policy.act(shown)
            if proposed is None:  # an expert that gives up
                return None
            chunks.add(now_ns, proposed)
        return chunks.left(now_ns)

    return act


def _limited(act: Act, limiter: InProcessLimiter) -> Act:
    """Return `act` with the first step of its chunk limited, as on the robot; raises PolicyError on no command."""

    def limited(observation: Observation) -> Vector | None:
        proposed = act(observation)
        if proposed is None:  # an expert that gives up
            return None
        try:
            command = limiter.limit(proposed[0], observation)
        except ValueError as error:
            raise PolicyError(str(error)) from error
        if command.sent is None:
            raise ValueError(command.missing)
        return np.array([command.sent])

    return limited
