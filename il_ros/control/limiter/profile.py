"""How fast one axis may move over the next step: speed, acceleration, and always able to stop in time.

All bounds hold from one command to the next. A step of `dt_s` at speed w moves w * dt_s; the speed of the
step after may differ by acceleration * dt_s. Plain floats: for seven joints they are faster than arrays.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

TOLERANCE = 1e-9
"""Relative slack within which a bound counts as kept, so that rounding isn't reported as limiting."""


@dataclass(frozen=True)
class AxisLimits:
    """Limits of one number: position in [lower, upper], |speed| and |acceleration|; infinite where absent."""

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

    w solves w^2 / (2 a) + w dt = distance: this step at w, then braking at a. Who braked at a in the step
    before is within the bound, whatever the lengths of the steps, so there is always a way to obey.
    """
    if distance == math.inf or dt_s <= 0.0:
        return math.inf
    if acceleration == math.inf:
        return distance / dt_s
    slope = acceleration * dt_s
    # 2 a d / (slope + sqrt(..)) equals sqrt(..) - slope without subtracting near-equal numbers
    return 2.0 * acceleration * distance / (slope + math.sqrt(slope * slope + 2.0 * acceleration * distance))


def speed_within(limits: AxisLimits, position: float, speed: float) -> float:
    """Return `speed` cut to what the axis may have at `position` and still stop before its end."""
    room = max(0.0, limits.upper - position if speed > 0 else position - limits.lower)
    if limits.acceleration == math.inf or room == math.inf:
        most = limits.speed
    else:
        most = min(limits.speed, math.sqrt(2.0 * limits.acceleration * room))
    return max(-most, min(most, speed))


def speed_range(
    limits: AxisLimits, position: float, speed: float, dt_s: float
) -> tuple[float, float, str, str]:
    """Return (lowest, highest) speed for the next step and what sets each: speed | acceleration | position.

    `position` and `speed` are those of the last command. Outside the position limits only ways in are left.
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
    if lowest > highest:  # equal but for rounding, when braking at full against a limit
        lowest = highest = highest if above == "position" else lowest
    return lowest, highest, below, above


def approach_speed(distance: float, target_speed: float, acceleration: float, dt_s: float) -> float:
    """Return the speed that reaches a target `distance` (signed) away, which moves at `target_speed`.

    Caught up (the distance is the target's own step) this is the target's speed, so a stream within the
    limits passes unchanged. Behind, it catches up no faster than it can slow down again, without overshoot.
    """
    behind = distance - target_speed * dt_s
    gap = abs(behind)
    if acceleration == math.inf or gap <= acceleration * dt_s * dt_s:
        return distance / dt_s
    return target_speed + math.copysign(stoppable_speed(gap, acceleration, dt_s), behind)
