"""Conversion between messages and arrays, by attribute access only: live, from a bag, or simulated.

`decode(spec, message)` converts observations and commands, `encode(action, values, stamp_ns)` commands.
A missing value raises an error that names it; no value is made up. Packages register the codec of a message type that
needs one in il_ros.codecs; all others are read by the paths of their numbers (`fields.FieldsCodec`).
"""

from __future__ import annotations

import difflib
import math
import struct
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from il_ros.core import messages, plugins
from il_ros.core.codecs.base import Codec, Decoder, Encoder
from il_ros.core.codecs.base import CodecError as CodecError
from il_ros.core.codecs.base import UnknownTypeError as UnknownTypeError
from il_ros.core.codecs.base import require_finite as require_finite
from il_ros.core.codecs.fields import FieldsCodec
from il_ros.core.messages import Message
from il_ros.core.plugins import PluginError
from il_ros.core.specs import ARRAY, ActionSpec, ObservationSpec, Vector
from il_ros.core.strict_yaml import Section
from il_ros.core.tables import counted

_ANY = FieldsCodec()


def codec_types() -> tuple[str, ...]:
    """Return the message types that have a codec of their own."""
    return plugins.names(plugins.CODECS)


@lru_cache(maxsize=256)
def codec_of(type_name: str) -> Codec:
    """Return the codec of a message type: its own, or the one that reads numbers by their paths.

    Raises PluginError if its own cannot be used.
    """
    if type_name not in codec_types():
        return _ANY
    loaded = plugins.load(plugins.CODECS, type_name, _fault)
    try:
        codec: Codec = loaded() if isinstance(loaded, type) else loaded
    except plugins.OTHERS_CODE as error:
        plugin = plugins.registered(plugins.CODECS)[type_name][0]
        cause = plugins.cause_of(error)
        raise PluginError(f"codec '{type_name}' of {plugin}: cannot be made: {cause}") from error
    return codec


def codec_in(section: Section) -> Codec:
    """Return the codec of the type that an observation or action of a contract names.

    Raises YamlError when the type's codec cannot be used, UnknownTypeError when the type has no codec and its
    definition is neither known nor installed.
    """
    type_name = section.text("type")
    if type_name not in codec_types():
        try:
            messages.definition(type_name)
        except ValueError as error:
            types = (*codec_types(), *messages.every_type())
            close = difflib.get_close_matches(type_name, types, n=1, cutoff=0.85)
            hint = f"; did you mean '{close[0]}'?" if close and f"'{close[0]}'" not in str(error) else ""
            raise UnknownTypeError(str(section.error("type", f"{error}{hint}"))) from None
    try:
        return codec_of(type_name)
    except PluginError as error:
        raise section.error("type", str(error)) from error


def _fault(loaded: Any) -> str:
    fits = issubclass(loaded, Codec) if isinstance(loaded, type) else isinstance(loaded, Codec)
    return "" if fits else f"it is {loaded!r}"


def is_stamped(type_name: str) -> bool:
    """Return whether messages of the type say the time of what they hold."""
    stamped = codec_of(type_name).stamped
    return messages.has_header(type_name) if stamped is None else stamped


def decoder(spec: ObservationSpec) -> Decoder:
    """Return the function that decodes an observation; make it once for many messages.

    The function returns the values in shape `spec.shape`: numbers are float64, images uint8 (depth: float32 metres),
    text a 0-d string array. It raises CodecError when a value is missing, a size is wrong, or a number is not finite.
    """
    read, shape = codec_of(spec.type).decoder(spec), spec.shape

    def decode(message: Message) -> np.ndarray[Any, Any]:
        try:
            values = read(message)
            if values.shape != shape:
                raise ValueError(f"its codec returned an array {values.shape}; needed: {shape}")
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


def command_encoder(action: ActionSpec) -> Callable[[Sequence[float], int], bytes]:
    """Return a function that encodes values (A_k,) at a stamp, in ns, as the CDR bytes of `encode`'s message.

    The bytes of a Float64MultiArray are packed at once: every command waits for them. Raises CodecError as `encode`.
    """
    if action.type != ARRAY:
        return lambda values, stamp_ns: messages.encode(action.type, encode(action, values, stamp_ns))
    size, empty = action.size, messages.encode(ARRAY, messages.make(ARRAY))
    front = struct.Struct("<I").pack(size)  # the empty message ends with the number of its values
    packed = struct.Struct(f"<{size}d")
    head = empty[:-4] + front
    head += bytes((4 - len(head)) % 8)

    def encode_array(values: Sequence[float], stamp_ns: int) -> bytes:
        if len(values) != size or not all(map(math.isfinite, values)):
            return messages.encode(ARRAY, encode(action, values, stamp_ns))  # raises the error
        return head + packed.pack(*values)

    return encode_array


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
