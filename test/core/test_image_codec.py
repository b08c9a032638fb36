"""Images: every encoding, padding and byte order gives the same pixels; invalid ones are rejected."""

import cv2
import numpy as np
import pytest

from il_ros.core.codecs.image import decode_compressed, decode_image, fit
from il_ros.core.messages import make
from il_ros.core.specs import ImageSpec

RGB = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3) * 10
EXACT = ImageSpec(width=3, height=2)


def image(pixels, encoding, padding=0, **fields):
    rows = np.ascontiguousarray(pixels).view(np.uint8).reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=255)
    height, width = pixels.shape[:2]
    size = {"height": height, "width": width, "step": rows.shape[1]}
    return make("sensor_msgs/msg/Image", encoding=encoding, data=rows.ravel(), **{**size, **fields})


@pytest.mark.parametrize("padding", [0, 5])
@pytest.mark.parametrize(
    ("encoding", "on_the_wire"),
    [
        ("rgb8", RGB),
        ("bgr8", RGB[..., ::-1]),
        ("rgba8", np.concatenate([RGB, np.full((2, 3, 1), 7, np.uint8)], axis=-1)),
        ("bgra8", np.concatenate([RGB[..., ::-1], np.full((2, 3, 1), 7, np.uint8)], axis=-1)),
    ],
)
def test_every_colour_order_becomes_rgb(encoding, on_the_wire, padding):
    np.testing.assert_array_equal(decode_image(EXACT, image(on_the_wire, encoding, padding)), RGB)


def test_grey_keeps_a_channel_axis():
    grey = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    out = decode_image(ImageSpec(3, 2, "mono8"), image(grey[..., None], "mono8", 1))
    np.testing.assert_array_equal(out, grey[..., None])


@pytest.mark.parametrize(("order", "big"), [("<", 0), (">", 1)])
def test_depth_is_in_metres_and_zero_without_measurement(order, big):
    spec = ImageSpec(3, 1, "depth")
    millimetres = np.array([[[1500], [0], [250]]], dtype=f"{order}u2")
    out = decode_image(spec, image(millimetres, "16UC1", 2, is_bigendian=big))
    np.testing.assert_allclose(out[..., 0], [[1.5, 0, 0.25]])
    metres = np.array([[[1.5], [np.nan], [np.inf]]], dtype=f"{order}f4")
    out = decode_image(spec, image(metres, "32FC1", 4, is_bigendian=big))
    np.testing.assert_array_equal(out[..., 0], np.array([[1.5, 0, 0]], np.float32))
    assert out.dtype == np.float32


def test_data_as_bytes_and_as_array_are_both_decoded():
    message = image(RGB, "rgb8")
    message.data = message.data.tobytes()
    np.testing.assert_array_equal(decode_image(EXACT, message), RGB)


@pytest.mark.parametrize(
    ("message", "error"),
    [
        (
            image(RGB[..., :1], "mono8"),
            "encoding 'mono8' cannot be converted to 'rgb8'; accepted: rgb8, bgr8",
        ),
        (image(RGB, "yuv422"), "encoding 'yuv422'"),
        (image(RGB, "rgb8", step=8), "needs 9 bytes per row"),
        (image(RGB[:1], "rgb8", height=2), "needs 9 bytes per row and 18 in total, but has 9"),
        (image(RGB[:, :2], "rgb8"), "image is 2x2, the contract says 3x2"),
    ],
)
def test_invalid_images_are_rejected(message, error):
    with pytest.raises(ValueError, match=error):
        decode_image(EXACT, message)


def test_resize_requires_the_same_aspect_ratio():
    wide = np.zeros((48, 64, 3), np.uint8)
    assert fit(ImageSpec(32, 24, fit="resize"), wide).shape == (24, 32, 3)
    with pytest.raises(ValueError, match="64x48 cannot be resized to 24x24 without distortion"):
        fit(ImageSpec(24, 24, fit="resize"), wide)
    assert fit(ImageSpec(24, 24, fit="stretch"), wide).shape == (24, 24, 3)


def test_crop_keeps_the_centre():
    stripes = np.zeros((4, 8, 3), np.uint8)
    stripes[:, 2:6] = 200  # the central square
    out = fit(ImageSpec(2, 2, fit="crop"), stripes)
    np.testing.assert_array_equal(out, np.full((2, 2, 3), 200))


def test_shrinking_averages_colours_but_never_depths():
    halves = np.array([[[0], [100]], [[0], [100]]], np.uint8)
    out = fit(ImageSpec(1, 1, "mono8", "resize"), halves)
    assert out[0, 0, 0] == 50
    depth = halves.astype(np.float32)
    assert fit(ImageSpec(1, 1, "depth", "resize"), depth)[0, 0, 0] in (0.0, 100.0)


def test_compressed_images():
    plain = np.full((6, 8, 3), (200, 100, 50), np.uint8)
    for extension, tolerance in ((".png", 0), (".jpg", 3)):
        _, data = cv2.imencode(extension, plain[..., ::-1])
        message = make("sensor_msgs/msg/CompressedImage", format=extension[1:], data=data.ravel())
        out = decode_compressed(ImageSpec(8, 6), message)
        np.testing.assert_allclose(out.astype(int), plain, atol=tolerance)
    depth = np.array([[1500, 0]], np.uint16)
    _, data = cv2.imencode(".png", depth)
    message = make("sensor_msgs/msg/CompressedImage", format="16UC1; png", data=data.ravel())
    np.testing.assert_allclose(decode_compressed(ImageSpec(2, 1, "depth"), message)[..., 0], [[1.5, 0]])


@pytest.mark.parametrize("data", [b"", b"not an image"])
def test_invalid_compressed_data_is_rejected(data):
    message = make("sensor_msgs/msg/CompressedImage", format="jpeg", data=np.frombuffer(data, dtype=np.uint8))
    with pytest.raises(ValueError, match="are not a jpeg or png image"):
        decode_compressed(ImageSpec(8, 6), message)
