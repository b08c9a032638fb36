"""When to ask for the human: doubt against a threshold, with hysteresis and a budget of attention.

`DoubtGate` has two thresholds so that control doesn't flicker (LazyDAgger, Hoque et al. 2021, section IV):
it asks above the upper one and gives back below the lower one. `InterventionThreshold` learns the upper one
from what a human did (HG-DAgger, Kelly et al. 2019, eq. 6). `AttentionBudget` moves it so that requests come
no more often than the human agreed to (after ThriftyDAgger's target rate, Hoque et al. 2021), and paces them.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

S = 1_000_000_000
HOUR_S = 3600.0
KEPT_UNCERTAINTIES = 2000


@dataclass(frozen=True)
class UncertaintyTrigger:
    """Ask at doubt > `ask`; once asked, be satisfied only at doubt < `release` (below `ask`)."""

    ask: float
    release: float

    def __post_init__(self) -> None:
        if not 0 <= self.release <= self.ask:
            raise ValueError(f"0 <= release <= ask is needed, not release {self.release}, ask {self.ask}")

    def uncertain(self, uncertainty: float | None, was: bool) -> bool:
        """Tell whether the human is wanted, given whether it was so a moment ago.

        A policy that can't tell its doubt is never doubtful. NaN and infinity are: a policy that computes
        nonsense isn't sure of itself.
        """
        if uncertainty is None:
            return False
        if not math.isfinite(uncertainty):
            return True
        return uncertainty > (self.release if was else self.ask)


class InterventionThreshold:
    """The doubt above which a human has been seen to intervene.

    HG-DAgger's rule: the mean of the last quarter of the doubts at which interventions began; the early ones
    belong to policies that are gone.
    """

    def __init__(self) -> None:
        self._uncertainties: list[float] = []

    def intervened(self, uncertainty: float) -> None:
        """Record the doubt at the start of an intervention."""
        if not (math.isfinite(uncertainty) and uncertainty >= 0):
            raise ValueError(f"doubt must be a finite number of at least 0, not {uncertainty}")
        self._uncertainties.append(uncertainty)

    @property
    def count(self) -> int:
        """How many interventions there were."""
        return len(self._uncertainties)

    @property
    def value(self) -> float | None:
        """The threshold, None before the first intervention."""
        if not self._uncertainties:
            return None
        quarter = max(1, len(self._uncertainties) // 4)
        return sum(self._uncertainties[-quarter:]) / quarter


@dataclass
class Attention:
    """What a budget goes by; it outlives a change of mode, which must not fill the budget again.

    `doubts` of the newest ticks that the policy drove, `ticks` so many there were; `requests_ns`: the last
    hour's, ascending.
    """

    uncertainties: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_UNCERTAINTIES))
    ticks: int = 0
    requests_ns: list[int] = field(default_factory=list)


def requests_left(requests_ns: Sequence[int], now_ns: int, per_hour: int, at_once: int) -> float:
    """Return how many requests there may be now, after those of the last hour (ascending).

    A token bucket of `at_once`, refilled evenly so that no hour has more than `per_hour`: a span of t seconds
    has `at_once + (per_hour - at_once) t / 3600` at most.
    """
    hold = min(at_once, per_hour)
    per_ns = (per_hour - hold) / (HOUR_S * S)
    left, before_ns = float(hold), now_ns
    for request_ns in requests_ns:
        left = max(0.0, min(hold, left + per_ns * max(0, request_ns - before_ns)) - 1)
        before_ns = request_ns
    return min(hold, left + per_ns * max(0, now_ns - before_ns))


class AttentionBudget:
    """At most `per_hour` requests in any hour, `at_once` in a row, and a threshold for the worst doubts.

    The threshold is the quantile of recent doubts above which the budget's share of ticks lies, so that
    requests go to what is doubtful *for this policy now*. It is trusted once the policy has driven for
    `warm_up_s`: what doubt is usual must be known before any is unusual. Within the budget requests may still
    come in a row, hence the bucket of `requests_left`.
    `ticks_per_request`: how many ticks one request is expected to take the policy out of control; a doubtful
    stretch is one request however many ticks it has.
    """

    def __init__(
        self,
        per_hour: int,
        rate_hz: float,
        at_once: int = 3,
        warm_up_s: float = 10.0,
        attention: Attention | None = None,
        ticks_per_request: int = 20,
    ) -> None:
        if min(per_hour, at_once) < 1:
            raise ValueError(f"per_hour and at_once must be 1 request or more, not {per_hour} and {at_once}")
        if rate_hz <= 0:
            raise ValueError(f"rate_hz must be above 0, not {rate_hz}")
        if not (math.isfinite(warm_up_s) and warm_up_s >= 0):
            raise ValueError(f"warm_up_s must be a finite time of at least 0, not {warm_up_s}")
        self._per_hour, self._at_once = per_hour, at_once
        self._share = min(1.0, per_hour * ticks_per_request / (HOUR_S * rate_hz))
        self._needed = max(min(KEPT_UNCERTAINTIES, math.ceil(1.0 / self._share)), round(warm_up_s * rate_hz))
        self._attention = Attention() if attention is None else attention
        self._ordered: list[float] = []
        self._unsorted = len(self._attention.uncertainties)

    def saw(self, uncertainty: float) -> None:
        """Record the doubt of a tick that the policy drove."""
        if math.isfinite(uncertainty):
            self._attention.uncertainties.append(uncertainty)
            self._attention.ticks += 1
            self._unsorted += 1

    @property
    def ready(self) -> bool:
        """Whether enough was seen: the warm-up, and so much that the budget's share is a tick or more."""
        return self._attention.ticks >= self._needed

    def threshold(self) -> float | None:
        """Return the doubt above which a request is worth it; None before anything was seen."""
        if not self._attention.uncertainties:
            return None
        if self._unsorted > len(self._ordered) // 100:  # a sort per tick would be felt in the control loop
            self._ordered, self._unsorted = sorted(self._attention.uncertainties), 0
        ordered = self._ordered
        rank = math.ceil((1.0 - self._share) * len(ordered)) - 1
        return ordered[min(max(rank, 0), len(ordered) - 1)]

    def left(self, now_ns: int) -> int:
        """Return how many requests there may be now, one after the other.

        Requests that lie ahead, because the clock was set back, count as made now.
        """
        made_ns = self._attention.requests_ns
        made_ns[:] = [min(at_ns, now_ns) for at_ns in made_ns if at_ns > now_ns - int(HOUR_S * S)]
        return math.floor(requests_left(made_ns, now_ns, self._per_hour, self._at_once) + 1e-9)

    def spend(self, now_ns: int) -> None:
        """Record a request.

        Raises ValueError when none is left: ask `left` first.
        """
        if self.left(now_ns) < 1:
            raise ValueError(f"the budget of {self._per_hour} requests an hour is spent for now")
        self._attention.requests_ns.append(now_ns)
