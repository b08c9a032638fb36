"""Conversion of the pixels of a sensor_msgs/Image: every encoding on the wire to the contract's encodings.

Encodings are those of sensor_msgs/image_encodings.hpp, and nv12. 8UC3 and 8UC4 say no colour order; OpenCV's (blue
first) is assumed, as in cv_bridge. 16-bit colours and greys are scaled to 8 bits, 65535 to 255.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from il_ros.core.tables import counted

Array = np.ndarray[Any, Any]
Convert = Callable[[Array], Array]

_MM_PER_M = 1000.0
_16_TO_8 = 257  # 65535 / 255


@dataclass(frozen=True)
class PixelFormat:
    """An encoding on the wire.

    A row has `channels` numbers of `dtype` per pixel. `to`: for each contract encoding, the conversion of the
    rows (H * `rows`, W, channels) to (H, W, C). `pairs`: columns share colours in pairs, so W is even; with
    `rows` above 1 there are further rows with the colours of pairs of rows, so H is even as well.
    """

    dtype: str
    channels: int
    to: Mapping[str, Convert]
    rows: float = 1.0
    pairs: bool = False


def pixels_of(message: Any, wanted: str) -> Array:
    """Return the pixels of a sensor_msgs/Image (H, W, C) in the contract encoding `wanted`.

    rgb8 (H, W, 3) and mono8 (H, W, 1) are uint8, depth (H, W, 1) float32 metres, 0 without measurement.
    Raises ValueError on an encoding that cannot be converted, and on a wrong size or byte count.
    """
    name = str(message.encoding)
    kind = FORMATS.get(name)
    if kind is None or wanted not in kind.to:
        accepted = ", ".join(each for each, other in FORMATS.items() if wanted in other.to)
        raise ValueError(f"encoding '{name}' cannot be converted to '{wanted}'; accepted: {accepted}")
    height, width, step = int(message.height), int(message.width), int(message.step)
    if kind.pairs and (width % 2 or (kind.rows > 1 and height % 2)):
        raise ValueError(f"encoding '{name}' shares colours between pixels; {width}x{height} must be even")
    rows = int(height * kind.rows)
    bytes_each = np.dtype(kind.dtype).itemsize
    row = width * kind.channels * bytes_each
    data = np.frombuffer(message.data, dtype=np.uint8) if isinstance(message.data, bytes) else message.data
    data = np.asarray(data, dtype=np.uint8)
    if height < 1 or width < 1 or step < row or data.size != step * rows:
        raise ValueError(
            f"the image is {width}x{height} {name} with rows of {counted(step, 'byte')}, "
            f"needs {counted(row, 'byte')} per row and {max(step, row) * rows} in total, but has {data.size}"
        )
    found = data.reshape(rows, step)[:, :row]  # rows may be padded
    if bytes_each > 1:
        order = ">" if message.is_bigendian else "<"
        found = np.ascontiguousarray(found).view(order + kind.dtype).astype(kind.dtype, copy=False)
    return kind.to[wanted](found.reshape(rows, width, kind.channels))


def metres(pixels: Array) -> Array:
    """Return depth in metres (REP 118), 0 without measurement, from 16-bit (mm) or 32-bit (m, NaN or inf) pixels."""
    if pixels.dtype.kind == "u":
        return (pixels / _MM_PER_M).astype(np.float32)
    return np.where(np.isfinite(pixels), pixels, 0.0).astype(np.float32)


def eight_bits(pixels: Array) -> Array:
    """Return 16-bit pixels as 8-bit ones, to the nearest."""
    return ((pixels.astype(np.uint32) + _16_TO_8 // 2) // _16_TO_8).astype(np.uint8)


def _same(pixels: Array) -> Array:
    return pixels


def _reversed(pixels: Array) -> Array:
    return pixels[..., 2::-1]


def _first_three(pixels: Array) -> Array:
    return pixels[..., :3]


def _scaled(order: Convert, pixels: Array) -> Array:
    return eight_bits(order(pixels))


def _by_opencv(code: str, pixels: Array) -> Array:
    """Return the pixels converted by OpenCV's colour conversion `code`, 16 bits scaled to 8."""
    import cv2

    rows = np.ascontiguousarray(pixels)
    converted = cv2.cvtColor(rows[..., 0] if rows.shape[2] == 1 else rows, getattr(cv2, code))
    if converted.dtype == np.uint16:
        converted = eight_bits(converted)
    return converted if converted.ndim == 3 else converted[..., None]


