"""Observations as messages: the inverse of `core/codecs`, to write imported values into a bag.

What a message has but the contract does not observe is NaN where it is a number: it is unknown, not zero.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.core.specs import (
    ARRAY,
    COMPRESSED_IMAGE,
    IMAGE,
    JOINT_STATE,
    LASER_SCAN,
    STRING,
    ObservationSpec,
)
from il_ros.episodes.exchange.errors import ExchangeError

Array = np.ndarray[Any, Any]

_JPEG = b"\xff\xd8"
_ENCODINGS = {("u", 3): "rgb8", ("u", 1): "mono8", ("f", 1): "32FC1"}
"""The encoding of a picture by the kind of its numbers and its channels."""


def encode(spec: ObservationSpec, value: Array, stamp_ns: int) -> Message:
    """Return the message whose decoded observation is `value`, of shape `spec.shape`.

    A picture may have another size, (H, W, C) uint8 or float32 metres: it is fitted when it is read, as the
    contract says. Raises ExchangeError for a type that can't be written.
    """
    if spec.image is None and np.shape(value) != spec.shape:
        raise ExchangeError(f"{spec.key}: a value is {np.shape(value)}; the contract needs {spec.shape}")
    if spec.type == STRING:
        return messages.make(STRING, data=str(value))
    if spec.type == ARRAY:
        return messages.make(ARRAY, data=np.ascontiguousarray(value, dtype=np.float64))
    head = {"header": messages.header(stamp_ns)} if messages.has_header(spec.type) else {}
    if spec.type == IMAGE:
        return _image(spec, value, head)
    if spec.type == COMPRESSED_IMAGE:
        return compressed(_png(spec, value), stamp_ns)
    if spec.type == JOINT_STATE:
        parts = np.split(np.ascontiguousarray(value, dtype=np.float64), len(spec.fields))
        return messages.make(
            JOINT_STATE, **head, name=list(spec.names), **dict(zip(spec.fields, parts, strict=True))
        )
    if spec.type == LASER_SCAN:
        return _scan(spec, value, head)
    return _fields(spec, value, head)


def compressed(data: bytes, stamp_ns: int) -> Message:
    """Return the message of a jpeg or png."""
    return messages.make(
        COMPRESSED_IMAGE,
        header=messages.header(stamp_ns),
        format="jpeg" if data.startswith(_JPEG) else "png",
        data=np.frombuffer(data, dtype=np.uint8),
    )


def _image(spec: ObservationSpec, value: Array, head: dict[str, Any]) -> Message:
    height, width, channels = value.shape
    pixels = np.ascontiguousarray(value)
    return messages.make(
        IMAGE,
        **head,
        height=height,
        width=width,
        encoding=_ENCODINGS[value.dtype.kind, channels],
        step=width * channels * pixels.itemsize,
        data=np.frombuffer(pixels.tobytes(), dtype=np.uint8),
    )


def _png(spec: ObservationSpec, value: Array) -> bytes:
    import cv2

    if value.dtype.kind == "f":
        raise ExchangeError(f"{spec.key}: depth is written as {IMAGE}, not as {COMPRESSED_IMAGE}")
    pixels = value[..., ::-1] if value.shape[2] == 3 else value
    done, data = cv2.imencode(".png", np.ascontiguousarray(pixels), [cv2.IMWRITE_PNG_COMPRESSION, 3])
    if not done:
        raise ExchangeError(f"{spec.key}: a picture of {value.shape} can't be written as png")
    return bytes(data)


def _scan(spec: ObservationSpec, value: Array, head: dict[str, Any]) -> Message:
    first, last = spec.scan.angles or (math.nan, math.nan)
    return messages.make(
        LASER_SCAN,
        **head,
        angle_min=first,
        angle_max=last,
        angle_increment=(last - first) / max(1, len(value) - 1),
        range_min=-math.inf,
        range_max=math.inf,
        ranges=np.ascontiguousarray(value, dtype=np.float32),
    )


def _fields(spec: ObservationSpec, value: Array, head: dict[str, Any]) -> Message:
    """Return a message whose numbers are named by their paths: 'linear.x', 'wrench.force.x'."""
    message = messages.make(spec.type, **head)
    _forget(message)
    for element, number in zip(spec.elements, np.asarray(value, dtype=np.float64).tolist(), strict=True):
        *way, last = element.split(".")
        holder = _holder(message, way)
        if holder is None or type(getattr(holder, last, None)) is not float:
            raise ExchangeError(f"{spec.key}: '{element}' of {spec.type} can't be written from arrays")
        setattr(holder, last, number)
    return message


def _forget(message: Message) -> None:
    """Set the floating-point numbers of a message to NaN, except those of its header."""
    for name in message.__dataclass_fields__:
        value = getattr(message, name)
        if type(value) is float:
            setattr(message, name, math.nan)
        elif isinstance(value, np.ndarray) and value.dtype.kind == "f":
            setattr(message, name, np.full_like(value, math.nan))
        elif hasattr(value, "__dataclass_fields__") and name != "header":
            _forget(value)


_INNER = ("wrench", "pose", "twist", "accel", "transform")
"""Fields that the contract's names of numbers leave out: 'linear.x' is `twist.linear.x` of a TwistStamped."""


def _holder(message: Message, way: list[str]) -> Message | None:
    """Return the part of a message that `way` leads to, perhaps inside fields of _INNER."""
    part = message
    for name in way:
        part = getattr(part, name, None)
    if part is not None:
        return part
    inside = [getattr(message, name) for name in _INNER if hasattr(message, name)]
    return next((found for each in inside if (found := _holder(each, way)) is not None), None)
