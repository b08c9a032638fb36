"""When a new policy must give way to the one before: people step in more often than they used to.

The counts are compared by the exact conditional test for two Poisson rates (Przyborowski & Wilenski,
"Homogeneity of Results in Testing Samples from Poisson Series", Biometrika 31, 1940): if the new policy were
no worse than those before, each intervention would fall to it with at most its share of the driving time.

A version is judged again at each intervention, so the error allowed is spent a part at a time: `Evidence.at`.
No driving time is asked for. Three interventions in four seconds are enough beside a minute without any, and
two in two minutes are not.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from il_ros.records.decision import Decision
from il_ros.records.labelling import POLICY
from il_ros.records.takeovers import LastDriver

LONGEST_STEP_NS = 200_000_000
"""Between two decisions no more than this counts as driving: a pause is none."""
LEAST_S = 0.05
"""A policy that was taken over drove for this long at least; its first decision begins the count, at zero."""


@dataclass(frozen=True)
class Driving:
    """How long a version had control, and how often control was then taken from it."""

    seconds: float = 0.0
    interventions: int = 0

    @property
    def per_minute(self) -> float:
        """Interventions in a minute of driving; 0 before it drove."""
        return 60 * self.interventions / self.seconds if self.seconds else 0.0

    def __add__(self, other: Driving) -> Driving:
        return Driving(self.seconds + other.seconds, self.interventions + other.interventions)

    def __sub__(self, other: Driving) -> Driving:
        return Driving(self.seconds - other.seconds, self.interventions - other.interventions)


class DrivingLog:
    """Counts each version's driving from the supervisor's decisions."""

    def __init__(self, known: Mapping[str, Driving] | None = None) -> None:
        self.by_version: dict[str, Driving] = dict(known or {})
        self._stamp_ns = 0
        self._last = LastDriver()

    def hear(self, decision: Decision) -> None:
        """Take note of a decision."""
        passed_ns = decision.stamp_ns - self._stamp_ns
        self._stamp_ns = decision.stamp_ns
        last = self._last
        self._last = last.after(decision.authority, decision.mode, decision.version)
        if last.took_over(decision.authority, decision.mode):
            driving = self.of(last.version)
            self.by_version[last.version] = replace(driving, interventions=driving.interventions + 1)
        elif decision.authority == POLICY and self._last == last and last.name == POLICY:
            step_s = min(max(passed_ns, 0), LONGEST_STEP_NS) / 1e9
            driving = self.of(decision.version)
            self.by_version[decision.version] = replace(driving, seconds=driving.seconds + step_s)

    def of(self, version: str) -> Driving:
        """Return what is known of a version."""
        return self.by_version.get(version, Driving())


@dataclass(frozen=True)
class Evidence:
    """How sure a roll-back must be.

    `chance`: the largest probability that a version no worse than those before it is ever rolled back.
    `least`: interventions without which nothing is concluded. A single one may be a slip of the hand, and two
    are made of one by a hand-back a moment too early.
    """

    least: int = 3
    chance: float = 0.05

    def __post_init__(self) -> None:
        if self.least < 1 or not 0 < self.chance < 1:
            raise ValueError(f"least from 1 and chance within 0..1 are needed: {self}")

    def at(self, count: int) -> float:
        """Return the part of `chance` spent at intervention `count`, 0 below `least`.

        chance * least / (count * (count + 1)): from `least` to infinity these sum up to `chance`.
        """
        return 0.0 if count < self.least else self.chance * self.least / (count * (count + 1))


def worse(new: Driving, old: Driving, evidence: Evidence) -> str:
    """Return why the new policy must give way, "" when it needn't or there is too little evidence."""
    chance, enough = chance_of_rise(new, old), evidence.at(new.interventions)
    if chance > enough or not enough:
        return ""
    return (
        f"{new.per_minute:.2f} interventions a minute ({new.interventions} in {new.seconds:.0f} s), before "
        f"{old.per_minute:.2f} ({old.interventions} in {old.seconds:.0f} s); by chance: {chance:.2%}, and "
        f"{enough:.2%} is little enough"
    )


def chance_of_rise(new: Driving, old: Driving) -> float:
    """Return P(at least `new.interventions` of all fall to the new one), if both rates were equal.

    1 when nobody drove before: then nothing can be compared.
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
