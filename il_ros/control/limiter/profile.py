"""Admissible speeds of one axis over the next step: within its limits, and always able to stop in time.

All bounds apply between consecutive commands. A step of `dt_s` at speed w moves the axis by w * dt_s; the
speed may change by acceleration * dt_s per step. For seven joints, plain floats are faster than arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE = 1e-9
"""Relative tolerance of the bounds, so that rounding is not reported as limiting."""


@dataclass(frozen=True)
class AxisLimits:
    """Limits of one axis: position in [lower, upper], |speed| and |acceleration|; infinite where absent.

    Raises ValueError when the range is empty or a bound is not positive.
    """

    lower: float
    upper: float
    speed: float
    acceleration: float

    def __post_init__(self) -> None:
        if not self.lower < self.upper:
            raise ValueError(f"lower {self.lower} must be below upper {self.upper}")
        for name, value in (("speed", self.speed), ("acceleration", self.acceleration)):
            if not value > 0:
                raise ValueError(f"{name} must be above 0, not {value}")


def stoppable_speed(distance: float, acceleration: float, dt_s: float) -> float:
    """Return the largest speed for the next step after which braking still ends within `distance` (>= 0).

    w solves w^2 / (2 a) + w dt = distance: one step at w, then braking at a. An axis that braked at a in the
    previous step stays within the bound for any step lengths, so an admissible speed always exists.
    """
    if distance == math.inf or dt_s <= 0.0:
        return math.inf
    if acceleration == math.inf:
        return distance / dt_s
    slope = acceleration * dt_s
    root = math.sqrt(slope * slope + 2.0 * acceleration * distance)
    if root == math.inf:  # an acceleration so large that it does not limit
        return distance / dt_s
    # 2 a d / (slope + sqrt(..)) equals sqrt(..) - slope, without cancellation
    return 2.0 * acceleration * distance / (slope + root)


def speed_within(limits: AxisLimits, position: float, speed: float) -> float:
    """Return `speed` reduced so that the axis at `position` can still stop before its position limit."""
    room = max(0.0, limits.upper - position if speed > 0 else position - limits.lower)
    if limits.acceleration == math.inf or room == math.inf:
        most = limits.speed
    else:
        most = min(limits.speed, math.sqrt(2.0 * limits.acceleration * room))
    return max(-most, min(most, speed))


def speed_range(
    limits: AxisLimits, position: float, speed: float, dt_s: float
) -> tuple[float, float, str, str]:
    """Return (lowest, highest) speed for the next step and the limit that sets each.

    The limits are named 'speed', 'acceleration' and 'position'. `position` and `speed` are those of the last
    command. Outside the position limits, only speeds back towards the range are left.
    """
    change = limits.acceleration * dt_s
    highest, above = limits.speed, "speed"
    if speed + change < highest:
        highest, above = speed + change, "acceleration"
    brake = stoppable_speed(max(0.0, limits.upper - position), limits.acceleration, dt_s)
    if brake < highest:
        highest, above = brake, "position"
    lowest, below = -limits.speed, "speed"
    if speed - change > lowest:
        lowest, below = speed - change, "acceleration"
    brake = stoppable_speed(max(0.0, position - limits.lower), limits.acceleration, dt_s)
    if -brake > lowest:
        lowest, below = -brake, "position"
    if lowest > highest:  # rounding error during full braking before a limit
        lowest = highest = highest if above == "position" else lowest
    return lowest, highest, below, above


def approach_speed(distance: float, target_speed: float, acceleration: float, dt_s: float) -> float:
    """Return the speed that reaches a target at the signed `distance` that moves at `target_speed`.

    Without lag (the distance is the target's own step) this is the target's speed, so a stream of targets
    within the limits passes unchanged. With lag, the speed stays low enough to brake without overshoot.
    """
    behind = distance - target_speed * dt_s
    gap = abs(behind)
    if acceleration == math.inf or gap <= acceleration * dt_s * dt_s:
        return distance / dt_s
    return target_speed + math.copysign(stoppable_speed(gap, acceleration, dt_s), behind)
