"""When to request the expert: a threshold on the uncertainty, with hysteresis and a budget of requests.

`UncertaintyTrigger` has two thresholds, which avoids chattering (LazyDAgger, Hoque et al. 2021, section IV):
it fires above the upper one and stops below the lower one. `InterventionThreshold` learns the upper one from
human interventions (HG-DAgger, Kelly et al. 2019, eq. 6). `AttentionBudget` adapts it to a target rate of
requests (after ThriftyDAgger, Hoque et al. 2021) and spreads the requests over time.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from il_ros.core.tables import counted

S = 1_000_000_000
HOUR_S = 3600.0
KEPT_UNCERTAINTIES = 2000


@dataclass(frozen=True)
class UncertaintyTrigger:
    """Fires at uncertainty > `ask`, then until uncertainty <= `release`.

    Raises ValueError unless 0 <= release <= ask.
    """

    ask: float
    release: float

    def __post_init__(self) -> None:
        if not 0 <= self.release <= self.ask:
            raise ValueError(f"0 <= release <= ask is needed, not release {self.release}, ask {self.ask}")

    def fires(self, uncertainty: float | None, fired: bool) -> bool:
        """Return whether the trigger fires, given whether it fired at the last tick.

        It does not fire on an unknown uncertainty, and it fires on NaN and infinity.
        """
        if uncertainty is None:
            return False
        if not math.isfinite(uncertainty):
            return True
        return uncertainty > (self.release if fired else self.ask)


class InterventionThreshold:
    """The uncertainty at which humans intervene (HG-DAgger, Kelly et al. 2019, eq. 6).

    The mean over the last quarter of the interventions; earlier ones belong to superseded policies.
    """

    def __init__(self) -> None:
        self._uncertainties: list[float] = []

    def intervened(self, uncertainty: float) -> None:
        """Record the uncertainty at the start of an intervention. Raises ValueError unless finite and >= 0."""
        if not (math.isfinite(uncertainty) and uncertainty >= 0):
            raise ValueError(f"uncertainty must be a finite number of at least 0, not {uncertainty}")
        self._uncertainties.append(uncertainty)

    @property
    def count(self) -> int:
        """The number of interventions."""
        return len(self._uncertainties)

    @property
    def value(self) -> float | None:
        """The threshold, None before the first intervention."""
        if not self._uncertainties:
            return None
        quarter = max(1, len(self._uncertainties) // 4)
        return sum(self._uncertainties[-quarter:]) / quarter


@dataclass
class AttentionHistory:
    """The history that a budget is computed from; it outlives a change of mode.

    `uncertainties`: of the newest ticks under policy control; `ticks`: the number of all such ticks;
    `requests_ns`: stamps of the requests of the last hour, ascending.
    """

    uncertainties: deque[float] = field(default_factory=lambda: deque(maxlen=KEPT_UNCERTAINTIES))
    ticks: int = 0
    requests_ns: list[int] = field(default_factory=list)


def requests_left(requests_ns: Sequence[int], now_ns: int, per_hour: int, at_once: int) -> float:
    """Return the number of requests allowed now, given the stamps of the last hour's requests (ascending).

    A token bucket of size `at_once`, refilled evenly so that no hour has more than `per_hour` requests: a span
    of t seconds has at most `at_once + (per_hour - at_once) t / 3600`.
    """
    hold = min(at_once, per_hour)
    per_ns = (per_hour - hold) / (HOUR_S * S)
    left, before_ns = float(hold), now_ns
    for request_ns in requests_ns:
        left = max(0.0, min(hold, left + per_ns * max(0, request_ns - before_ns)) - 1)
        before_ns = request_ns
    return min(hold, left + per_ns * max(0, now_ns - before_ns))


class AttentionBudget:
    """At most `per_hour` requests in any hour, `at_once` of them ahead of the even spread, and a threshold.

    The threshold is a quantile of the recent uncertainties: the share of ticks above it equals the share that
    the budget pays for. It is valid once the policy has driven for `warm_up_s` seconds. `requests_left` limits
    bursts of requests.
    `ticks_per_request`: expected number of ticks that the expert drives per request.
    Raises ValueError on an invalid option.
    """

    def __init__(
        self,
        per_hour: int,
        rate_hz: float,
        at_once: int = 3,
        warm_up_s: float = 10.0,
        attention: AttentionHistory | None = None,
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
        self._attention = AttentionHistory() if attention is None else attention
        self._ordered: list[float] = []
        self._unsorted = len(self._attention.uncertainties)

    def observe(self, uncertainty: float) -> None:
        """Record the uncertainty of a tick under policy control; values that are not finite are ignored."""
        if math.isfinite(uncertainty):
            self._attention.uncertainties.append(uncertainty)
            self._attention.ticks += 1
            self._unsorted += 1

    @property
    def ready(self) -> bool:
        """Whether the warm-up is over and the recorded ticks suffice for the quantile."""
        return self._attention.ticks >= self._needed

    def threshold(self) -> float | None:
        """Return the uncertainty above which the budget allows a request; None before the first record."""
        if not self._attention.uncertainties:
            return None
        if self._unsorted > len(self._ordered) // 100:  # sorting at every tick would delay the control loop
            self._ordered, self._unsorted = sorted(self._attention.uncertainties), 0
        ordered = self._ordered
        rank = math.ceil((1.0 - self._share) * len(ordered)) - 1
        return ordered[min(max(rank, 0), len(ordered) - 1)]

    def left(self, now_ns: int) -> int:
        """Return the number of requests allowed now.

        Requests in the future, after the clock was set back, count as made now.
        """
        made_ns = self._attention.requests_ns
        made_ns[:] = [min(at_ns, now_ns) for at_ns in made_ns if at_ns > now_ns - int(HOUR_S * S)]
        return math.floor(requests_left(made_ns, now_ns, self._per_hour, self._at_once) + 1e-9)

    def spend(self, now_ns: int) -> None:
        """Record a request. Raises ValueError when none is left."""
        if self.left(now_ns) < 1:
            raise ValueError(f"the budget of {counted(self._per_hour, 'request')} an hour is spent for now")
        self._attention.requests_ns.append(now_ns)
