"""A proposal: the actions that a source (policy, expert) suggests from one tick on.

Only the supervisor sends commands. On the wire a proposal is a trajectory_msgs/JointTrajectory: the stamp is
the answered tick, `joint_names` are the contract's action names, point k is step k of the chunk at k control
periods, and `frame_id` holds the other fields: "source=policy version=v3 generation=4 uncertainty=0.13".
An absent field is unknown. A slow policy's chunk is for a later tick than the one that it observed; the steps that have
passed are left out, and "observed=1764426051234567890" is the tick that it observed (absent: the answered one).
"missing=wrist,force" are the optional observations that were missing. "uncertainties=left:0.1,right:0.4" are those of
the contract's action groups, where the source gives them. "way=1" is the policy's way to do the
task that the chunk takes.

A proposal without points is a release: its source is absent at once, instead of after its time-out, until it
proposes again.

Under a contract with several action groups a proposal may cover some of them, such as one arm: `joint_names` are then
the names of these groups alone.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.specs import ActionGroup, Vector
from il_ros.core.tables import counted
from il_ros.records import proposal_wire

TYPE = "trajectory_msgs/msg/JointTrajectory"

WORDS = ("source", "version", "generation", "uncertainty", "observed", "missing", "uncertainties", "way")
FORMER_WORDS = {"epoch": "generation", "doubt": "uncertainty"}
"""Keys in bags recorded before 2026-11-29, mapped to the current ones."""


class ProposalError(messages.MessageError):
    """A message that is not a valid proposal under the contract; the text gives the reason."""


@dataclass(frozen=True)
class Proposal:
    """A chunk of actions for the ticks `stamp_ns`, `stamp_ns` + one period, ...; without steps, a release.

    `chunk` (H, A): absolute values in the contract's units and flat action order; read-only. Numbers that are
    not finite are allowed, so that the supervisor can name and reject them.
    `version`: of the policy ("" unknown). `generation`: the supervisor's generation in which the source last
    reset its state, None without state or when unknown. `uncertainty`: of the source (>= 0), None when
    unknown. `observed_ns`: the tick whose observation the chunk was computed from, None for `stamp_ns`.
    `groups`: the action groups that it covers; empty: all. The columns of the others are NaN and no proposal.
    `missing`: the optional observations that were missing when it was computed. `uncertainties`: the uncertainty of
    each action group, None where it is known as a whole only. `way`: which of the policy's ways to do the task it
    takes, None where the policy keeps none apart.
    Raises ProposalError on an invalid field.
    """

    source: str
    stamp_ns: int
    chunk: Vector
    version: str = ""
    generation: int | None = None
    uncertainty: float | None = None
    groups: tuple[str, ...] = ()
    observed_ns: int | None = None
    missing: tuple[str, ...] = ()
    uncertainties: Mapping[str, float] | None = None
    way: int | None = None

    def __post_init__(self) -> None:
        if not self.source:
            raise ProposalError("a proposal needs the name of its source")
        for name, word in (("source", self.source), ("version", self.version)):
            if "=" in word or (word and word.split() != [word]):
                raise ProposalError(f"{name} '{word}' must be one word without spaces or '='")
        for key in self.missing:
            if not key or key.split() != [key] or set("=,") & set(key):
                raise ProposalError(f"missing '{key}' must be one word without spaces, '=' or ','")
        if self.stamp_ns <= 0:
            raise ProposalError(f"stamp_ns must be the answered tick (> 0), not {self.stamp_ns}")
        chunk = np.array(self.chunk, dtype=np.float64)
        if chunk.ndim != 2 or chunk.shape[1] < 1:
            raise ProposalError(f"chunk must be (steps, actions) with one action or more, not {chunk.shape}")
        chunk.setflags(write=False)
        object.__setattr__(self, "chunk", chunk)
        if self.generation is not None and self.generation < 0:
            raise ProposalError(f"generation must be 0 or more, not {self.generation}")
        if self.way is not None and self.way < 0:
            raise ProposalError(f"way must be 0 or more, not {self.way}")
        if self.uncertainty is not None and not (math.isfinite(self.uncertainty) and self.uncertainty >= 0):
            raise ProposalError(f"uncertainty must be a finite number of at least 0, not {self.uncertainty}")
        if self.uncertainties:
            self._check_uncertainties(self.uncertainties)
        if self.observed_ns is not None and not 0 < self.observed_ns <= self.stamp_ns:
            raise ProposalError(
                f"observed must be the answered tick, {self.stamp_ns}, or an earlier one (> 0), not {self.observed_ns}"
            )

    @staticmethod
    def _check_uncertainties(uncertainties: Mapping[str, float]) -> None:
        for group, value in uncertainties.items():
            if not group.isidentifier():
                raise ProposalError(f"uncertainties: '{group}' is no name of an action group")
            if not (math.isfinite(value) and value >= 0):
                raise ProposalError(
                    f"the uncertainty of {group} must be a finite number of at least 0, not {value}"
                )

    @property
    def seen_ns(self) -> int:
        """The tick whose observation the chunk was computed from."""
        return self.stamp_ns if self.observed_ns is None else self.observed_ns

    @property
    def releases(self) -> bool:
        """Whether the source releases authority: the chunk has no steps."""
        return len(self.chunk) == 0


@dataclass(frozen=True)
class Answer:
    """A source's answer to one tick; the fields are those of its `Proposal`.

    `chunk` (H, A), `version`, `generation`, uncertainties and `groups` belong together: a source returns them at once,
    so that none can be of another answer. So does `observed_ns`, None for the tick that is answered.
    """

    chunk: Vector
    version: str = ""
    generation: int | None = None
    uncertainty: float | None = None
    groups: tuple[str, ...] = ()
    observed_ns: int | None = None
    missing: tuple[str, ...] = ()
    uncertainties: Mapping[str, float] | None = None
    way: int | None = None


def proposing(source: str, stamp_ns: int, answer: Answer) -> Proposal:
    """Return the proposal of a source's answer to the tick `stamp_ns`; raises ProposalError as Proposal does."""
    return Proposal(
        source,
        stamp_ns,
        answer.chunk,
        answer.version,
        answer.generation,
        answer.uncertainty,
        answer.groups,
        None if answer.observed_ns == stamp_ns else answer.observed_ns,
        answer.missing,
        answer.uncertainties,
        answer.way,
    )


