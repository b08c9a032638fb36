"""The definition of a takeover, which labels, retraining, roll-back, console and report share.

A takeover is a decision with the expert in authority, where the last decision with any source in authority
had another source. Decisions without authority in between are ignored. Takeovers count only in
`TAKEOVER_MODES`, where a person or the policy's uncertainty causes a change of driver. In mode `dagger` the
driver is drawn at random, in the others it is fixed; a decision in one of those modes resets the last driver.

Each action group has its own last driver and its own takeovers. Groups that the expert takes at one tick are one
takeover of the robot.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT

TAKEOVER_MODES = ("priority", "hg_dagger", "gated")
"""Decisions recorded before modes existed have the mode "", which counts as `priority`."""


@dataclass(frozen=True)
class LastDriver:
    """The last source in authority in a mode where takeovers count, and its version."""

    name: str = NOBODY
    version: str = ""

    def took_over(self, authority: str, mode: str) -> bool:
        """Return whether the next decision, with this authority and mode, is a takeover."""
        counts = (mode or "priority") in TAKEOVER_MODES
        return counts and authority == EXPERT and self.name not in (NOBODY, EXPERT)

    def after(self, authority: str, mode: str, version: str = "") -> LastDriver:
        """Return the last driver after a decision."""
        if (mode or "priority") not in TAKEOVER_MODES:
            return NO_DRIVER
        return self if authority in ("", NOBODY) else LastDriver(authority, version)


NO_DRIVER = LastDriver()


def takeovers(decided: Iterable[tuple[str, str]]) -> tuple[int, ...]:
    """Return the indices of the takeovers among decisions, each given by its authority and mode, in order."""
    found, last = [], NO_DRIVER
    for index, (authority, mode) in enumerate(decided):
        if last.took_over(authority, mode):
            found.append(index)
        last = last.after(authority, mode)
    return tuple(found)


Decided = tuple[Mapping[str, str], str]
"""The authority of each group of a decision (`Decision.authorities`) and its mode."""


@dataclass(frozen=True)
class LastDrivers:
    """The last driver of each group."""

    by_group: Mapping[str, LastDriver] = field(default_factory=dict)

    def took_over(self, authorities: Mapping[str, str], mode: str) -> tuple[str, ...]:
        """Return the groups of which the next decision, with these authorities and this mode, is a takeover."""
        return tuple(
            group for group, authority in authorities.items() if self.of(group).took_over(authority, mode)
        )

    def after(
        self, authorities: Mapping[str, str], mode: str, versions: Mapping[str, str] | None = None
    ) -> LastDrivers:
        """Return the last drivers after a decision; `versions`: of the source in authority, by group."""
        found = versions or {}
        return LastDrivers(
            {
                group: self.of(group).after(authority, mode, found.get(group, ""))
                for group, authority in authorities.items()
            }
        )

    def of(self, group: str) -> LastDriver:
        """Return the last driver of a group."""
        return self.by_group.get(group, NO_DRIVER)


NO_DRIVERS = LastDrivers()


def group_takeovers(decided: Iterable[Decided]) -> dict[int, tuple[str, ...]]:
    """Return the groups that the expert took over, by index among decisions in order: `takeovers` of each group."""
    found, last = {}, LastDrivers()
    for index, (authorities, mode) in enumerate(decided):
        taken = last.took_over(authorities, mode)
        if taken:
            found[index] = taken
        last = last.after(authorities, mode)
    return found
