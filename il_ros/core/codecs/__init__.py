"""Conversion between messages and arrays, by attribute access only: live, from a bag, or simulated.

`decode(spec, message)` converts observations and commands, `encode(action, values, stamp_ns)` commands.
A missing value raises an error that names it; no value is made up.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import trajectory
from il_ros.core.codecs.image import decode_compressed, decode_image
from il_ros.core.codecs.laser_scan import decode_scan
from il_ros.core.messages import Message
from il_ros.core.specs import (
    ARRAY,
    IMAGE,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    LASER_SCAN,
    POSE,
    STRING,
    ActionSpec,
    ObservationSpec,
    Vector,
)
from il_ros.core.tables import counted


class CodecError(ValueError):
    """A message without the values that the contract requires; the error names what is missing."""


def decode(spec: ObservationSpec | ActionSpec, message: Message) -> np.ndarray[Any, Any]:
    """Return the values of a message that the spec selects, in shape `spec.shape` (actions: (A_k,)).

    Numbers are float64, images uint8 (depth: float32 metres), text a 0-d string array. Of a JointTrajectory it
    is the last point; `trajectory.read` gives the values at a time.
    Raises CodecError when a joint or a number is missing, a size is wrong, or a number is not finite.
    """
    try:
        if isinstance(spec, ActionSpec):
            return require_finite(_command(spec, message), spec.names, spec.key)
        if spec.image is not None:
            read = decode_image if spec.type == IMAGE else decode_compressed
            return read(spec.image, message)
        if spec.type == STRING:
            return np.array(message.data, dtype=np.str_)
        return require_finite(_numbers(spec, message), spec.elements, spec.key)
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"{spec.key} ({spec.topic}): {error}") from error
    except AttributeError as error:
        raise CodecError(f"{spec.key} ({spec.topic}): not a {spec.type}: {error}") from error


def encode(action: ActionSpec, values: Vector | Sequence[float], stamp_ns: int) -> Message:
    """Return the command message for values (A_k,), in the action's units.

    A JointTrajectory has one point, due immediately (time_from_start 0).
    Raises CodecError on a wrong size or a number that is not finite.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (action.size,):
        raise CodecError(f"{action.key}: needs {counted(action.size, 'number')}, not shape {values.shape}")
    require_finite(values, action.names, action.key)
    return _ENCODERS[action.type](action, values, stamp_ns)


def require_finite(values: Vector, names: Sequence[str], key: str) -> Vector:
    """Return the values (A,); raises CodecError that names the first one that is not a finite number."""
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise CodecError(f"{key}: {names[index]} is {values[index]}, not a finite number")
    return values


# ---- numbers ---------------------------------------------------------------------------------------------


def _numbers(spec: ObservationSpec, message: Message) -> Vector:
    if spec.type == JOINT_STATE:
        return np.concatenate([_joints(message, part, spec.names) for part in spec.fields])
    if spec.type == ARRAY:
        return _sized(message.data, spec.size, "data")
    if spec.type == LASER_SCAN:
        return decode_scan(message, spec.size, spec.scan)
    return np.array([_component(spec.type, message, name) for name in spec.elements])


def _joints(message: Message, part: str, names: Sequence[str]) -> Vector:
    """Return the values of joints by name, because their order depends on the driver."""
    values = getattr(message, part)
    if len(values) == 0:
        raise ValueError(f"the message has no '{part}'")
    if len(values) != len(message.name):
        raise ValueError(
            f"{counted(len(message.name), 'name')} but {counted(len(values), 'value')} of '{part}'"
        )
    place = _places(message.name, names)
    missing = [name for name in names if name not in place]
    if missing:
        raise ValueError(f"joint '{missing[0]}' is missing; the message has: {', '.join(message.name)}")
    return np.array([values[place[name]] for name in names], dtype=np.float64)


def _places(found: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Return the index of each name that was found; raises ValueError if one of `names` occurs twice."""
    place = {name: index for index, name in enumerate(found)}
    if len(place) < len(found):
        twice = [name for name in names if list(found).count(name) > 1]
        if twice:
            raise ValueError(f"joint '{twice[0]}' is named twice, so its value is unknown")
    return place


def _component(type_name: str, message: Message, name: str) -> float:
    part, axis = name.split(".")
    if type_name == "nav_msgs/msg/Odometry":
        holder = message.pose.pose if part in ("position", "orientation") else message.twist.twist
    else:
        holder = message
        for inner in ("wrench", "pose", "twist"):
            holder = getattr(holder, inner, holder)
    return float(getattr(getattr(holder, part), axis))


def _sized(values: Any, size: int, field: str) -> Vector:
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ValueError(f"{field} has {counted(array.size, 'number')}; the contract says {size}")
    return array


# ---- commands --------------------------------------------------------------------------------------------


def _command(action: ActionSpec, message: Message) -> Vector:
    part = action.quantity
    if action.type == ARRAY:
        return _sized(message.data, action.size, "data")
    if action.type == JOINT_STATE:
        return _joints(message, part, action.names)
    if action.type == JOINT_TRAJECTORY:
        plan = trajectory.read(action, message)
        return plan.at(plan.duration_s)
    return np.array([_component(action.type, message, name) for name in action.names])


def _encode_array(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    return messages.make(ARRAY, data=values)


def _encode_joint_state(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    return messages.make(
        JOINT_STATE,
        header=messages.header(stamp_ns, action.frame_id),
        name=list(action.names),
        **{action.quantity: values},
    )


def _encode_trajectory(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    field = "positions" if action.quantity == "position" else "velocities"
    point = messages.make("trajectory_msgs/msg/JointTrajectoryPoint", **{field: values})
    # joint_trajectory_controller starts at once on a zero stamp, and drops points in the past
    return messages.make(
        JOINT_TRAJECTORY,
        header=messages.header(0, action.frame_id),
        joint_names=list(action.names),
        points=[point],
    )


def _twist(action: ActionSpec, values: Vector) -> Message:
    twist = messages.make("geometry_msgs/msg/Twist")
    for name, value in zip(action.names, values, strict=True):
        part, axis = name.split(".")
        setattr(getattr(twist, part), axis, float(value))
    return twist


def _encode_twist(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    return _twist(action, values)


def _encode_twist_stamped(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    head = messages.header(stamp_ns, action.frame_id)
    return messages.make(action.type, header=head, twist=_twist(action, values))


def _encode_pose(action: ActionSpec, values: Vector, stamp_ns: int) -> Message:
    norm = float(np.linalg.norm(values[3:]))
    if norm < 1e-6:
        raise CodecError(f"{action.key}: the orientation quaternion is zero")
    point = messages.make("geometry_msgs/msg/Point", **_axes("xyz", values[:3]))
    turn = messages.make("geometry_msgs/msg/Quaternion", **_axes("xyzw", values[3:] / norm))
    pose = messages.make("geometry_msgs/msg/Pose", position=point, orientation=turn)
    return messages.make(POSE, header=messages.header(stamp_ns, action.frame_id), pose=pose)


def _axes(names: str, values: Vector) -> dict[str, float]:
    return dict(zip(names, (float(value) for value in values), strict=True))


_ENCODERS: dict[str, Callable[[ActionSpec, Vector, int], Message]] = {
    ARRAY: _encode_array,
    JOINT_STATE: _encode_joint_state,
    JOINT_TRAJECTORY: _encode_trajectory,
    "geometry_msgs/msg/Twist": _encode_twist,
    "geometry_msgs/msg/TwistStamped": _encode_twist_stamped,
    POSE: _encode_pose,
}
