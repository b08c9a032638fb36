"""The last command of every action key and the next one: follow a target, apply the safe behaviour, or stop.

When no source has authority, the contract's `safe` sets the behaviour of each key:
- hold (positions, bounded numbers, choices): return to the last command and stay there, within the limits;
- zero (velocities, bounded numbers): command zero at once;
- stop: decelerate at the acceleration limits, then hold the position or stay at zero velocity.
An emergency stop applies `stop` to positions and `zero` to the others, independently of `safe`: a bounded number
becomes the one nearest to 0 within its limits, and a choice is repeated.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.control.limiter.starts import StartTolerance, start_problem, within
from il_ros.control.limiter.workspace import Workspace
from il_ros.core.contract import Contract

Numbers = tuple[float, ...]


class Actuation:
    """The command state of all action keys. A key is not sent until the start of its ramp is known.

    `keep_command`: keys whose ramps start from the last command even when a measurement is available.
    Example: a gripper that holds an object, where the measured opening differs from the commanded one.
    `tolerance`: where ramps may start. `workspace`: the box of the tool.
    Raises ValueError when `keep_command` names an unknown action.
    """

    def __init__(
        self,
        contract: Contract,
        keep_command: Sequence[str] = (),
        tolerance: StartTolerance | None = None,
        workspace: Workspace | None = None,
    ):
        self._limiters = {action.key: SafetyLimiter(action) for action in contract.actions}
        for key in keep_command:
            if key not in self._limiters:
                raise ValueError(
                    f"keep_command: '{key}' is not an action; there are: {', '.join(self._limiters)}"
                )
        self._tolerance = tolerance or StartTolerance()
        self._workspace = workspace
        self._slices = contract.action_slices
        self._keep = frozenset(keep_command)
        self._motions: dict[str, Motion | None] = dict.fromkeys(self._limiters)
        self._held: dict[str, Numbers] = {}

    @property
    def sent(self) -> Numbers | None:
        """The last command (A,), None before the first one; NaN for keys without one when others have one."""
        parts: list[float] = []
        known = False
        for key, motion in self._motions.items():
            if motion is None:
                parts += (math.nan,) * self._limiters[key].spec.size
            else:
                parts += motion.sent
                known = True
        return tuple(parts) if known else None

    def anchor(
        self,
        measured: Mapping[str, Numbers],
        *,
        from_rest: bool,
        trusted: Sequence[float] | None = None,
        keys: Collection[str] | None = None,
    ) -> dict[str, str]:
        """Start all ramps at the current state; if that fails for some keys, change nothing and return those.

        `keys`: start the ramps of these only; None: of all.

        The values of the returned keys are the reasons; "" means that the state is unknown. A state starts no
        ramp when it is too far outside the position limits, or too far from the last command (see `starts`).
        The other quantities start from the last command, or from rest before the first. `from_rest`: the robot was
        placed and stands still (start, simulator's reset), so the last command says nothing about it;
        otherwise the speed of the last command is assumed. `trusted` (A,): a target at which keys without a
        measurement may start when no command was sent before.
        """
        motions: dict[str, Motion | None] = {}
        failed: dict[str, str] = {}
        for key, limiter in self._limiters.items():
            if keys is not None and key not in keys:
                continue
            last = self._motions[key]
            speed = None if from_rest or last is None else last.speed
            reference = None if from_rest else last
            failed[key] = ""
            if not limiter.spec.is_position:
                motions[key] = last or limiter.start(limiter.rest())
            elif last is not None and (key in self._keep or (trusted is not None and key not in measured)):
                motions[key] = limiter.start(last.sent, speed)
            elif key in measured:
                failed[key] = start_problem(limiter, measured[key], reference, self._tolerance)
                if not failed[key]:
                    motions[key] = limiter.start(measured[key], speed)
            elif trusted is not None:
                first = trusted[self._slices[key]]
                failed[key] = start_problem(limiter, first, None, self._tolerance)
                if not failed[key]:
                    motions[key] = limiter.start(within(limiter, first))
        failed = {key: reason for key, reason in failed.items() if key not in motions}
        if not failed:
            self._motions.update(motions)
            for key in motions:
                self._held.pop(key, None)
        return failed

    def follow(
        self,
        target: Sequence[float],
        dt_s: float,
        keys: Collection[str] | None = None,
        *,
        emergency: bool = False,
    ) -> list[str]:
        """Move towards `target` (A,) within the safety limits; return the limits that acted, as 'key/name limit'.

        `keys`: those that follow it; the others apply their safe behaviour. None: all follow it.
        Raises ValueError when a key that follows is not anchored.
        """
        limited: list[str] = []
        before: dict[str, Motion] = {}
        after: dict[str, Motion] = {}
        for key, limiter in self._limiters.items():
            motion = self._motions[key]
            if keys is not None and key not in keys:
                if motion is not None:
                    before[key] = motion
                    after[key] = self._safe(key, limiter, motion, dt_s, emergency)
                continue
            if motion is None:
                raise ValueError(f"{key}: the start of the ramp is not known")
            self._held.pop(key, None)
            before[key] = motion
            after[key], acted = limiter.step(target[self._slices[key]], motion, dt_s)
            limited += [f"{key}/{what}" for what in acted]
        limited += self._keep_within(before, after, dt_s)
        self._motions.update(after)
        return limited

    def _keep_within(self, before: Mapping[str, Motion], after: dict[str, Motion], dt_s: float) -> list[str]:
        """Let the joints of the tool brake in `after` where their step would lead it out of the workspace."""
        space = self._workspace
        if space is None or not space.keys <= after.keys() or space.allows(before, after, self._limiters):
            return []
        for key in space.keys:
            after[key] = self._limiters[key].brake(before[key], dt_s)
        return [f"{key}/workspace" for key in sorted(space.keys)]

    def apply_safe(self, dt_s: float, *, emergency: bool = False) -> None:
        """Apply the safe behaviour of each key for one step of `dt_s` seconds."""
        self.follow((), dt_s, (), emergency=emergency)

    def _safe(self, key: str, limiter: SafetyLimiter, motion: Motion, dt_s: float, emergency: bool) -> Motion:
        """Return the next motion of a key without a target."""
        kind = limiter.spec.safe
        if emergency:
            kind = "stop" if limiter.spec.is_position else "zero"
        if kind == "zero":
            return limiter.zero(motion)
        if kind == "stop":
            return limiter.brake(motion, dt_s)
        return limiter.step(self._held.setdefault(key, motion.sent), motion, dt_s)[0]

    def forget(self) -> None:
        """Forget the last command of all keys."""
        self._motions = dict.fromkeys(self._limiters)
        self._held.clear()

    def rest(self, *, placed: bool) -> None:
        """Set the velocities with the safe behaviour `zero` to zero; those with `stop` decelerate.

        `placed`: the positions are at rest too; they stay until the next `anchor`.
        """
        self._held.clear()
        for key, limiter in self._limiters.items():
            motion = self._motions[key]
            at_once = placed if limiter.spec.is_position else limiter.spec.safe == "zero"
            if motion is not None and at_once:
                self._motions[key] = limiter.zero(motion)
