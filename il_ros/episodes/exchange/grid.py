"""Resample an episode's frames on an even grid, as formats with one constant frame rate need them.

The frame of a grid time is the recorded tick nearest to it, with its observation and its label. Observations
were made by the live synchroniser at that tick, so each pair is one that a policy saw or would have seen. The
grid begins at the first tick with a frame; a grid time is at most half a period from its tick while ticks
come as the contract says. No value is interpolated and none is filled in: where ticks without a frame leave
a hole, the episode is refused or divided there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from il_ros.episodes.arrays.replay import Frame, Skipped, count_reasons

HOLE_PERIODS = Fraction(3, 2)
"""Successive ticks that are more than this many of the contract's periods apart have a hole between them."""


@dataclass(frozen=True)
class Hole:
    """Time without a frame inside an episode: the ticks before and after it, and why (reason -> ticks)."""

    before_ns: int
    after_ns: int
    start_ns: int
    """The episode's first frame."""
    reasons: dict[str, int]

    def __str__(self) -> str:
        why = "; ".join(self.reasons) or "no tick was recorded"
        return (
            f"no frame for {(self.after_ns - self.before_ns) / 1e9:.3f} s, "
            f"{(self.before_ns - self.start_ns) / 1e9:.3f} s after its first frame: {why}"
        )


@dataclass(frozen=True)
class GridFrame:
    """The frame of one grid time. `part` counts the parts between holes, `index` the frames of a part."""

    part: int
    index: int
    time_ns: int
    frame: Frame


@dataclass
class GridCounts:
    """What resampling did: grid times that repeat a tick, ticks that no grid time used, holes, edges.

    `edges`: the ticks without a frame before the first and after the last one, by reason.
    """

    repeated: int = 0
    unused: int = 0
    edges: dict[str, int] = field(default_factory=dict)
    holes: list[Hole] = field(default_factory=list)


def on_grid(
    frames: Iterable[Frame | Skipped], period_ns: int, rate_hz: int, counts: GridCounts
) -> Iterator[GridFrame]:
    """Yield the frames of a replay on a grid of `rate_hz`; each part between holes has a grid of its own.

    `period_ns`: the contract's period, by which holes are found. `counts` is filled while frames are yielded.
    Raises ValueError when the rate is not positive.
    """
    if rate_hz <= 0:
        raise ValueError(f"the rate must be a whole number of frames per second above 0, not {rate_hz}")
    step = Fraction(1_000_000_000, rate_hz)
    near = min(step, Fraction(period_ns)) / 2
    skipped: list[Skipped] = []
    edges: list[Skipped] = []
    last: Frame | None = None
    start_ns, first_ns, part, index, used = 0, 0, 0, 0, True

    def grid_ns() -> Fraction:
        return start_ns + index * step

    for item in frames:
        if isinstance(item, Skipped):
            skipped.append(item)
            continue
        if last is None:
            start_ns = first_ns = item.tick_ns
            edges += skipped
        else:
            hole = item.tick_ns - last.tick_ns > HOLE_PERIODS * period_ns
            middle = last.tick_ns + near if hole else Fraction(last.tick_ns + item.tick_ns, 2)
            while grid_ns() <= middle and (not hole or _new(grid_ns(), last, used)):
                counts.repeated += used
                yield GridFrame(part, index, round(grid_ns()), last)
                index, used = index + 1, True
            counts.unused += not used
            if hole:
                inside = [each for each in skipped if each.tick_ns is not None]
                counts.holes.append(Hole(last.tick_ns, item.tick_ns, first_ns, count_reasons(inside)))
                part, index, start_ns = part + 1, 0, item.tick_ns
        last, used, skipped = item, False, []
    if last is not None:
        while grid_ns() <= last.tick_ns + near and _new(grid_ns(), last, used):
            counts.repeated += used
            yield GridFrame(part, index, round(grid_ns()), last)
            index, used = index + 1, True
        counts.unused += not used
    counts.edges = count_reasons([*edges, *skipped])


def _new(grid_ns: Fraction, last: Frame, used: bool) -> bool:
    """Return whether a part's last frame may be used for a grid time: again only up to its own time."""
    return not used or grid_ns <= last.tick_ns
