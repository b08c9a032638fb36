"""Grade the quality of an episode as a demonstration."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from il_ros.core.synchroniser import ANOTHER_CLOCK
from il_ros.core.tables import counted
from il_ros.episodes.layout import LEVELS, Grade, StreamInfo


@dataclass(frozen=True)
class Bounds:
    """Bounds of a share (0..1): above `fair` the episode is fair, above `poor` it is poor."""

    fair: float
    poor: float

    def __post_init__(self) -> None:
        if not 0 <= self.fair <= self.poor:
            raise ValueError(f"bounds are fair {self.fair}, poor {self.poor}; they must be 0 <= fair <= poor")

    def level(self, value: float) -> int:
        """Return 0 for good, 1 for fair, 2 for poor; a value equal to a bound does not exceed it."""
        return int(value > self.fair) + int(value > self.poor)


LOST = Bounds(fair=0.0, poor=0.01)
"""Share of one stream's messages that were lost, and of the decisions and commands that can't be read."""
STALE = Bounds(fair=0.0, poor=0.10)
"""Share of the episode's duration in which a stream was older than the contract allows."""
CLIPPED = Bounds(fair=0.10, poor=0.50)
"""Share of the decisions that the safety limiter changed."""
IDLE = Bounds(fair=0.30, poor=0.80)
"""Share of the episode's duration without commanded motion."""
SHORTEST_S = 0.5
AHEAD_OF_CLOCK = (
    "ahead of the recorder's clock, so it is used that much too late: synchronise the driver's clock, or "
    "set 'stamp: arrival' in the contract"
)
ANOTHER_CLOCK_S = 600.0
"""A larger median age means that the stream's stamps come from another clock."""


def grade(
    streams: Sequence[StreamInfo],
    duration_s: float,
    *,
    clipped_share: float | None = None,
    idle_share: float | None = None,
    expired_share: float | None = None,
    unreadable_share: float | None = None,
    ahead_s: float = math.inf,
    faults: Sequence[str] = (),
) -> Grade:
    """Return the grade with its reasons, worst first. Each of `faults` makes the episode poor.

    `ahead_s`: see RecordOptions.
    """
    findings = [(2, fault) for fault in faults]
    if duration_s < SHORTEST_S:
        findings.append((2, f"only {duration_s:.2f} s long"))
    for stream in streams:
        findings += _stream(stream, duration_s)
        findings += _clock(stream, ahead_s)
    if clipped_share is not None and (level := CLIPPED.level(clipped_share)):
        findings.append((level, f"the safety limiter changed {clipped_share:.0%} of the commands"))
    if idle_share is not None and (level := IDLE.level(idle_share)):
        findings.append((level, f"no motion was commanded for {idle_share:.0%} of it"))
    if expired_share is not None and (level := IDLE.level(expired_share)):
        findings.append(
            (level, f"the last command had expired for {expired_share:.0%} of it: no labels there")
        )
    if unreadable_share is not None and (level := LOST.level(unreadable_share)):
        findings.append((level, f"{unreadable_share:.2%} of the decisions and commands could not be read"))
    findings.sort(key=lambda finding: -finding[0])
    return Grade(
        level=LEVELS[max((level for level, _ in findings), default=0)],
        reasons=tuple(reason for _, reason in findings),
        lost=sum(stream.lost for stream in streams),
        stale_s=max((stream.stale_s for stream in streams), default=0.0),
        clipped_share=clipped_share,
        idle_share=idle_share,
    )


def _stream(stream: StreamInfo, duration_s: float) -> Iterator[tuple[int, str]]:
    if stream.messages == 0:
        if stream.required:
            yield 2, f"{stream.topic}: no message"
        return
    if level := LOST.level(stream.lost / (stream.lost + stream.messages)):
        yield (
            level,
            f"{stream.topic}: {stream.lost} of {counted(stream.lost + stream.messages, 'message')} lost",
        )
    if duration_s > 0 and (level := STALE.level(stream.stale_s / duration_s)):
        yield level, f"{stream.topic}: stale for {stream.stale_s:.2f} s{_why_stale(stream)}"
    if stream.backwards:
        yield 1, f"{stream.topic}: its stamps went back {counted(stream.backwards, 'time')}"


def _clock(stream: StreamInfo, ahead_s: float) -> Iterator[tuple[int, str]]:
    if stream.by_arrival or not stream.messages:
        return
    if wrong := wrong_clock(stream, ahead_s):
        yield 2, wrong
    elif level := LOST.level(stream.ahead / stream.messages):
        yield (
            level,
            f"{stream.topic}: {counted(stream.ahead, 'message')} stamped more than 1 s ahead, not used",
        )


def wrong_clock(stream: StreamInfo, ahead_s: float) -> str:
    """Return a sentence if the stream's stamps are ahead of the recorder's clock, else an empty string."""
    ahead = -(stream.age_p50_s or 0.0)
    if not stream.required or stream.by_arrival or ahead <= ahead_s:
        return ""
    return f"{stream.topic}: stamped about {ahead:.2g} s {AHEAD_OF_CLOCK}"


def _why_stale(stream: StreamInfo) -> str:
    if (stream.age_p50_s or 0.0) > ANOTHER_CLOCK_S:
        return f": {ANOTHER_CLOCK}"
    end = stream.silent_at_end_s or 0.0
    return f", silent for the last {end:.2f} s" if end >= stream.stale_s else ""
