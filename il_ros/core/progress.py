"""The progress of a long computation: a bar on a terminal, elsewhere a line now and then.

A log file, a pipe or a service's journal shows a bar's control characters, or nothing at all for minutes.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Generator, Iterable, Sized
from typing import Any, Protocol, TextIO

from il_ros.core.tables import counted, say

FIRST_S = 5.0
"""Time without a line; what takes less prints none."""
SHARE = 0.1
"""Of the time that has passed: the least between two lines, so that a long computation does not fill a log."""


class ProgressView(Protocol):
    """What tqdm's bars and `ProgressLines` have in common."""

    n: Any
    total: Any

    def update(self, n: int = 1) -> Any:
        """Add `n` to what is done."""

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set the text at the end."""

    def clear(self) -> None:
        """Make room for a line of other output."""

    def close(self) -> None:
        """End the progress."""


class ProgressLines:
    """Prints "reading: 120 of 400 episodes, 0:25 left" on `file`: first after 5 s, then ever more seldom.

    `unit`: one that takes an s. `remaining`: whether the time left follows from the pace since the first step, whose
    own time is often that of processes that start. `now_s`: a steady clock.
    """

    def __init__(
        self,
        desc: str,
        unit: str,
        total: int | None,
        file: TextIO,
        *,
        remaining: bool = True,
        now_s: Callable[[], float] = time.monotonic,
    ) -> None:
        self.n, self.total = 0, total
        self._desc, self._unit, self._file, self._remaining = desc.strip(), unit, file, remaining
        self._now_s, self._postfix = now_s, ""
        self._began_s = now_s()
        self._told_s, self._told = self._began_s, 0
        self._first: tuple[int, float] | None = None

    def update(self, n: int = 1) -> None:
        """Add `n` to what is done, and print a line if one is due."""
        self.n += n
        now_s = self._now_s()
        self._first = self._first or (self.n, now_s)
        if now_s - self._told_s >= max(FIRST_S, SHARE * (now_s - self._began_s)):
            self._tell(now_s)

    def set_postfix_str(self, s: str = "", refresh: bool = True) -> None:
        """Set the text at the end of the next lines."""
        self._postfix = s

    def clear(self) -> None:
        """Do nothing: a line does not stand in the way of other output."""

    def close(self) -> None:
        """Print the last line, if there was one before it."""
        if 0 < self._told < self.n:
            self._tell(self._now_s())

    def _tell(self, now_s: float) -> None:
        self._told_s, self._told = now_s, self.n
        done = f"{self.n} of {counted(self.total, self._unit)}" if self.total else counted(self.n, self._unit)
        parts = [f"{self._desc}: {done}"]
        first, first_s = self._first or (self.n, now_s)
        if self._remaining and self.total and first < self.n < self.total:
            left_s = (now_s - first_s) * (self.total - self.n) / (self.n - first)
            parts.append(f"{duration(left_s)} left")
        parts += [self._postfix] if self._postfix else []
        say(", ".join(parts), file=self._file, flush=True)


def duration(seconds: float) -> str:
    """Return a time as tqdm writes it: 0:25, 1:02:03, with two digits for the largest unit."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:d}:{minutes:02d}:{rest:02d}" if hours else f"{minutes:02d}:{rest:02d}"


def progress(
    desc: str,
    unit: str,
    total: int | None = None,
    *,
    leave: bool = True,
    remaining: bool = True,
    file: TextIO | None = None,
) -> ProgressView:
    """Return the progress of `total` steps on `file` (default: standard error): a bar if it is a terminal, else lines.

    `leave`: whether the bar stays at the end. `remaining`: whether it says which time is left; else the postfix does.
    """
    stream = sys.stderr if file is None else file
    if not stream.isatty():
        return ProgressLines(desc, unit, total, stream, remaining=remaining)
    from tqdm import tqdm

    form = None if remaining else "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}{postfix}]"
    bar: tqdm[Any] = tqdm(desc=desc, unit=unit, total=total, leave=leave, bar_format=form, file=stream)
    return bar


def with_progress(
    items: Iterable[Any], desc: str, unit: str, total: int | None = None
) -> Generator[Any, None, None]:
    """Yield the items and show the progress; the bar goes away at the end. `total`: of items without a length."""
    bar = progress(desc, unit, len(items) if isinstance(items, Sized) else total, leave=False)
    try:
        for item in items:
            yield item
            bar.update()
    finally:
        bar.close()
