"""A simulated operator of the session: gives user commands by a rule, with a reaction time.

It compares the policy's proposals with the scripted expert's advice, takes over when they differ for long
enough or the policy makes no progress, and hands back when they agree. It marks an episode as a failure when
the expert gives up, and starts the next episode when one has ended.
"""

from __future__ import annotations

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, velocities, without_still
from il_ros.interactive.dagger.intervener import SimulatedIntervener
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal
from il_ros.session import keys
from il_ros.session.state import SessionState

PATIENCE_S = 1.0
"""Wait after a command, and without a driver, before the next command."""
CALIBRATION_TICKS = 40
"""Number of advised ticks from which the typical motion is estimated."""
USUAL = HumanModel(alarm=1.5, content=0.75, progress=5.0)
"""Thresholds for a typical motion estimated from the change of the advice per tick, without measurements.

The robot lags the advice by a few ticks, so a policy that stands still is two to three such motions away.
"""


class SimulatedPerson:
    """Starts `episodes` episodes, operates them, and ends the session.

    `awaits_policy`: starts none before a policy is loaded, because there is one to correct.
    """

    def __init__(
        self,
        contract: Contract,
        human_model: HumanModel,
        episodes: int,
        rng: np.random.Generator,
        *,
        awaits_policy: bool = False,
    ) -> None:
        self._awaits_policy = awaits_policy
        self._human_model, self._episodes, self._rng = human_model, episodes, rng
        self._velocity = velocities(contract)
        self._contract = contract
        self._squares = np.zeros(contract.action_size)
        self._ticks = 0
        self._before: Vector | None = None
        self._intervener: SimulatedIntervener | None = None
        self._has_policy = False
        self._no_driver_since_s: float | None = None
        self._expert_gave_up = False
        self._gave_up_since_s: float | None = None
        self._commanded_s = -PATIENCE_S

    def observe(self, source: str, proposal: Proposal) -> None:
        """Process a proposal of the policy ('policy') or of the expert ('advice').

        Advice without a step: the task cannot be completed from here.
        """
        if source == "advice":
            self._expert_gave_up = proposal.releases
        if proposal.releases:
            return
        tick_ns, action = proposal.stamp_ns, proposal.chunk[0]
        if source == "advice":
            self._calibrate(action)
        else:
            self._has_policy = True
        if self._intervener is not None:
            receive = self._intervener.advice if source == "advice" else self._intervener.policy
            receive(tick_ns, action)

    def command(self, state: SessionState, now_s: float) -> str:
        """Return the next user command, "" without one; `now_s`: the steady clock."""
        if not state.ready or now_s - self._commanded_s < PATIENCE_S:
            return ""
        command = self._outside(state) if not state.recording else self._during(state, now_s)
        if command:
            self._commanded_s = now_s if command in (keys.NEXT, keys.END, keys.FAILURE) else self._commanded_s
        return command

    def _outside(self, state: SessionState) -> str:
        """Return the command between episodes: start the next one, or end the session."""
        self._no_driver_since_s = self._gave_up_since_s = None
        self._expert_gave_up = False
        if self._intervener is not None:
            self._intervener.begin()
        if self._awaits_policy and not state.policy:
            return ""
        return keys.END if state.done >= self._episodes else keys.NEXT

    def _during(self, state: SessionState, now_s: float) -> str:
        """Return the command during an episode: take over, hand back, or mark a failure.

        Takes over without a driver or when the simulated human drives. Failure: the expert gave up.
        """
        if self._expert_gave_up:
            given_up_s = self._gave_up_since_s = self._gave_up_since_s or now_s
            return keys.FAILURE if now_s - given_up_s > PATIENCE_S else ""
        self._gave_up_since_s = None
        if state.driver == NOBODY and not state.helping:
            since_s = self._no_driver_since_s = self._no_driver_since_s or now_s
            return keys.TAKE if now_s - since_s > PATIENCE_S else ""
        self._no_driver_since_s = None
        human_drives = self._intervener is not None and self._intervener.drives
        if state.helping == human_drives or (state.helping and not self._has_policy):
            return ""
        return keys.TAKE

    def _calibrate(self, advice: Vector) -> None:
        """Estimate the typical motion, and start the simulated human when it is known."""
        if self._before is not None:
            self._squares += np.where(self._velocity, advice, advice - self._before) ** 2
            self._ticks += 1
        self._before = advice
        if self._intervener is None and self._ticks >= CALIBRATION_TICKS:
            human = SimulatedHuman(self._human_model, self._motion(), self._rng, self._velocity)
            self._intervener = SimulatedIntervener(human)

    def _motion(self) -> Vector:
        """Return the typical motion (A,) of the advice per tick; below 1/1000 of the largest of its key, it is 0."""
        return without_still(np.sqrt(self._squares / self._ticks), self._contract)
