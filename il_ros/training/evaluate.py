"""How well a policy does: success over seeded episodes in the embedded simulator, with its uncertainty."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from il_ros.core.contract import Contract
from il_ros.policies.protocol import Policy, PolicyError
from il_ros.records.trials import success_interval
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import Task

HELD_OUT_SEED = 1_000_000
"""First seed of evaluations; demonstrations count from 0, so nobody has shown these starts."""


@dataclass(frozen=True)
class Episode:
    """How one episode ended. `error`: why the policy couldn't answer; such an episode is no success."""

    seed: int
    success: bool
    failed: bool
    duration_s: float
    error: str = ""

    @property
    def ending(self) -> str:
        """The outcome in a word or two."""
        if self.error:
            return "policy error"
        return "success" if self.success else "failure" if self.failed else "time is up"


@dataclass(frozen=True)
class Evaluation:
    """Episodes of one policy at one task."""

    task: str
    version: str
    episodes: tuple[Episode, ...]

    def __post_init__(self) -> None:
        if not self.episodes:
            raise ValueError("an evaluation needs at least one episode")

    @property
    def successes(self) -> int:
        """How many succeeded."""
        return sum(episode.success for episode in self.episodes)

    @property
    def rate(self) -> float:
        """The share that succeeded."""
        return self.successes / len(self.episodes)

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the rate: what the count of episodes allows to say."""
        return success_interval(self.successes, len(self.episodes))

    def to_plain(self) -> dict[str, Any]:
        """Return what fits in JSON."""
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
    """Run one episode per seed. Success must hold for `hold_s`; `on_episode` hears of each.

    Raises ValueError when the contract doesn't fit the task, or without seeds.
    """
    episodes = []
    for seed in seeds:
        try:
            done = rollout(task, policy.act, contract, seed, hold_s=hold_s)
            episode = Episode(seed, done.success, done.failed, done.duration_s)
        except PolicyError as error:
            episode = Episode(seed, False, False, 0.0, str(error))
        episodes.append(episode)
        on_episode(episode)
    return Evaluation(task.name, version, tuple(episodes))