def releasing(source: str, stamp_ns: int, size: int, groups: Sequence[str] = ()) -> Proposal:
    """Return the proposal by which a source with `size` actions releases `groups` (empty: all) at `stamp_ns`."""
    return Proposal(source, stamp_ns, np.empty((0, size)), groups=tuple(groups))


def to_message(
    proposal: Proposal, names: Sequence[str], period_ns: int, groups: Sequence[ActionGroup] = ()
) -> messages.Message:
    """Return the JointTrajectory message; `names`: the contract's action names (A), `period_ns`: its period.

    `groups`: the contract's action groups, needed for a proposal that covers some of them.
    Raises ProposalError when the chunk's number of actions is not that of the names, or on an unknown group.
    """
    names, chunk = _covered(proposal, names, groups)
    points = []
    for step, positions in enumerate(chunk):
        seconds, nanoseconds = divmod(step * period_ns, 1_000_000_000)
        after = messages.make("builtin_interfaces/msg/Duration", sec=seconds, nanosec=nanoseconds)
        points.append(
            messages.make(
                "trajectory_msgs/msg/JointTrajectoryPoint", positions=positions, time_from_start=after
            )
        )
    return messages.make(
        TYPE,
        header=messages.header(proposal.stamp_ns, _text(proposal)),
        joint_names=list(names),
        points=points,
    )


