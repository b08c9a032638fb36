"""What was last sent on every action key, and how it goes on: follow a wish, behave safely, or stop.

Safe behaviour by key, as the contract's `safe` says, when nobody has authority:
- hold (positions): go back to and stay at what was last sent, within the limits;
- zero (velocities): zero at once;
- stop: slow down at the acceleration limits, then stay (positions) or rest at zero (velocities).
An emergency stop is `stop` for positions and `zero` for velocities, whatever `safe` says.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.core.contract import Contract

Numbers = tuple[float, ...]


class Actuation:
    """The command state of all action keys. Nothing is sent until every key knows where its ramp starts.

    `keep_command`: keys whose ramps start from the last command even when a measurement is at hand, such as a
    gripper that squeezes: its measured opening is not what it should be told.
    """

    def __init__(self, contract: Contract, keep_command: Sequence[str] = ()):
        self._limiters = {action.key: SafetyLimiter(action) for action in contract.actions}
        for key in keep_command:
            if key not in self._limiters:
                raise ValueError(
                    f"keep_command: '{key}' is no action; there are: {', '.join(self._limiters)}"
                )
        self._slices = contract.action_slices
        self._keep = frozenset(keep_command)
        self._motions: dict[str, Motion | None] = dict.fromkeys(self._limiters)
        self._held: dict[str, Numbers] = {}

    @property
    def sent(self) -> Numbers | None:
        """The last command (A,), None before there was one."""
        parts: list[float] = []
        for motion in self._motions.values():
            if motion is None:
                return None
            parts += motion.sent
        return tuple(parts)

    def anchor(
        self, measured: Mapping[str, Numbers], *, from_rest: bool, trusted: Sequence[float] | None = None
    ) -> list[str]:
        """Let the ramps start where the robot is; or, changing nothing, return the keys where it isn't known.

        Velocities start from what was last sent, else from zero. `from_rest`: the robot isn't moving (start,
        restart); otherwise it is taken to move as it was told. `trusted` (A,): a wish that keys without a
        measurement may start at when nothing was sent before.
        """
        motions: dict[str, Motion | None] = {}
        for key, limiter in self._limiters.items():
            last = self._motions[key]
            speed = None if from_rest or last is None else last.speed
            if limiter.spec.is_velocity:
                motions[key] = last or limiter.start((0.0,) * limiter.spec.size)
            elif last is not None and (key in self._keep or (trusted is not None and key not in measured)):
                motions[key] = limiter.start(last.sent, speed)
            elif key in measured:
                motions[key] = limiter.start(measured[key], speed)
            elif trusted is not None:
                motions[key] = limiter.start(trusted[self._slices[key]])
        unknown = [key for key in self._limiters if key not in motions]
        if not unknown:
            self._motions = motions
            self._held.clear()
        return unknown

    def follow(self, target: Sequence[float], dt_s: float) -> list[str]:
        """Go towards the wish (A,) as far as the gate lets it, and return what limited it.

        All keys must be anchored. Raises ValueError otherwise.
        """
        self._held.clear()
        limited: list[str] = []
        for key, limiter in self._limiters.items():
            motion = self._motions[key]
            if motion is None:
                raise ValueError(f"{key}: where its ramp starts is not known")
            self._motions[key], acted = limiter.step(target[self._slices[key]], motion, dt_s)
            limited += [f"{key}/{what}" for what in acted]
        return limited

    def behave(self, dt_s: float, *, emergency: bool = False) -> None:
        """Do the safe behaviour of each key for one step."""
        for key, limiter in self._limiters.items():
            motion = self._motions[key]
            if motion is None:
                continue
            kind = limiter.spec.safe
            if emergency:
                kind = "zero" if limiter.spec.is_velocity else "stop"
            if kind == "zero":
                self._motions[key] = limiter.zero(motion)
            elif kind == "stop":
                self._motions[key] = limiter.brake(motion, dt_s)
            else:
                self._motions[key], _ = limiter.step(self._held.setdefault(key, motion.sent), motion, dt_s)

    def rest(self) -> None:
        """Take the robot to stand still: velocities zero; positions stay until `anchor` finds them."""
        self._held.clear()
        for key, limiter in self._limiters.items():
            motion = self._motions[key]
            if motion is not None:
                self._motions[key] = limiter.zero(motion)
