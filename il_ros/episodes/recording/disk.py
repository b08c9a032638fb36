"""How long the disk lasts at the present rate of the recorded streams."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from il_ros.core.tables import size

FreeBytes = Callable[[Path], int]

LOOK_S = 1.0
"""Interval between two looks at the disk."""
WINDOW_S = 30.0
"""The rate is the mean of this time."""
_LEAST_S = 2.0
_LEAST_BYTES = 1_000_000
"""Put into a bag, before its file says how much of a message's size is written."""


class Written(NamedTuple):
    """A running episode: bytes given to its bag, size of the file, free space as its thread saw it (None: not yet)."""

    given_bytes: int
    file_bytes: int
    free_bytes: int | None


@dataclass(frozen=True)
class DiskLeft:
    """`free_bytes`: what may still be written, None if the disk cannot be asked; `bytes_per_s`: None if unknown."""

    free_bytes: int | None
    bytes_per_s: float | None

    @property
    def hours(self) -> float | None:
        """The hours until recording ends because the disk is full; None if unknown, or if nothing is received."""
        if self.free_bytes is None or not self.bytes_per_s:
            return None
        return self.free_bytes / self.bytes_per_s / 3600


class DiskTime:
    """Measures what the streams of a recorder write per second, whether an episode runs or not.

    `keep_bytes` of the disk stay free. All streams are received between episodes, too, so the rate is known before one
    starts; what of it arrives in the file, compressed or not, is that of the newest episode.
    """

    def __init__(self, root: Path, keep_bytes: int, free_bytes: FreeBytes) -> None:
        self._root, self._keep_bytes, self._free_bytes = root, keep_bytes, free_bytes
        self._received = 0
        self._written_share = 1.0
        self._seen: deque[tuple[float, int]] = deque()
        self.left = DiskLeft(None, None)

    def count(self, received_bytes: int) -> None:
        """Count a received message."""
        self._received += received_bytes

    def look(self, steady_s: float, running: Written | None = None) -> DiskLeft:
        """Return what is left, measured anew when LOOK_S has passed.

        While an episode is `running`, the disk is not asked here: a slow one would delay the reception of messages.
        """
        if self._seen and steady_s - self._seen[-1][0] < LOOK_S:
            return self.left
        self._seen.append((steady_s, self._received))
        while len(self._seen) > 2 and steady_s - self._seen[1][0] >= WINDOW_S:
            self._seen.popleft()
        if running and running.given_bytes >= _LEAST_BYTES:
            self._written_share = running.file_bytes / running.given_bytes
        since_s, before = self._seen[0]
        rate = None
        if steady_s - since_s >= _LEAST_S:
            rate = self._written_share * (self._received - before) / (steady_s - since_s)
        free = self._free() if running is None else self._above_kept(running.free_bytes)
        self.left = DiskLeft(self.left.free_bytes if free is None and running else free, rate)
        return self.left

    def warning(self, least_s: float) -> str:
        """Return a sentence if the disk lasts for less than `least_s`, else ""."""
        hours, free = self.left.hours, self.left.free_bytes
        if hours is None or free is None or hours * 3600 >= least_s:
            return ""
        return (
            f"the disk of {self._root} is full in {in_words(hours)}: {size(free)} left at "
            f"{size(round(self.left.bytes_per_s or 0))} a second; `il-ros episodes prune` makes room"
        )

    def _free(self) -> int | None:
        place = next(
            (each for each in (self._root, *self._root.absolute().parents) if each.exists()), self._root
        )
        try:
            return self._above_kept(self._free_bytes(place))
        except OSError:
            return None

    def _above_kept(self, free_bytes: int | None) -> int | None:
        return None if free_bytes is None else max(0, free_bytes - self._keep_bytes)


def in_words(hours: float) -> str:
    """Return '12 min', '5.2 h' or '140 h'."""
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:.0f} h"
