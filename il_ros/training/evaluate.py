"""Evaluation of a policy: success rate over seeded episodes in the embedded simulator."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from il_ros.core.contract import Contract
from il_ros.policies.protocol import Policy, PolicyError
from il_ros.policies.runner import LoadedPolicy
from il_ros.records.trials import success_interval
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import Task


@dataclass(frozen=True)
class Episode:
    """The result of one episode. `error`: the policy's error message; such an episode is no success."""

    seed: int
    success: bool
    failed: bool
    duration_s: float
    error: str = ""

    @property
    def ending(self) -> str:
        """The outcome in one or two words."""
        if self.error:
            return "policy error"
        return "success" if self.success else "failure" if self.failed else "time is up"


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

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary."""
        return {
            "task": self.task,
            "version": self.version,
            "count": len(self.episodes),
            "successes": self.successes,
            "rate": self.rate,
            "interval_95": list(self.interval),
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
    on_episode: Callable[[Episode], None] = lambda _: None,
) -> Evaluation:
    """Run one episode per seed and call `on_episode` with each result.

    An episode succeeds if the success condition holds for `hold_s` seconds.
    Raises ValueError if the contract does not fit the task or if there are no seeds.
    """
    episodes = []
    for seed in seeds:
        try:
            act = policy.in_episode() if isinstance(policy, LoadedPolicy) else policy.act
            done = rollout(task, act, contract, seed, hold_s=hold_s)
            episode = Episode(seed, done.success, done.failed, done.duration_s)
        except PolicyError as error:
            episode = Episode(seed, False, False, 0.0, str(error))
        episodes.append(episode)
        on_episode(episode)
    return Evaluation(task.name, version, tuple(episodes))