def _bayer(pattern: str, dtype: str) -> PixelFormat:
    """`pattern`: OpenCV's name of the mosaic, which is that of the second row from the second column on."""
    to_rgb = partial(_by_opencv, f"COLOR_Bayer{pattern}2RGB")
    return PixelFormat(dtype, 1, {"rgb8": to_rgb, "mono8": partial(_by_opencv, f"COLOR_Bayer{pattern}2GRAY")})


def _two_channels(code: str) -> PixelFormat:
    to = {each: partial(_by_opencv, f"COLOR_YUV2{name}_{code}") for each, name in _TARGETS}
    return PixelFormat("u1", 2, to, pairs=True)


def _planes(code: str) -> PixelFormat:
    """A plane of greys (H rows), then one of colours (H/2 rows)."""
    to = {each: partial(_by_opencv, f"COLOR_YUV2{name}_{code}") for each, name in _TARGETS}
    return PixelFormat("u1", 1, to, rows=1.5, pairs=True)


_TARGETS = (("rgb8", "RGB"), ("mono8", "GRAY"))
_MOSAICS = {"rggb": "BG", "bggr": "RG", "gbrg": "GR", "grbg": "GB"}

FORMATS: dict[str, PixelFormat] = {
    "rgb8": PixelFormat("u1", 3, {"rgb8": _same}),
    "bgr8": PixelFormat("u1", 3, {"rgb8": _reversed}),
    "rgba8": PixelFormat("u1", 4, {"rgb8": _first_three}),
    "bgra8": PixelFormat("u1", 4, {"rgb8": _reversed}),
    "8UC3": PixelFormat("u1", 3, {"rgb8": _reversed}),
    "8UC4": PixelFormat("u1", 4, {"rgb8": _reversed}),
    "rgb16": PixelFormat("u2", 3, {"rgb8": partial(_scaled, _same)}),
    "bgr16": PixelFormat("u2", 3, {"rgb8": partial(_scaled, _reversed)}),
    "rgba16": PixelFormat("u2", 4, {"rgb8": partial(_scaled, _first_three)}),
    "bgra16": PixelFormat("u2", 4, {"rgb8": partial(_scaled, _reversed)}),
    "yuv422": _two_channels("UYVY"),
    "uyvy": _two_channels("UYVY"),
    "yuv422_yuy2": _two_channels("YUY2"),
    "yuyv": _two_channels("YUY2"),
    "nv12": _planes("NV12"),
    "nv21": _planes("NV21"),
    **{f"bayer_{name}8": _bayer(pattern, "u1") for name, pattern in _MOSAICS.items()},
    **{f"bayer_{name}16": _bayer(pattern, "u2") for name, pattern in _MOSAICS.items()},
    "mono8": PixelFormat("u1", 1, {"mono8": _same}),
    "8UC1": PixelFormat("u1", 1, {"mono8": _same}),
    "mono16": PixelFormat("u2", 1, {"mono8": partial(_scaled, _same)}),
    "16UC1": PixelFormat("u2", 1, {"depth": metres}),
    "32FC1": PixelFormat("f4", 1, {"depth": metres}),
}
"""The encodings on the wire, by name."""


def best_encoding(name: str) -> str:
    """Return the contract encoding that keeps most of a wire encoding: rgb8, mono8 or depth; rgb8 if it is unknown."""
    to = FORMATS[name].to if name in FORMATS else {"rgb8": _same}
    return next(wanted for wanted in ("rgb8", "mono8", "depth") if wanted in to)
