"""Grade an episode by the question whether it can be learnt from.

good: yes. fair: yes, but something should be looked at. poor: no, or too little of it; training leaves poor
episodes out unless they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from il_ros.core.synchroniser import another_clock
from il_ros.core.tables import counted, percent
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


LOST = Bounds(fair=0.005, poor=0.10)
"""Share of one stream's messages that were lost, and of the decisions and commands that can't be read."""
AHEAD = Bounds(fair=0.0, poor=0.10)
"""Share of one stream's messages that are not used, because they are stamped far ahead."""
STALE = Bounds(fair=0.02, poor=0.10)
"""Share of the episode's duration in which a stream was older than the contract allows."""
REFUSED = Bounds(fair=0.0, poor=0.10)
"""Share of the checks while recording in which an observation could not be made from its message."""
CLIPPED = Bounds(fair=0.10, poor=1.0)
"""Share of the decisions that the safety limiter changed; the label is the command after the limiter."""
IDLE = Bounds(fair=0.30, poor=0.98)
"""Share of the episode's duration, or of its labels, without commanded motion; training thins such frames."""
MOST_REASONS = 4
"""Reasons that a grade lists."""
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
    clipped_most: str = "",
    idle_share: float | None = None,
    idle_labels: bool = False,
    expired_share: float | None = None,
    unreadable_share: float | None = None,
    refused: Mapping[str, tuple[float, str]] | None = None,
    commanded: bool = True,
    driven: bool = True,
    ahead_s: float = math.inf,
    shortest_s: float = SHORTEST_S,
    faults: Sequence[str] = (),
    cautions: Sequence[str] = (),
) -> Grade:
    """Return the grade with the worst reasons first. A fault makes the episode poor, a caution fair.

    `clipped_most`: the limit that acted most often, in words. `refused`: by observation, the share of checks
    in which it could not be made, and why. `idle_labels`: whether `idle_share` is one of the labels, as it is where a
    policy drove as well, instead of the time. `commanded`: whether any command or decision was recorded.
    `driven`: whether a source had authority in any decision.
    `ahead_s`: see RecordOptions. `shortest_s`: a shorter episode is poor.
    """
    findings = [_Finding(2, math.inf, fault) for fault in faults]
    findings += [_Finding(1, math.inf, caution) for caution in cautions]
    if duration_s < shortest_s:
        findings.append(_Finding(2, math.inf, f"only {duration_s:.2f} s long"))
    if not commanded:
        findings.append(_Finding(2, math.inf, "no command was recorded, so there is nothing to learn"))
    elif not driven:
        findings.append(_Finding(2, math.inf, "no source drove, so there is nothing to learn"))
    for share, reason in (refused or {}).values():
        findings += _exceeding(REFUSED, share, f"{reason} (in {percent(share)} of the checks)")
    for stream in streams:
        about = _stream(stream, duration_s) + _clock(stream, ahead_s)
        # what is recorded besides the observations is not learnt from, so it alone makes no take poor
        findings += about if stream.required else [each._replace(level=1) for each in about]
    if clipped_share is not None:
        most = f", most often {clipped_most}" if clipped_most else ""
        text = f"the safety limiter changed {percent(clipped_share)} of the commands{most}"
        findings += _exceeding(CLIPPED, clipped_share, text)
    if idle_share is not None:
        where = (
            f"in {percent(idle_share)} of the labels" if idle_labels else f"for {percent(idle_share)} of it"
        )
        findings += _exceeding(IDLE, idle_share, f"no motion was commanded {where}")
    if expired_share is not None:
        text = f"the last command had expired for {percent(expired_share)} of it: no labels there"
        findings += _exceeding(IDLE, expired_share, text)
    if unreadable_share is not None:
        text = f"{percent(unreadable_share, 2)} of the decisions and commands could not be read"
        findings += _exceeding(LOST, unreadable_share, text)
    findings.sort(key=lambda finding: (-finding.level, -finding.excess))
    reasons = [finding.text for finding in findings]
    if len(reasons) > MOST_REASONS:
        reasons[MOST_REASONS:] = [f"and {len(reasons) - MOST_REASONS} lesser reasons"]
    return Grade(
        level=LEVELS[max((finding.level for finding in findings), default=0)],
        reasons=tuple(reasons),
        lost=sum(stream.lost for stream in streams),
        stale_s=max((stream.stale_s for stream in streams), default=0.0),
        clipped_share=clipped_share,
        idle_share=idle_share,
    )


class _Finding(NamedTuple):
    """A reason of the level 1 (fair) or 2 (poor); `excess`: how far its bound is exceeded."""

    level: int
    excess: float
    text: str


def _exceeding(bounds: Bounds, share: float, text: str) -> list[_Finding]:
    level = bounds.level(share)
    bound = bounds.poor if level == 2 else bounds.fair
    return [_Finding(level, share - bound, text)] if level else []


def _stream(stream: StreamInfo, duration_s: float) -> list[_Finding]:
    if stream.messages == 0:
        return [_Finding(2, math.inf, f"{stream.topic}: no message")] if stream.required else []
    total = stream.lost + stream.messages
    text = f"{stream.topic}: {stream.lost} of {counted(total, 'message')} lost"
    findings = _exceeding(LOST, stream.lost / total, text)
    if duration_s > 0:
        # longer than the episode: the stamps are from before it, as with another clock
        how_long = f"for {stream.stale_s:.2f} s" if stream.stale_s < duration_s else "all the time"
        text = f"{stream.topic}: stale {how_long}{_why_stale(stream)}"
        findings += _exceeding(STALE, stream.stale_s / duration_s, text)
    if stream.backwards:
        text = f"{stream.topic}: its stamps went back {counted(stream.backwards, 'time')}"
        findings.append(_Finding(1, 0.0, text))
    return findings


def _clock(stream: StreamInfo, ahead_s: float) -> list[_Finding]:
    if stream.by_arrival or not stream.messages:
        return []
    if wrong := wrong_clock(stream, ahead_s):
        return [_Finding(2, math.inf, wrong)]
    text = f"{stream.topic}: {counted(stream.ahead, 'message')} stamped more than 1 s ahead, not used"
    return _exceeding(AHEAD, stream.ahead / stream.messages, text)


def wrong_clock(stream: StreamInfo, ahead_s: float) -> str:
    """Return a sentence if the stream's stamps are ahead of the recorder's clock, else an empty string."""
    ahead = -(stream.age_p50_s or 0.0)
    if not stream.required or stream.by_arrival or ahead <= ahead_s:
        return ""
    which = f"; {another_clock(-ahead)}" if ahead > ANOTHER_CLOCK_S else ""
    return f"{stream.topic}: stamped about {ahead:.2g} s {AHEAD_OF_CLOCK}{which}"


def _why_stale(stream: StreamInfo) -> str:
    age_s = stream.age_p50_s or 0.0
    if age_s > ANOTHER_CLOCK_S:
        return f": {another_clock(age_s)}"
    end = stream.silent_at_end_s or 0.0
    return f", silent for the last {end:.2f} s" if end >= stream.stale_s else ""
