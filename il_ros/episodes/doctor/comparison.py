"""Takes compared with each other: outliers, near-duplicates, starts that are all alike, contradicting labels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.core.tables import counted, percent
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet

LEAST_TAKES = 5
"""Fewer takes are not compared."""
POINTS = 24
"""A take is compared at this many points of its course."""
TIME_SHARE = 0.1
"""Of the course that counts by time, the rest by motion: a take may also stand still on purpose."""
STANDS_STILL = 0.05
"""Of the usual largest step: less is noise of a robot that stands still."""
NEIGHBOURS = 3
OUTLIER = 7.0
"""An outlier is this many robust standard deviations above the usual: in its distance to the nearest takes, in the
number that differs most from the others, or in its length and its path."""
OUTLIER_TIMES, STRANGE_TIMES = 2.0, 3.0
"""... and this many times the usual; in the number that differs most the latter, as some number always differs."""
DETOUR_TAKES, DETOUR_GAPS, DETOUR_SHARE = 8, 3.0, 0.05
"""The least takes for a detour to be seen, and how far it leads: see `detours`."""
DUPLICATE = 0.3
"""A duplicate is nearer than this share of the usual distance to the nearest take."""
ALIKE_STARTS = 0.08
"""Starts are alike if they spread over less than this share of where the takes go, in every number that varies."""
DISAGREES, DISAGREES_ALONE = 1.0, 1.4
"""Labels contradict if at like states they differ by this share of their variance: on the whole, and of one take.
Labels
that have nothing to do with the state reach 1, opposite ones 2."""
ALIKE_SPREAD = 0.25
"""States are alike if they differ by less than this, as a root mean square in units of each number's spread."""
LEAST_ALIKE = 10
SAMPLES = 2500
"""Frames that are compared with all others."""


def courses(takes: TakeSet, time_share: float = TIME_SHARE) -> Vector:
    """Return each take's states and labels at POINTS places of its course (N, POINTS, D), in units of their spread.

    The places are even along what the robot moves, so that a stop does not put a take out of step with the others; a
    `time_share` of them is by time.
    """
    out = []
    for episode, states, learnt in zip(takes.episodes, takes.states, takes.learnt, strict=True):
        joined = np.hstack([states, learnt])
        moves = takes.motion(episode)[1]
        moves = np.maximum(moves - STANDS_STILL * np.quantile(moves, 0.95), 0.0)
        moved = np.concatenate([[0.0], np.cumsum(moves)])
        course = np.linspace(0, time_share, len(joined)) + (1 - time_share) * moved / max(moved[-1], 1e-12)
        places = np.interp(np.linspace(0, course[-1], POINTS), course, np.arange(len(joined)))
        low = np.floor(places).astype(int)
        high = np.minimum(low + 1, len(joined) - 1)
        part = (places - low)[:, None]
        out.append(joined[low] * (1 - part) + joined[high] * part)
    return np.array(out)


def distances(takes: TakeSet, time_share: float = TIME_SHARE) -> Vector:
    """Return the distance between the courses of two takes (N, N): root mean square, infinite to itself."""
    flat = courses(takes, time_share).reshape(len(takes.episodes), -1)
    squares = np.square(flat).sum(axis=1)
    found = np.sqrt(np.maximum(squares[:, None] + squares[None] - 2 * flat @ flat.T, 0.0) / flat.shape[1])
    np.fill_diagonal(found, np.inf)
    return np.asarray(found)


def robust(values: Vector) -> Vector:
    """Return how many robust standard deviations (1.4826 MAD) each value is above the median (N,)."""
    middle = np.median(values)
    deviation = 1.4826 * float(np.median(np.abs(values - middle)))
    return (values - middle) / max(deviation, 1e-3 * abs(float(middle)), 1e-12)


