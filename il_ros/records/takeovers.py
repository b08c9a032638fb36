"""What a takeover is. Every consumer (labels, retraining, roll-back, console, report) counts by this rule.

A takeover is a decision by which the expert drives, where the last decision that any source drove was
another source's. Decisions without authority in between do not matter. It counts only in the modes in which
a change of driver means that a person, or the policy's uncertainty, asked for it: `TAKEOVER_MODES`. In mode
`dagger` the driver is drawn, in the others it is fixed; a decision in one of those modes ends the count.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT

TAKEOVER_MODES = ("priority", "hg_dagger", "gated")
"""Decisions recorded before there were modes have the mode "", which stands for `priority`."""


@dataclass(frozen=True)
class LastDriver:
    """The source that drove last in a mode where takeovers count, and the version it drove with."""

    name: str = NOBODY
    version: str = ""

    def took_over(self, authority: str, mode: str) -> bool:
        """Return whether a decision with this authority and mode, the next one, is a takeover."""
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
