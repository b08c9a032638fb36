"""Reversible amendments of a recorded episode: `amendments.json` beside the bag, which itself never changes.

Every reader that makes frames applies them: training, export, `episodes replay`, `plot` and `verify`. Removing the file
reverts them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import atomic, files
from il_ros.core.contract import Contract
from il_ros.core.specs import TRANSFORMS, Vector
from il_ros.episodes.layout import LayoutError
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

AMENDMENTS = "amendments.json"
_MOST_BYTES = 1_000_000
MOST_SHIFT_S = 2.0
"""A stream is moved by at most this time."""


@dataclass(frozen=True)
class LeftOut:
    """A span whose ticks give no frame: `from_s` up to and including `to_s`, from the start of the demonstration.

    Raises LayoutError unless it ends after its start.
    """

    from_s: float
    to_s: float
    reason: str = ""

    def __post_init__(self) -> None:
        if not (0 <= self.from_s < self.to_s and math.isfinite(self.to_s)):
            raise LayoutError(
                f"leaves out {self.from_s:g} to {self.to_s:g} s; a span begins at 0 s or later and has a finite end "
                "after its start"
            )


@dataclass(frozen=True)
class Amendments:
    """What readers change about an episode.

    `left_out`: spans without frames. `offsets`: by action element such as 'arm/joint1', the number added to its labels,
    in the action's unit. `shifts`: by observation key, the time in seconds by which its messages are taken as earlier
    than they were recorded; negative: later.
    Raises LayoutError on a number that is not finite and on a shift of more than MOST_SHIFT_S.
    """

    left_out: tuple[LeftOut, ...] = ()
    offsets: Mapping[str, float] = field(default_factory=dict)
    shifts: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for key, shift_s in self.shifts.items():
            if not abs(shift_s) <= MOST_SHIFT_S:
                raise LayoutError(f"shift of {key} is {shift_s:g} s; it is at most {MOST_SHIFT_S:g} s")
        for name, offset in self.offsets.items():
            if not math.isfinite(offset):
                raise LayoutError(f"offset of {name} is {offset:g}; it must be finite")

    def __bool__(self) -> bool:
        return bool(self.left_out or self.offsets or self.shifts)

    def joined(self, later: Amendments) -> Amendments:
        """Return both: later spans are added; a later offset or shift replaces an earlier one of its name."""
        spans = [*self.left_out, *(span for span in later.left_out if span not in self.left_out)]
        return Amendments(
            tuple(sorted(spans, key=lambda span: span.from_s)),
            {**self.offsets, **later.offsets},
            {**self.shifts, **later.shifts},
        )

    def sentence(self) -> str:
        """Return what is amended, "" if nothing is."""
        spans = [f"{span.from_s:.2f} to {span.to_s:.2f} s" for span in self.left_out]
        parts = [f"left out {', '.join(spans)}"] if spans else []
        parts += [f"{value:+g} on the labels of {name}" for name, value in self.offsets.items()]
        parts += [f"{key} taken {value:g} s earlier" for key, value in self.shifts.items()]
        return f"amended by {AMENDMENTS}: {'; '.join(parts)}" if parts else ""

    def leaves_out(self, tick_ns: int, started_ns: int) -> str:
        """Return why the tick gives no frame, "" if it may."""
        time_s = (tick_ns - started_ns) / 1e9
        for span in self.left_out:
            if span.from_s <= time_s <= span.to_s:
                return f"left out by {AMENDMENTS}" + (f": {span.reason}" if span.reason else "")
        return ""

    def offset_of(self, contract: Contract) -> Vector:
        """Return the offset of each number of the flat action vector (A,).

        Raises LayoutError naming an element that the contract does not have.
        """
        _known(self.offsets, contract.action_names, "action element", contract)
        return np.array([self.offsets.get(name, 0.0) for name in contract.action_names])

    def shifts_ns(self, contract: Contract) -> dict[str, int]:
        """Return the shift of each contract topic that has one, in nanoseconds.

        Raises LayoutError naming a key that the contract does not have, transforms, and the trigger, whose stamps are
        the
        ticks.
        """
        _known(self.shifts, [spec.key for spec in contract.observations], "observation", contract)
        found = {}
        for key, shift_s in self.shifts.items():
            spec = contract.observation(key)
            topic = spec.topic
            if spec.type == TRANSFORMS:
                raise LayoutError(f"{AMENDMENTS}: {key} is of transforms, which cannot be shifted")
            if topic == contract.trigger:
                raise LayoutError(
                    f"{AMENDMENTS}: {key} is on the trigger {topic}, whose stamps are the ticks; shift the others by "
                    f"{-shift_s:g} s instead"
                )
            found[topic] = round(shift_s * 1e9)
        return found


NONE = Amendments()


def _known(found: Mapping[str, float], known: Sequence[str], what: str, contract: Contract) -> None:
    for name in found:
        if name not in known:
            raise LayoutError(
                f"{AMENDMENTS}: '{name}' is no {what} of contract '{contract.name}'; it has: {', '.join(known)}"
            )


_READ = check.record(
    "amendments",
    {
        "left_out": check.several(
            check.record(
                "a span", {"from_s": check.number(0.0), "to_s": check.number(0.0), "reason": check.text}
            )
        ),
        "offsets": check.mapping(check.number()),
        "shifts": check.mapping(check.number(-MOST_SHIFT_S, MOST_SHIFT_S)),
    },
)


def read(folder: Path) -> Amendments:
    """Return the amendments of the episode in `folder`; none without the file.

    Raises LayoutError when the file cannot be read or holds invalid values.
    """
    path = folder / AMENDMENTS
    try:
        values = _READ(check.loads(files.read_text(path, _MOST_BYTES)), "")
        spans = tuple(LeftOut(**span) for span in values["left_out"])
        return Amendments(spans, values["offsets"], values["shifts"])
    except FileNotFoundError:
        return NONE
    except (OSError, JsonError, LayoutError, UnicodeDecodeError) as error:
        raise LayoutError(f"{path}: {error}") from error


def write(folder: Path, amendments: Amendments) -> None:
    """Save the amendments of the episode in `folder`; empty ones remove the file. Raises OSError."""
    path = folder / AMENDMENTS
    if not amendments:
        path.unlink(missing_ok=True)
        return
    atomic.write_text(path, json.dumps(plain(amendments), indent=2) + "\n")


def plain(amendments: Amendments) -> dict[str, Any]:
    """Return the amendments as JSON values."""
    spans = [vars(span) for span in amendments.left_out]
    return {"left_out": spans, "offsets": dict(amendments.offsets), "shifts": dict(amendments.shifts)}


def within_episode(amendments: Amendments, duration_s: float) -> Amendments:
    """Return the amendments; raises LayoutError when a span begins after the end of the episode."""
    for span in amendments.left_out:
        if span.from_s >= duration_s:
            raise LayoutError(
                f"the span from {span.from_s:g} s begins after the episode's end at {duration_s:.2f} s"
            )
    return amendments
