"""Decoding of camera messages to arrays: encodings, padded rows, byte order, and the contract's size."""

from __future__ import annotations

from typing import Any

import numpy as np

from il_ros.core.codecs.picture_header import MOST_SCANS, PictureHeader, read_header
from il_ros.core.messages import Message
from il_ros.core.specs import MOST_PIXELS, ImageSpec
from il_ros.core.tables import counted

Array = np.ndarray[Any, Any]

# encoding on the wire -> (bytes per channel, channels)
_LAYOUT = {
    "rgb8": (1, 3),
    "bgr8": (1, 3),
    "rgba8": (1, 4),
    "bgra8": (1, 4),
    "mono8": (1, 1),
    "8UC1": (1, 1),
    "16UC1": (2, 1),
    "32FC1": (4, 1),
}
# encoding in the contract -> accepted encodings on the wire
_ACCEPTED = {
    "rgb8": ("rgb8", "bgr8", "rgba8", "bgra8"),
    "mono8": ("mono8", "8UC1"),
    "depth": ("16UC1", "32FC1"),
}
_MM_PER_M = 1000.0


def decode_image(spec: ImageSpec, message: Message) -> Array:
    """Return a sensor_msgs/Image as (H, W, C): colours in RGB order, depth in metres (REP 118).

    Raises ValueError on a wrong encoding, size or byte count.
    """
    _require_accepted(spec, message.encoding)
    height, width, step = int(message.height), int(message.width), int(message.step)
    bytes_each, channels = _LAYOUT[message.encoding]
    row = width * channels * bytes_each
    data = np.frombuffer(message.data, dtype=np.uint8) if isinstance(message.data, bytes) else message.data
    data = np.asarray(data, dtype=np.uint8)
    if height < 1 or width < 1 or step < row or data.size != step * height:
        raise ValueError(
            f"the image is {width}x{height} {message.encoding} with rows of {counted(step, 'byte')}, "
            f"needs {counted(row, 'byte')} per row and {max(step, row) * height} in total, but has {data.size}"
        )
    pixels = data.reshape(height, step)[:, :row]  # rows may be padded
    order = ">" if message.is_bigendian else "<"
    if bytes_each > 1:
        pixels = np.ascontiguousarray(pixels).view(f"{order}{'u' if bytes_each == 2 else 'f'}{bytes_each}")
    return fit(spec, _colours(pixels.reshape(height, width, channels), message.encoding))


def decode_compressed(spec: ImageSpec, message: Message) -> Array:
    """Return a sensor_msgs/CompressedImage (jpeg or png) as (H, W, C), colours in RGB order.

    The size is read from the picture's header first, because a picture of a few kilobytes can decode to
    gigabytes.
    Raises ValueError when the bytes are not an image or do not match the contract's size or encoding.
    """
    import cv2

    if spec.encoding == "depth":
        flags = cv2.IMREAD_UNCHANGED
    else:
        flags = cv2.IMREAD_COLOR_RGB if spec.encoding == "rgb8" else cv2.IMREAD_GRAYSCALE
    raw = bytes(message.data)
    header = read_header(raw)
    pixels = None
    if header is not None:
        _require_decodable(spec, header)
        pixels = _decoded(raw, flags)
    if pixels is None:
        raise _not_a_picture(raw, message)
    if spec.encoding == "depth":
        if pixels.dtype != np.uint16 or pixels.ndim != 2:
            raise ValueError(f"compressed depth must be 16-bit png, not {pixels.dtype} {pixels.shape}")
        return fit(spec, _metres(pixels[..., None]))
    return fit(spec, pixels if pixels.ndim == 3 else pixels[..., None])


def decode_picture(message: Message) -> Array:
    """Return a sensor_msgs/CompressedImage of any bounded size as (H, W, 3), colours in RGB order.

    Raises ValueError when the bytes are not an image, or it is too large.
    """
    import cv2

    raw = bytes(message.data)
    header = read_header(raw)
    pixels = None
    if header is not None:
        _require_bounded(header)
        pixels = _decoded(raw, cv2.IMREAD_COLOR_RGB)
    if pixels is None:
        raise _not_a_picture(raw, message)
    return pixels