def from_message(
    message: messages.Message, names: Sequence[str], period_ns: int, groups: Sequence[ActionGroup] = ()
) -> Proposal:
    """Return the proposal in a JointTrajectory, with columns in the order of `names` (A).

    `groups`: the contract's action groups. With several of them, the joints may be those of some groups.
    Raises ProposalError when joints are missing, unknown or listed twice, when a point has a wrong number of
    positions, when the points are not one control period apart, or when frame_id is malformed.
    """
    some = _groups_of(message.joint_names, names, groups)
    places = [place for group in some for place in group.columns]
    covered = [names[place] for place in places] or names
    columns = _columns(message.joint_names, covered)
    rows = []
    for step, point in enumerate(message.points):
        if len(point.positions) != len(covered):
            raise ProposalError(
                f"points[{step}] has {counted(len(point.positions), 'position')} for {counted(len(covered), 'joint')}"
            )
        after_ns = point.time_from_start.sec * 1_000_000_000 + point.time_from_start.nanosec
        if abs(after_ns - step * period_ns) > period_ns // 10:
            raise ProposalError(
                f"points[{step}] is at {after_ns / 1e9:g} s; "
                f"the contract's steps are {period_ns / 1e9:g} s apart"
            )
        rows.append(point.positions)
    chunk = np.array(rows, dtype=np.float64).reshape(len(rows), len(covered))
    chunk = chunk if columns is None else chunk[:, columns]
    if some:
        whole = np.full((len(rows), len(names)), np.nan)
        whole[:, places] = chunk
        chunk = whole
    words = _words(message.header.frame_id)
    _require_known(words, groups)
    stamp_ns = messages.stamp_ns(message)
    if stamp_ns is None:
        raise ProposalError("has no stamp: the answered tick is unknown")
    return Proposal(
        stamp_ns=stamp_ns,
        chunk=chunk,
        groups=tuple(group.name for group in some),
        **words,
    )


def encode(
    proposal: Proposal, names: Sequence[str], period_ns: int, groups: Sequence[ActionGroup] = ()
) -> bytes:
    """Return the CDR bytes to publish; arguments and errors as of `to_message`."""
    if proposal.releases:
        return messages.encode(TYPE, to_message(proposal, names, period_ns, groups))
    names, chunk = _covered(proposal, names, groups)
    return proposal_wire.pack(_text(proposal), proposal.stamp_ns, names, chunk, period_ns)


def decode(raw: bytes, names: Sequence[str], period_ns: int, groups: Sequence[ActionGroup] = ()) -> Proposal:
    """Return the proposal in CDR bytes; arguments as of `from_message`.

    Raises ProposalError as `from_message` does, and when the bytes are not a JointTrajectory.
    """
    parts = proposal_wire.unpack(raw, names, period_ns)
    if parts is not None and parts.stamp_ns:
        words = _words(parts.frame_id)
        _require_known(words, groups)
        return Proposal(stamp_ns=parts.stamp_ns, chunk=parts.chunk, **words)
    try:
        message = messages.decode(TYPE, raw)
    except ValueError as error:
        raise ProposalError(str(error)) from error
    return from_message(message, names, period_ns, groups)


def _covered(
    proposal: Proposal, names: Sequence[str], groups: Sequence[ActionGroup]
) -> tuple[Sequence[str], Vector]:
    """Return the names and the chunk of the groups that a proposal covers."""
    if proposal.chunk.shape[1] != len(names):
        raise ProposalError(
            f"the chunk has {counted(proposal.chunk.shape[1], 'action')}, the contract {len(names)}"
        )
    if not proposal.groups:
        return names, proposal.chunk
    known = {group.name: group for group in groups}
    unknown = [name for name in proposal.groups if name not in known]
    if unknown:
        raise ProposalError(
            f"group '{unknown[0]}' is not one of the contract's: {', '.join(known) or 'none'}"
        )
    places = [place for name in proposal.groups for place in known[name].columns]
    return [names[place] for place in places], proposal.chunk[:, places]


def _groups_of(
    found: Sequence[str], names: Sequence[str], groups: Sequence[ActionGroup]
) -> list[ActionGroup]:
    """Return the groups whose joints, and no others, a proposal names; none when it names all joints.

    A proposal that names a part of a group is answered as one that lacks joints.
    """
    named = set(found)
    some = [group for group in groups if any(names[place] in named for place in group.columns)]
    return [] if len(some) == len(groups) else some


