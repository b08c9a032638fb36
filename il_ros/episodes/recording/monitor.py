"""Statistics of a message stream: rate, age, gaps and loss, in constant memory and about 1 us a message."""

from __future__ import annotations

import math
from collections.abc import Hashable

from il_ros.core.synchroniser import AHEAD_NS
from il_ros.episodes.layout import StreamInfo

_BINS_PER_DECADE = 20
_SMALLEST_S = 1e-6
_MOST_SOURCES = 64
_BINS = 9 * _BINS_PER_DECADE  # up to 1000 s


class Histogram:
    """Counts and sums of durations in logarithmic bins 12 % wide, from 1 us to 1000 s, below zero as above it."""

    def __init__(self) -> None:
        self._counts = [0] * (2 * _BINS + 1)  # the middle one is zero
        self._sums_s = [0.0] * (2 * _BINS + 1)
        self._total = 0

    def add(self, duration_s: float) -> None:
        """Add a duration; a size out of range goes to the first or last bin."""
        size_s = abs(duration_s)
        place = 0
        if size_s > _SMALLEST_S:
            place = min(_BINS, 1 + int(_BINS_PER_DECADE * math.log10(size_s / _SMALLEST_S)))
        place = _BINS + (place if duration_s > 0 else -place)
        self._counts[place] += 1
        self._sums_s[place] += duration_s
        self._total += 1

    def quantile(self, share: float) -> float | None:
        """Return the mean of the bin that holds the quantile `share`; None when the histogram is empty."""
        if not self._total:
            return None
        left = share * self._total
        for index, count in enumerate(self._counts):
            left -= count
            if left <= 0 and count:
                return 0.0 if index == _BINS else self._sums_s[index] / count
        raise AssertionError("the counts don't add up to their total")


class StreamMonitor:
    """Statistics of one topic since construction. Times are on the node's clock, in nanoseconds.

    A stream is stale while its newest message is older than `max_age_s`, from its first message on. A stream of
    joint states with several sources is stale while one of its joints is.
    `by_arrival`: the contract ignores its stamps, so they are counted but have no consequence.
    `simulated`: a stream is stale by its stamps. Simulated time may run faster than the recorder reads, and how late
    that is says nothing about the data.
    """

    def __init__(
        self,
        topic: str,
        type_name: str,
        *,
        max_age_s: float = math.inf,
        required: bool = False,
        by_arrival: bool = False,
        simulated: bool = False,
    ):
        self.topic, self.type, self.required, self.by_arrival = topic, type_name, required, by_arrival
        self._by_stamp = simulated and not by_arrival
        self.messages = self.bytes = self.lost = self.backwards = self.ahead = 0
        self.last_ns: int | None = None
        self._max_age_s = max_age_s
        self._first_ns = self._came_ns = 0
        self._last_stamps_ns: dict[Hashable, int] = {}
        self._fresh_until_ns = math.inf
        self._stale_ns = 0.0
        self._longest_gap_ns: int | None = None
        self._ages = Histogram()

    def observe(
        self,
        log_ns: int,
        size: int,
        stamp_ns: int | None,
        *,
        source: Hashable = None,
        oldest_ns: float | None = None,
    ) -> None:
        """Count a message received at `log_ns`; `stamp_ns`: its header stamp, None without a header.

        `source`: which of the stream's publishers sent it, as far as it is known. `oldest_ns`: the time of the oldest
        part of the stream's present value, minus infinity for one that never came; None: this message is all of it.
        """
        came_ns = min(stamp_ns, log_ns) if self._by_stamp and stamp_ns is not None else log_ns
        if self.last_ns is None:
            self._first_ns = log_ns
        else:
            self._stale_ns += max(0.0, came_ns - max(self._fresh_until_ns, self._came_ns))
            self._longest_gap_ns = max(self._longest_gap_ns or 0, log_ns - self.last_ns)
        self.messages += 1
        self.bytes += size
        self.last_ns = log_ns
        self._came_ns = max(self._came_ns, came_ns)
        if stamp_ns is not None:
            if log_ns > 0:  # at 0, simulated time has not begun
                self._ages.add((log_ns - stamp_ns) / 1e9)
                self.ahead += stamp_ns > log_ns + AHEAD_NS
            if stamp_ns < self._last_stamps_ns.get(source, stamp_ns):
                self.backwards += 1
            if len(self._last_stamps_ns) > _MOST_SOURCES:
                self._last_stamps_ns.clear()
            self._last_stamps_ns[source] = stamp_ns
        if oldest_ns is None:
            oldest_ns = log_ns if stamp_ns is None or self.by_arrival else min(stamp_ns, log_ns)
        self._fresh_until_ns = oldest_ns if math.isinf(oldest_ns) else oldest_ns + self._max_age_s * 1e9

    def lose(self, count: int) -> None:
        """Count messages known to be missing."""
        self.lost += count

    def info(self, now_ns: int) -> StreamInfo:
        """Return the statistics up to now."""
        if self.last_ns is None:
            return StreamInfo(
                self.topic, self.type, lost=self.lost, required=self.required, by_arrival=self.by_arrival
            )
        span_ns = self.last_ns - self._first_ns
        stale_ns = self._stale_ns + max(0.0, now_ns - max(self._fresh_until_ns, self.last_ns))
        return StreamInfo(
            topic=self.topic,
            type=self.type,
            messages=self.messages,
            bytes=self.bytes,
            lost=self.lost,
            rate_hz=(self.messages - 1) * 1e9 / span_ns if span_ns > 0 else None,
            age_p50_s=self._ages.quantile(0.50),
            age_p99_s=self._ages.quantile(0.99),
            longest_gap_s=None if self._longest_gap_ns is None else self._longest_gap_ns / 1e9,
            stale_s=stale_ns / 1e9,
            silent_at_end_s=max(0, now_ns - self.last_ns) / 1e9,
            backwards=self.backwards,
            required=self.required,
            ahead=self.ahead,
            by_arrival=self.by_arrival,
        )
