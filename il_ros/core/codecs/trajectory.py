"""The commanded values of a JointTrajectory at a time, as joint_trajectory_controller computes them.

Between two points positions are interpolated linearly, by a cubic polynomial if both have velocities, and by a
quintic one if both also have accelerations (joint_trajectory_controller, `interpolate_between_points`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.core.messages import Message, stamp_ns
from il_ros.core.specs import ActionSpec, Vector, shortest
from il_ros.core.tables import counted


@dataclass(frozen=True)
class Point:
    """One point: `time_s` from the trajectory's start; None where it has no such values (A,)."""

    time_s: float
    positions: Vector | None = None
    velocities: Vector | None = None
    accelerations: Vector | None = None


@dataclass(frozen=True)
class Trajectory:
    """The points of a JointTrajectory in the order of an action's names; `points` has at least one.

    `stamp_ns`: the time of its start; None: its arrival. `velocity`: whether the action's numbers are
    velocities. `turns`: see `ActionSpec.turns`; from point to point, continuous joints go the shortest way.
    """

    points: Sequence[Point]
    stamp_ns: int | None
    velocity: bool
    turns: Vector

    @property
    def duration_s(self) -> float:
        """Time of the last point from the start."""
        return self.points[-1].time_s

    @property
    def needs_start(self) -> bool:
        """Whether `at` needs the position at the arrival: the first point is not due at once."""
        return self.points[0].time_s > 0 or self.stamp_ns is not None

    def at(self, time_s: float, before: tuple[float, Vector] | None = None) -> Vector:
        """Return the commanded values (A,) at `time_s` from the start; after the last point, those of it.

        `before`: time and measured positions (A,) from which the controller moves to the first point.
        Raises ValueError before the first point without `before`, and for velocities there.
        """
        first = self.points[0]
        if time_s >= self.duration_s:
            return self._values(self.points[-1])
        if time_s < first.time_s:
            if before is None or self.velocity or first.positions is None:
                raise ValueError(
                    f"its first point is due {first.time_s - time_s:.3f} s later, and there is no measured "
                    f"position to interpolate from"
                )
            start = Point(min(before[0], time_s), _near(before[1], first.positions, self.turns))
            return _between(start, Point(first.time_s, first.positions), time_s, velocity=False)
        after = next(index for index, point in enumerate(self.points) if point.time_s > time_s)
        return _between(self.points[after - 1], self.points[after], time_s, velocity=self.velocity)

    def moves(self, still: float) -> bool:
        """Return whether it commands motion: a velocity, or two positions, that differ by more than `still`."""
        values = np.array([self._values(point) for point in self.points])
        spread = np.abs(values) if self.velocity else np.ptp(values, axis=0)
        return bool(spread.max(initial=0.0) > still)

    def _values(self, point: Point) -> Vector:
        values = point.velocities if self.velocity else point.positions
        assert values is not None  # `read` checks it
        return values


def read(action: ActionSpec, message: Message) -> Trajectory:
    """Return the points of a trajectory_msgs/JointTrajectory for the joints of `action`.

    Raises ValueError without points, when a joint is missing or named twice, when a point lacks the action's
    quantity or has another number of values, and when times do not increase (the controller refuses that).
    """
    if not message.points:
        raise ValueError("the trajectory has no points")
    joints = list(message.joint_names)
    missing = [name for name in action.names if name not in joints]
    if missing:
        raise ValueError(f"joint '{missing[0]}' is missing; the trajectory has: {', '.join(joints)}")
    twice = [name for name in action.names if joints.count(name) > 1]
    if twice:
        raise ValueError(f"joint '{twice[0]}' is named twice, so its value is unknown")
    columns = [joints.index(name) for name in action.names]
    needed = "velocities" if action.is_velocity else "positions"
    points: list[Point] = []
    for index, each in enumerate(message.points):
        time_s = each.time_from_start.sec + each.time_from_start.nanosec / 1e9
        before_s = points[-1].time_s if points else -np.inf
        if time_s < 0 or time_s <= before_s:
            raise ValueError(f"time_from_start of point {index} is {time_s:g} s; it must increase from 0 on")
        values = {name: _part(each, name, index, joints, columns) for name in _PARTS}
        if values[needed] is None:
            raise ValueError(f"point {index} has no {needed}")
        last, positions = points[-1].positions if points else None, values["positions"]
        if last is not None and positions is not None:
            values["positions"] = _near(positions, last, action.turns)
        points.append(Point(time_s, **values))
    return Trajectory(tuple(points), stamp_ns(message), action.is_velocity, action.turns)


_PARTS = ("positions", "velocities", "accelerations")


def _near(positions: Vector, other: Vector, turns: Vector) -> Vector:
    """Return positions (A,), those of continuous joints in the turn that is nearest to `other` (A,)."""
    return other + shortest(positions - other, turns) if turns.any() else positions


def _part(
    point: Message, name: str, index: int, joints: Sequence[str], columns: Sequence[int]
) -> Vector | None:
    values = np.asarray(getattr(point, name), dtype=np.float64)
    if len(values) == 0:
        return None
    if len(values) != len(joints):
        raise ValueError(
            f"point {index} has {len(values)} {name} for {counted(len(joints), 'joint')}: {', '.join(joints)}"
        )
    selected: Vector = values[columns]
    if not np.isfinite(selected).all():
        raise ValueError(f"point {index} has {name} that are not finite")
    return selected


def _between(a: Point, b: Point, time_s: float, *, velocity: bool) -> Vector:
    """Return positions, or their derivatives, between two points."""
    span_s, t = b.time_s - a.time_s, time_s - a.time_s
    if a.positions is None or b.positions is None:  # velocities alone: the controller accelerates evenly
        assert a.velocities is not None
        assert b.velocities is not None
        return a.velocities + (b.velocities - a.velocities) * (t / span_s)
    p0, p1 = a.positions, b.positions
    if a.velocities is None or b.velocities is None:
        rate = (p1 - p0) / span_s
        return rate if velocity else p0 + rate * t
    v0, v1 = a.velocities, b.velocities
    if a.accelerations is None or b.accelerations is None:
        coefficients = [
            p0,
            v0,
            (3 * (p1 - p0) - (2 * v0 + v1) * span_s) / span_s**2,
            (2 * (p0 - p1) + (v0 + v1) * span_s) / span_s**3,
        ]
    else:
        a0, a1, h = a.accelerations, b.accelerations, span_s
        coefficients = [
            p0,
            v0,
            a0 / 2,
            (20 * (p1 - p0) - (8 * v1 + 12 * v0) * h - (3 * a0 - a1) * h**2) / (2 * h**3),
            (30 * (p0 - p1) + (14 * v1 + 16 * v0) * h + (3 * a0 - 2 * a1) * h**2) / (2 * h**4),
            (12 * (p1 - p0) - 6 * (v1 + v0) * h - (a0 - a1) * h**2) / (2 * h**5),
        ]
    if velocity:
        return sum((k * c * t ** (k - 1) for k, c in enumerate(coefficients) if k), np.zeros_like(p0))
    return sum((c * t**k for k, c in enumerate(coefficients)), np.zeros_like(p0))
