"""Numbers by themselves: spans in which nothing moves, dead and clipped sensors, jumps."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.core.units import NOISE_FLOORS, units_of, units_of_action
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.findings import Check, Finding, Line, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet

IDLE_S = 1.5
"""A longer span in which nothing moves is reported; training thins it, but labels in it say 'stay'."""
STILL_SHARE = 0.002
"""Nothing moves when no number changes by more than this share of its range within STILL_S."""
STILL_S = 0.5
MARGIN_S = 0.25
"""This much of an idle span is kept at each end."""
DEAD_SHARE = 0.5
"""A number that stands still in one take is dead if it moves in at least this share of the others."""
MOVES_SHARE = 0.05
"""... by at least this share of its range over all takes."""
CLIPPED_LEAST, CLIPPED_MOST = 0.04, 0.8
"""Share of a take's frames at exactly the extreme: more than that is a number that hardly moves."""
CLIPPED_TAKES = 0.12
BEYOND_SHARE = 0.02
"""A label that goes beyond the value at which its measurement stops by this share of its range."""
DISTINCT_SHARE = 0.9
"""Starts vary if this share of them differ from all others."""
JUMP_TIMES, SPIKE_TIMES = 5.0, 4.0
"""A jump is this many times the usual largest step of a take. One that the next step takes back is a spike, and this
many times the usual largest spike: numbers that tremble have spikes, others none."""

ROUNDING = 1e-9
"""Changes up to this share of a range, or of 1, are rounding errors, in every unit."""

_FORCES = ("force.", "torque.", "effort/")
"""How elements of wrenches and joint states begin that are no place and no speed."""


