"""A simulated person at the session's keys: does what a person does, by a rule and with time to react.

It sees what the policy does and knows what it would do itself (the scripted expert's advice), takes over when
the two are apart for long enough or nothing gets done, hands back when they agree, gives an episode up that
it can't bring back, and asks for the next start when one has ended.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, velocities
from il_ros.interactive.dagger.intervener import SimulatedIntervener
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal
from il_ros.session import keys
from il_ros.session.state import SessionState

PATIENCE_S = 1.0
"""So long it waits after a wish, and when nobody drives, before it does something about that."""
GET_USED_TICKS = 40
"""Ticks of its own advice after which it knows what a usual motion is."""
USUAL = HumanModel(alarm=1.5, content=0.75, progress=5.0)
"""It sees no measurements: its usual motion is how far its own advice moves in a tick, and a robot lags
behind that by a few ticks. A policy that stands still is two to three such motions away."""


class SimulatedPerson:
    """Wishes for a number of episodes, and then for the end."""

    def __init__(
        self, contract: Contract, human_model: HumanModel, episodes: int, rng: np.random.Generator
    ) -> None:
        self._human_model, self._episodes, self._rng = human_model, episodes, rng
        self._velocity = velocities(contract)
        self._names = contract.action_slices
        self._squares = np.zeros(contract.action_size)
        self._ticks = 0
        self._before: Vector | None = None
        self._intervener: SimulatedIntervener | None = None
        self._has_policy = False
        self._alone_since_s: float | None = None
        self._at_a_loss = False
        self._lost_since_s: float | None = None
        self._commanded_s = -PATIENCE_S

    def heard(self, source: str, proposal: Proposal) -> None:
        """Take in what the policy proposes ('policy') or what it would do itself ('advice').

        Advice without a step: it knows no way on from here.
        """
        if source == "advice":
            self._at_a_loss = proposal.releases
        if proposal.releases:
            return
        tick_ns, action = proposal.stamp_ns, proposal.chunk[0]
        if source == "advice":
            self._get_used_to(action)
        else:
            self._has_policy = True
        if self._intervener is not None:
            hear = self._intervener.advice if source == "advice" else self._intervener.policy
            hear(tick_ns, action)

    def command(self, state: SessionState, now_s: float) -> str:
        """Return what it wants now, "" nothing; `now_s`: the steady clock."""
        if not state.ready or now_s - self._commanded_s < PATIENCE_S:
            return ""
        command = self._outside(state) if not state.recording else self._during(state, now_s)
        if command:
            self._commanded_s = now_s if command in (keys.NEXT, keys.END, keys.FAILURE) else self._commanded_s
        return command

    def _outside(self, state: SessionState) -> str:
        """Between episodes: the next one, until there were enough."""
        self._alone_since_s = self._lost_since_s = None
        self._at_a_loss = False
        if self._intervener is not None:
            self._intervener.begin()
        return keys.END if state.done >= self._episodes else keys.NEXT

    def _during(self, state: SessionState, now_s: float) -> str:
        """Take over where nobody drives or the human in it wants to, hand back when that is over.

        An episode that it doesn't know how to bring back is given up.
        """
        if self._at_a_loss:
            lost_s = self._lost_since_s = self._lost_since_s or now_s
            return keys.FAILURE if now_s - lost_s > PATIENCE_S else ""
        self._lost_since_s = None
        if state.driver == NOBODY and not state.helping:
            since_s = self._alone_since_s = self._alone_since_s or now_s
            return keys.TAKE if now_s - since_s > PATIENCE_S else ""
        self._alone_since_s = None
        wants_to_drive = self._intervener is not None and self._intervener.drives
        if state.helping == wants_to_drive or (state.helping and not self._has_policy):
            return ""
        return keys.TAKE

    def _get_used_to(self, advice: Vector) -> None:
        """Learn what a usual motion is, and begin to look on when it is known."""
        if self._before is not None:
            self._squares += np.where(self._velocity, advice, advice - self._before) ** 2
            self._ticks += 1
        self._before = advice
        if self._intervener is None and self._ticks >= GET_USED_TICKS:
            human = SimulatedHuman(self._human_model, self._motion(), self._rng, self._velocity)
            self._intervener = SimulatedIntervener(human)

    def _motion(self) -> Vector:
        """Return its own usual motion in one tick (A,); what hardly moves tells nothing."""
        motion: Vector = np.sqrt(self._squares / self._ticks)
        for part in self._names.values():
            motion[part] = np.where(motion[part] < 1e-3 * motion[part].max(), 0.0, motion[part])
        return motion