def outliers(takes: TakeSet) -> list[Finding]:
    """Find takes that are unlike all others, in their course, their length or their path."""
    takes = takes.uninterrupted
    if len(takes.episodes) < LEAST_TAKES:
        return []
    between = distances(takes)
    nearest = np.sort(between, axis=1)[:, :NEIGHBOURS].mean(axis=1)
    strange = strangeness(takes)
    apart = _far(nearest, OUTLIER_TIMES) | _far(strange, STRANGE_TIMES)
    lengths = np.array([episode.duration_s for episode in takes.episodes])
    paths = np.array([float(takes.motion(episode)[1].sum()) for episode in takes.episodes])
    odd = _another_size(lengths, takes.period_s)
    winding = _another_size(paths, 1e-6)
    times = np.maximum(*(each / max(float(np.median(each)), 1e-12) for each in (nearest, strange)))
    found = []
    for index in np.flatnonzero(apart | odd | winding):
        name = takes.episodes[index].name
        why = (
            f"it takes {lengths[index]:.1f} s, the others {np.median(lengths):.1f} s (median)"
            if odd[index]
            else f"the robot moves {paths[index] / np.median(paths):.1f} times as far as usual"
            if winding[index]
            else f"its course is {times[index]:.1f} times as far from the other takes as usual"
        )
        found.append(
            Finding(
                Check.OUTLIER,
                Severity.CAUTION,
                f"{name}: {why}.",
                "A single way of doing it is averaged into all others, or learnt where it happens to be the only one.",
                (name,),
                max(float(times[index]) / OUTLIER_TIMES, float(odd[index] or winding[index])),
                (
                    takes.discard([name], "unlike the others"),
                    "Or show this way more often, if it is meant; 'il-ros episodes plot' shows the take.",
                ),
                _course_picture(takes, int(index)),
            )
        )
    return found


def _another_size(values: Vector, least: float) -> NDArray[np.bool_]:
    """Return which takes are far longer or shorter than the others, on a scale of ratios."""
    logs = np.log(np.maximum(values, least))
    far: NDArray[np.bool_] = (np.abs(robust(logs)) > OUTLIER) & (
        np.abs(logs - np.median(logs)) > np.log(OUTLIER_TIMES)
    )
    return far


def detours(takes: TakeSet) -> list[Finding]:
    """Find takes in which one joint goes far out of the way that it has in all others, and comes back.

    Compared are, of each measured number, the largest distance from the straight way between its first and its last
    value, and the length of its path. The largest one is a detour if it is above the second largest by DETOUR_GAPS
    times what separates that from the median (a gap test as Dixon's, 1950), and by a share of the number's range.
    """
    takes = takes.uninterrupted
    if len(takes.episodes) < DETOUR_TAKES:
        return []
    measured = [takes.measured(each) for each in takes.episodes]
    farthest = np.array([np.abs(each - _straight(each)).max(axis=0) for each in measured])
    lengths = np.array([np.abs(np.diff(each, axis=0)).sum(axis=0) for each in measured])
    worst: dict[int, tuple[float, int]] = {}
    for column in np.flatnonzero(np.isfinite(farthest).all(axis=0)).tolist():
        for values in (farthest[:, column], lengths[:, column]):
            *_, second, first = np.sort(values)
            gap, usual = first - second, second - float(np.median(values))
            if gap >= max(DETOUR_GAPS * usual, DETOUR_SHARE * takes.action_scales[column]):
                index = int(np.argmax(values))
                worst[index] = max(
                    worst.get(index, (0.0, column)), (gap / max(DETOUR_GAPS * usual, 1e-9), column)
                )
    found = []
    for index, (size, column) in worst.items():
        name, element = takes.episodes[index].name, takes.contract.action_names[column]
        times = [np.linspace(0, 1, len(each)) for each in measured]
        others = [place for place in range(len(measured)) if place != index][:3]
        found.append(
            Finding(
                Check.OUTLIER,
                Severity.CAUTION,
                f"{name}: {element} goes {farthest[index, column]:.3g} out of its straight way, "
                f"in the others {np.median(np.delete(farthest[:, column], index)):.3g} (median).",
                "A detour is learnt as part of the task, and what it looks like at its far end is seen nowhere else.",
                (name,),
                size,
                (
                    takes.discard([name], "a detour"),
                    "Or leave the detour out: il-ros episodes amend --leave-out; 'il-ros episodes plot' shows it.",
                ),
                Plot(
                    f"{element}, and in three of the others",
                    "share of the take",
                    "",
                    tuple(
                        Line(takes.episodes[place].name, times[place], measured[place][:, column])
                        for place in (index, *others)
                    ),
                ),
            )
        )
    return found


