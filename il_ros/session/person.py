"""A simulated person at the session's keys: does what a person does, by a rule and with time to react.

It sees what the policy does and knows what it would do itself (the scripted expert's advice), takes over when
the two are apart for long enough, hands back when they agree, and asks for the next start when one has ended.
"""

from __future__ import annotations

import numpy as np

from il_ros.contract import Contract
from il_ros.control.decision import NOBODY
from il_ros.control.proposal import Proposal
from il_ros.interactive.human import Habits, SimulatedHuman
from il_ros.session import keys
from il_ros.session.world import World
from il_ros.specs import Vector

PATIENCE_S = 1.0
"""So long it waits after a wish, and when nobody drives, before it does something about that."""
GET_USED_TICKS = 40
"""Ticks of its own advice after which it knows what a usual motion is."""
KEPT_TICKS = 40
USUAL = Habits(alarm=1.5, content=0.75)
"""It sees no measurements: its usual motion is how far its own advice moves in a tick, and a robot lags
behind that by a few ticks. A policy that stands still is two to three such motions away."""


class SimulatedPerson:
    """Wishes for a number of episodes, and then for the end."""

    def __init__(self, contract: Contract, habits: Habits, episodes: int, rng: np.random.Generator) -> None:
        self._habits, self._episodes, self._rng = habits, episodes, rng
        self._velocity = np.concatenate([np.full(spec.size, spec.is_velocity) for spec in contract.actions])
        self._names = contract.action_slices
        self._period_ns = contract.period_ns
        self._heard: dict[str, dict[int, Vector]] = {"advice": {}, "policy": {}}
        self._squares = np.zeros(contract.action_size)
        self._ticks = 0
        self._before: Vector | None = None
        self._human: SimulatedHuman | None = None
        self._wants_to_drive = False
        self._alone_since_s: float | None = None
        self._wished_s = -PATIENCE_S

    def heard(self, source: str, proposal: Proposal) -> None:
        """Take in what the policy proposes ('policy') or what it would do itself ('advice')."""
        kept = self._heard[source]
        action = proposal.chunk[0]
        kept[proposal.stamp_ns] = action
        while len(kept) > KEPT_TICKS:
            del kept[min(kept)]
        if source == "advice":
            way = action if self._before is None else np.where(self._velocity, action, action - self._before)
            if self._before is not None:
                self._squares += way**2
                self._ticks += 1
            self._before = action
        self._judge(proposal.stamp_ns)

    def wish(self, world: World, now_s: float) -> str:
        """Return what it wants now, "" nothing; `now_s`: the steady clock."""
        if not world.ready or now_s - self._wished_s < PATIENCE_S:
            return ""
        wish = self._outside(world) if not world.recording else self._during(world, now_s)
        if wish:
            self._wished_s = now_s if wish in (keys.NEXT, keys.END) else self._wished_s
        return wish

    def _outside(self, world: World) -> str:
        """Between episodes: the next one, until there were enough."""
        self._wants_to_drive, self._alone_since_s = False, None
        if self._human is not None:
            self._human.begin()
        return keys.END if world.done >= self._episodes else keys.NEXT

    def _during(self, world: World, now_s: float) -> str:
        """Take over where nobody drives or the human in it wants to, hand back when that is over."""
        if world.driver == NOBODY and not world.helping:
            since_s = self._alone_since_s = self._alone_since_s or now_s
            return keys.TAKE if now_s - since_s > PATIENCE_S else ""
        self._alone_since_s = None
        if world.helping == self._wants_to_drive or (world.helping and not self._heard["policy"]):
            return ""
        return keys.TAKE

    def _judge(self, stamp_ns: int) -> None:
        """Let the human in it look at a tick that both have spoken about, once."""
        policy = self._heard["policy"].get(stamp_ns)
        advice = self._heard["advice"].get(stamp_ns)
        if policy is None or advice is None or self._ticks < GET_USED_TICKS:
            return
        if self._human is None:
            self._human = SimulatedHuman(self._habits, self._motion(), self._rng)
        self._wants_to_drive = self._human.wants_to_drive(policy, advice)

    def _motion(self) -> Vector:
        """Return its own usual motion in one tick (A,); what hardly moves tells nothing."""
        motion: Vector = np.sqrt(self._squares / self._ticks)
        for part in self._names.values():
            motion[part] = np.where(motion[part] < 1e-3 * motion[part].max(), 0.0, motion[part])
        return motion
