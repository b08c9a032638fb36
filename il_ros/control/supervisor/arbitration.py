"""Who has authority: sources as data, and the choice as a function of what was heard and the time.

A source is in the running while it keeps proposing. Who of them has authority is the mode's choice: here by
priority, in `il_ros.interactive` by beta, by doubt, by who holds the deadman.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal


@dataclass(frozen=True)
class Source:
    """Something that proposes: its name, the topic it proposes on, and how it ranks.

    The highest `priority` wins. A source that is silent for longer than `timeout_s` is out until it proposes
    again. A proposal for a tick more than `max_age_s` ago is not let in.
    """

    name: str
    topic: str
    priority: int
    timeout_s: float
    max_age_s: float

    def __post_init__(self) -> None:
        if not self.name.isidentifier() or self.name == NOBODY:
            raise ValueError(f"a source's name is one word, and not '{NOBODY}': '{self.name}'")
        for what, seconds in (("timeout_s", self.timeout_s), ("max_age_s", self.max_age_s)):
            if not seconds > 0:
                raise ValueError(f"source {self.name}: {what} must be above 0, not {seconds}")


@dataclass(frozen=True)
class SourceState:
    """What was heard of a source: its newest proposal let in, and when that came on both clocks.

    `fault`: why its newest proposal was no command, "" when it was one. `rejection`: why the last one that
    was not let in was not. `let_go_ns`: when it let go (0: never), `gone`: whether it has not proposed since.
    `run`: how many proposals came since it was last absent.
    """

    proposal: Proposal | None = None
    arrival_ns: int = 0
    arrival_steady_ns: int = 0
    fault: str = ""
    rejection: str = ""
    accepted: int = 0
    rejected: int = 0
    released_ns: int = 0
    gone: bool = False
    run: int = 0

    def accepting(
        self, proposal: Proposal, now_ns: int, steady_ns: int, unbroken: bool = False
    ) -> SourceState:
        """Return what is known after a proposal was let in; `unbroken`: it was not absent until then."""
        return replace(
            self,
            proposal=proposal,
            arrival_ns=now_ns,
            arrival_steady_ns=steady_ns,
            fault="",
            accepted=self.accepted + 1,
            gone=False,
            run=self.run + 1 if unbroken else 1,
        )

    def releasing(self, stamp_ns: int) -> SourceState:
        """Return what is known after the source let go."""
        return replace(self, released_ns=stamp_ns, gone=True)

    def rejecting(self, reason: str, *, faulty: bool) -> SourceState:
        """Return what is known after a proposal was not let in; a faulty source is out at once."""
        fault = reason if faulty else self.fault
        return replace(self, rejection=reason, fault=fault, rejected=self.rejected + 1)

    def forgetting(self) -> SourceState:
        """Return the counts alone, as after a restart."""
        return SourceState(rejection=self.rejection, accepted=self.accepted, rejected=self.rejected)


Absences = Mapping[str, str]
"""Why each source is out of the running, highest priority first; "" for those that are in it."""

NOT_YET = "has not proposed"
RELEASED = "let go"
"""The absence of a source that said so, which is no fault."""


@dataclass(frozen=True)
class ArbitrationInput:
    """What a mode chooses by: the tick to decide, who had authority until now, and who is in the running."""

    stamp_ns: int
    authority: str
    absences: Absences


@dataclass(frozen=True)
class Arbitration:
    """Who shall have authority, maybe NOBODY, and why if that needs saying.

    `beta`: the expert's share where sources are mixed. `mixed`: the driver was drawn, and from one mixed
    verdict to the next there is no handover: one epoch, one ramp, whoever drives. `early`: nobody, because
    who should drive has not proposed yet; where nobody drove before either, that is worth waiting for.
    `asked`: whether the expert, where it doesn't drive, is asked what it would do.
    """

    authority: str
    reason: str = ""
    beta: float | None = None
    mixed: bool = False
    early: bool = False
    queried: bool = True


@dataclass(frozen=True)
class Request:
    """A call for the expert: its number, the tick it was made at, and why."""

    number: int
    since_ns: int
    why: str


class Mode(Protocol):
    """How authority is given. `choose` may be asked several times about one tick, and answers the same.

    `request`: the call for the expert that is open, None when there is none.
    """

    name: str
    request: Request | None

    @property
    def uncertainty(self) -> float | None:
        """The policy's newest doubt, None when it isn't known."""

    def disagreement(self, stamp_ns: int) -> float | None:
        """Return how far policy and expert were apart about a tick, None when that isn't known."""

    def hear(self, name: str, proposal: Proposal) -> None:
        """Take note of a proposal that was let in."""

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return who shall have authority at a tick."""

    def restart(self) -> None:
        """Begin a new episode."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return what the supervisor's status shows of this mode."""


class Priority:
    """The highest-ranking source that is in the running has authority."""

    name = "priority"
    request: Request | None = None
    uncertainty: float | None = None

    def disagreement(self, stamp_ns: int) -> float | None:
        """Compare nothing."""
        return None

    def hear(self, name: str, proposal: Proposal) -> None:
        """Need nothing of it."""

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the source with the highest priority that is in the running."""
        return Arbitration(by_priority(inputs.absences))

    def restart(self) -> None:
        """Have nothing to forget."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return nothing."""
        return {}


def ranked(sources: Sequence[Source]) -> tuple[Source, ...]:
    """Return the sources, highest priority first.

    Raises ValueError when two share a name, a topic or a priority: it must be clear who outranks whom.
    """
    for what in ("name", "topic", "priority"):
        values = [getattr(source, what) for source in sources]
        twice = [value for index, value in enumerate(values) if value in values[:index]]
        if twice:
            raise ValueError(f"two sources have the {what} '{twice[0]}'")
    if not sources:
        raise ValueError("at least one source is needed")
    return tuple(sorted(sources, key=lambda source: -source.priority))


def absence(source: Source, states: SourceState, now_ns: int, steady_ns: int, patience_ns: int) -> str:
    """Return why the source is out of the running, "" when it is in.

    Silence counts on the node's clock and on the steady clock, which goes on when /clock has stopped; there
    with at least `patience_ns`, because a simulator may run slower than real time.
    """
    if states.fault:
        return f"rejected: {states.fault}"
    if states.gone:
        return RELEASED
    if states.proposal is None:
        return NOT_YET
    limit_ns = int(source.timeout_s * 1e9)
    silent_ns, silent_steady_ns = now_ns - states.arrival_ns, steady_ns - states.arrival_steady_ns
    if silent_ns > limit_ns or silent_steady_ns > max(limit_ns, patience_ns):
        return f"silent for {max(silent_ns, silent_steady_ns) / 1e9:.2f} s"
    return ""


def by_priority(absences: Absences) -> str:
    """Return the highest-ranking source that is in the running."""
    return next((name for name, absent in absences.items() if not absent), NOBODY)