def _straight(values: Vector) -> Vector:
    """Return the straight way from the first to the last of the values (T, A)."""
    share = np.linspace(0, 1, len(values))[:, None]
    return np.asarray(values[0] + share * (values[-1] - values[0]))


def _far(values: Vector, times: float) -> NDArray[np.bool_]:
    far: NDArray[np.bool_] = (robust(values) > OUTLIER) & (values > times * np.median(values))
    return far


def strangeness(takes: TakeSet) -> Vector:
    """Return how far each take is from the median course in the number that differs most (N,), in robust deviations."""
    all_courses = courses(takes)
    middle = np.median(all_courses, axis=0)
    deviation = 1.4826 * np.median(np.abs(all_courses - middle), axis=0) + 0.2
    return np.asarray((np.abs(all_courses - middle) / deviation).mean(axis=1).max(axis=1))


def _course_picture(takes: TakeSet, index: int) -> Plot:
    """Return the number in which a take differs most, beside the median of the others."""
    all_courses = courses(takes)
    others = np.delete(all_courses, index, axis=0)
    middle = np.median(others, axis=0)
    column = int(np.argmax(np.square(all_courses[index] - middle).mean(axis=0)))
    x = np.linspace(0, 1, POINTS)
    low, high = (np.quantile(others[:, :, column], share, axis=0) for share in (0.05, 0.95))
    return Plot(
        "The number that differs most, in units of its spread",
        "share of the take",
        "",
        (
            Line(takes.episodes[index].name, x, all_courses[index][:, column]),
            Line("median of the others", x, middle[:, column]),
            Line("5 % of the others", x, low),
            Line("95 % of the others", x, high),
        ),
    )


def duplicates(takes: TakeSet) -> list[Finding]:
    """Find takes that are nearly the same as another: the same data twice, or a replay."""
    if len(takes.episodes) < LEAST_TAKES:
        return []
    between = distances(takes, time_share=1.0)  # a copy has the same stops
    usual = float(np.median(between.min(axis=1)))
    pairs = [(a, b) for a, b in np.argwhere(between < DUPLICATE * usual) if a < b]
    if not pairs or usual <= 0:
        return []
    later = tuple(dict.fromkeys(takes.episodes[b].name for _, b in pairs))
    first, second = pairs[0]
    one, two = takes.episodes[first], takes.episodes[second]
    column = int(np.argmax(takes.states[first].std(axis=0))) if takes.states[first].shape[1] else 0
    lines = tuple(
        Line(takes.episodes[index].name, takes.times_s(takes.episodes[index]), takes.states[index][:, column])
        for index in (first, second)
        if takes.states[index].shape[1]
    )
    return [
        Finding(
            Check.DUPLICATE,
            Severity.CAUTION,
            f"{counted(len(pairs), 'pair')} of takes are nearly the same, such as {one.name} and {two.name}.",
            "The task looks better covered than it is, and one of the two may be held out to validate the other: the "
            "validation loss is then too good.",
            later,
            DUPLICATE * usual / max(float(between[first, second]), 1e-3 * usual),
            (takes.discard(later, "a duplicate"),),
            Plot("The number that moves most, in units of its spread", "s since the start", "", lines),
        )
    ]


def coverage(takes: TakeSet) -> list[Finding]:
    """Find out whether all takes start alike; pictures are not compared."""
    takes = takes.uninterrupted
    if len(takes.episodes) < LEAST_TAKES or not takes.states[0].shape[1]:
        return []
    starts = np.array([states[0] for states in takes.states])
    spread = np.ptp(starts, axis=0)  # in units of the spread over all frames
    if spread.max(initial=0.0) >= ALIKE_STARTS * np.sqrt(12) or takes.cameras:
        return []
    first, second = (
        np.argsort(-np.ptp(np.concatenate(takes.states), axis=0))[:2] if len(spread) > 1 else (0, 0)
    )
    everything = np.concatenate(takes.states)
    names = tuple(each.name for each in takes.episodes)
    return [
        Finding(
            Check.COVERAGE,
            Severity.CAUTION,
            f"All {counted(len(names), 'episode')} start from nearly the same state.",
            "From any other start the policy has to guess: nothing shows it the way back.",
            names,
            ALIKE_STARTS / max(float(spread.max()), 1e-3),
            ("Vary the start on purpose, to the edges of where the robot shall work, in the next takes.",),
            Plot(
                "Where the takes go, and where they start",
                "number that varies most, in units of its spread",
                "the next one",
                (
                    Line("all frames", everything[:, first], everything[:, second]),
                    Line("starts", starts[:, first], starts[:, second]),
                ),
                dots=True,
            ),
        )
    ]


