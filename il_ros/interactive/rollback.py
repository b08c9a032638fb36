"""When a new policy must give way to the one before: people step in more often than they used to.

The counts are compared by the exact conditional test for two Poisson rates (Przyborowski & Wilenski 1940):
if both policies were equally good, each intervention would fall to the new one with the probability of its
share of the driving time.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace

from il_ros.control.decision import NOBODY, Decision
from il_ros.interactive.experience import EXPERT, POLICY

JUDGED_MODES = ("priority", "hg_dagger", "gated")
"""Modes in which the expert drives because somebody, or the doubt, wanted it; in others lots are drawn."""
LONGEST_STEP_NS = 200_000_000
"""Between two decisions no more than this counts as driving: a pause is none."""


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


class DrivingLog:
    """Counts each version's driving from the supervisor's decisions."""

    def __init__(self, known: Mapping[str, Driving] | None = None) -> None:
        self.by_version: dict[str, Driving] = dict(known or {})
        self._stamp_ns = 0
        self._driver, self._version = NOBODY, ""  # who drove last; nobody in between doesn't count

    def hear(self, decision: Decision) -> None:
        """Take note of a decision."""
        passed_ns = decision.stamp_ns - self._stamp_ns
        self._stamp_ns = decision.stamp_ns
        if decision.mode not in JUDGED_MODES:
            self._driver = NOBODY
            return
        if decision.authority == POLICY:
            if self._driver == POLICY and self._version == decision.version:
                step_s = min(max(passed_ns, 0), LONGEST_STEP_NS) / 1e9
                driving = self.of(decision.version)
                self.by_version[decision.version] = replace(driving, seconds=driving.seconds + step_s)
            self._version = decision.version
        elif decision.authority == EXPERT and self._driver == POLICY:
            driving = self.of(self._version)
            self.by_version[self._version] = replace(driving, interventions=driving.interventions + 1)
        if decision.authority != NOBODY:
            self._driver = decision.authority

    def of(self, version: str) -> Driving:
        """Return what is known of a version."""
        return self.by_version.get(version, Driving())


@dataclass(frozen=True)
class Evidence:
    """What a roll-back takes.

    Both drove for `least_s`; control was taken from the new one `least` times; its rate is above `rise` times
    the old one's; and that would be seen with a probability of at most `chance` if both were equally good.
    """

    least_s: float = 30.0
    least: int = 3
    rise: float = 1.5
    chance: float = 0.05

    def __post_init__(self) -> None:
        if self.least_s <= 0 or self.least < 1 or self.rise < 1 or not 0 < self.chance < 1:
            raise ValueError(
                f"least_s above 0, least and rise from 1 and chance within 0..1 are needed: {self}"
            )


def worse(new: Driving, old: Driving, evidence: Evidence) -> str:
    """Return why the new policy must give way, "" when it needn't or there is too little evidence."""
    if min(new.seconds, old.seconds) < evidence.least_s or new.interventions < evidence.least:
        return ""
    if new.per_minute <= evidence.rise * old.per_minute:
        return ""
    chance = chance_of_rise(new, old)
    if chance > evidence.chance:
        return ""
    return (
        f"{new.per_minute:.2f} interventions a minute ({new.interventions} in {new.seconds:.0f} s), before "
        f"{old.per_minute:.2f} ({old.interventions} in {old.seconds:.0f} s); by chance: {chance:.1%}"
    )


def chance_of_rise(new: Driving, old: Driving) -> float:
    """Return P(at least `new.interventions` of all fall to the new one), if both rates were equal."""
    count = new.interventions + old.interventions
    share = new.seconds / (new.seconds + old.seconds)
    return math.fsum(
        math.comb(count, k) * share**k * (1 - share) ** (count - k)
        for k in range(new.interventions, count + 1)
    )
