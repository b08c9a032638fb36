"""Modes: who drives at a tick, expert or policy. Each is a small strategy over `Situation`; see the table.

| mode      | who drives                                                                             |
|-----------|----------------------------------------------------------------------------------------|
| priority  | the source with the highest priority of those that propose                             |
| expert    | the expert alone                                                                       |
| policy    | the policy alone                                                                       |
| shadow    | the expert; the policy is compared with it                                             |
| dagger    | drawn: the expert with probability beta, else the policy; it needs both to propose     |
| hg_dagger | the expert while it proposes (deadman held), else the policy                           |
| gated     | the policy, until its doubt passes a threshold: then the robot waits for the expert    |

When who should drive does not propose, nobody has authority, and the robot behaves safely.
"""

from __future__ import annotations

from typing import Any

from il_ros.control.supervisor.arbitration import NOT_YET, Arbitration, ArbitrationInput, Request
from il_ros.interactive.modes.beta import Asking, BetaSchedule, Mixer
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.proposal import Proposal


class InteractiveMode:
    """What the modes share: an experience that outlives them, and a status."""

    name = ""
    request: Request | None = None

    def __init__(self, memory: ModeMemory) -> None:
        self.memory = memory

    @property
    def uncertainty(self) -> float | None:
        """The policy's newest doubt, None when it can't tell."""
        return self.memory.uncertainty

    def disagreement(self, stamp_ns: int) -> float | None:
        """Return how far policy and expert were apart at a tick, or at the one before."""
        return self.memory.disagreement.at(stamp_ns)

    def observe(self, name: str, proposal: Proposal) -> None:
        """Take note of a proposal that was let in."""
        self.memory.hear(name, proposal)

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return who shall have authority at a tick."""
        raise NotImplementedError

    def restart(self) -> None:
        """Begin a new episode."""

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return what the supervisor's status shows of this mode."""
        found = self.memory
        return {"round": found.round, "uncertainty": found.uncertainty, "threshold": found.threshold.value}


class Alone(InteractiveMode):
    """One source, expert or policy, drives; the mode has its name."""

    def __init__(self, source: str, memory: ModeMemory) -> None:
        super().__init__(memory)
        self.name = self._source = source

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the one source, or nobody when it is absent."""
        return _only(self._source, inputs)


class ShadowMode(Alone):
    """The expert drives; the policy proposes in vain, and how far it is off is measured."""

    def __init__(self, memory: ModeMemory) -> None:
        super().__init__(EXPERT, memory)
        self.name = "shadow"

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return the last tick's disagreement and its mean besides."""
        return super().state(now_ns) | self.memory.disagreement.state()


class Dagger(InteractiveMode):
    """Beta mixing (Ross, Gordon and Bagnell 2011): each step's, segment's or episode's driver is drawn.

    A draw holds for all that is asked about one control period, and so does whether the expert labels it.
    Unless beta is 0 or 1 both must propose: a mixture without one of them would be another policy than the
    one that is recorded.
    `round_index` below 0: the experience counts the rounds.
    """

    name = "dagger"

    def __init__(
        self,
        memory: ModeMemory,
        schedule: BetaSchedule,
        mixer: Mixer,
        asking: Asking,
        period_ns: int,
        round_index: int = -1,
    ) -> None:
        super().__init__(memory)
        self._schedule, self._mixer, self._asking = schedule, mixer, asking
        self._round_index, self._asked = round_index, True
        self._holds_ns = 3 * period_ns // 4  # sources on timers of their own are not quite in step
        self._drawn_ns: int | None = None
        self._drawn, self.beta = EXPERT, self._schedule(self.round)

    @property
    def round(self) -> int:
        """The round that the schedule is at."""
        return self.memory.round if self._round_index < 0 else self._round_index

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the driver drawn for this control period."""
        stamp_ns = inputs.stamp_ns
        if self._drawn_ns is None or not 0 <= stamp_ns - self._drawn_ns < self._holds_ns:
            self._drawn_ns, self.beta = stamp_ns, self._schedule(self.round)
            self._drawn = EXPERT if self._mixer.expert_drives(self.beta) else POLICY
            self._asked = self._asking.asks()
        needed = (EXPERT, POLICY) if 0 < self.beta < 1 else (self._drawn,)
        missing = [name for name in needed if inputs.absences[name]]
        if missing:
            reason = "; ".join(f"{name} {inputs.absences[name]}" for name in missing)
            early = any(inputs.absences[name] == NOT_YET for name in missing)
            return Arbitration(NOBODY, reason, self.beta, early=early, queried=self._asked)
        return Arbitration(self._drawn, f"{self._drawn} drawn", self.beta, mixed=True, queried=self._asked)

    def restart(self) -> None:
        """Draw anew: an episode begins."""
        self._mixer.restart()
        self._drawn_ns = None

    def state(self, now_ns: int) -> dict[str, Any]:
        """Return beta and the round besides."""
        return super().state(now_ns) | {"beta": self.beta, "round": self.round}


class HumanGated(InteractiveMode):
    """HG-DAgger (Kelly et al. 2019): the human takes over by proposing, and hands back by ceasing to.

    The policy's doubt at the start of each intervention teaches the threshold that the status shows.
    """

    name = "hg_dagger"

    def __init__(self, memory: ModeMemory) -> None:
        super().__init__(memory)
        self._intervening = False

    def choose(self, inputs: ArbitrationInput) -> Arbitration:
        """Return the expert while it proposes, else the policy."""
        if inputs.absences[EXPERT]:
            self._intervening = False
            return _only(POLICY, inputs)
        if not self._intervening and inputs.authority == POLICY and self.uncertainty is not None:
            self.memory.threshold.intervened(self.uncertainty)
        self._intervening = True
        return Arbitration(EXPERT)


def _only(source: str, inputs: ArbitrationInput) -> Arbitration:
    absent = inputs.absences[source]
    return (
        Arbitration(NOBODY, f"{source} {absent}", early=absent == NOT_YET) if absent else Arbitration(source)
    )
