"""Labels against the measured state: a constant offset, and a robot that follows late.

A leader arm whose zero is 17 degrees beside the follower's teaches positions that the follower never reached
(lerobot #3758). Both are found by sliding each number's command over its measurement.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet

MOST_LAG_S = 1.0
"""A robot that follows later is not one."""
LAG_S = 0.42
"""A robot follows later than this: the chunk of a policy cannot make up for it."""
OFFSET_SHARE = 0.01
"""An offset of this share of a number's range is reported."""
STEADY = 3.0
"""An offset is one if it is this many times the spread of the error."""
MOVES = 0.03
"""A number that is commanded over less than this share of its range is not judged."""
LATE_TAKES = 0.25
"""Of at least this share of the takes: a controller is late in all of them; a stop in one take can look like it."""


@dataclass(frozen=True)
class Following:
    """How one number's measurement follows its command in one take.

    `lag`: in ticks. `offset`: of the command above the measurement at that lag. `certain`: the least size of the
    offset at
    any usual lag, as at an even speed a lag looks like an offset. `spread`: half of the error's inner 80 % at `lag`.
    """

    lag: int
    offset: float
    certain: float
    spread: float


def following(command: Vector, measured: Vector, most_lag: int, usual_lag: int) -> Following | None:
    """Return how the measurement (T,) follows the command (T,); None where the take is too short or has no measurement.

    `most_lag`: ticks that are tried; `usual_lag`: those within which an offset must hold.
    """
    if not (np.isfinite(command) & np.isfinite(measured)).all() or len(command) < most_lag + 10:
        return None
    quantiles = []
    for lag in range(most_lag + 1):
        error = command[: len(command) - most_lag] - measured[lag : len(measured) - most_lag + lag]
        quantiles.append(np.quantile(error, (0.1, 0.5, 0.9)))
    low, middle, high = np.array(quantiles).T
    spreads = (high - low) / 2
    # the first lag that explains nearly as much as any
    lag = int(np.argmax(spreads <= 1.2 * spreads.min() + 0.01 * np.ptp(command)))
    within = middle[: usual_lag + 1]
    certain = float(np.abs(within).min()) if (np.sign(within) == np.sign(within[0])).all() else 0.0
    return Following(lag, float(middle[min(lag, usual_lag)]), certain, float(spreads.min()))


def offsets_and_lags(takes: TakeSet) -> list[Finding]:
    """Find numbers whose label is beside what the robot did, and robots that follow late."""
    most_lag = max(1, round(MOST_LAG_S / takes.period_s))
    judged = np.flatnonzero(takes.moved >= MOVES * takes.action_scales)
    offset: dict[int, list[tuple[EpisodeArrays, Following]]] = {}
    late: dict[int, list[tuple[EpisodeArrays, Following]]] = {}
    for episode in takes.episodes:
        measured, commands = takes.measured(episode), np.asarray(episode.commands)
        for column in judged:
            found = following(
                commands[:, column], measured[:, column], most_lag, round(LAG_S / takes.period_s)
            )
            if found is None:
                continue
            bound = max(OFFSET_SHARE * takes.action_scales[column], STEADY * found.spread)
            if found.certain > bound:
                offset.setdefault(int(column), []).append((episode, found))
            if found.lag * takes.period_s > LAG_S and found.spread < 0.2 * np.ptp(commands[:, column]):
                late.setdefault(int(column), []).append((episode, found))
    return [_offset(takes, column, cases) for column, cases in offset.items()] + _late(takes, late)


def _offset(takes: TakeSet, column: int, cases: list[tuple[EpisodeArrays, Following]]) -> Finding:
    name = takes.contract.action_names[column]
    unit = takes.contract.action(name.partition("/")[0]).unit
    typical = float(np.median([case.offset for _, case in cases]))
    names = tuple(episode.name for episode, _ in cases)
    degrees = f" ({np.degrees(typical):+.1f} degrees)" if unit.startswith("rad") else ""
    return Finding(
        Check.OFFSET,
        Severity.FAULT,
        f"{name}: the label is {typical:+.3g} {unit}{degrees} beside where the robot went, in {takes.listed(names)}.",
        "The policy learns positions that the robot did not have when the task succeeded; it misses by as much.",
        names,
        abs(typical) / (OFFSET_SHARE * float(takes.action_scales[column])),
        (
            *takes.amend_offset(names, name, -typical),
            "Then calibrate the leader arm, or the robot's zero, before the next take.",
        ),
        _picture(takes, column, cases[0][0], f"{name} in {names[0]}"),
    )


def _late(takes: TakeSet, late: dict[int, list[tuple[EpisodeArrays, Following]]]) -> list[Finding]:
    """Return one finding about all numbers that follow late: the cause is one controller."""
    names = tuple(dict.fromkeys(episode.name for cases in late.values() for episode, _ in cases))
    if not late or len(names) < LATE_TAKES * len(takes.episodes):
        return []
    column = max(late, key=lambda each: len(late[each]))
    cases = [case for each in late.values() for case in each]
    lag_s = float(np.median([case.lag for _, case in cases])) * takes.period_s
    which = ", ".join(takes.contract.action_names[each] for each in sorted(late)[:6])
    return [
        Finding(
            Check.LAG,
            Severity.CAUTION,
            f"The robot follows its commands {lag_s:.2f} s late in {takes.listed(names)}: {which}.",
            "A command shows its effect only after several ticks: the policy overshoots or repeats itself. If only the "
            "recorded state is late, it learns to act on a past that it will not see.",
            names,
            lag_s / LAG_S,
            (
                "Look for a filter or a low gain in the controller and for late stamps of the joint states; lower the "
                "contract's speed limit if the robot cannot follow.",
            ),
            _picture(takes, column, late[column][0][0], f"{takes.contract.action_names[column]}"),
        )
    ]


def _picture(takes: TakeSet, column: int, episode: EpisodeArrays, title: str) -> Plot:
    times_s = takes.times_s(episode)
    unit = takes.contract.action(takes.contract.action_names[column].partition("/")[0]).unit
    return Plot(
        title,
        "s since the start",
        unit,
        (
            Line("label", times_s, np.asarray(episode.commands)[:, column]),
            Line("measured", times_s, takes.measured(episode)[:, column]),
        ),
    )
