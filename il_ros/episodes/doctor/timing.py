"""Streams out of time with the robot: the lag of the largest cross-correlation with what moves it.

Pictures change when the robot moves, so the size of their change is compared with the speed of the joints; a laser scan
tells how the base turns, which is compared with the commanded turns. Turns change slowly, which makes the correlation
flat, so their changes are compared. At an even speed nothing tells the time: then the correlation is low or flat, and
nothing is reported. People stop and start, which is enough.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from il_ros.core.specs import LASER_SCAN, Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.findings import Array, Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet

MOST_SHIFT_S = 0.8
SHIFT_TICKS, SHIFT_S = 1.6, 0.08
"""A stream that is out of time by less of either is not reported: sampling alone shifts by one tick."""
ALIKE, ALIKE_ALONE = 0.45, 0.5
"""The least correlation at the best lag, of all takes together and of one take, for the lag to mean anything."""
PEAK = 0.15
"""The correlation at the best lag is at least this much above that of most lags."""
BETTER = 0.04
"""How much more the best lag must correlate than lag 0."""
UNEXPLAINED = 1.2
"""Of one take: the usual lag leaves this many times the variance unexplained that the best one leaves."""
LEAST_TAKES = 4
_THINNED = 3
_NEAR_M = 0.4
"""Beams that differ by more from their neighbours, or from scan to scan, are at an edge."""
_TURN = "angular.z"
_SMOOTH_S = 0.35
_MOST_TURN = 0.95
"""Larger turns than this quantile's are cut to it: single scans are misread."""


@dataclass(frozen=True)
class LagCurve:
    """Correlation (2 L + 1,) at the lags -L..L ticks; a positive lag: the stream is late."""

    correlation: Vector

    @property
    def half(self) -> int:
        """L."""
        return len(self.correlation) // 2

    @property
    def best(self) -> float:
        """The lag of the largest correlation in ticks, by a parabola through it and its neighbours."""
        place = int(np.argmax(self.correlation))
        if not 0 < place < len(self.correlation) - 1:
            return float(place - self.half)
        before, here, after = self.correlation[place - 1 : place + 2]
        bend = before - 2 * here + after
        return place - self.half + (float(0.5 * (before - after) / bend) if bend < 0 else 0.0)

    def at(self, lag: float) -> float:
        """Return the correlation at a lag in ticks."""
        return float(np.interp(lag, np.arange(-self.half, self.half + 1), self.correlation))

    def unexplained(self, lag: float) -> float:
        """Return the share of the variance that the motion at a lag does not explain."""
        return 1.0 - max(0.0, self.at(lag)) ** 2

    def tells(self, least: float) -> bool:
        """Return whether the best lag means anything: a correlation of `least` that stands out."""
        peak = float(self.correlation.max())
        inside = 0 < int(np.argmax(self.correlation)) < len(self.correlation) - 1
        return inside and peak >= least and peak - float(np.median(self.correlation)) >= PEAK


def lag_curve(moves: Sequence[Vector], seen: Sequence[Vector], most: int) -> LagCurve:
    """Return the correlation of two series (T,), all takes together, with `seen` up to `most` ticks late or early."""
    found = []
    late = np.concatenate([each[most:-most] for each in seen])
    late = late - late.mean()
    for lag in range(-most, most + 1):
        moved = np.concatenate([each[most - lag : len(each) - most - lag] for each in moves])
        moved = moved - moved.mean()
        size = float(np.linalg.norm(late) * np.linalg.norm(moved))
        found.append(float(late @ moved) / size if size > 1e-12 else 0.0)
    return LagCurve(np.array(found))


def shifts(takes: TakeSet) -> list[Finding]:
    """Find cameras and scans whose content is out of time with the robot's motion, in all takes or in some."""
    most = max(3, round(MOST_SHIFT_S / takes.period_s))
    long = [each for each in takes.episodes if len(each) > 3 * most]
    if len(long) < LEAST_TAKES:
        return []
    found: list[Finding] = []
    if np.isfinite(takes.measured(long[0])).any():
        speeds = [_even(takes.motion(each)[1]) for each in long]
        for spec in takes.cameras:
            changes = [_even(_change(np.asarray(each.observations[spec.key]))) for each in long]
            found += _of_stream(takes, spec.key, "the measured joints", long, speeds, changes, most)
    turning = _turning(takes, long, most)
    if turning is not None:
        key, _, commands, turns = turning
        width = max(1, round(_SMOOTH_S / takes.period_s))
        moves, seen = ([_changes(each, width) for each in series] for series in (commands, turns))
        found += _of_stream(takes, key, "the commanded turns", long, moves, seen, most)
    return found


def turning_of(takes: TakeSet) -> tuple[int, list[Vector], list[Vector]] | None:
    """Return the column of the commanded turn, and of each take the commands and what a scan shows of them (T - 1,).

    The sign of what the scan shows is the one in which most takes agree with their commands. None where there is no
    scan or no command to turn, or the two have nothing to do with each other.
    """
    most = max(3, round(MOST_SHIFT_S / takes.period_s))
    if any(len(each) <= 3 * most for each in takes.episodes) or len(takes.episodes) < LEAST_TAKES:
        return None
    found = _turning(takes, takes.episodes, most)
    return None if found is None else found[1:]