def spans_of(mask: NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """Yield the first and the last index of each stretch of true values."""
    edges = np.flatnonzero(np.diff(np.concatenate([[False], mask, [False]]).astype(np.int8)))
    for start, stop in zip(edges[::2], edges[1::2], strict=True):
        yield int(start), int(stop) - 1


@dataclass(frozen=True)
class TakeNumber:
    """One number of the takes: `values` of each episode (T,), `span`: its range over all.

    `labels` (T,) of each episode: the commands of the position that the number measures; empty without.
    `is_force`: it is a force, a torque or an effort, which changes at once where the robot touches something.
    `noise`: the noise floor of its unit; 0.0 if the unit is unknown.
    """

    name: str
    values: tuple[Vector, ...]
    labels: tuple[Vector, ...] = ()
    is_force: bool = False
    noise: float = 0.0

    @property
    def moves(self) -> bool:
        """Whether its values differ by more than noise and rounding: a joint at rest still changes by these."""
        return self.span > max(self.noise, ROUNDING)

    @cached_property
    def span(self) -> float:
        """The range over all takes."""
        low = min(float(np.nanmin(each)) for each in self.values)
        return max(float(np.nanmax(each)) for each in self.values) - low

    @cached_property
    def range_of_each(self) -> Vector:
        """The range within each take (N,)."""
        return np.array([float(np.nanmax(each) - np.nanmin(each)) for each in self.values])


def numbers_of(takes: TakeSet, *, actions: bool) -> list[TakeNumber]:
    """Return every number that is judged by itself: of small observations, and of the labels if `actions`.

    Angles of joints without end and orientations wrap, so they are left out.
    """
    found = []
    measures = {
        (action.reference, index): takes.contract.action_slices[action.key].start + place
        for action in takes.contract.actions
        if action.reference is not None and action.is_position
        for place, index in enumerate(action.reference_index)
    }
    for spec in takes.small:
        of_elements = units_of(spec)
        for place, element in enumerate(spec.elements):
            if spec.turns[place] == 0 and not element.startswith("orientation"):
                values = [np.asarray(each.observations[spec.key])[:, place] for each in takes.episodes]
                column = measures.get((spec.key, place))
                labels = (
                    ()
                    if column is None
                    else [np.asarray(each.commands)[:, column] for each in takes.episodes]
                )
                is_force = element.startswith(_FORCES)
                noise = NOISE_FLOORS.get(of_elements[place], 0.0)
                found.append(
                    TakeNumber(f"{spec.key}/{element}", tuple(values), tuple(labels), is_force, noise)
                )
    turns = takes.contract.turns
    units = tuple(unit for action in takes.contract.actions for unit in units_of_action(action))
    for column, name in enumerate(takes.contract.action_names if actions else ()):
        values = [np.asarray(each.commands)[:, column] for each in takes.episodes]
        if turns[column] == 0 and all(np.isfinite(each).any() for each in values):
            noise = NOISE_FLOORS.get(units[column], 0.0)
            found.append(TakeNumber(f"label of {name}", tuple(values), noise=noise))
    return found


def idle_spans(takes: TakeSet) -> list[Finding]:
    """Find spans in which nothing moves, of takes that move otherwise."""
    width = max(1, round(STILL_S / takes.period_s))
    numbers = numbers_of(takes, actions=True)
    spans_by_name: dict[str, list[tuple[float, float]]] = {}
    drawn: dict[str, EpisodeArrays] = {}
    for index, episode in enumerate(takes.episodes):
        if len(episode) <= width:
            continue
        still = np.ones(len(episode), dtype=bool)
        for number in numbers:
            if number.moves:
                still &= _still(number.values[index], STILL_SHARE * number.span, width)
        for spec in takes.numeric:
            if spec not in takes.small:
                changes = takes.activity(episode, spec.key)
                still[1:] &= changes <= STILL_SHARE * max(
                    1e-9, float(np.ptp(np.asarray(episode.observations[spec.key])))
                )
        times_s = takes.times_s(episode)
        long = [
            (times_s[first], times_s[last])
            for first, last in spans_of(still)
            if times_s[last] - times_s[first] >= IDLE_S
        ]
        if long and not still.all():
            spans_by_name[episode.name], drawn[episode.name] = long, episode
    if not spans_by_name:
        return []
    longest = max(spans_by_name, key=lambda name: sum(b - a for a, b in spans_by_name[name]))
    total_s = sum(b - a for spans in spans_by_name.values() for a, b in spans)
    names = tuple(spans_by_name)
    fixes = tuple(
        takes.command("amend", [name], *_leave_out(spans)) for name, spans in list(spans_by_name.items())[:5]
    )
    more = (f"... and {len(names) - 5} more takes: report.json lists the spans.",) if len(names) > 5 else ()
    episode = drawn[longest]
    _, moves = takes.motion(episode)
    return [
        Finding(
            Check.IDLE,
            Severity.CAUTION,
            f"Nothing moves for {total_s:.1f} s in {takes.listed(names)}.",
            "The labels there say 'stay': a policy that comes to such a state may stop for good.",
            names,
            total_s / len(names) / IDLE_S,
            (*fixes, *more),
            Plot(
                longest,
                "s since the start",
                "motion per tick",
                (Line("motion", takes.times_s(episode)[1:], moves),),
                spans=tuple(spans_by_name[longest]),
            ),
        )
    ]


def _leave_out(spans: list[tuple[float, float]]) -> list[str]:
    return [
        word
        for start, stop in spans
        for word in ("--leave-out", f"{start + MARGIN_S:.2f}:{stop - MARGIN_S:.2f}")
    ]


def _still(values: Vector, bound: float, width: int) -> NDArray[np.bool_]:
    """Return where `values` (T,) changed by at most `bound` within the last `width` ticks (T,)."""
    padded = np.concatenate([np.full(width, values[0]), values])
    windows = np.lib.stride_tricks.sliding_window_view(padded, width + 1)
    still: NDArray[np.bool_] = np.ptp(windows, axis=1) <= bound
    return still


def dead_numbers(takes: TakeSet) -> list[Finding]:
    """Find numbers that stand still in some takes although they move in most."""
    if len(takes.episodes) < 3:
        return []
    found = []
    for number in numbers_of(takes, actions=True):
        moved = number.range_of_each
        dead = moved <= ROUNDING * max(1.0, number.span)
        moves = ~dead & (moved >= MOVES_SHARE * number.span)
        if not number.moves or moves.mean() < DEAD_SHARE or not dead.any():
            continue
        names = tuple(each.name for each, is_dead in zip(takes.episodes, dead, strict=True) if is_dead)
        first = int(np.argmax(dead))
        other = int(np.argmax(moves))
        found.append(
            Finding(
                Check.CONSTANT,
                Severity.FAULT,
                f"{number.name} stands still in {takes.listed(names)}; it moves in most other takes.",
                "The policy learns that this number says nothing, or takes its one value for the mark of these takes.",
                names,
                2.0,
                (takes.discard(names, f"{number.name} stands still"), "Check the sensor and its driver."),
                _two(takes, number, first, other),
            )
        )
    return found


def _two(takes: TakeSet, number: TakeNumber, first: int, other: int) -> Plot:
    lines = tuple(
        Line(takes.episodes[index].name, takes.times_s(takes.episodes[index]), number.values[index])
        for index in dict.fromkeys((first, other))
    )
    return Plot(number.name, "s since the start", "", lines)


def saturated_numbers(takes: TakeSet) -> list[Finding]:
    """Find observed numbers that stop at one extreme value in several takes, as those of a clipping sensor do.

    Labels at a limit are in the grade of each take: the safety limiter counts them.
    """
    found = []
    for number in numbers_of(takes, actions=False):
        if not number.moves or len(takes.episodes) < 3:
            continue
        joined = np.concatenate(number.values)
        for extreme in (float(np.nanmin(joined)), float(np.nanmax(joined))):
            near = 1e-7 * number.span
            shares = np.array([float(np.mean(np.abs(each - extreme) <= near)) for each in number.values])
            held = np.array([_longest(np.abs(each - extreme) <= near) for each in number.values])
            stops = _comes(number, extreme, near) | _pushed(number, extreme, near)
            clipped = (shares >= CLIPPED_LEAST) & (shares <= CLIPPED_MOST) & (held >= 3) & stops
            if clipped.mean() < CLIPPED_TAKES:
                continue
            names = tuple(each.name for each, is_one in zip(takes.episodes, clipped, strict=True) if is_one)
            first = int(np.argmax(np.where(clipped, shares, 0)))
            found.append(
                Finding(
                    Check.SATURATED,
                    Severity.CAUTION,
                    f"{number.name} stops at {extreme:.4g} in {takes.listed(names)}.",
                    "Beyond this value the policy sees, or does, always the same: states that differ look alike.",
                    names,
                    float(shares[clipped].mean()) / CLIPPED_LEAST,
                    (
                        "Widen the sensor's range.",
                        takes.discard(names, f"{number.name} is clipped"),
                    ),
                    _two(takes, number, first, first),
                )
            )
    return found


def _comes(number: TakeNumber, extreme: float, near: float) -> NDArray[np.bool_]:
    """Return in which takes a number stops at its extreme, and does not rest there from the first frame on (N,).

    Where the starts of takes differ, several that are equal, and at the extreme, do not rest: they are clipped.
    """
    starts = np.array([float(each[0]) for each in number.values])
    at_start = np.abs(starts - extreme) <= near
    others = starts[~at_start]
    distinct = len(np.unique(np.round(others / near)))
    vary = len(others) >= 3 and distinct >= DISTINCT_SHARE * len(others)
    return ~at_start | (vary and at_start.sum() > 1)


def _pushed(number: TakeNumber, extreme: float, near: float) -> NDArray[np.bool_]:
    """Return in which takes a number stands at its extreme while its label goes further (N,)."""
    outwards = 1.0 if extreme >= float(np.nanmedian(np.concatenate(number.values))) else -1.0
    found = [
        _longest(
            (np.abs(values - extreme) <= near) & (outwards * (labels - extreme) > BEYOND_SHARE * number.span)
        )
        for values, labels in zip(number.values, number.labels, strict=False)
    ]
    return np.array(found or [0] * len(number.values)) >= 3


def _longest(mask: NDArray[np.bool_]) -> int:
    return max((last - first + 1 for first, last in spans_of(mask)), default=0)


def jumps(takes: TakeSet) -> list[Finding]:
    """Find single steps that are far larger than those of the other takes: an encoder, a tracker, lost messages.

    A step is single if those before and after it are less than half as large, or if the next one takes it back. The
    others belong to motion that is faster than in the other takes.
    """
    found = []
    for number in (each for each in numbers_of(takes, actions=False) if not each.is_force):
        steps = [
            _within_runs(episode, values)
            for episode, values in zip(takes.episodes, number.values, strict=True)
        ]
        sizes = [np.abs(each) for each in steps]
        largest = np.array([each.max(initial=0.0) for each in sizes])
        usual = (
            float(np.median(largest)) if len(largest) > 2 else float(np.quantile(np.concatenate(sizes), 0.99))
        )
        least = max(0.05 * number.span, number.noise)
        bound = max(JUMP_TIMES * usual, least)
        spikes = [_spikes(each) for each in steps]
        spike_bound = max(SPIKE_TIMES * float(np.median([each.max(initial=0.0) for each in spikes])), least)
        suspects = [
            np.maximum(
                np.where(_single(size) > bound, size, 0.0),
                np.where(spike > min(spike_bound, bound), np.maximum(size, np.append(size[1:], 0.0)), 0.0),
            )
            for size, spike in zip(sizes, spikes, strict=True)
        ]
        jump = np.array([each.max(initial=0.0) for each in suspects])
        wrong = jump > 0
        if usual <= 0 or not wrong.any() or wrong.mean() > DEAD_SHARE:
            continue
        names = tuple(each.name for each, is_one in zip(takes.episodes, wrong, strict=True) if is_one)
        worst = int(np.argmax(jump))
        first = int(np.argmax(suspects[worst] > 0.9 * jump[worst]))
        at_s = float(takes.times_s(takes.episodes[worst])[first + 1])
        of_take = f" of {takes.episodes[worst].name}" if len(names) > 1 else ""
        found.append(
            Finding(
                Check.JUMP,
                Severity.FAULT,
                f"{number.name} jumps by {jump[worst]:.3g} within one tick in {takes.listed(names)} "
                f"(at {at_s:.2f} s{of_take}).",
                "Positions as labels are learnt across the jump, and one jump widens the range by which all inputs are "
                "scaled.",
                names,
                float(jump[worst]) / spike_bound,
                (
                    takes.command(
                        "amend",
                        [takes.episodes[worst].name],
                        "--leave-out",
                        f"{max(0.0, at_s - 0.5):.2f}:{at_s + 0.5:.2f}",
                    ),
                    takes.discard(names, f"{number.name} jumps"),
                ),
                _two(takes, number, worst, worst),
            )
        )
    return found


def _within_runs(episode: EpisodeArrays, values: Vector) -> Vector:
    """Return each step (T - 1,); 0 across a gap between frames."""
    steps = np.diff(values)
    for run in episode.runs[1:]:
        steps[run.start - 1] = 0.0
    return np.asarray(steps)


def _spikes(steps: Vector) -> Vector:
    """Return of each step (T - 1,) that the next one takes back the smaller of the two (T - 1,), else 0."""
    after = np.append(steps[1:], 0.0)
    return np.where(steps * after < 0, np.minimum(np.abs(steps), np.abs(after)), 0.0)


def _single(sizes: Vector) -> Vector:
    """Return each size of a step (T - 1,) if those before and after it are less than half as large, else 0."""
    around = np.maximum(np.append(sizes[1:], 0.0), np.concatenate([[0.0], sizes[:-1]]))
    return np.where(sizes > 2 * around, sizes, 0.0)
