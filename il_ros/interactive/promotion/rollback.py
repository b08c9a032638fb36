"""Roll-back of a new policy version whose rate of interventions is higher than before.

The counts are compared by the exact conditional test for two Poisson rates (Przyborowski & Wilenski,
"Homogeneity of Results in Testing Samples from Poisson Series", Biometrika 31, 1940): if the new version were
no worse than the earlier ones, each intervention would fall to it with at most its share of the driving time.

The test is repeated at each intervention, so the significance level is divided among them (`Evidence.at`).
There is no minimum driving time: three interventions in four seconds suffice against a minute without any,
two in two minutes do not.

Decisions are evidence only if they are beyond doubt those of the one supervisor: see `TrustedDecisions`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from il_ros.core.tables import percent
from il_ros.records.decision import Decision
from il_ros.records.labelling import POLICY
from il_ros.records.takeovers import LastDrivers

LONGEST_STEP_NS = 200_000_000
"""Maximum driving time counted between two decisions: pauses do not count."""
REACH_NS = 10_000_000_000
"""Largest difference of a decision's stamps to the clock."""
MOST_WAITING = 5000
"""Decisions that may wait for the next look."""
LEAST_S = 0.05
"""Minimum driving time per intervention: the count starts at zero with the version's first decision."""


@dataclass(frozen=True)
class Driving:
    """The driving time of a version in s, and the number of interventions in it."""

    seconds: float = 0.0
    interventions: int = 0

    @property
    def per_minute(self) -> float:
        """Interventions per minute of driving; 0 without driving time."""
        return 60 * self.interventions / self.seconds if self.seconds else 0.0

    def __add__(self, other: Driving) -> Driving:
        return Driving(self.seconds + other.seconds, self.interventions + other.interventions)

    def __sub__(self, other: Driving) -> Driving:
        return Driving(self.seconds - other.seconds, self.interventions - other.interventions)


class DrivingLog:
    """Accumulates driving time and interventions of each version from the supervisor's decisions.

    A version drives while it has authority over a group of actions; groups that the expert takes at one tick are one
    intervention.
    """

    def __init__(self, known: Mapping[str, Driving] | None = None) -> None:
        self.by_version: dict[str, Driving] = dict(known or {})
        self._stamp_ns = 0
        self._last = LastDrivers()

    def observe(self, decision: Decision) -> None:
        """Process a decision."""
        passed_ns = decision.stamp_ns - self._stamp_ns
        self._stamp_ns = decision.stamp_ns
        last, authorities, mode = self._last, decision.authorities, decision.mode
        self._last = now = last.after(authorities, mode, decision.versions)
        taken = last.took_over(authorities, mode)
        going_on = [
            group
            for group, name in authorities.items()
            if name == POLICY and now.of(group) == last.of(group) and last.of(group).name == POLICY
        ]
        if taken:
            version = last.of(taken[0]).version
            driving = self.of(version)
            self.by_version[version] = replace(driving, interventions=driving.interventions + 1)
        elif going_on:
            step_s = min(max(passed_ns, 0), LONGEST_STEP_NS) / 1e9
            version = now.of(going_on[0]).version
            driving = self.of(version)
            self.by_version[version] = replace(driving, seconds=driving.seconds + step_s)

    def interrupt(self) -> None:
        """Forget the last decision: the next one is not its successor."""
        self._stamp_ns, self._last = 0, LastDrivers()

    def begun(self) -> DrivingLog:
        """Return a log that goes on after the last decision of this one, with nothing driven yet; see `add`."""
        later = DrivingLog()
        later._stamp_ns, later._last = self._stamp_ns, self._last
        return later

    def add(self, later: DrivingLog) -> None:
        """Add what a log of `begun` has accumulated since."""
        for version, driving in later.by_version.items():
            self.by_version[version] = self.of(version) + driving
        self._stamp_ns, self._last = later._stamp_ns, later._last

    def of(self, version: str) -> Driving:
        """Return the driving record of a version."""
        return self.by_version.get(version, Driving())