def _text(proposal: Proposal) -> str:
    words = [f"source={proposal.source}"]
    if proposal.version:
        words.append(f"version={proposal.version}")
    if proposal.generation is not None:
        words.append(f"generation={proposal.generation}")
    if proposal.uncertainty is not None:
        words.append(f"uncertainty={proposal.uncertainty!r}")
    if proposal.observed_ns is not None:
        words.append(f"observed={proposal.observed_ns}")
    if proposal.missing:
        words.append(f"missing={','.join(proposal.missing)}")
    if proposal.uncertainties:
        each = (f"{group}:{value!r}" for group, value in proposal.uncertainties.items())
        words.append(f"uncertainties={','.join(each)}")
    if proposal.way is not None:
        words.append(f"way={proposal.way}")
    return " ".join(words)


def _columns(found: Sequence[str], names: Sequence[str]) -> list[int] | None:
    """Return the column of each name; None when the order already matches."""
    if list(found) == list(names):
        return None
    missing = [name for name in names if name not in found]
    if missing:
        raise ProposalError(f"joint '{missing[0]}' is missing; there are: {', '.join(found) or 'none'}")
    unknown = [name for name in found if name not in names]
    if unknown:
        raise ProposalError(f"joint '{unknown[0]}' is not one of the contract's: {', '.join(names)}")
    if len(found) != len(names):
        twice = next(name for name in names if list(found).count(name) > 1)
        raise ProposalError(f"joint '{twice}' is listed twice in joint_names; each must occur once")
    return [list(found).index(name) for name in names]


@lru_cache(maxsize=16)
def _words(text: str) -> dict[str, Any]:
    """Return the fields in a frame_id; raises ProposalError on anything else."""
    words: dict[str, Any] = {}
    for word in text.split():
        key, equals, value = word.partition("=")
        key = FORMER_WORDS.get(key, key)
        if not equals or key not in WORDS:
            raise ProposalError(f"frame_id '{text}': '{word}' is none of {'=, '.join(WORDS)}=")
        if key in words:
            raise ProposalError(f"frame_id '{text}': {key} is given twice")
        words[key] = value
    for key, pattern, kind in _NUMBERS:
        if key in words:
            if pattern.fullmatch(words[key]) is None:
                raise ProposalError(f"frame_id '{text}': '{words[key]}' is not a number for {key}")
            words[key] = kind(words[key])
    if "observed" in words:
        words["observed_ns"] = words.pop("observed")
    if "missing" in words:
        words["missing"] = tuple(words["missing"].split(","))
    if "uncertainties" in words:
        words["uncertainties"] = _uncertainties(words["uncertainties"], text)
    return {"source": "", **words}


def _require_known(words: Mapping[str, Any], groups: Sequence[ActionGroup]) -> None:
    """Raise ProposalError if an uncertainty is of none of the groups; without groups, none is checked."""
    names = [group.name for group in groups]
    for name in words.get("uncertainties", ()) if names else ():
        if name not in names:
            raise ProposalError(
                f"uncertainties: group '{name}' is not one of the contract's: {', '.join(names)}"
            )


def _uncertainties(word: str, text: str) -> Mapping[str, float]:
    """Return the numbers in "left:0.1,right:0.4"; read-only, because `_words` gives them out more than once."""
    found: dict[str, float] = {}
    for each in word.split(","):
        group, colon, value = each.partition(":")
        if not colon or _NUMBER.fullmatch(value) is None:
            raise ProposalError(f"frame_id '{text}': '{each}' is not GROUP:NUMBER for uncertainties")
        if group in found:
            raise ProposalError(f"frame_id '{text}': uncertainties names {group} twice")
        found[group] = float(value)
    return MappingProxyType(found)


_WHOLE = re.compile(r"-?[0-9]{1,18}")
_TIME = re.compile(r"-?[0-9]{1,19}")
_NUMBER = re.compile(
    r"[-+]?([0-9]+\.?[0-9]*|\.[0-9]+)(e[-+]?[0-9]+)?|[-+]?(nan|inf)", re.ASCII | re.IGNORECASE
)
"""Numbers as Python prints them; int() and float() also accept '1_000' and the digits of other scripts."""
_NUMBERS: tuple[tuple[str, re.Pattern[str], Callable[[str], Any]], ...] = (
    ("generation", _WHOLE, int),
    ("uncertainty", _NUMBER, float),
    ("observed", _TIME, int),
    ("way", _WHOLE, int),
)
