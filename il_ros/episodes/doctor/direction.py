"""Labels that go against the robot's own motion: a mirrored joint, a swapped sign, another convention in some takes.

A robot moves to where its label is: the difference of a position's label and its measurement correlates with the motion
that follows. A base turns as it is commanded, which its laser scan shows. Both are seen in a single take, without
comparing it with others that happen to be in like states.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet
from il_ros.episodes.doctor.timing import turning_of
from il_ros.episodes.doctor.tracking import MOVES

LATER_S = 0.25
"""The motion of this time after a label is compared with it."""
AGAINST = -0.3
"""A correlation below this: the robot moves against its label. Right ones reach 0.6 to 0.98."""
STANDS_STILL = 0.05
"""Of the largest motion: less counts as none, and says nothing about the label."""
LEAST_FRAMES = 20


def reversed_labels(takes: TakeSet) -> list[Finding]:
    """Find numbers of the labels against which the robot moves, in all takes or in some."""
    ticks = max(1, round(LATER_S / takes.period_s))
    against: dict[int, dict[str, float]] = {}
    for column in np.flatnonzero(takes.moved >= MOVES * takes.action_scales).tolist():
        for episode in takes.episodes:
            measured = takes.measured(episode)[:, column]
            label = np.asarray(episode.commands)[:, column]
            if len(label) < ticks + LEAST_FRAMES or not np.isfinite([measured, label]).all():
                continue
            if np.ptp(measured) < MOVES / 3 * takes.action_scales[column]:
                continue
            later = measured[ticks:] - measured[:-ticks]
            moves = np.abs(later) > STANDS_STILL * np.abs(later).max()
            if moves.sum() < LEAST_FRAMES:
                continue
            found = correlation((label - measured)[:-ticks][moves], later[moves])
            if found < AGAINST:
                against.setdefault(column, {})[episode.name] = found
    turning = turning_of(takes)
    if turning is not None:
        column, commands, turns = turning
        for episode, commanded, turned in zip(takes.episodes, commands, turns, strict=True):
            if len(turned) >= LEAST_FRAMES and (found := correlation(commanded, turned)) < AGAINST:
                against.setdefault(column, {})[episode.name] = found
    return [_finding(takes, column, cases) for column, cases in against.items()]


def correlation(first: Vector, second: Vector) -> float:
    """Return the correlation of two series (T,); 0 if one of them is constant."""
    first, second = first - first.mean(), second - second.mean()
    size = float(np.linalg.norm(first) * np.linalg.norm(second))
    return float(first @ second) / size if size > 1e-12 else 0.0


def _finding(takes: TakeSet, column: int, cases: dict[str, float]) -> Finding:
    names, name = tuple(cases), takes.contract.action_names[column]
    typical = float(np.median(list(cases.values())))
    worst = next(each for each in takes.episodes if each.name == min(cases, key=lambda one: cases[one]))
    label, measured = np.asarray(worst.commands)[:, column], takes.measured(worst)[:, column]
    times_s = takes.times_s(worst)
    lines = [Line("label", times_s, label)]
    if np.isfinite(measured).all():
        lines.append(Line("measured", times_s, measured))
    return Finding(
        Check.REVERSED,
        Severity.FAULT,
        f"{name}: the robot moves against its label (correlation {typical:.2f}; right ones are above 0.3) in "
        f"{takes.listed(names)}.",
        "The policy learns to drive the other way; mixed with right takes, it learns to stand still.",
        names,
        typical / AGAINST,
        (
            takes.discard(names, f"{name} is reversed"),
            "Look for a swapped sign in the driver or the leader arm's settings, and for commands relative to another "
            "zero.",
        ),
        Plot(f"{name} in {worst.name}", "s since the start", "", tuple(lines)),
    )