class TrustedDecisions:
    """Passes decisions to a driving log once they are evidence: all those since the last look, or none of them.

    None is if there was more than one publisher of decisions since the last look, even for a moment, or if a
    stamp was farther from the clock than `REACH_NS`. Each is accumulated when it arrives, in a log that is added or
    dropped at the look: all at once would take several ticks of a fast robot.

    `.doubt`: why the newest decisions are no evidence, "" if they are.
    """

    def __init__(self, log: DrivingLog) -> None:
        self._log = log
        self._waiting, self._count = log.begun(), 0
        self._found = ""
        self._publishers = 0
        self.doubt = ""

    def observe(self, decision: Decision, now_ns: int) -> None:
        """Store a decision that arrived at `now_ns`."""
        apart_ns = max((decision.stamp_ns - now_ns, decision.sent_ns - now_ns), key=abs)
        if abs(apart_ns) > REACH_NS:
            where = "ahead of" if apart_ns > 0 else "behind"
            self._found = f"their stamps are {abs(apart_ns) / 1e9:.0f} s {where} this node's clock"
        if self._count >= MOST_WAITING:
            self._found = f"more than {MOST_WAITING} of them came at once"
        if not self._found:
            self._waiting.observe(decision)
            self._count += 1

    def look(self, publishers: int, appeared: int) -> None:
        """Pass the decisions since the last look on, unless they are no evidence.

        `publishers`: their number now; `appeared`: how many were found since the last look.
        """
        if publishers > 1:
            self._found = f"{publishers} nodes publish them"
        elif self._publishers + appeared > 1:
            self._found = "another node published some, or the supervisor was activated again"
        self._publishers = publishers
        self.doubt, self._found = self._found, ""
        if self.doubt:
            self._log.interrupt()
        else:
            self._log.add(self._waiting)
        self._waiting, self._count = self._log.begun(), 0


@dataclass(frozen=True)
class Evidence:
    """The evidence that a roll-back needs.

    `chance`: largest probability that a version no worse than the earlier ones is ever rolled back.
    `least`: minimum number of interventions; one may be a mistake, and an early hand-back turns one into two.
    Raises ValueError on an invalid value.
    """

    least: int = 3
    chance: float = 0.05

    def __post_init__(self) -> None:
        if self.least < 1 or not 0 < self.chance < 1:
            raise ValueError(f"least from 1 and chance within 0..1 are needed: {self}")

    def at(self, count: int) -> float:
        """Return the significance level at intervention `count`, 0 below `least`.

        chance * least / (count * (count + 1)): the sum from `least` to infinity is `chance`.
        """
        return 0.0 if count < self.least else self.chance * self.least / (count * (count + 1))


def worse(new: Driving, old: Driving, evidence: Evidence) -> str:
    """Return why the new version must be rolled back, "" when it need not or the evidence is insufficient."""
    chance, enough = chance_of_rise(new, old), evidence.at(new.interventions)
    if chance > enough or not enough:
        return ""
    return (
        f"{new.per_minute:.2f} interventions a minute ({new.interventions} in {new.seconds:.0f} s), before "
        f"{old.per_minute:.2f} ({old.interventions} in {old.seconds:.0f} s); probability by "
        f"chance: {percent(chance, 2)}, limit: {percent(enough, 2)}"
    )


def chance_of_rise(new: Driving, old: Driving) -> float:
    """Return P(at least `new.interventions` of all fall to the new version) for equal rates.

    1 without an intervention or without earlier driving: no comparison is possible.
    """
    if not new.interventions or not old.seconds:
        return 1.0
    count = new.interventions + old.interventions
    share = max(new.seconds, LEAST_S * new.interventions)
    share /= share + old.seconds
    return math.fsum(_binomial(count, k, share) for k in range(new.interventions, count + 1))


def _binomial(count: int, k: int, share: float) -> float:
    """Return the probability of `k` among `count`, each with probability `share` within 0..1."""
    ways = math.lgamma(count + 1) - math.lgamma(k + 1) - math.lgamma(count - k + 1)
    return math.exp(ways + k * math.log(share) + (count - k) * math.log1p(-share))
