"""The unit of each observed number, and the noise floor of each unit.

| message                 | unit                                                                                  |
|-------------------------|---------------------------------------------------------------------------------------|
| joint states            | position: `unit` of the contract, rad if omitted; velocity: that per second; effort: Nm |
|                         | for rad, N for m                                                                      |
| Imu, WrenchStamped,     | those of ROS (REP 103): m, rad, m/s, rad/s, m/s^2, N, Nm; `unit` is a comment         |
| PoseStamped, Odometry,  |                                                                                       |
| Twist, TwistStamped,    |                                                                                       |
| LaserScan, transforms   |                                                                                       |
| all others with numbers | `unit` of the contract; unknown if omitted                                            |

`unit` is one unit for all numbers (`rad`), one with exceptions by name (`rad (gripper m)`), or one per name or
element, separated by commas (`m, m, rad`). Another text is a unit of its own, without a noise floor.

Numbers of one observation, one field and one known unit form a group, whether an array lists `names` or states
its `size`. The field of a number that is named by its path is the path without its last part:
`wrenches[0].force` of `wrenches[0].force.x`. A number of an unknown unit is a group of its own.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import (
    ARRAYS,
    DYNAMIC_JOINT_STATE,
    JOINT_STATE,
    LASER_SCAN,
    POSE,
    TRANSFORMS,
    TWISTS,
    ActionSpec,
    ObservationSpec,
    Vector,
)

NOISE_FLOORS = {
    "m": 1e-3,
    "cm": 0.1,
    "mm": 1.0,
    "rad": 1e-3,
    "deg": 0.06,
    "m/s": 5e-3,
    "rad/s": 5e-3,
    "deg/s": 0.3,
    "m/s^2": 0.1,
    "N": 0.1,
    "Nm": 0.01,
    "1": 1e-3,
}
"""By unit: a standard deviation up to this is no motion. '1': without a unit, such as a rotation matrix."""
RELATIVE_FLOOR = 1e-3
"""Noise floor of another or unknown unit, as a share of the largest magnitude."""

_ALIASES = {
    "N m": "Nm",
    "N*m": "Nm",
    "N·m": "Nm",
    "m/s²": "m/s^2",
    "m/s2": "m/s^2",
    "°": "deg",
    "radian": "rad",
}
_OF_ROS = (
    *("sensor_msgs/msg/Imu", "geometry_msgs/msg/WrenchStamped", "nav_msgs/msg/Odometry"),
    *(POSE, *TWISTS, TRANSFORMS),
)
_ROS = {
    "position": "m",
    "orientation": "1",
    "linear": "m/s",
    "angular": "rad/s",
    "angular_velocity": "rad/s",
    "linear_acceleration": "m/s^2",
    "force": "N",
    "torque": "Nm",
}
_EXCEPTIONS = re.compile(r"(?P<unit>[^()]+)\((?P<exceptions>[^()]+)\)")


_FARTHEST = {"rad": (3 * math.pi, "degrees"), "m": (10.0, "millimetres")}
"""By unit: the farthest position of a joint with an end, and what numbers beyond it look like.

Turning joints reach a whole turn at most (UR: 2 pi), half a turn is the margin. 10 m: longer than the axes of gantries.
"""


@dataclass(frozen=True)
class UnitSuspicion:
    """A joint that is farther away than one in its `unit` can be. `times`: in multiples of the farthest position."""

    key: str
    element: str
    unit: str
    value: float
    looks_like: str
    times: float

    @property
    def sentence(self) -> str:
        """What was seen, without a full stop."""
        return f"{self.key}/{self.element} reaches {self.value:.4g} {self.unit}, which looks like {self.looks_like}"

    @property
    def remedy(self) -> str:
        """What to do."""
        short = {"degrees": "deg", "millimetres": "mm"}[self.looks_like]
        endless = ", or 'continuous' if the joint has no end" if self.unit == "rad" else ""
        return f"Convert the stream to {self.unit}, or correct the contract: 'unit: {short}'{endless}."


def suspicion(spec: ObservationSpec, values: Vector) -> UnitSuspicion | None:
    """Return the joint of an observation that is farthest beyond what its unit allows, None if there is none.

    `values` (..., D), NaN where not measured. Only positions of joints are judged: others have no end.
    """
    if spec.type not in (JOINT_STATE, DYNAMIC_JOINT_STATE):
        return None
    rows = np.abs(np.asarray(values, dtype=np.float64)).reshape(-1, spec.size)
    farthest = np.where(np.isfinite(rows), rows, 0.0)
    found = None
    for place, (element, unit) in enumerate(zip(spec.elements, units_of(spec), strict=True)):
        if not element.startswith("position/") or spec.turns[place] or unit not in _FARTHEST:
            continue
        most, looks_like = _FARTHEST[unit]
        row = int(np.argmax(farthest[:, place]))
        times = float(farthest[row, place]) / most
        if times > (1.0 if found is None else found.times):
            value = float(np.asarray(values, dtype=np.float64).reshape(-1, spec.size)[row, place])
            found = UnitSuspicion(spec.key, element, unit, value, looks_like, times)
    return found


def other_unit(action: ActionSpec, place: int, value: float) -> str:
    """Return '; it looks like degrees' if a joint's position is farther away than one in its unit can be, else ""."""
    unit = units_of_action(action)[place] if action.quantity == "position" else ""
    if unit not in _FARTHEST or action.turns[place] or not abs(value) > _FARTHEST[unit][0]:
        return ""
    return f"; it looks like {_FARTHEST[unit][1]}"


