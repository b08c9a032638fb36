"""The publishers of joint states on one topic, told apart by their messages.

Arm and gripper often publish on one topic, each its own joints. Two publishers of the same joint are a fault: the
robot has one state, and the messages of the second one, often zeros, would be taken for it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from il_ros.core.codecs.joint_layout import JointLayout, find_layout
from il_ros.core.specs import ObservationSpec, Vector

TOGETHER_NS = 1_000_000_000
"""Two sources with messages within this time publish at the same time."""
MOST_LAYOUTS = 32
"""Layouts of one topic; of more, those seen last are kept."""
JUMP, JUMP_PER_S, RETURN = 0.05, 8.0, 0.25
"""A value jumps to and fro when it changes by more than this (rad or m) and faster than this (rad/s or m/s), which
few robots can do, and back up to this share of it."""
JUMPS, JUMPS_WITHIN_NS = 3, 5_000_000_000
"""Jumps within this time that are a sign of two publishers with equal layouts."""

Element = tuple[str, str]
"""Field (position, velocity, effort) and joint."""


@dataclass(frozen=True, eq=False)
class _Plan:
    """What a layout has of the wanted: its elements, and the names and columns of its positions."""

    elements: tuple[Element, ...]
    names: tuple[str, ...]
    columns: NDArray[np.intp]


@dataclass(eq=False)
class _Source:
    """The messages of one publisher: the wanted elements that it sends, and its last two positions of these.

    `plan`: that of its last message.
    """

    layout: JointLayout
    newest_ns: int = 0
    plan: _Plan | None = None
    elements: set[Element] = field(default_factory=set)
    last: list[Vector] = field(default_factory=list)
    jumps: deque[tuple[int, str]] = field(default_factory=lambda: deque(maxlen=JUMPS))


class JointSources:
    """Follows the messages of one topic; `specs`: the observations of this topic."""

    def __init__(self, specs: Iterable[ObservationSpec]) -> None:
        self._wanted: dict[Element, None] = {
            (part, name): None for spec in specs for part in spec.fields for name in spec.names
        }
        self._plans: dict[JointLayout, _Plan] = {}  # the one seen last comes last
        self._sources: dict[tuple[str, tuple[str, ...]], _Source] = {}

    @property
    def wanted(self) -> Sequence[Element]:
        """The elements of all observations of this topic."""
        return tuple(self._wanted)

    def elements(self, layout: JointLayout) -> tuple[Element, ...]:
        """Return the wanted elements that messages of a layout have; `layout` is one that `observe` returned."""
        return self._plans[layout].elements

    def clear(self) -> None:
        """Forget all messages, for example after the clock was set back."""
        self._sources.clear()

    def observe(self, raw: bytes, stamp_ns: int) -> JointLayout | None:
        """Take note of a message; return its layout, None when it is not a whole JointState."""
        layout = self._layout(raw)
        if layout is None:
            return None
        plan = self._plans[layout]
        source = self._sources.get(layout.source)
        if source is None:
            source = self._sources[layout.source] = _Source(layout)
            if len(self._sources) > MOST_LAYOUTS:
                del self._sources[min(self._sources, key=lambda each: self._sources[each].newest_ns)]
        if source.plan is not plan:  # hardly ever: this is done for every message
            source.elements.update(plan.elements)
            source.plan = plan
        if plan.names and stamp_ns > source.newest_ns:
            _note_jump(source, plan, layout.read(raw, "position")[plan.columns], stamp_ns)
        source.newest_ns = max(source.newest_ns, stamp_ns)
        return layout

    def fault(self, time_ns: int, names: Sequence[str] | None = None) -> str:
        """Return why a joint has two publishers at a time, "" if none has; `names`: the joints that matter."""
        recent = [each for each in self._sources.values() if abs(time_ns - each.newest_ns) <= TOGETHER_NS]
        for one, other in combinations(recent, 2):
            shared = one.elements & other.elements
            matter = (each[1] for each in self._wanted if each in shared)
            both = dict.fromkeys(name for name in matter if names is None or name in names)
            if both:
                return (
                    f"{_quoted(both)} {'comes' if len(both) == 1 else 'come'} from two publishers: {one.layout} "
                    f"and {other.layout} within {TOGETHER_NS / 1e9:g} s; stop one of them, or remap its topic"
                )
        for source in recent:
            since_ns, name = source.jumps[0] if len(source.jumps) == JUMPS else (0, "")
            if name and (names is None or name in names) and time_ns - since_ns <= JUMPS_WITHIN_NS:
                return (
                    f"'{name}' jumps to and fro between messages {source.layout}, as with two publishers of it; "
                    "stop one of them, or remap its topic"
                )
        return ""

    def _layout(self, raw: bytes) -> JointLayout | None:
        for known in reversed(self._plans):
            if known.matches(raw):
                found = known
                break
        else:
            read = find_layout(raw)
            if read is None:
                return None
            found = next((each for each in self._plans if each.key == read.key), read)
        if next(reversed(self._plans), None) is not found:
            plan = self._plans.pop(found, None) or self._plan(found)
            if len(self._plans) >= MOST_LAYOUTS:
                del self._plans[next(iter(self._plans))]
            self._plans[found] = plan
        return found

    def _plan(self, layout: JointLayout) -> _Plan:
        elements = tuple(element for element in self._wanted if layout.has(*element))
        whole = layout.counts[0] == len(layout.names)
        names = tuple(name for part, name in elements if part == "position" and whole)
        return _Plan(elements, names, np.array([layout.columns[name] for name in names], np.intp))


def _note_jump(source: _Source, plan: _Plan, now: Vector, stamp_ns: int) -> None:
    """Take note if a position went away and came back in the last three messages of a source."""
    before, source.last = source.last, [*source.last[-1:], now]
    if len(before) < 2 or len(before[0]) != len(now) or len(before[1]) != len(now):
        return
    back = np.abs(now - before[1])
    least_jump = max(JUMP, JUMP_PER_S * (stamp_ns - source.newest_ns) / 1e9)
    if not np.maximum.reduce(back) > least_jump:
        return
    there = np.abs(before[1] - before[0])
    # a joint that passes the end of a turn does not jump
    least = np.minimum(*(np.where(each > np.pi, np.abs(each - 2 * np.pi), each) for each in (there, back)))
    jumped = (least > least_jump) & (np.abs(now - before[0]) < RETURN * least)
    if jumped.any():
        source.jumps.append((stamp_ns, plan.names[int(np.argmax(jumped))]))


def _quoted(names: Iterable[str]) -> str:
    every = [f"'{name}'" for name in names]
    return ", ".join(every[:4]) + (f" and {len(every) - 4} more" if len(every) > 4 else "")
