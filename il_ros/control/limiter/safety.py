"""The safety limiter: maps a target to the command that is sent. All commands pass it, also the expert's.

Position actions obey position, speed and acceleration limits, and can always brake before a position limit.
Velocity actions obey their range and their change per second; so do bounded numbers, whose range need not include 0.
Of a choice, the largest number is sent as 1 and the others as 0. One factor slows all axes of an action key, so
the path stays straight unless an axis is already braking before a limit.
The orientation of a pose is limited as a rotation (`rotation`): the smallest of its four speed limits is the
limit of the angular speed in rad/s, the smallest of its four acceleration limits that in rad/s^2.
Continuous joints go the shortest way: their targets and commands count modulo a whole turn. Their commands go on from
the last one, or are kept within the turn that the position limits say.
A target within the limits passes bit for bit, up to whole turns.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from il_ros.control.limiter.profile import TOLERANCE, AxisLimits, approach_speed, speed_range, speed_within
from il_ros.control.limiter.rotation import RotationLimits, norm_problem, same_sign, unit
from il_ros.core.specs import BOUNDED, CHOICE, POSE, ActionSpec
from il_ros.core.tables import counted

LARGEST = 1e9
"""Largest absolute number of a command, in its unit. It replaces missing position limits: beyond it, sums and
quotients of commands would round or overflow."""

Numbers = tuple[float, ...]
Acted = list[tuple[int, str]]
Range = tuple[float, float, str, str]

_ORIENTATION = 3  # index of the first of a pose's four orientation numbers


@dataclass(frozen=True)
class Motion:
    """The last command of one action key.

    `sent` (A_k,): the last command, or the measured state at the start of a ramp. `speed` (A_k,): the speed
    of the last step (positions only; of a pose's orientation: the angular velocity x, y, z in rad/s, then 0).
    `target` (A_k,): the target of the last step, None without one.
    """

    sent: Numbers
    speed: Numbers
    target: Numbers | None = None


class SafetyLimiter:
    """The limiter of one action key. It holds the limits only; the last command is an argument."""

    def __init__(self, spec: ActionSpec):
        limits = spec.limits
        self.spec = spec
        self.axes = tuple(
            AxisLimits(max(-LARGEST, lower), min(LARGEST, upper), speed, acceleration)
            for lower, upper, speed, acceleration in zip(
                limits.lower, limits.upper, limits.speed, limits.acceleration, strict=True
            )
        )
        """The limits of each number (A_k); of a pose's orientation, only the position limits apply to a number."""
        self.turns = tuple(map(float, spec.turns))
        """The whole turn of each number that is a continuous joint's, 0 for others (A_k)."""
        self._continuous = any(self.turns)
        self._kept = tuple(  # the turn [lower, upper) in which the commands of a continuous joint are kept
            (lower, turn) if turn and math.isfinite(upper - lower) else None
            for turn, lower, upper in zip(self.turns, limits.lower, limits.upper, strict=True)
        )
        if self._continuous:
            self.axes = tuple(
                AxisLimits(-LARGEST, LARGEST, axis.speed, axis.acceleration) if turn else axis
                for turn, axis in zip(self.turns, self.axes, strict=True)
            )
        self.rotation: RotationLimits | None = None
        """The limits of a pose's orientation, None for other actions."""
        self._axes = self.axes
        self._instant = not spec.is_position and all(a == math.inf for a in limits.acceleration)
        if spec.type == POSE:
            self._axes = self.axes[:_ORIENTATION]
            self.rotation = RotationLimits(
                min(limits.speed[_ORIENTATION:]), min(limits.acceleration[_ORIENTATION:])
            )

    def start(self, measured: Sequence[float], speed: Sequence[float] | None = None) -> Motion:
        """Return the start of a ramp: at `measured` (A_k,), with `speed` (A_k,) cut to what can be stopped.

        A continuous joint is taken into the turn in which its commands are kept.
        """
        sent = tuple(map(float, measured))
        if self._continuous:  # positions only
            sent = self._within_turn(sent)
        if self.rotation is not None:
            sent = (*sent[:_ORIENTATION], *unit(sent[_ORIENTATION:]))
        if speed is None or not self.spec.is_position:
            return Motion(sent, (0.0,) * len(sent))
        cut = tuple(speed_within(*axis) for axis in zip(self._axes, sent, speed, strict=False))
        if self.rotation is not None:
            cut = (*cut, *self.rotation.start(speed[_ORIENTATION:-1]), 0.0)
        return Motion(sent, cut)

    def rest(self) -> Numbers:
        """Return the command (A_k,) before the first one: 0, of a bounded number the nearest to 0, the first choice."""
        if self.spec.quantity == CHOICE:
            return (1.0, *(0.0,) * (self.spec.size - 1))
        return tuple(max(axis.lower, min(axis.upper, 0.0)) for axis in self.axes)

    def step(self, target: Sequence[float], motion: Motion, dt_s: float) -> tuple[Motion, list[str]]:
        """Return the motion nearest to `target` (A_k,) after `dt_s`, and the limits that acted: ['joint2 speed'].

        `target` must be a valid command (see `problem`). `dt_s` <= 0 repeats the last command, except of
        velocities without an acceleration limit, which need no time to change.
        """
        desired = tuple(map(float, target))
        if dt_s <= 0.0:
            if not self._instant:
                return motion, []
            dt_s = 0.0
        if self.rotation is not None:
            return self._pose(desired, motion, dt_s)
        if self.spec.quantity == CHOICE:
            return Motion(_largest(desired), motion.speed, desired), []
        if not self.spec.is_position:
            after, acted = self._velocity(desired, motion, dt_s)
        else:
            after, acted = self._positions(desired, motion, dt_s)
        return after, [f"{self.spec.names[index]} {what}" for index, what in acted]

    def brake(self, motion: Motion, dt_s: float) -> Motion:
        """Return the next motion of a stop: decelerate at the acceleration limits, then hold."""
        if dt_s <= 0.0:
            return self.zero(motion) if self._instant else replace(motion, target=None)
        if self.rotation is not None:
            place, turn = _parted(motion)
            place = self._brake(place, dt_s)
            return _joined(place, Motion(*self.rotation.brake(turn.sent, turn.speed, dt_s)))
        return self._brake(motion, dt_s)

    def _brake(self, motion: Motion, dt_s: float) -> Motion:
        slower = tuple(
            math.copysign(max(0.0, abs(v) - axis.acceleration * dt_s), v) + 0.0
            for v, axis in zip(
                motion.speed if self.spec.is_position else motion.sent, self._axes, strict=True
            )
        )
        if not self.spec.is_position:
            return Motion(slower, motion.speed)
        sent = tuple(
            _inside(axis, p, p + v * dt_s) for axis, p, v in zip(self._axes, motion.sent, slower, strict=True)
        )
        return Motion(self._within_turn(sent) if self._continuous else sent, slower)

    def zero(self, motion: Motion) -> Motion:
        """Return rest, without deceleration: of positions and choices the last command, of the others `rest`."""
        kept = self.spec.is_position or self.spec.quantity == CHOICE
        return Motion(motion.sent if kept else self.rest(), (0.0,) * len(motion.sent))

    def _pose(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, list[str]]:
        """Return the next motion of a pose: its position and its rotation are limited separately."""
        assert self.rotation is not None
        place, turn = _parted(motion)
        after, acted = self._positions(target[:_ORIENTATION], place, dt_s)
        limited = [f"{self.spec.names[index]} {what}" for index, what in acted]
        wanted = same_sign(unit(target[_ORIENTATION:]), turn.sent)
        sent, speed, what = self.rotation.step(wanted, turn.target, turn.sent, turn.speed, dt_s)
        if any(map(_leaves, self.axes[_ORIENTATION:], turn.sent, sent)):
            sent, speed, what = turn.sent, (0.0, 0.0, 0.0), "position"
        if what:
            limited.append(f"orientation {what}")
        return _joined(after, Motion(sent, speed, wanted)), limited

    def _positions(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, Acted]:
        if self._continuous:
            return self._turning(target, motion, dt_s)
        return self._axis_by_axis(target, motion, dt_s)

    def _turning(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, Acted]:
        """Return the next motion with continuous joints: the target in the turn that is nearest to the last command."""
        wanted = self.nearest(target, motion.sent)
        before = None if motion.target is None else self.nearest(motion.target, wanted)
        after, acted = self._axis_by_axis(wanted, replace(motion, target=before), dt_s)
        return replace(after, sent=self._within_turn(after.sent), target=target), acted

    def nearest(self, values: Sequence[float], other: Sequence[float]) -> Numbers:
        """Return values (A_k,), those of continuous joints in the turn that is nearest to `other` (A_k,)."""
        if not self._continuous:
            return tuple(values)
        return tuple(
            value - turn * round((value - near) / turn) if turn and abs(value - near) > turn / 2 else value
            for value, near, turn in zip(values, other, self.turns, strict=True)
        )

    def _within_turn(self, sent: Numbers) -> Numbers:
        return tuple(
            value
            if kept is None or 0 <= value - kept[0] <= kept[1]
            else kept[0] + (value - kept[0]) % kept[1]
            for value, kept in zip(sent, self._kept, strict=True)
        )

    def _axis_by_axis(self, target: Numbers, motion: Motion, dt_s: float) -> tuple[Motion, Acted]:
        speeds = self._free(target, motion, dt_s)
        if speeds is not None:
            return Motion(target, speeds, target), []
        return self._position(target, motion, dt_s)

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
            most = math.inf if axis.acceleration == math.inf else axis.acceleration * dt_s
            change = abs(slow - sent)
            if change > most * (1.0 + TOLERANCE):
                factor = min(factor, most / change)
                acted.append((index, "rate" if self.spec.quantity == BOUNDED else "acceleration"))
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


def problem(values: Sequence[float], names: Sequence[str], quaternions: Sequence[slice] = ()) -> str | None:
    """Return why the values are not a valid command, else None.

    They are not when their count is wrong, when a number is not finite or beyond LARGEST, or when one of the
    `quaternions` (their places) is not a rotation.
    """
    if len(values) != len(names):
        return f"{counted(len(values), 'number')} instead of {len(names)}"
    for name, value in zip(names, values, strict=True):
        if not math.isfinite(value):
            return f"{name} is {value}"
        if abs(value) > LARGEST:
            return f"{name} is {value:g}, beyond {LARGEST:g}"
    for part in quaternions:
        wrong = norm_problem(values[part])
        if wrong:
            return f"{names[part.start]}: {wrong}"
    return None


def quaternion_slices(actions: Sequence[ActionSpec]) -> list[slice]:
    """Return the places of all quaternions in the flat action (A,)."""
    found, first = [], 0
    for action in actions:
        if action.type == POSE:
            found.append(slice(first + _ORIENTATION, first + action.size))
        first += action.size
    return found


def _largest(scores: Numbers) -> Numbers:
    """Return 1 for the largest score, the first of equal ones, and 0 for the others."""
    first = scores.index(max(scores))
    return tuple(float(index == first) for index in range(len(scores)))


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


def _leaves(axis: AxisLimits, before: float, after: float) -> bool:
    """Return whether a number of an orientation moves beyond a position limit, by more than rounding."""
    return after > max(axis.upper, before) + TOLERANCE or after < min(axis.lower, before) - TOLERANCE


def _parted(motion: Motion) -> tuple[Motion, Motion]:
    """Return the motion of a pose's position (3 numbers) and that of its orientation (4, angular speed 3)."""
    sent, speed, target = motion.sent, motion.speed, motion.target
    return (
        Motion(sent[:_ORIENTATION], speed[:_ORIENTATION], None if target is None else target[:_ORIENTATION]),
        Motion(
            sent[_ORIENTATION:], speed[_ORIENTATION:-1], None if target is None else target[_ORIENTATION:]
        ),
    )


def _joined(place: Motion, turn: Motion) -> Motion:
    target = None if place.target is None or turn.target is None else (*place.target, *turn.target)
    return Motion((*place.sent, *turn.sent), (*place.speed, *turn.speed, 0.0), target)
