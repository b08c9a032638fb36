"""Images: every encoding, padding and byte order gives the same pixels; invalid ones are rejected."""

import contextlib
import struct
import time
import zlib

import cv2
import numpy as np
import pytest

from il_ros.core.codecs.image import decode_compressed, decode_image, decode_picture, fit
from il_ros.core.codecs.picture_header import PictureHeader, read_header
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
        (image(RGB, "yuv422"), "encoding 'yuv422' shares colours between pixels; 3x2 must be even"),
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
    with pytest.raises(ValueError, match="not a jpeg or png image"):
        decode_compressed(ImageSpec(8, 6), message)


def compressed(raw):
    return make("sensor_msgs/msg/CompressedImage", format="png", data=np.frombuffer(raw, dtype=np.uint8))


def chunk(kind, content):
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def black_png(width, height):
    """Return a grey PNG of zeros, by its specification: a few kilobytes for millions of pixels."""
    head = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    rows = zlib.compress(b"\0" * (width + 1) * height, 9)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def encoded(extension, pixels, *options):
    return cv2.imencode(extension, pixels, list(options))[1].tobytes()


def test_the_size_of_every_kind_of_picture_is_read_from_its_header():
    colours = np.zeros((6, 8, 3), np.uint8)
    assert read_header(encoded(".png", colours)) == PictureHeader(8, 6)
    assert read_header(black_png(3, 2)) == PictureHeader(3, 2)
    assert read_header(encoded(".jpg", colours)) == PictureHeader(8, 6)
    progressive = read_header(encoded(".jpg", colours, cv2.IMWRITE_JPEG_PROGRESSIVE, 1))
    assert (progressive.width, progressive.height) == (8, 6)
    assert 1 < progressive.scans <= 20
    plain = encoded(".jpg", colours)
    thumbnail = b"\xff\xe1" + struct.pack(">H", 2 + len(plain)) + plain  # a picture inside of a segment
    larger = encoded(".jpg", np.zeros((16, 24, 3), np.uint8))
    found = read_header(larger[:2] + thumbnail + larger[2:])
    assert (found.width, found.height) == (24, 16)


@pytest.mark.parametrize("cut", range(0, 160, 7))
def test_a_header_that_is_cut_off_is_none_or_the_size(cut):
    for raw in (encoded(".png", RGB), encoded(".jpg", RGB)):
        found = read_header(raw[:cut])
        assert found is None or (found.width, found.height) == (3, 2)


def test_no_size_is_not_a_picture():
    assert read_header(black_png(0, 5)) is None
    assert read_header(b"\xff\xd8\xff\xda\x00\x02") is None
    assert read_header(b"\xff\xd8" + b"\xff\xe0\x00\x00" * 10) is None


@pytest.mark.parametrize("fit_", ["exact", "resize", "crop", "stretch"])
def test_a_large_picture_is_refused_before_it_is_decoded(fit_):
    raw = black_png(8000, 8000)
    assert len(raw) < 100_000
    begun_s = time.process_time()
    with pytest.raises(ValueError, match="the image is 8000x8000"):
        decode_compressed(ImageSpec(64, 64, fit=fit_), compressed(raw))
    assert time.process_time() - begun_s < 0.05  # decoding takes a second


def test_a_picture_of_another_size_is_refused_before_it_is_decoded(monkeypatch):
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match="the image is 4x3, the contract says 64x64"):
        decode_compressed(ImageSpec(64, 64), compressed(black_png(4, 3)))


def test_the_largest_picture_is_decoded():
    out = decode_compressed(ImageSpec(64, 64, "mono8", "resize"), compressed(black_png(4096, 4096)))
    np.testing.assert_array_equal(out, np.zeros((64, 64, 1), np.uint8))
    with pytest.raises(ValueError, match="at most 16777216 pixels"):
        decode_compressed(ImageSpec(64, 64, "mono8", "stretch"), compressed(black_png(4096, 4097)))


def test_a_jpeg_of_a_hundred_scans_is_refused():
    raw = encoded(".jpg", RGB)
    many = raw[:-2] + b"\xff\xda\x00\x02" * 100 + raw[-2:]
    with pytest.raises(ValueError, match="the jpeg has 101 scans; at most 100"):
        decode_compressed(EXACT, compressed(many))


def test_a_rotated_jpeg_of_the_right_size_is_decoded():
    # EXIF orientation 6: the camera was turned by 90 degrees, width and height are exchanged
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    plain = encoded(".jpg", np.zeros((48, 64, 3), np.uint8))
    turned = plain[:2] + b"\xff\xe1" + struct.pack(">H", 2 + len(exif)) + exif + plain[2:]
    assert decode_compressed(ImageSpec(48, 64), compressed(turned)).shape == (64, 48, 3)


def test_a_crop_without_pixels_and_an_impossible_resize_are_errors():
    one = np.zeros((1, 1, 3), np.uint8)
    with pytest.raises(ValueError, match="1x1 is too small to be cropped to the shape of 4x2"):
        fit(ImageSpec(4, 2, fit="crop"), one)
    # OpenCV's limit of 32767 depends on its version
    with contextlib.suppress(ValueError):
        assert fit(ImageSpec(4, 2, "mono8", "stretch"), np.zeros((1, 40_000, 1), np.uint8)).shape == (2, 4, 1)


def test_a_damaged_picture_is_an_error_and_not_an_opencv_exception():
    raw = black_png(3, 2)
    with pytest.raises(ValueError, match=r"not a whole picture \(40 bytes, format 'png'\): it is cut short"):
        decode_compressed(ImageSpec(3, 2, "depth"), compressed(raw[:40]))
    damaged = raw[:45] + b"\xff" * 10 + raw[55:]
    with pytest.raises(ValueError, match="not a jpeg or png image that can be decoded"):
        decode_compressed(ImageSpec(3, 2, "mono8"), compressed(damaged))


def test_a_picture_of_any_bounded_size_is_decoded_for_a_video(monkeypatch):
    assert decode_picture(compressed(black_png(7, 5))).shape == (5, 7, 3)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: pytest.fail("it was decoded"))
    with pytest.raises(ValueError, match="the image is 8000x8000; at most 16777216 pixels"):
        decode_picture(compressed(black_png(8000, 8000)))
