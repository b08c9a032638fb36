"""Arbitration: sources as data, and the choice of the source in authority as a function of state and time.

A source is available while it keeps proposing. The mode selects the source in authority: by priority in this
module; by beta, by uncertainty or by the human's intervention in `il_ros.interactive`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any, Protocol

from il_ros.core.specs import WHOLE
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal


@dataclass(frozen=True)
class Source:
    """A source of proposals: its name, its topic and its priority.

    The highest `priority` wins. A source that is silent for longer than `timeout_s` is absent until it
    proposes again. Proposals whose tick is more than `max_age_s` ago are rejected, and those whose observation is
    more than `max_observation_age_s` older than their tick: a slow source continues its last chunk meanwhile.
    Raises ValueError when the name is not an identifier or a time is not positive.
    """

    name: str
    topic: str
    priority: int
    timeout_s: float
    max_age_s: float
    max_observation_age_s: float = 1.0

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == NOBODY:
            raise ValueError(f"a source's name must be an identifier other than '{NOBODY}': '{self.name}'")
        for what in ("timeout_s", "max_age_s", "max_observation_age_s"):
            seconds = getattr(self, what)
            if not seconds > 0:
                raise ValueError(f"source {self.name}: {what} must be above 0, not {seconds}")


@dataclass(frozen=True)
class SourceState:
    """The state of a source: its newest accepted proposal, and the arrival times of it on both clocks.

    `fault`: why its newest proposal was not a valid command, "" when it was. `rejection`: the reason of the
    last rejection; `refused`: of one since the newest accepted proposal. `released_ns`: the stamp of its last
    release (0: none); `released`: no proposal since.
    `run`: count of proposals accepted since the source was last absent.
    """

    proposal: Proposal | None = None
    arrival_ns: int = 0
    arrival_steady_ns: int = 0
    fault: str = ""
    rejection: str = ""
    accepted: int = 0
    rejected: int = 0
    released_ns: int = 0
    released: bool = False
    run: int = 0
    refused: str = ""

    def accepting(
        self, proposal: Proposal, now_ns: int, steady_ns: int, unbroken: bool = False
    ) -> SourceState:
        """Return the state after an accepted proposal; `unbroken`: the source was not absent before it."""
        return SourceState(  # at every tick; `replace` takes longer
            proposal=proposal,
            arrival_ns=now_ns,
            arrival_steady_ns=steady_ns,
            fault="",
            rejection=self.rejection,
            accepted=self.accepted + 1,
            rejected=self.rejected,
            released_ns=self.released_ns,
            released=False,
            run=self.run + 1 if unbroken else 1,
        )

    def releasing(self, stamp_ns: int) -> SourceState:
        """Return the state after the source released authority."""
        return replace(self, released_ns=stamp_ns, released=True)

    def rejecting(self, reason: str, *, faulty: bool) -> SourceState:
        """Return the state after a rejected proposal; a faulty source is absent at once."""
        fault = reason if faulty else self.fault
        return replace(self, rejection=reason, fault=fault, rejected=self.rejected + 1, refused=reason)

    def forgetting(self) -> SourceState:
        """Return the state after a restart: the counts alone."""
        return SourceState(rejection=self.rejection, accepted=self.accepted, rejected=self.rejected)


class AbsenceKind(Enum):
    """The kinds of absence; PRESENT: the source is available."""

    PRESENT = "present"
    NOT_YET = "not yet"
    RELEASED = "released"
    SILENT = "silent"
    FAULTY = "faulty"


@dataclass(frozen=True)
class Absence:
    """Whether and why a source is absent. False when it is present; `str` gives the text, for messages."""

    kind: AbsenceKind
    text: str

    def __bool__(self) -> bool:
        return self.kind is not AbsenceKind.PRESENT

    def __str__(self) -> str:
        return self.text


Absences = Mapping[str, Absence]
"""The absence of each source, highest priority first."""

PRESENT = Absence(AbsenceKind.PRESENT, "")
NOT_YET = Absence(AbsenceKind.NOT_YET, "has not proposed")
RELEASED = Absence(AbsenceKind.RELEASED, "released control")
"""The absence of a source that released authority itself, which is not a fault."""


@dataclass(frozen=True)
class ArbitrationInput:
    """The input of a mode's choice: the tick to decide, the source in authority so far, and the absences.

    `group`: the action group to decide on; authority and absences are those in it. `anywhere`: the sources' absences
    from the whole robot, where each is absent that is absent from every group; None: there is one group.
    """

    stamp_ns: int
    authority: str
    absences: Absences
    group: str = WHOLE
    anywhere: Absences | None = None


@dataclass(frozen=True)
class Arbitration:
    """The source that gets authority, or NOBODY, with a reason where one is useful.

    `beta`: the expert's share where sources are mixed. `mixed`: the source was drawn at random; consecutive
    mixed arbitrations are not a handover and keep one generation and one ramp. `early`: NOBODY, because the
    selected source has not proposed yet; without authority before, the supervisor waits for its proposal.
    `queried`: whether the expert, when not in authority, is queried for a label.
    """

    authority: str
    reason: str = ""
    beta: float | None = None
    mixed: bool = False
    early: bool = False
    queried: bool = True


@dataclass(frozen=True)
class Request:
    """A request for the expert: its number, the tick at which it was made, and the reason.

    `groups`: the action groups that need help; empty: the whole robot.
    """

    number: int
    since_ns: int
    why: str
    groups: tuple[str, ...] = ()


class Mode(Protocol):
    """The rule that assigns authority. Repeated calls of `choose` for one tick and group return the same result.

    Of several action groups, each is decided on with its own absences; draws are the whole robot's.
    """

    name: str

    @property
    def request(self) -> Request | None:
        """The open request for the expert, of all groups together; None without one."""

    @property
    def uncertainty(self) -> float | None:
        """The policy's newest uncertainty, None when unknown."""

    @property
    def threshold(self) -> float | None:
        """The uncertainty above which the expert is or would be requested, None when unknown."""

    def uncertainty_of(self, group: str) -> float | None:
        """Return the policy's newest uncertainty in an action group, None when it is known as a whole only."""

    def disagreement(self, stamp_ns: int, group: str = WHOLE) -> float | None:
        """Return the distance between the policy's and the expert's action at a tick, None when unknown.

        `group`: that of the numbers of one action group.
        """

    def observe(self, name: str, proposal: Proposal) -> None:
        """Process an accepted proposal."""

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the source that gets authority over a group at a tick."""

    def restart(self) -> None:
        """Start a new episode."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the fields of this mode in the supervisor's status."""