def _turning(
    takes: TakeSet, episodes: Sequence[EpisodeArrays], most: int
) -> tuple[str, int, list[Vector], list[Vector]] | None:
    """Return the key of a scan, and what `turning_of` returns."""
    names = takes.contract.action_names
    column = next((place for place, name in enumerate(names) if name.endswith(_TURN)), None)
    scan = next((spec.key for spec in takes.numeric if spec.type == LASER_SCAN), None)
    if column is None or scan is None:
        return None
    commands = [np.nan_to_num(np.asarray(each.commands)[:-1, column]) for each in episodes]
    turns = [_turns(np.asarray(each.observations[scan])) for each in episodes]
    signs = [
        np.sign(lag_curve([one], [other], most).at(0.0)) for one, other in zip(commands, turns, strict=True)
    ]
    if np.median(signs) < 0:
        turns = [-each for each in turns]  # the scan's beams go the other way round
    if lag_curve(commands, turns, most).correlation.max() < ALIKE / 2:
        return None
    return scan, column, commands, turns


def _changes(series: Vector, width: int) -> Vector:
    """Return the changes of a series (T,) that was smoothed over `width` ticks (T - 1,)."""
    most = float(np.quantile(np.abs(series), _MOST_TURN))
    smooth = np.convolve(np.clip(series, -most, most), np.full(width, 1 / width), "same")
    return np.asarray(np.diff(smooth))


def _even(activity: Vector) -> Vector:
    """Return an activity (T,) relative to the take's mean, with single large values made smaller: the root."""
    root = np.sqrt(np.maximum(activity, 0.0))
    return np.asarray(root / max(1e-12, float(root.mean())))


def _change(frames: Array) -> Vector:
    """Return the mean change of pictures (T, H, W, C) from one to the next (T - 1,)."""
    thin = frames[:, ::_THINNED, ::_THINNED]
    return np.array(
        [np.abs(after.astype(np.int16) - before).mean() for before, after in pairwise(thin)], dtype=np.float64
    )


def _turns(scans: Vector) -> Vector:
    """Return the turn from each scan (T, B) to the next (T - 1,), in beams: least squares over their slope."""
    slope = (np.roll(scans, -1, axis=1) - np.roll(scans, 1, axis=1)) / 2
    slope = (slope[1:] + slope[:-1]) / 2
    change = np.diff(scans, axis=0)
    even = (np.abs(slope) < _NEAR_M) & (np.abs(change) < _NEAR_M)
    turned: Vector = (even * slope * change).sum(axis=1) / np.maximum(
        (even * slope * slope).sum(axis=1), 1e-6
    )
    return turned


def _of_stream(
    takes: TakeSet,
    key: str,
    motion: str,
    episodes: Sequence[EpisodeArrays],
    moves: Sequence[Vector],
    seen: Sequence[Vector],
    most: int,
) -> list[Finding]:
    least = max(SHIFT_TICKS, SHIFT_S / takes.period_s)
    usual = lag_curve(moves, seen, most)
    if not usual.tells(ALIKE):
        return []
    found = []
    if abs(usual.best) >= least and usual.at(usual.best) - usual.at(0.0) >= BETTER:
        found.append(_finding(takes, key, motion, usual, usual.best, tuple(each.name for each in episodes)))
    apart = {}
    for episode, moved, shown in zip(episodes, moves, seen, strict=True):
        curve = lag_curve([moved], [shown], most)
        better = curve.unexplained(usual.best) >= UNEXPLAINED * curve.unexplained(curve.best)
        if curve.tells(ALIKE_ALONE) and better and abs(curve.best - usual.best) >= least:
            apart[episode.name] = curve
    if apart and len(apart) <= len(episodes) / 2:
        others = [place for place, each in enumerate(episodes) if each.name not in apart]
        of_others = lag_curve([moves[place] for place in others], [seen[place] for place in others], most)
        lag = float(np.median([curve.best for curve in apart.values()])) - of_others.best
        found.append(_finding(takes, key, motion, next(iter(apart.values())), lag, tuple(apart)))
    return found


def _finding(
    takes: TakeSet, key: str, motion: str, curve: LagCurve, lag: float, names: tuple[str, ...]
) -> Finding:
    late_s = lag * takes.period_s
    topic = takes.contract.observation(key).topic
    lags_s = np.arange(-curve.half, curve.half + 1, dtype=np.float64) * takes.period_s
    fix = () if topic == takes.contract.trigger else takes.amend_shift(names, key, late_s)
    return Finding(
        Check.SHIFT,
        Severity.FAULT,
        f"{key} ({topic}) is {abs(late_s):.2f} s {'behind' if late_s > 0 else 'ahead of'} {motion} in "
        f"{takes.listed(names)}.",
        "The policy learns to act on what was seen at another moment; when the delay changes, so does its aim.",
        names,
        abs(lag) / max(SHIFT_TICKS, SHIFT_S / takes.period_s),
        (
            *fix,
            "Synchronise the clocks and stamp at the sensor: the policy must see the same delay when it drives.",
        ),
        Plot(
            f"Correlation of {key} with {motion}, by lag",
            "lag of the stream [s]",
            "correlation",
            (Line("correlation", lags_s, curve.correlation),),
        ),
    )
