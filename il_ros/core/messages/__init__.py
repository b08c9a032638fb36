"""ROS messages without ROS: one representation for the live graph, for bags and for the simulator.

Messages are the dataclasses of `rosbags.typesys`, serialised as CDR. Nodes subscribe to and publish
serialised bytes, so the same code decodes live messages and bags. `definitions` says which types are known.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype

from il_ros.core.messages.definitions import definition as definition
from il_ros.core.messages.definitions import difference as difference
from il_ros.core.messages.definitions import every_type as every_type
from il_ros.core.messages.definitions import known as known
from il_ros.core.messages.definitions import register as register
from il_ros.core.messages.definitions import require_known, store
from il_ros.core.messages.definitions import standard as standard
from il_ros.core.messages.definitions import type_hash as type_hash
from il_ros.core.messages.definitions import variant as variant
from il_ros.core.tables import counted

Message = Any
"""A message dataclass; its fields have the names of the ROS definition, arrays are numpy arrays."""


class MessageError(ValueError):
    """A message that its reader refuses; the text says what is wrong. It costs this message only."""


_CDR_LITTLE_ENDIAN = 1
_HEADER = "std_msgs/msg/Header"


def make(type_name: str, **fields: Any) -> Message:
    """Return a message of `type_name` ('sensor_msgs/msg/JointState'); fields not given are zero or empty.

    Raises ValueError when the type is unknown and TypeError when the type has no such field.
    """
    require_known(type_name)
    values = {name: zero() for name, zero in _zeros(type_name) if name not in fields}
    return store.types[type_name](**values, **fields)


def header(stamp_ns: int, frame_id: str = "") -> Message:
    """Return a std_msgs/Header with the stamp in nanoseconds of ROS time."""
    seconds, nanoseconds = divmod(stamp_ns, 1_000_000_000)
    stamp = store.types["builtin_interfaces/msg/Time"](sec=seconds, nanosec=nanoseconds)
    return store.types[_HEADER](stamp=stamp, frame_id=frame_id)


def encode(type_name: str, message: Message) -> bytes:
    """Return the message's CDR bytes, as used by DDS and stored in bags."""
    require_known(type_name)
    return bytes(store.serialize_cdr(message, type_name))


def decode(type_name: str, raw: bytes) -> Message:
    """Return the message in CDR bytes. Bytes after its end are ignored, as in ROS.

    (The serialiser of rmw appends up to a few dozen bytes, so the store's strict decoder cannot be used.)
    Raises ValueError when the type is unknown, MessageError when the bytes are not a message of that type.
    """
    require_known(type_name)
    if len(raw) < 4 or raw[0] != 0 or raw[1] > _CDR_LITTLE_ENDIAN:
        raise MessageError(f"not a {type_name} ({counted(len(raw), 'byte')}): no CDR header in front")
    layout = store.get_msgdef(type_name)
    read = layout.deserialize_cdr_le if raw[1] else layout.deserialize_cdr_be
    try:
        message, _ = read(memoryview(raw)[4:], 0, layout.cls, store)
    except Exception as error:  # the generated parsers raise various exceptions
        raise MessageError(f"not a {type_name} ({counted(len(raw), 'byte')}): {error!r}") from error
    return message


def stamp_ns(message: Message) -> int | None:
    """Return the header stamp in nanoseconds; None when the message has no header or the stamp is zero."""
    kind: Any = store.types[_HEADER]
    head = getattr(message, "header", None)
    if not isinstance(head, kind):
        return None
    return (head.stamp.sec * 1_000_000_000 + head.stamp.nanosec) or None


def raw_stamp_ns(type_name: str, raw: bytes) -> int | None:
    """Return the header stamp in undecoded bytes in nanoseconds; None without a header or with a zero stamp.

    The stamp is the first field of every type with a header. Reading it does not decode the message, which
    may be a large image.
    Raises MessageError when the bytes end before the stamp.
    """
    if not has_header(type_name):
        return None
    if len(raw) < 12:
        raise MessageError(
            f"{counted(len(raw), 'byte')} cannot hold a {type_name}: its header alone takes 12"
        )
    order = "<" if raw[1] & _CDR_LITTLE_ENDIAN else ">"
    seconds, nanoseconds = struct.unpack_from(order + "iI", raw, 4)
    return (seconds * 1_000_000_000 + nanoseconds) or None


def restamped(type_name: str, raw: bytes, by_ns: int) -> bytes:
    """Return undecoded bytes with the header stamp moved by `by_ns`; unchanged without a stamp, as a zero one is.

    Raises MessageError when the bytes end before the stamp.
    """
    stamped_ns = raw_stamp_ns(type_name, raw)
    if stamped_ns is None:
        return raw
    order = "<" if raw[1] & _CDR_LITTLE_ENDIAN else ">"
    seconds, nanoseconds = divmod(max(1, stamped_ns + by_ns), 1_000_000_000)
    return raw[:4] + struct.pack(order + "iI", seconds, nanoseconds) + raw[12:]


@lru_cache
def has_header(type_name: str) -> bool:
    """Return whether the type begins with a std_msgs/Header."""
    require_known(type_name)
    fields = store.get_msgdef(type_name).fields
    return bool(fields) and fields[0] == ("header", (Nodetype.NAME, _HEADER))


@lru_cache
def _zeros(type_name: str) -> tuple[tuple[str, Callable[[], Any]], ...]:
    """Return a factory of the zero value of each field; each call makes a new one, because messages are mutable."""
    return tuple((name, _zero(kind)) for name, kind in store.get_msgdef(type_name).fields)


def _zero(kind: Any) -> Callable[[], Any]:
    node, detail = kind
    if node is Nodetype.BASE:
        value = {"string": "", "bool": False, "float32": 0.0, "float64": 0.0}.get(detail[0], 0)
        return lambda: value
    if node is Nodetype.NAME:
        return lambda: make(detail)
    (element_node, element), length = detail
    count = length if node is Nodetype.ARRAY else 0
    if element_node is Nodetype.BASE and element[0] != "string":
        dtype = np.dtype(np.uint8 if element[0] in ("octet", "char", "byte") else element[0])
        return lambda: np.zeros(count, dtype=dtype)
    zero = _zero((element_node, element))
    return lambda: [zero() for _ in range(count)]
