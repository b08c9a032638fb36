"""Where a ramp may start: near the position limits, and near the last command.

One wrong measurement must not become a command. A state that is farther away than the tolerance starts no ramp,
and the last command stays.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from il_ros.control.limiter.rotation import norm_problem, turn_between, unit
from il_ros.control.limiter.safety import Motion, SafetyLimiter
from il_ros.core.units import other_unit

_ROUNDING = 1e-9


@dataclass(frozen=True)
class StartTolerance:
    """The largest distances at which a ramp may start, in seconds of motion at the speed limit.

    One number fits axes of different units: with a speed limit of 2 rad/s, 0.1 s are 0.2 rad.
    `outside_s`: how far outside the position limits; the commands then lead back monotonically.
    `from_command_s`: how far from the last command (the following error).
    Raises ValueError when one is below 0 or not a number.
    """

    outside_s: float = 0.1
    from_command_s: float = 0.5

    def __post_init__(self) -> None:
        for name, seconds in (
            ("start_tolerance", self.outside_s),
            ("following_error", self.from_command_s),
        ):
            if not seconds >= 0.0:
                raise ValueError(f"{name} must be 0 s or more, not {seconds}")


def start_problem(
    limiter: SafetyLimiter, state: Sequence[float], last: Motion | None, tolerance: StartTolerance
) -> str:
    """Return why no ramp may start at `state` (A_k,), "" when one may; `last`: the last command, if known."""
    names, positions = limiter.spec.names, len(state)
    if limiter.rotation is not None:
        positions -= 4
        wrong = norm_problem(state[positions:])
        if wrong:
            return f"{names[positions]}: {wrong}"
    for index, (name, value, axis) in enumerate(zip(names, state, limiter.axes, strict=True)):
        most = axis.speed * tolerance.outside_s if index < positions else 0.0
        outside = max(axis.lower - value, value - axis.upper)
        if not outside <= most + _ROUNDING:
            return (
                f"{name} is at {value:g}, outside its limits {axis.lower:g} to {axis.upper:g} "
                f"by more than {most:g}{other_unit(limiter.spec, index, value)}"
            )
    if last is None:
        return ""
    near = limiter.nearest(state, last.sent)
    for name, value, sent, axis in zip(
        names[:positions], near, last.sent[:positions], limiter.axes[:positions], strict=False
    ):
        most = axis.speed * tolerance.from_command_s
        if not abs(value - sent) <= most + _ROUNDING:
            return f"{name} is at {value:g}, the last command is {sent:g}, and the largest difference is {most:g}"
    if limiter.rotation is not None:
        angle = math.hypot(*turn_between(last.sent[positions:], unit(state[positions:])))
        most = limiter.rotation.speed * tolerance.from_command_s
        if not angle <= most + _ROUNDING:
            return f"the orientation is {angle:g} rad from the last command, and the largest difference is {most:g}"
    return ""


def within(limiter: SafetyLimiter, state: Sequence[float]) -> tuple[float, ...]:
    """Return `state` (A_k,) with each number moved into its position limits."""
    return tuple(
        max(axis.lower, min(axis.upper, value)) for value, axis in zip(state, limiter.axes, strict=True)
    )