class Priority:
    """Gives authority to the available source with the highest priority."""

    name = "priority"
    request: Request | None = None
    uncertainty: float | None = None
    threshold: float | None = None

    def uncertainty_of(self, group: str) -> float | None:
        """Return None: this mode does not look at uncertainties."""
        return None

    def disagreement(self, stamp_ns: int, group: str = WHOLE) -> float | None:
        """Return None: this mode does not compare actions."""
        return None

    def observe(self, name: str, proposal: Proposal) -> None:
        """Ignore the proposal."""

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the available source with the highest priority."""
        return Arbitration(by_priority(inputs.absences))

    def restart(self) -> None:
        """Do nothing: this mode has no state."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return no fields."""
        return {}


def ranked(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources, highest priority first.

    Raises ValueError without sources, and when two sources share a name, a topic or a priority.
    """
    for what in ("name", "topic", "priority"):
        values = [getattr(source, what) for source in sources]
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            raise ValueError(f"two sources have the {what} '{twice[0]}'")
    if not sources:
        raise ValueError("at least one source is needed")
    return tuple(sorted(sources, key=lambda source: -source.priority))


def absence(source: Source, state: SourceState, now_ns: int, steady_ns: int, patience_ns: int) -> Absence:
    """Return whether and why the source is absent.

    A source that sends, but only what is refused, such as by a clock of another time, is called absent with the reason.
    Silence is measured on the node's clock and on the steady clock, which continues when /clock stops. The
    time-out on the steady clock is at least `patience_ns`, because a simulator may run slower than real time.
    """
    if state.fault:
        return Absence(AbsenceKind.FAULTY, f"rejected: {state.fault}")
    if state.released:
        return RELEASED
    refused = f"; what it sends is refused: {state.refused}" if state.refused else ""
    if state.proposal is None:
        return Absence(AbsenceKind.NOT_YET, f"{NOT_YET}{refused}") if refused else NOT_YET
    limit_ns = int(source.timeout_s * 1e9)
    silent_ns, silent_steady_ns = now_ns - state.arrival_ns, steady_ns - state.arrival_steady_ns
    if silent_ns > limit_ns or silent_steady_ns > max(limit_ns, patience_ns):
        longest_s = max(silent_ns, silent_steady_ns) / 1e9
        return Absence(AbsenceKind.SILENT, f"silent for {longest_s:.2f} s{refused}")
    return PRESENT


_NEAREST = (
    AbsenceKind.PRESENT,
    AbsenceKind.FAULTY,
    AbsenceKind.SILENT,
    AbsenceKind.RELEASED,
    AbsenceKind.NOT_YET,
)


def anywhere(by_group: Iterable[Absences]) -> Absences:
    """Return the absences from the whole robot, given those from each of its groups.

    A source that is present in one group is present. Otherwise a fault or a silence in one group counts more than a
    release, and this more than never having proposed.
    """
    first, *others = by_group
    return {
        name: min((first[name], *(each[name] for each in others)), key=lambda one: _NEAREST.index(one.kind))
        for name in first
    }


def by_priority(absences: Absences) -> str:
    """Return the available source with the highest priority, NOBODY without one."""
    return next((name for name, absent in absences.items() if not absent), NOBODY)


def joined_reason(reasons: Mapping[str, str]) -> str:
    """Return the reasons of all groups in one sentence."""
    if len(reasons) == 1 or len(set(reasons.values())) == 1:
        return next(iter(reasons.values()))
    return "; ".join(f"{group}: {reason}" for group, reason in reasons.items())


def no_authority_reason(arbitration: Arbitration, absences: Absences) -> str:
    """Return why no source has authority."""
    return arbitration.reason or "; ".join(f"{name} {why}" for name, why in absences.items() if why)
