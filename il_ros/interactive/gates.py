"""When to ask for the human: doubt against a threshold, with hysteresis and a budget of attention.

`DoubtGate` has two thresholds so that control doesn't flicker (LazyDAgger, Hoque et al. 2021, section IV):
it asks above the upper one and gives back below the lower one. `InterventionThreshold` learns the upper one
from what a human did (HG-DAgger, Kelly et al. 2019, eq. 6). `AttentionBudget` moves it so that requests come
no more often than the human agreed to (after ThriftyDAgger's target rate, Hoque et al. 2021).
"""

from __future__ import annotations

import math
from collections import deque
from dataclasses import dataclass

S = 1_000_000_000
HOUR_S = 3600.0


@dataclass(frozen=True)
class DoubtGate:
    """Ask at doubt > `ask`; once asked, be satisfied only at doubt < `release` (below `ask`)."""

    ask: float
    release: float

    def __post_init__(self) -> None:
        if not 0 <= self.release <= self.ask:
            raise ValueError(f"0 <= release <= ask is needed, not release {self.release}, ask {self.ask}")

    def doubtful(self, doubt: float | None, was: bool) -> bool:
        """Tell whether the human is wanted, given whether it was so a moment ago.

        A policy that can't tell its doubt is never doubtful. NaN and infinity are: a policy that computes
        nonsense isn't sure of itself.
        """
        if doubt is None:
            return False
        if not math.isfinite(doubt):
            return True
        return doubt > (self.release if was else self.ask)


class InterventionThreshold:
    """The doubt above which a human has been seen to intervene.

    HG-DAgger's rule: the mean of the last quarter of the doubts at which interventions began; the early ones
    belong to policies that are gone.
    """

    def __init__(self) -> None:
        self._doubts: list[float] = []

    def intervened(self, doubt: float) -> None:
        """Record the doubt at the start of an intervention."""
        if not (math.isfinite(doubt) and doubt >= 0):
            raise ValueError(f"doubt must be a finite number of at least 0, not {doubt}")
        self._doubts.append(doubt)

    @property
    def count(self) -> int:
        """How many interventions there were."""
        return len(self._doubts)

    @property
    def value(self) -> float | None:
        """The threshold, None before the first intervention."""
        if not self._doubts:
            return None
        quarter = max(1, len(self._doubts) // 4)
        return sum(self._doubts[-quarter:]) / quarter


class AttentionBudget:
    """At most `per_hour` requests in any hour, and a threshold that spends them on the worst doubts.

    The threshold is the quantile of recent doubts above which the budget's share of ticks lies, so that
    requests go to what is doubtful *for this policy now*; the hour's count is a hard limit on top.
    `ticks_per_request`: how many ticks one request is expected to take the policy out of control; a doubtful
    stretch is one request however many ticks it has.
    """

    def __init__(self, per_hour: int, rate_hz: float, ticks_per_request: int = 20, memory: int = 2000):
        if per_hour < 1:
            raise ValueError(f"per_hour must be 1 request or more, not {per_hour}")
        if rate_hz <= 0:
            raise ValueError(f"rate_hz must be above 0, not {rate_hz}")
        self._per_hour = per_hour
        self._share = min(1.0, per_hour * ticks_per_request / (HOUR_S * rate_hz))
        self._doubts: deque[float] = deque(maxlen=memory)
        self._needed = min(memory, math.ceil(1.0 / self._share))
        self._requests: deque[int] = deque()
        self._ordered: list[float] = []
        self._unsorted = 0

    def saw(self, doubt: float) -> None:
        """Record the doubt of a tick that the policy drove."""
        if math.isfinite(doubt):
            self._doubts.append(doubt)
            self._unsorted += 1

    @property
    def ready(self) -> bool:
        """Whether enough was seen for a quantile that leaves the budget's share above it."""
        return len(self._doubts) >= self._needed

    def threshold(self) -> float | None:
        """Return the doubt above which a request is worth it; None before anything was seen."""
        if not self._doubts:
            return None
        if self._unsorted > len(self._ordered) // 100:  # a sort per tick would be felt in the control loop
            self._ordered, self._unsorted = sorted(self._doubts), 0
        ordered = self._ordered
        rank = math.ceil((1.0 - self._share) * len(ordered)) - 1
        return ordered[min(max(rank, 0), len(ordered) - 1)]

    def left(self, now_ns: int) -> int:
        """Return how many requests the hour before `now_ns` has left."""
        while self._requests and self._requests[0] <= now_ns - int(HOUR_S * S):
            self._requests.popleft()
        return self._per_hour - len(self._requests)

    def spend(self, now_ns: int) -> None:
        """Record a request.

        Raises ValueError when none is left: ask `left` first.
        """
        if self.left(now_ns) < 1:
            raise ValueError(f"the budget of {self._per_hour} requests an hour is spent")
        self._requests.append(now_ns)
