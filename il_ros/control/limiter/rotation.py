"""The rotation of a pose: limits on its angular speed and angular acceleration, not on quaternion numbers.

Quaternions are x, y, z, w. A rotation vector (3,) has the direction of the axis and the length of the angle in
rad; angular velocities (3,) are in rad/s. Both are in the frame of the pose, not in that of the tool.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from il_ros.control.limiter.profile import TOLERANCE, stoppable_speed

Numbers = tuple[float, ...]

NORM_TOLERANCE = 0.1
"""Largest difference of a quaternion's norm from 1; a shorter or longer one is not a rotation."""
_ROUNDING = 1e-9


def norm_problem(quaternion: Sequence[float]) -> str:
    """Return why four numbers are not a rotation, "" when they are one up to a small error of the norm."""
    norm = math.hypot(*quaternion)
    if abs(norm - 1.0) <= NORM_TOLERANCE:
        return ""
    return f"the quaternion's norm is {norm:.3g}, expected 1 (within {NORM_TOLERANCE:g})"


def unit(quaternion: Sequence[float]) -> Numbers:
    """Return the quaternion with norm 1; one whose norm is 1 up to rounding stays the same bit for bit."""
    norm = math.hypot(*quaternion)
    return tuple(quaternion) if abs(norm - 1.0) <= _ROUNDING else tuple(part / norm for part in quaternion)


def same_sign(quaternion: Numbers, other: Sequence[float]) -> Numbers:
    """Return q or -q, which are the same rotation: the one nearer to `other`."""
    nearer = sum(a * b for a, b in zip(quaternion, other, strict=True)) >= 0.0
    return quaternion if nearer else tuple(-part for part in quaternion)


def turn_between(start: Sequence[float], end: Sequence[float]) -> Numbers:
    """Return the rotation vector (3,) of the shortest turn from `start` to `end`, both of norm 1."""
    x, y, z, w = start
    ex, ey, ez, ew = end
    # end * conjugate(start)
    tx = -ew * x + ex * w - ey * z + ez * y
    ty = -ew * y + ey * w - ez * x + ex * z
    tz = -ew * z + ez * w - ex * y + ey * x
    tw = ew * w + ex * x + ey * y + ez * z
    if tw < 0.0:
        tx, ty, tz, tw = -tx, -ty, -tz, -tw
    sine = math.hypot(tx, ty, tz)
    if sine == 0.0:
        return (0.0, 0.0, 0.0)
    ratio = 2.0 * math.atan2(sine, tw) / sine
    return (tx * ratio, ty * ratio, tz * ratio)


def turned(quaternion: Sequence[float], vector: Sequence[float]) -> Numbers:
    """Return the quaternion (norm 1) after the turn by a rotation vector (3,)."""
    angle = math.hypot(*vector)
    ratio = math.sin(angle / 2.0) / angle if angle > 0.0 else 0.5
    tx, ty, tz = (part * ratio for part in vector)
    tw = math.cos(angle / 2.0)
    x, y, z, w = quaternion
    after = (
        tw * x + tx * w + ty * z - tz * y,
        tw * y + ty * w + tz * x - tx * z,
        tw * z + tz * w + tx * y - ty * x,
        tw * w - tx * x - ty * y - tz * z,
    )
    norm = math.hypot(*after)
    return tuple(part / norm for part in after)


@dataclass(frozen=True)
class RotationLimits:
    """Limits of a rotation: `speed` in rad/s, `acceleration` in rad/s^2 (infinite where absent)."""

    speed: float
    acceleration: float

    def start(self, velocity: Sequence[float]) -> Numbers:
        """Return the angular velocity (3,) at the start of a ramp, within the speed limit."""
        return _shortened(velocity, self.speed)

    def step(
        self,
        target: Numbers,
        before: Numbers | None,
        sent: Numbers,
        velocity: Sequence[float],
        dt_s: float,
    ) -> tuple[Numbers, Numbers, str]:
        """Return the orientation (4,) and the angular velocity (3,) after `dt_s`, and the limit that acted.

        `target`, `before` (the target of the last step, None without one) and `sent` have norm 1; `velocity` is
        that of the last step. The limit is 'speed', 'acceleration' or "". A target within reach passes
        bit for bit.
        """
        change = self.acceleration * dt_s
        way = turn_between(sent, target)
        direct = _scaled(way, 1.0 / dt_s)
        moving = _scaled(turn_between(before or target, target), 1.0 / dt_s)
        moving = _shortened(moving, self.speed)
        behind = _sum(way, _scaled(moving, -dt_s))
        gap = math.hypot(*behind)
        if self.acceleration == math.inf or gap <= change * dt_s:
            wanted = direct
        else:
            wanted = _sum(moving, _scaled(behind, stoppable_speed(gap, self.acceleration, dt_s) / gap))
        chosen = _shortened(wanted, self.speed)
        step = _shortened(_sum(chosen, _scaled(velocity, -1.0)), change)
        chosen = _sum(velocity, step) if change < math.inf else chosen
        missed = math.hypot(*_sum(direct, _scaled(chosen, -1.0)))
        if missed <= TOLERANCE * (1.0 + math.hypot(*direct)):
            return target, direct, ""
        fast = math.hypot(*direct) > self.speed and math.hypot(*chosen) > self.speed * (1.0 - TOLERANCE)
        return turned(sent, _scaled(chosen, dt_s)), chosen, "speed" if fast else "acceleration"

    def brake(self, sent: Numbers, velocity: Sequence[float], dt_s: float) -> tuple[Numbers, Numbers]:
        """Return the orientation and the angular velocity after one step of deceleration."""
        speed = math.hypot(*velocity)
        slower = _shortened(velocity, max(0.0, speed - self.acceleration * dt_s))
        return (turned(sent, _scaled(slower, dt_s)) if any(slower) else sent), slower


def _scaled(vector: Sequence[float], factor: float) -> Numbers:
    return tuple(part * factor for part in vector)


def _sum(vector: Sequence[float], other: Sequence[float]) -> Numbers:
    return tuple(a + b for a, b in zip(vector, other, strict=True))


def _shortened(vector: Sequence[float], most: float) -> Numbers:
    length = math.hypot(*vector)
    return tuple(vector) if length <= most else tuple(part * (most / length) for part in vector)
