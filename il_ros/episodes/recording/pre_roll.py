"""The messages of the last moments before an episode, which its bag begins with."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import Generic, TypeVar

from il_ros.core.specs import TRANSFORMS
from il_ros.episodes.recording.options import RecordedStream

MOST_LATCHED = 500
"""Latched messages that are kept of one topic of transforms."""


Item = TypeVar("Item")


class Latched(Generic[Item]):
    """The newest message of each latched topic, in the order of their reception.

    Of latched transforms it keeps each message: their publishers share a topic, and each sends its own frames.
    """

    def __init__(self) -> None:
        self._kept: dict[tuple[str, bytes], Item] = {}

    def keep(self, topic: str, type_name: str, raw: bytes, item: Item) -> None:
        """Keep `item`, whose message is `raw`, until the next one takes its place."""
        key = (topic, raw if type_name == TRANSFORMS else b"")
        self._kept.pop(key, None)
        self._kept[key] = item  # the newest comes last
        same = [each for each in self._kept if each[0] == topic]
        if len(same) > MOST_LATCHED:
            del self._kept[same[0]]

    def __iter__(self) -> Iterator[Item]:
        return iter(self._kept.values())


class PreRoll:
    """Buffers the messages of the last `span_s` seconds within `most_bytes`, and latched topics' (`Latched`)."""

    def __init__(self, span_s: float, most_bytes: int):
        self._span_ns, self._most_bytes = round(span_s * 1e9), most_bytes
        self._recent: deque[tuple[RecordedStream, int, bytes]] = deque()
        self._latched: Latched[tuple[RecordedStream, int, bytes]] = Latched()
        self.bytes = 0

    def add(self, spec: RecordedStream, log_ns: int, raw: bytes) -> None:
        """Add a message and drop old ones; when the clock jumps back, drop all earlier messages."""
        entry = (spec, log_ns, raw)
        if spec.latched:
            self._latched.keep(spec.topic, spec.type, raw, entry)
        self._recent.append(entry)
        self.bytes += len(raw)
        while self._recent and not self._keeps(self._recent[0][1], log_ns):
            self.bytes -= len(self._recent.popleft()[2])

    def clear(self) -> None:
        """Drop all messages but the latched ones, after the clock was set."""
        self._recent.clear()
        self.bytes = 0

    def at(self, now_ns: int) -> list[tuple[RecordedStream, int, bytes, int]]:
        """Return the first messages of a bag started now: (spec, log time, bytes, publish time).

        An older latched message gets the first log time and keeps its reception as publish time.
        """
        recent = [entry for entry in self._recent if now_ns - self._span_ns < entry[1] <= now_ns]
        first_ns = min((log_ns for _, log_ns, _ in recent), default=now_ns)
        held = {id(entry) for entry in recent}
        older = [entry for entry in self._latched if id(entry) not in held]
        return [(spec, first_ns, raw, log_ns) for spec, log_ns, raw in older] + [
            (spec, log_ns, raw, log_ns) for spec, log_ns, raw in recent
        ]

    def _keeps(self, oldest_ns: int, now_ns: int) -> bool:
        return now_ns - self._span_ns < oldest_ns <= now_ns and self.bytes <= self._most_bytes
