"""Acceptance criteria: a new checkpoint's measurements compared with those of the driving policy.

A replay cannot prove that a policy is better: corrections change states that no demonstration visits, so the
error on held-out demonstrations may grow while success rises. The limits therefore reject only policies that
are broken, have forgotten earlier data or did not learn the new data (bench/learning/promotion.py);
interventions decide about the others (`rollback`).

Errors and differences are mean absolute values over the first action of a chunk, in normalised actions:
demonstrated actions lie within about -1..1. They are not squared, because a gripper that closes one tick early
would dominate. Both policies are measured with the driving policy's normaliser.

A policy that learnt from a reward is to do something else than what was shown. How far it may be from that is what its
family declares, such as the size of a residual; without such a bound it is the disagreement that is allowed in shadow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from il_ros.core.specs import Vector
from il_ros.core.tables import counted

if TYPE_CHECKING:
    from il_ros.episodes.arrays.episode import EpisodeArrays
    from il_ros.policies.disagreement import Difference

Observation = Mapping[str, np.ndarray[Any, Any]]
Seen = Sequence[Observation]
"""The observations of a window of ticks, oldest first."""
Act = Callable[[Seen], Vector]
"""A policy's `act`: maps a window to a chunk (H, A); raises ValueError when it cannot."""


@dataclass(frozen=True)
class PromotionLimits:
    """The limits of promotion.

    `tolerance`: allowed relative increase of the error over the driving policy's, on held-out episodes and on
    those that both were trained on. `slack`: allowed absolute increase, an alternative to `tolerance`, and the
    only one on episodes that the candidate alone was trained on. `latency`: largest p99 of the computing time,
    as a share of the tick period. `disagreement`: largest mean difference from the driving policy, in shadow.
    Raises ValueError unless all are finite and >= 0.
    """

    tolerance: float = 0.75
    slack: float = 0.02
    latency: float = 0.5
    disagreement: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, not {value}")

    def of_reward(self, departure: float | None) -> PromotionLimits:
        """Return the limits of a policy that learnt from a reward; see `PolicyModel.departure`."""
        return replace(self, slack=self.slack + (self.disagreement if departure is None else departure))


def frames(episodes: Sequence[EpisodeArrays], most: int, history: int = 1) -> Iterator[tuple[Seen, Vector]]:
    """Yield at most `most` labelled frames, evenly spread: the window of `history` ticks, and the command (A,)."""
    places = [(episode, frame) for episode in episodes for frame in range(len(episode))]
    chosen = np.unique(np.linspace(0, len(places) - 1, min(most, len(places))).astype(int))
    windows = {id(each): each.windows(history) for each in episodes}
    for place in chosen.tolist():
        episode, frame = places[place]
        rows, existing = (part[frame] for part in windows[id(episode)])
        seen = [episode.observation(row) for row in rows[existing].tolist()]
        yield seen, np.asarray(episode.commands[frame])


def replay_error(act: Act, replay: Sequence[tuple[Seen, Vector]], apart: Difference) -> float:
    """Return the mean absolute error of a policy on labelled frames; raises ValueError as `act` does.

    `apart`: the difference of two commands in normalised actions.
    """
    return math.fsum(_mean(act(seen), wanted, apart) for seen, wanted in replay) / len(replay)


def difference(first: Vector, second: Vector, apart: Difference) -> float:
    """Return the mean absolute difference of the first actions of two chunks (H, A)."""
    return _mean(first, second[0], apart)


def _mean(chunk: Vector, command: Vector, apart: Difference) -> float:
    errors = np.abs(apart(chunk[0], command))
    return float(np.mean(errors if np.isfinite(command).all() else errors[~np.isnan(errors)]))


def judge_held_out(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on held-out episodes is refused, "" when it is accepted.

    `driving`: the error of the policy in control; None without one: any finite error is accepted.
    """
    return _judged("held-out episodes", candidate, driving, limits.tolerance, limits.slack)


def judge_known(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on episodes that both were trained on is refused, else "".

    A candidate that has forgotten them exceeds the driving policy's small error. `driving`: as for
    `judge_held_out`.
    """
    return _judged(
        "the episodes that both were trained on", candidate, driving, limits.tolerance, limits.slack
    )


def judge_new(candidate: float, driving: float | None, limits: PromotionLimits) -> str:
    """Return why a candidate with this error on episodes that it alone was trained on is refused, else "".

    `driving`: as for `judge_held_out`.
    """
    return _judged("the new episodes that it was trained on", candidate, driving, 0.0, limits.slack)


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
        f"the limit is {most:.4f}"
    )


def judge_latency(
    durations_s: Sequence[float], period_s: float, limits: PromotionLimits, horizon: int = 1
) -> tuple[float, str]:
    """Return the p99 of the computing times in s, and why it is refused, "" when it is accepted.

    A policy that takes longer than a tick is refused also when its chunk of `horizon` steps ends before the next one
    can be there: it arrives one computing time after its observation, and has to last for another one.
    """
    p99_s = float(np.percentile(durations_s, 99))
    most_s = limits.latency * period_s
    if p99_s > most_s:
        return p99_s, f"its computing time is {p99_s * 1e3:.1f} ms (p99); the limit is {most_s * 1e3:.1f} ms"
    if p99_s > period_s and 2 * p99_s > horizon * period_s:
        return p99_s, (
            f"its computing time is {p99_s * 1e3:.1f} ms (p99), and its chunk of {counted(horizon, 'step')} lasts for "
            f"{horizon * period_s * 1e3:.1f} ms, less than twice as long"
        )
    return p99_s, ""


def judge_shadow(differences: Sequence[float], limits: PromotionLimits) -> str:
    """Return why a candidate with these differences in shadow is refused, "" when it is accepted."""
    if not differences:
        return ""
    mean = math.fsum(differences) / len(differences)
    if mean <= limits.disagreement:
        return ""
    return (
        f"its mean difference from the driving policy in shadow is {mean:.2f} over "
        f"{counted(len(differences), 'tick')}; the limit is {limits.disagreement:.2f}"
    )
