"""Whether a new checkpoint may drive: rules on what was measured of it beside the policy that drives now.

A replay is no proof that a policy is better: a correction mends what happens where no demonstration has been,
and on held-out demonstrations the error may grow as it is learnt, though success rises. So the limits keep
out what is broken, forgot what it knew, or didn't learn what it was trained for
(bench/learning/promotion.py), and interventions judge the rest (`rollback`).

Errors and differences are of the first action of a chunk, the one that is acted on, as mean absolute values
in units of normalised actions: demonstrated ones lie within about -1..1. Not squared: a gripper closed a tick
sooner or later would outweigh all else. One ruler measures both policies, the driving one's.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from il_ros.core.specs import Vector

if TYPE_CHECKING:
    from il_ros.episodes.arrays.episode import EpisodeArrays

Observation = Mapping[str, np.ndarray[Any, Any]]
Act = Callable[[Observation], Vector]
"""A policy's `act`: from an observation to a chunk (H, A); raises ValueError when it can't answer."""


@dataclass(frozen=True)
class PromotionLimits:
    """What a candidate must keep.

    `tolerance`: its error on held-out episodes, and on those that both learnt from, may be larger than the
    driving policy's by this share, or by `slack`; on those that it alone learnt from, by `slack` alone.
    `latency`: the largest p99 of its computing time, as a share of the tick period.
    `disagreement`: the largest mean difference from the driving policy, in shadow.
    """

    tolerance: float = 0.75
    slack: float = 0.02
    latency: float = 0.5
    disagreement: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, not {value}")


def frames(episodes: Sequence[EpisodeArrays], most: int) -> Iterator[tuple[Observation, Vector]]:
    """Yield `most` labelled frames at most, evenly spread over the episodes: observation, command (A,)."""
    places = [(episode, frame) for episode in episodes for frame in range(len(episode))]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).astype(int))
    for place in chosen.tolist():
        episode, frame = places[place]
        seen = {key: values[frame] for key, values in episode.observations.items()}
        yield seen, np.asarray(episode.commands[frame])


def replay_error(act: Act, replay: Sequence[tuple[Observation, Vector]], scale: Vector) -> float:
    """Return the mean absolute error of a policy on labelled frames; raises ValueError as `act` does."""
    return math.fsum(_apart(act(seen), wanted, scale) for seen, wanted in replay) / len(replay)


def difference(first: Vector, second: Vector, scale: Vector) -> float:
    """Return the mean absolute difference of what two chunks (H, A) would do now."""
    return _apart(first, second[0], scale)


def _apart(chunk: Vector, command: Vector, scale: Vector) -> float:
    return float(np.mean(np.abs((chunk[0] - command) / scale)))


def judge_held_out(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on held-out episodes is refused, "" when it isn't.

    `driving`: the error of the policy in control; None: there is none, any finite error is better than that.
    """
    return _judged("held-out episodes", candidate, driving, limits.tolerance, limits.slack)


def judge_known(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on what both learnt from is refused, "" when it isn't.

    The driving policy's error is small there, so one who forgot stands out. `driving`: as for
    `judge_held_out`.
    """
    return _judged("the episodes that both learnt from", candidate, driving, limits.tolerance, limits.slack)


def judge_new(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on what it alone learnt from is refused, "" when it isn't.

    `driving`: as for `judge_held_out`.
    """
    return _judged("the new episodes that it learnt from", candidate, driving, 0.0, limits.slack)


def _judged(where: str, candidate: float, driving: float | None, share: float, slack: float) -> str:
    if not math.isfinite(candidate):
        return f"its error on {where} is {candidate}"
    if driving is None:
        return ""
    most = max(driving * (1 + share), driving + slack)
    if candidate <= most:
        return ""
    return (
        f"its error on {where} is {candidate:.4f}, the driving policy's {driving:.4f}; "
        f"up to {most:.4f} is allowed"
    )


def judge_latency(
    durations_s: Sequence[float], period_s: float, limits: PromotionLimits
) -> tuple[float, str]:
    """Return the p99 of the computing times [s], and why it is refused, "" when it isn't."""
    p99_s = float(np.percentile(durations_s, 99))
    most_s = limits.latency * period_s
    if p99_s <= most_s:
        return p99_s, ""
    return p99_s, f"it computes for {p99_s * 1e3:.1f} ms (p99); up to {most_s * 1e3:.1f} ms are allowed"


def judge_shadow(differences: Sequence[float], limits: PromotionLimits) -> str:
    """Return why a candidate that was so far from the driving policy is refused, "" when it isn't."""
    if not differences:
        return ""
    mean = math.fsum(differences) / len(differences)
    if mean <= limits.disagreement:
        return ""
    return (
        f"in shadow it was {mean:.2f} from the driving policy in {len(differences)} ticks on average; up to "
        f"{limits.disagreement:.2f} is allowed"
    )