def disagreement(takes: TakeSet) -> list[Finding]:
    """Find labels that contradict each other at like states; not where cameras show what the numbers do not."""
    if len(takes.episodes) < LEAST_TAKES or takes.cameras or not takes.states[0].shape[1]:
        return []
    if not takes.learnt[0].shape[1]:
        return []
    compared = _Compared(takes)
    shares = first = compared.shares(np.ones(len(takes.episodes), dtype=bool))
    kept, alone = np.ones(len(shares), dtype=bool), list[int]()
    # one take at a time: the nearest frames of a contradicting take make its neighbours look contradicting too
    while _contradicts(shares[kept]) and len(alone) < len(shares) // 3:
        worst_one = int(np.argmax(shares))
        alone.append(worst_one)
        kept[worst_one] = False
        shares = compared.shares(kept)
    usual = float(np.median(shares[kept]))
    names = tuple(takes.episodes[index].name for index in sorted(alone))
    if usual < DISAGREES and not names:
        return []
    shares = first
    concerned = names or tuple(each.name for each in takes.episodes)
    worst = float(np.mean(shares[[each.name in concerned for each in takes.episodes]]))
    order = np.argsort(shares)
    return [
        Finding(
            Check.DISAGREEMENT,
            Severity.CAUTION,
            f"At like states the labels of {takes.listed(concerned)} differ from the other takes' by "
            f"{percent(min(worst, 1.0))} of their "
            f"variance{'' if not names else f' (usual: {percent(min(usual, 1.0))})'}.",
            "A policy that answers with one motion learns the mean of the two, which may be neither.",
            concerned,
            worst / DISAGREES,
            (
                *((takes.discard(names, "contradicts the other takes"),) if names else ()),
                "Show the task in one way, or train a family that keeps several ways apart: --recipe flow.",
            ),
            Plot(
                "Difference at like states, as a share of the labels' variance, by take",
                "takes in order",
                "",
                (Line("share", np.arange(len(shares), dtype=float), shares[order]),),
                dots=True,
            ),
        )
    ]


def _contradicts(shares: Vector) -> bool:
    """Return whether one take's share is far above the others'."""
    return bool(shares.max() > max(DISAGREES_ALONE, 2 * float(np.median(shares))))


class _Compared:
    """Frames of all takes, with the distance of their states."""

    def __init__(self, takes: TakeSet) -> None:
        states, labels = np.concatenate(takes.states), np.concatenate(takes.learnt)
        owner = np.repeat(np.arange(len(takes.states)), [len(each) for each in takes.states])
        step = max(1, len(states) // SAMPLES)
        states, self._labels, self._owner = states[::step], labels[::step], owner[::step]
        self._alike = states.shape[1] * ALIKE_SPREAD**2
        squares = np.square(states).sum(axis=1)
        self._between = squares[:, None] + squares[None] - 2 * states @ states.T
        self._between[self._owner[:, None] == self._owner[None]] = np.inf

    def shares(self, kept: NDArray[np.bool_]) -> Vector:
        """Return for each of the `kept` takes how much its labels differ from the nearest frame's of another (N,).

        Half the mean square difference over the variance, of the half of its frames that have the nearest neighbours: 0
        for equal labels, 1 for labels that the state does not tell. 0 for the other takes, and for takes with fewer
        than
        LEAST_ALIKE frames that are like one of another take.
        """
        rows = np.flatnonzero(kept[self._owner])
        between = self._between[np.ix_(rows, rows)]
        nearest, far = between.argmin(axis=1), between.min(axis=1)
        labels, owner = self._labels[rows], self._owner[rows]
        different = 0.5 * np.square(labels - labels[nearest]).mean(axis=1)
        found = np.zeros(len(kept))
        for index in np.flatnonzero(kept):
            own = (owner == index) & (far <= self._alike)
            if own.sum() >= LEAST_ALIKE:
                found[index] = different[own & (far <= np.median(far[own]))].mean()
        return found