def limit_warnings(action: ActionSpec) -> list[str]:
    """Return a sentence per joint whose position limits, in the declared unit, are farther away than a joint can be."""
    if action.quantity != "position" or not action.unit:
        return []
    found = []
    own, limits = units_of_action(action), action.limits
    sides = zip(action.names, own, action.turns, limits.lower, limits.upper, strict=True)
    for name, unit, turn, lower, upper in sides:
        if turn or unit not in _FARTHEST:
            continue
        most, looks_like = _FARTHEST[unit]
        wrong = [side for side in (lower, upper) if math.isfinite(side) and abs(side) > most]
        if wrong:
            found.append(
                f"actions.{action.key}.limits: {name} may go to {wrong[0]:g} {unit}, which looks like {looks_like}"
            )
    return found


def units_of(spec: ObservationSpec) -> tuple[str, ...]:
    """Return the unit of each element of a numeric observation, "" if unknown."""
    if spec.type == LASER_SCAN and spec.fields == ("ranges",):
        return ("m",) * spec.size
    if spec.type in (JOINT_STATE, DYNAMIC_JOINT_STATE):
        of_joint = dict(zip(spec.names, _declared(spec.unit or "rad", spec.names), strict=True))
        pairs = (element.split("/", 1) for element in spec.elements)
        return tuple(_of_field(field, of_joint[name]) for field, name in pairs)
    if _has_units(spec):
        return tuple(_ROS.get(element.partition(".")[0], "") for element in spec.elements)
    return _declared(spec.unit, spec.elements)


def units_of_action(action: ActionSpec) -> tuple[str, ...]:
    """Return the unit of each number of an action, "" if unknown."""
    return _declared(action.unit, action.names)


def groups_of(spec: ObservationSpec) -> tuple[str, ...]:
    """Return the group of each element: 'arm/position [rad]', or 'load/data/0' if its unit is unknown."""
    return tuple(
        f"{spec.key}/{_field_of(spec, element)} [{unit}]" if unit else f"{spec.key}/{element}"
        for element, unit in zip(spec.elements, units_of(spec), strict=True)
    )


def _has_units(spec: ObservationSpec) -> bool:
    """Return whether the numbers are parts of a standard type by their short names."""
    return spec.type in _OF_ROS and all(element.partition(".")[0] in _ROS for element in spec.elements)


def _field_of(spec: ObservationSpec, element: str) -> str:
    if spec.type in ARRAYS and spec.fields == ("data",):
        return "data"
    if _has_units(spec) or spec.type in (JOINT_STATE, DYNAMIC_JOINT_STATE, LASER_SCAN):
        return element.replace("/", ".").partition(".")[0]
    path = element.removesuffix("]")
    return path[: max(path.rfind("."), path.rfind("["), 0)] or "data"


def _of_field(field: str, unit: str) -> str:
    if field == "velocity":
        return f"{unit}/s" if unit else ""
    if field == "effort":
        return {"rad": "Nm", "deg": "Nm", "m": "N", "cm": "N", "mm": "N"}.get(unit, "")
    return unit


def _declared(text: str, names: tuple[str, ...]) -> tuple[str, ...]:
    """Return the unit of each name by the text of `unit`."""
    match = _EXCEPTIONS.fullmatch(text.strip())
    if match is not None:
        pairs = [part.strip().partition(" ") for part in match["exceptions"].split(",")]
        exceptions = {name: _unit(unit) for name, _, unit in pairs}
        if exceptions.keys() <= set(names) and all(exceptions.values()):
            return tuple(exceptions.get(name, _unit(match["unit"])) for name in names)
    listed = text.split(",")
    if len(listed) == len(names):
        return tuple(_unit(unit) for unit in listed)
    return (_unit(text),) * len(names)


def _unit(text: str) -> str:
    unit = " ".join(text.split())
    return _ALIASES.get(unit, unit)
