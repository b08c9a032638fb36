"""The definition of a takeover, which labels, retraining, roll-back, console and report share.

A takeover is a decision with the expert in authority, where the last decision with any source in authority
had another source. Decisions without authority in between are ignored. Takeovers count only in
`TAKEOVER_MODES`, where a person or the policy's uncertainty causes a change of driver. In mode `dagger` the
driver is drawn at random, in the others it is fixed; a decision in one of those modes resets the last driver.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

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
