"""The safety limiter: maps a target to the command that is sent. All commands pass it, also the expert's.

Position actions obey position, speed and acceleration limits, and can always brake before a position limit.
Velocity actions obey their range and their change per second. One factor slows all axes of an action key, so
the path stays straight unless an axis is already braking before a limit.
A target within the limits passes bit for bit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from il_ros.control.limiter.profile import TOLERANCE, AxisLimits, approach_speed, speed_range, speed_within
from il_ros.core.specs import POSE, ActionSpec

Numbers = tuple[float, ...]
Acted = list[tuple[int, str]]
Range = tuple[float, float, str, str]


@dataclass(frozen=True)
class Motion:
    """The last command of one action key.

    `sent` (A_k,): the last command, or the measured state at the start of a ramp. `speed` (A_k,): the speed
    of the last step (positions only). `target` (A_k,): the target of the last step, None without one.
    """

    sent: Numbers
    speed: Numbers
    target: Numbers | None = None


class SafetyLimiter:
    """The limiter of one action key. It holds the limits only; the last command is an argument."""

    def __init__(self, spec: ActionSpec):
        limits = spec.limits
        self.spec = spec
        self._axes = [
            AxisLimits(*values)
            for values in zip(limits.lower, limits.upper, limits.speed, limits.acceleration, strict=True)
        ]
        self._turn = slice(3, 7) if spec.type == POSE else None

    def start(self, measured: Sequence[float], speed: Sequence[float] | None = None) -> Motion:
        """Return the start of a ramp: at `measured` (A_k,), with `speed` (A_k,) cut to what can be stopped."""
        sent = tuple(map(float, measured))
        if speed is None or self.spec.is_velocity:
            return Motion(sent, (0.0,) * len(sent))
        cut = tuple(map(speed_within, self._axes, sent, speed))
        return Motion(sent, cut)

    def step(self, target: Sequence[float], motion: Motion, dt_s: float) -> tuple[Motion, list[str]]:
        """Return the motion nearest to `target` (A_k,) after `dt_s`, and the limits that acted: ['joint2 speed'].

        `target` must be finite (see `problem`). `dt_s` <= 0 repeats the last command.
        """
        if dt_s <= 0.0:
            return motion, []
        desired = tuple(map(float, target))
        if self._turn is not None:
            desired = _same_hemisphere(desired, motion.sent, self._turn)
        if self.spec.is_velocity:
            after, acted = self._velocity(desired, motion, dt_s)
        else:
            speeds = self._free(desired, motion, dt_s)
            if speeds is not None:
                return Motion(desired, speeds, desired), []
            after, acted = self._position(desired, motion, dt_s)
        return after, [f"{self.spec.names[index]} {what}" for index, what in acted]

    def brake(self, motion: Motion, dt_s: float) -> Motion:
        """Return the next motion of a stop: decelerate at the acceleration limits, then hold."""
        if dt_s <= 0.0:
            return replace(motion, target=None)
        slower = tuple(
            math.copysign(max(0.0, abs(v) - axis.acceleration * dt_s), v) + 0.0
            for v, axis in zip(
                motion.sent if self.spec.is_velocity else motion.speed, self._axes, strict=True
            )
        )
        if self.spec.is_velocity:
            return Motion(slower, motion.speed)
        sent = tuple(
            _inside(axis, p, p + v * dt_s) for axis, p, v in zip(self._axes, motion.sent, slower, strict=True)
        )
        return Motion(sent, slower)

    def zero(self, motion: Motion) -> Motion:
        """Return zero velocity, or the last commanded position at zero speed, without deceleration."""
        still = (0.0,) * len(motion.sent)
        return Motion(still if self.spec.is_velocity else motion.sent, still)

    def _velocity(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, Acted]:
        acted: Acted = []
        factor = 1.0
        desired = []
        for index, (want, axis, sent) in enumerate(zip(target, self._axes, motion.sent, strict=True)):
            inside = max(axis.lower, min(axis.upper, want))
            slow = max(-axis.speed, min(axis.speed, inside))
            if slow != want:
                acted.append((index, "range" if slow == inside else "speed"))
            desired.append(slow)
            most, change = axis.acceleration * dt_s, abs(slow - sent)
            if change > most * (1.0 + TOLERANCE):
                factor = min(factor, most / change)
                acted.append((index, "acceleration"))
        if factor < 1.0:
            desired = [sent + factor * (want - sent) for want, sent in zip(desired, motion.sent, strict=True)]
        return Motion(tuple(desired), motion.speed, target), acted

    def _free(self, target: Numbers, motion: Motion, dt_s: float) -> Numbers | None:
        """Return the speeds to `target` when no limit acts, else None: a fast path for `_position`."""
        if motion.target != motion.sent:
            return None
        speeds = []
        for want, sent, before, axis in zip(target, motion.sent, motion.speed, self._axes, strict=True):
            speed = (want - sent) / dt_s
            room = axis.upper - want if speed > 0.0 else want - axis.lower
            if (
                not axis.lower <= want <= axis.upper
                or abs(speed) > axis.speed
                or abs(speed - before) > axis.acceleration * dt_s
                or speed * speed > 2.0 * axis.acceleration * room
            ):
                return None
            speeds.append(speed)
        return tuple(speeds)

    def _position(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, Acted]:
        acted: Acted = []
        desired: list[float] = []
        speeds: list[float] = []
        ranges: list[Range] = []
        before = motion.target or target
        for index, (want, axis) in enumerate(zip(target, self._axes, strict=True)):
            inside = max(axis.lower, min(axis.upper, want))
            if inside != want:
                acted.append((index, "position"))
            was = max(axis.lower, min(axis.upper, before[index]))
            moving = max(-axis.speed, min(axis.speed, (inside - was) / dt_s))
            desired.append(inside)
            speeds.append(approach_speed(inside - motion.sent[index], moving, axis.acceleration, dt_s))
            ranges.append(speed_range(axis, motion.sent[index], motion.speed[index], dt_s))
        direct = [(want - sent) / dt_s for want, sent in zip(desired, motion.sent, strict=True)]
        limited = _beyond(speeds, ranges) or _behind(speeds, direct)
        if not limited:
            return Motion(tuple(desired), _clamped(direct, ranges), target), acted
        factor = _common_factor(speeds, ranges)
        chosen = _clamped([factor * speed for speed in speeds], ranges)
        sent = tuple(
            _inside(axis, last, last + speed * dt_s)
            for axis, last, speed in zip(self._axes, motion.sent, chosen, strict=True)
        )
        return Motion(sent, chosen, target), acted + limited


def problem(values: Sequence[float], names: Sequence[str]) -> str | None:
    """Return why the values are not a valid command (wrong count, or a number that is not finite), else None."""
    if len(values) != len(names):
        return f"{len(values)} numbers instead of {len(names)}"
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            return f"{name} is {value}"
    return None


def _beyond(speeds: Sequence[float], ranges: Sequence[Range]) -> Acted:
    acted: Acted = []
    for index, (speed, (low, high, below, above)) in enumerate(zip(speeds, ranges, strict=True)):
        slack = TOLERANCE * (1.0 + abs(speed))
        if speed > high + slack:
            acted.append((index, above))
        elif speed < low - slack:
            acted.append((index, below))
    return acted


def _behind(speeds: Sequence[float], direct: Sequence[float]) -> Acted:
    """Return the axes that approach their target slowly in order to stop there without overshoot."""
    return [
        (index, "acceleration")
        for index, (speed, straight) in enumerate(zip(speeds, direct, strict=True))
        if abs(speed - straight) > TOLERANCE * (1.0 + abs(straight))
    ]


def _clamped(speeds: Sequence[float], ranges: Sequence[Range]) -> Numbers:
    return tuple(max(low, min(high, speed)) for speed, (low, high, _, _) in zip(speeds, ranges, strict=True))


def _common_factor(speeds: Sequence[float], ranges: Sequence[Range]) -> float:
    """Return the largest factor <= 1 that brings each axis that is too fast into its range."""
    factor = 1.0
    for speed, (low, high, _, _) in zip(speeds, ranges, strict=True):
        if speed > high > 0.0:
            factor = min(factor, high / speed)
        elif speed < low < 0.0:
            factor = min(factor, low / speed)
    return factor


def _inside(axis: AxisLimits, before: float, after: float) -> float:
    """Clip rounding errors at the limits; a start outside the limits may stay outside, but not move further."""
    return max(min(axis.lower, before), min(max(axis.upper, before), after))


def _same_hemisphere(target: Numbers, sent: Numbers, turn: slice) -> Numbers:
    """Return the pose with the quaternion sign nearer to the last command; q and -q are the same rotation."""
    if sum(a * b for a, b in zip(target[turn], sent[turn], strict=True)) >= 0.0:
        return target
    return (*target[: turn.start], *(-value for value in target[turn]))
