"""Decoding of camera messages to arrays of the contract's size and encoding."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from il_ros.core.codecs.compressed_depth import DepthPayload, is_compressed_depth
from il_ros.core.codecs.picture_header import MOST_SCANS, PictureHeader, read_header
from il_ros.core.codecs.pixels import metres, pixels_of
from il_ros.core.messages import Message
from il_ros.core.specs import MOST_PIXELS, ImageSpec
from il_ros.core.tables import counted

Array = np.ndarray[Any, Any]


def decode_image(spec: ImageSpec, message: Message) -> Array:
    """Return a sensor_msgs/Image as (H, W, C): colours in RGB order, depth in metres (REP 118).

    Raises ValueError on a wrong encoding, size or byte count.
    """
    return fit(spec, pixels_of(message, spec.encoding))


def decode_compressed(spec: ImageSpec, message: Message) -> Array:
    """Return a sensor_msgs/CompressedImage (jpeg, png or compressedDepth) as (H, W, C), colours in RGB order.

    The size is read from the picture's header first, because a picture of a few kilobytes can decode to
    gigabytes.
    Raises ValueError when the bytes are not a whole image or do not match the contract's size or encoding.
    """
    import cv2

    if spec.encoding == "depth":
        return fit(spec, _depth(message, lambda header: _require_decodable(spec, header)))
    if is_compressed_depth(message):
        raise ValueError(
            f"format '{message.format}' cannot be converted to '{spec.encoding}', only to 'depth'"
        )
    flags = cv2.IMREAD_COLOR if spec.encoding == "rgb8" else cv2.IMREAD_GRAYSCALE
    pixels = _picture(bytes(message.data), message, flags, lambda header: _require_decodable(spec, header))
    return fit(spec, pixels)


def decode_picture(message: Message) -> Array:
    """Return a sensor_msgs/CompressedImage of any bounded size: (H, W, 3) uint8 in RGB order.

    compressedDepth becomes (H, W, 1) float32 metres.
    Raises ValueError when the bytes are not a whole image, or it is too large.
    """
    import cv2

    if is_compressed_depth(message):
        return _depth(message, _require_bounded)
    return _picture(bytes(message.data), message, cv2.IMREAD_COLOR, _require_bounded)


def size_of(message: Message) -> tuple[int, int] | None:
    """Return width and height of an Image or CompressedImage without decoding it; None when it has no size."""
    if hasattr(message, "width"):
        return int(message.width), int(message.height)
    try:
        payload = DepthPayload(message) if is_compressed_depth(message) else None
        if payload is not None and payload.is_rvl:
            return payload.rvl_size()
    except ValueError:
        return None
    header = read_header(bytes(message.data) if payload is None else payload.raw)
    return None if header is None else (header.width, header.height)


def other_view(spec: ImageSpec, size: tuple[int, int], first: tuple[int, int]) -> str:
    """Return why an image shows another part of the scene than the first one, "" when it does not.

    With fit crop or stretch, an image of another aspect ratio is fitted without an error, but not to the same
    pixels. `size`, `first`: width and height of the two images.
    """
    (width, height), (first_width, first_height) = size, first
    if spec.fit in ("exact", "resize"):
        return ""
    if abs(width * first_height - height * first_width) <= max(*size, *first):
        return ""
    return (
        f"the image is {width}x{height}, but the first one was {first_width}x{first_height}; an image of another "
        "aspect ratio shows another part of the scene"
    )


def _depth(message: Message, require: Callable[[PictureHeader], None]) -> Array:
    """Return depth (H, W, 1) in metres from a 16-bit png or from compressedDepth; `require` checks the size."""
    import cv2

    if not is_compressed_depth(message):
        return metres(_sixteen_bits(_picture(bytes(message.data), message, cv2.IMREAD_UNCHANGED, require)))
    payload = DepthPayload(message)
    if payload.is_rvl:
        require(PictureHeader(*payload.rvl_size()))
        return payload.metres(payload.rvl_pixels())[..., None]
    pixels = _sixteen_bits(_picture(payload.raw, message, cv2.IMREAD_UNCHANGED, require))
    return payload.metres(pixels[..., 0])[..., None]


def _sixteen_bits(pixels: Array) -> Array:
    if pixels.dtype != np.uint16 or pixels.shape[2] != 1:
        raise ValueError(f"compressed depth must be 16-bit png, not {pixels.dtype} {pixels.shape}")
    return pixels


def _picture(raw: bytes, message: Message, flags: int, require: Callable[[PictureHeader], None]) -> Array:
    """Return a jpeg or png as (H, W, C), colours in RGB order; `require` checks its header before it is decoded."""
    import cv2

    said = f"({counted(len(raw), 'byte')}, format '{message.format}')"
    header = read_header(raw)
    if header is None:
        raise ValueError(f"not a jpeg or png image {said}")
    require(header)
    if not header.whole:  # decoded, a cut jpeg has grey rows
        raise ValueError(f"not a whole picture {said}: it is cut short")
    try:
        pixels: Array | None = cv2.imdecode(np.frombuffer(raw, dtype=np.uint8), flags)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise ValueError(f"not a jpeg or png image that can be decoded {said}")
    if pixels.ndim == 2:
        return pixels[..., None]
    return cv2.cvtColor(pixels, cv2.COLOR_BGR2RGB) if flags == cv2.IMREAD_COLOR else pixels


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


def _middle(image: Array, aspect: float) -> Array:
    height, width = image.shape[:2]
    keep_width = min(width, round(height * aspect))
    keep_height = min(height, round(width / aspect))
    left, top = (width - keep_width) // 2, (height - keep_height) // 2
    return image[top : top + keep_height, left : left + keep_width]