def _require_decodable(spec: ImageSpec, header: PictureHeader) -> None:
    """Raise ValueError before decoding a picture that is too large, or cannot have the contract's size."""
    width, height = header.width, header.height
    # the orientation in a jpeg may exchange width and height
    if spec.fit == "exact" and {width, height} != {spec.width, spec.height}:
        raise _another_size(spec, width, height)
    _require_bounded(header)


def _require_bounded(header: PictureHeader) -> None:
    """Raise ValueError before decoding a picture that takes too much memory or time."""
    if header.width * header.height > MOST_PIXELS:
        raise ValueError(
            f"the image is {header.width}x{header.height}; at most {MOST_PIXELS} pixels are decoded"
        )
    if header.scans > MOST_SCANS:
        raise ValueError(f"the jpeg has {counted(header.scans, 'scan')}; at most {MOST_SCANS} are decoded")


def _not_a_picture(raw: bytes, message: Message) -> ValueError:
    return ValueError(f"not a jpeg or png image ({counted(len(raw), 'byte')}, format '{message.format}')")


def _decoded(raw: bytes, flags: int) -> Array | None:
    import cv2

    try:
        pixels: Array | None = cv2.imdecode(np.frombuffer(raw, dtype=np.uint8), flags)
    except cv2.error:
        return None
    return pixels


def fit(spec: ImageSpec, image: Array) -> Array:
    """Return the image (H, W, C) in the contract's size, as its `fit` says.

    Raises ValueError when `fit` does not allow the required change, or when it is impossible.
    """
    height, width = image.shape[:2]
    if (width, height) == (spec.width, spec.height):
        return np.ascontiguousarray(image)
    wanted = f"{spec.width}x{spec.height}"
    if spec.fit == "exact":
        raise _another_size(spec, width, height)
    if spec.fit == "resize" and abs(width * spec.height - height * spec.width) > max(width, height):
        raise ValueError(
            f"{width}x{height} cannot be resized to {wanted} without distortion; use fit: crop or fit: stretch"
        )
    if spec.fit == "crop":
        image = _middle(image, spec.width / spec.height)
        if not image.size:
            raise ValueError(f"{width}x{height} is too small to be cropped to the shape of {wanted}")
    import cv2

    shrinks = image.shape[1] >= spec.width
    # averaged depths are not real surfaces: depth uses the nearest pixel
    how = cv2.INTER_NEAREST if spec.encoding == "depth" else cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    try:
        resized = cv2.resize(image, (spec.width, spec.height), interpolation=how)
    except cv2.error as error:  # a side above 32767
        raise ValueError(f"{width}x{height} cannot be resized to {wanted}: {error.err}") from error
    return np.ascontiguousarray(resized.reshape(spec.shape))


def _another_size(spec: ImageSpec, width: int, height: int) -> ValueError:
    return ValueError(
        f"the image is {width}x{height}, the contract says {spec.width}x{spec.height} "
        "(see fit: resize | crop)"
    )


def _require_accepted(spec: ImageSpec, encoding: str) -> None:
    accepted = _ACCEPTED[spec.encoding]
    if encoding not in accepted:
        raise ValueError(
            f"encoding '{encoding}' cannot be converted to '{spec.encoding}'; accepted: {', '.join(accepted)}"
        )


def _colours(pixels: Array, encoding: str) -> Array:
    if encoding in ("bgr8", "bgra8"):
        return pixels[..., 2::-1]
    if encoding == "rgba8":
        return pixels[..., :3]
    return _metres(pixels) if encoding in ("16UC1", "32FC1") else pixels


def _metres(pixels: Array) -> Array:
    """Return depth in metres, 0 without measurement, from 16-bit (mm, 0) or 32-bit (m, NaN or inf) pixels."""
    if pixels.dtype.kind == "u":
        return (pixels / _MM_PER_M).astype(np.float32)
    return np.where(np.isfinite(pixels), pixels, 0.0).astype(np.float32)


def _middle(image: Array, aspect: float) -> Array:
    height, width = image.shape[:2]
    keep_width = min(width, round(height * aspect))
    keep_height = min(height, round(width / aspect))
    left, top = (width - keep_width) // 2, (height - keep_height) // 2
    return image[top : top + keep_height, left : left + keep_width]
