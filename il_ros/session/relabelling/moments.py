"""Recorded moments to label later: those that the operator marked and those with the highest uncertainty."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from il_ros.core import messages
from il_ros.core.specs import ARRAY, STRING, Vector
from il_ros.episodes.arrays.replay import span_of
from il_ros.episodes.bag.reader import Bag, open_bag
from il_ros.episodes.catalogue import Entry, scan
from il_ros.episodes.decisions import read_decisions, summary
from il_ros.episodes.layout import EpisodeInfo, load_info
from il_ros.records import strict_json as check
from il_ros.records.decision import Decision, drives
from il_ros.records.labelling import POLICY

Refuse = Callable[[str], None]
MARKS_SUFFIX, STATE_SUFFIX = "session/marks", "task/state"


class RelabelError(ValueError):
    """A moment that cannot be restored; the message gives the reason."""


class NoStateError(RelabelError):
    """An episode without recorded simulator states; the message names the missing topic."""


@dataclass(frozen=True)
class MarkedMoment:
    """A state (S,) of the embedded simulator, `at_s` seconds after its episode's start, and why it was selected.

    `root`: the folder of its episode, in which the episode made from it belongs too.
    """

    info: EpisodeInfo
    at_s: float
    why: str
    state: Vector
    root: Path = Path("episodes")

    @property
    def words(self) -> str:
        """Its description, such as 'episode_000012 at 3.25 s: marked'.

        Stored as `made_from` of the episode made from it, so the wording must not change.
        """
        return f"{self.info.name} at {self.at_s:.2f} s: {self.why}"


@dataclass(frozen=True)
class ToLabel:
    """The unlabelled moments of several episodes, and the number of those labelled already.

    `stateless`: name and reason of each episode without recorded states. `left_out`: a sentence about each recorded
    message that could not be read.
    """

    moments: tuple[MarkedMoment, ...]
    labelled: int
    stateless: tuple[tuple[str, str], ...]
    left_out: tuple[str, ...] = ()


def to_label(entries: Sequence[Entry], *, uncertain: int = 0, before_s: float = 0.5) -> ToLabel:
    """Return the moments of `entries` from which no episode beside them was made.

    `uncertain` and `before_s` as in `moments`. Raises BagError or LayoutError on an unreadable episode.
    """
    roots = dict.fromkeys(entry.folder.resolve().parent for entry in entries)
    made = {
        (root, entry.info.made_from)
        for root in roots
        for entry in scan(root).usable
        if entry.info is not None and entry.info.made_from
    }
    found: list[MarkedMoment] = []
    stateless, left_out = list[tuple[str, str]](), list[str]()
    for entry in entries:
        if entry.state != "ready" or entry.info is None or entry.info.made_from:
            continue
        try:
            found += moments(entry.folder, left_out.append, uncertain=uncertain, before_s=before_s)
        except NoStateError as error:
            stateless.append((entry.name, entry.without_folder(str(error))))
    left = tuple(moment for moment in found if (moment.root, moment.words) not in made)
    return ToLabel(left, len(found) - len(left), tuple(stateless), tuple(left_out))


def moments(
    folder: Path,
    refuse: Refuse = lambda reason: None,
    *,
    uncertain: int = 0,
    before_s: float = 0.5,
    apart_s: float = 1.0,
) -> list[MarkedMoment]:
    """Return an episode's marked moments, and its `uncertain` most uncertain ticks under policy control.

    A mark is moved back by `before_s`, the operator's reaction time. Uncertain ticks are at least `apart_s`
    from each other and from the marks. `refuse` is called with a sentence about each message that cannot be
    read and is left out.
    Raises NoStateError when no states were recorded, BagError or LayoutError on an unreadable episode.
    """
    info, bag = load_info(folder), open_bag(folder)
    span = span_of(bag, info)
    states = _states(bag, refuse)
    if not states:
        raise NoStateError(
            f"{folder}: holds no message of {STATE_SUFFIX}, from which a moment is restored; `il-ros record` and "
            "`il-ros session` record it in the embedded simulator (the recorder's parameter state_topic), `il-ros env` "
            "does not"
        )
    stamps = [stamp_ns for stamp_ns, _ in states]
    start_ns = next((ns for ns in stamps if ns >= span.start_ns), stamps[0])
    wanted = [(max(start_ns, stamp - round(before_s * 1e9)), "marked") for stamp in _marks(bag, refuse)]
    most = uncertain + len(wanted)
    for decision in _most_uncertain(bag, info, span.start_ns, refuse) if uncertain else ():
        if len(wanted) >= most:
            break
        if all(abs(decision.stamp_ns - stamp) >= apart_s * 1e9 for stamp, _ in wanted):
            # part of `words`, which earlier recordings hold as `made_from`: the wording is fixed
            wanted.append((decision.stamp_ns, f"doubt {decision.uncertainty:.3g}"))
    found = []
    for stamp_ns, why in sorted(wanted):
        place = max(0, bisect_right(stamps, stamp_ns) - 1)
        at_s = (stamps[place] - start_ns) / 1e9
        found.append(MarkedMoment(info, at_s, why, states[place][1], folder.resolve().parent))
    return found


def _states(bag: Bag, refuse: Refuse) -> list[tuple[int, Vector]]:
    out = []
    for message in bag.messages(_named(bag, STATE_SUFFIX)):
        try:
            numbers = messages.decode(ARRAY, message.raw).data
        except messages.MessageError as error:
            refuse(f"{bag.path}: {message.topic}: {error}")
            continue
        if len(numbers) < 2 or not np.isfinite(numbers).all() or not 0 <= numbers[0] < check.MOST_NS:
            refuse(
                f"{bag.path}: {message.topic}: a stamp and a state of finite numbers are needed: {numbers[:9]}"
            )
            continue
        out.append((int(numbers[0]), numbers[1:]))
    return sorted(out, key=lambda pair: pair[0])


def _marks(bag: Bag, refuse: Refuse) -> list[int]:
    marks = []
    for message in bag.messages(_named(bag, MARKS_SUFFIX)):
        try:
            marks.append(_MARK(check.loads(messages.decode(STRING, message.raw).data), ""))
        except (messages.MessageError, check.JsonError) as error:
            refuse(f"{bag.path}: {message.topic}: not a mark: {error}")
    return [mark["stamp_ns"] for mark in marks if mark["kind"] == "label_later"]


_MARK = check.record("a mark", {"stamp_ns": check.whole(), "kind": check.text}, others=True)


def _most_uncertain(bag: Bag, info: EpisodeInfo, start_ns: int, refuse: Refuse) -> Sequence[Decision]:
    read, left_out = read_decisions(bag.messages({info.decision_topic}))
    if left_out:
        refuse(f"{bag.path}: {summary(left_out)}")
    decisions = [each.decision for each in read]
    driven = [
        decision
        for decision in decisions
        if drives(decision.authority, POLICY)
        and decision.uncertainty is not None
        and decision.stamp_ns >= start_ns
    ]
    return sorted(driven, key=lambda decision: -(decision.uncertainty or 0.0))


def _named(bag: Bag, suffix: str) -> set[str]:
    return {name for name in bag.topics if name == suffix or name.endswith(f"/{suffix}")}
