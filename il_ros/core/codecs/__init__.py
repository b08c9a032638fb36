"""Conversion between messages and arrays, by attribute access only: live, from a bag, or simulated.

`decode(spec, message)` converts observations and commands, `encode(action, values, stamp_ns)` commands.
A missing value raises an error that names it; no value is made up. `CODECS` has the codec of each message type that
needs one; all others are read by the paths of their numbers (`fields.FieldsCodec`).
"""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import fields
from il_ros.core.codecs.base import Codec, Decoder, Encoder
from il_ros.core.codecs.base import CodecError as CodecError
from il_ros.core.codecs.base import UnknownTypeError as UnknownTypeError
from il_ros.core.codecs.base import require_finite as require_finite
from il_ros.core.codecs.fields import FieldsCodec, RangeCodec
from il_ros.core.codecs.joints import (
    ArrayCodec,
    DynamicJointStateCodec,
    JointJogCodec,
    JointStateCodec,
    JointTrajectoryCodec,
    MultiDofCodec,
)
from il_ros.core.codecs.pictures import CompressedImageCodec, ImageCodec, LaserScanCodec, TextCodec
from il_ros.core.codecs.transforms import TransformsCodec
from il_ros.core.messages import Message
from il_ros.core.specs import (
    ARRAYS,
    COMPRESSED_IMAGE,
    DYNAMIC_JOINT_STATE,
    IMAGE,
    JOINT_STATE,
    JOINT_TRAJECTORY,
    LASER_SCAN,
    POSE,
    STRING,
    TRANSFORMS,
    TWISTS,
    ActionSpec,
    ObservationSpec,
    Vector,
)
from il_ros.core.strict_yaml import Section
from il_ros.core.tables import counted

CODECS: Mapping[str, Codec] = {
    JOINT_STATE: JointStateCodec(),
    DYNAMIC_JOINT_STATE: DynamicJointStateCodec(),
    **{name: ArrayCodec() for name in ARRAYS},
    JOINT_TRAJECTORY: JointTrajectoryCodec(),
    "control_msgs/msg/JointJog": JointJogCodec(),
    "control_msgs/msg/MultiDOFCommand": MultiDofCodec(),
    POSE: fields.POSE_STAMPED,
    TWISTS[0]: fields.TWIST,
    TWISTS[1]: fields.TWIST_STAMPED,
    "sensor_msgs/msg/Imu": fields.IMU,
    "geometry_msgs/msg/WrenchStamped": fields.WRENCH_STAMPED,
    "nav_msgs/msg/Odometry": fields.ODOMETRY,
    "sensor_msgs/msg/Range": RangeCodec(),
    LASER_SCAN: LaserScanCodec(),
    IMAGE: ImageCodec(),
    COMPRESSED_IMAGE: CompressedImageCodec(),
    STRING: TextCodec(),
    TRANSFORMS: TransformsCodec(),
}
"""The codec of each message type that has one of its own."""
_ANY = FieldsCodec()


def codec_of(type_name: str) -> Codec:
    """Return the codec of a message type: its own, or the one that reads numbers by their paths."""
    return CODECS.get(type_name, _ANY)


def codec_in(section: Section) -> Codec:
    """Return the codec of the type that an observation or action of a contract names.

    Raises UnknownTypeError when the type has no codec and its definition is neither known nor installed.
    """
    type_name = section.text("type")
    if type_name not in CODECS:
        try:
            messages.definition(type_name)
        except ValueError as error:
            close = difflib.get_close_matches(type_name, (*CODECS, *messages.every_type()), n=1, cutoff=0.85)
            hint = f"; did you mean '{close[0]}'?" if close and f"'{close[0]}'" not in str(error) else ""
            raise UnknownTypeError(str(section.error("type", f"{error}{hint}"))) from None
    return codec_of(type_name)


def is_stamped(type_name: str) -> bool:
    """Return whether messages of the type say the time of what they hold."""
    stamped = codec_of(type_name).stamped
    return messages.has_header(type_name) if stamped is None else stamped


def decoder(spec: ObservationSpec) -> Decoder:
    """Return the function that decodes an observation; make it once for many messages.

    The function returns the values in shape `spec.shape`: numbers are float64, images uint8 (depth: float32 metres),
    text a 0-d string array. It raises CodecError when a value is missing, a size is wrong, or a number is not finite.
    """
    read = codec_of(spec.type).decoder(spec)

    def decode(message: Message) -> np.ndarray[Any, Any]:
        try:
            values = read(message)
            return require_finite(values, spec.elements, spec.key) if spec.elements else values
        except CodecError:
            raise
        except ValueError as error:
            raise CodecError(f"{spec.key} ({spec.topic}): {error}") from error
        except AttributeError as error:
            raise CodecError(f"{spec.key} ({spec.topic}): not a {spec.type}: {error}") from error

    return decode


def decode(spec: ObservationSpec | ActionSpec, message: Message) -> np.ndarray[Any, Any]:
    """Return the values of a message that the spec selects, in shape `spec.shape` (actions: (A_k,)).

    Of a JointTrajectory it is the last point; `trajectory.read` gives the values at a time.
    Raises CodecError as the function of `decoder` does.
    """
    if isinstance(spec, ObservationSpec):
        read: Decoder = _once(spec, decoder)
        return read(message)
    try:
        return require_finite(codec_of(spec.type).decode_command(spec, message), spec.names, spec.key)
    except CodecError:
        raise
    except ValueError as error:
        raise CodecError(f"{spec.key} ({spec.topic}): {error}") from error
    except AttributeError as error:
        raise CodecError(f"{spec.key} ({spec.topic}): not a {spec.type}: {error}") from error


def encode(action: ActionSpec, values: Vector | Sequence[float], stamp_ns: int) -> Message:
    """Return the command message for values (A_k,), in the action's units.

    A JointTrajectory has one point, due immediately (time_from_start 0).
    Raises CodecError on a wrong size, a number that is not finite or does not fit into its field.
    """
    values = np.asarray(values, dtype=np.float64)
    if values.shape != (action.size,):
        raise CodecError(f"{action.key}: needs {counted(action.size, 'number')}, not shape {values.shape}")
    require_finite(values, action.names, action.key)
    try:
        make: Encoder = _once(action, _encoder)
        return make(values, stamp_ns)
    except ValueError as error:
        raise CodecError(f"{action.key}: {error}") from error


def _encoder(action: ActionSpec) -> Encoder:
    return codec_of(action.type).encoder(action)


_made: dict[int, tuple[object, Any]] = {}
"""What was made of a spec, by its identity: to hash one takes longer than to decode a message."""
_MOST_MADE = 1000


def _once(spec: Any, make: Callable[[Any], Any]) -> Any:
    """Return `make(spec)`, made once for each spec."""
    known = _made.get(id(spec))
    if known is not None and known[0] is spec:
        return known[1]
    made = make(spec)
    if len(_made) >= _MOST_MADE:
        _made.clear()
    _made[id(spec)] = (spec, made)
    return made
