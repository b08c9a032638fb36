"""Every encoding that drivers send gives the pixels worked out by hand."""

import struct

import cv2
import numpy as np
import pytest

from il_ros.core.codecs.compressed_depth import decode_rvl
from il_ros.core.codecs.image import decode_compressed, decode_image, decode_picture, size_of
from il_ros.core.messages import make
from il_ros.core.specs import ImageSpec

EXACT = ImageSpec(4, 2)
RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
YUV = {RED: (81, 90, 240), GREEN: (145, 54, 34), BLUE: (41, 240, 110), WHITE: (235, 128, 128)}
"""Y, U, V of ITU-R BT.601 in studio range: R = 1.164 (Y - 16) + 1.596 (V - 128), and so on, to the nearest."""
COLUMNS = np.array([[RED, RED, BLUE, BLUE]] * 2, np.uint8)  # pairs of columns share U and V


def image(rows, encoding, width, height, **fields):
    rows = np.ascontiguousarray(rows).view(np.uint8).reshape(len(rows), -1)
    head = {"width": width, "height": height, "step": rows.shape[1]}
    return make("sensor_msgs/msg/Image", encoding=encoding, data=rows.ravel(), **head, **fields)


def two_channels(order):
    """COLUMNS with two bytes per pixel: `order` says what stands where in four bytes, for two pixels."""
    y = {"r": YUV[RED], "b": YUV[BLUE]}
    pair = {name: {"Y": values[0], "U": values[1], "V": values[2]} for name, values in y.items()}
    row = [pair[name][what] for name in "rb" for what in order]
    return np.array([row, row], np.uint8)


def planes(first, second):
    """COLUMNS as a plane of Y and one of colours in pairs."""
    grey = [YUV[RED][0]] * 2 + [YUV[BLUE][0]] * 2
    colours = [YUV[name][place] for name in (RED, BLUE) for place in (first, second)]
    return np.array([grey, grey, colours], np.uint8)


@pytest.mark.parametrize(
    ("encoding", "rows"),
    [
        ("yuv422", two_channels("UYVY")),
        ("uyvy", two_channels("UYVY")),
        ("yuv422_yuy2", two_channels("YUYV")),
        ("yuyv", two_channels("YUYV")),
        ("nv12", planes(1, 2)),
        ("nv21", planes(2, 1)),
    ],
)
@pytest.mark.parametrize("padding", [0, 6])
def test_shared_colours_become_rgb_and_grey(encoding, rows, padding):
    padded = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = image(padded, encoding, 4, 2)
    np.testing.assert_allclose(decode_image(EXACT, message).astype(int), COLUMNS.astype(int), atol=1)
    grey = decode_image(ImageSpec(4, 2, "mono8"), message)
    np.testing.assert_array_equal(grey[..., 0], [[81, 81, 41, 41]] * 2)


@pytest.mark.parametrize(("encoding", "size"), [("yuyv", (3, 2)), ("nv12", (4, 3)), ("nv21", (3, 2))])
def test_shared_colours_need_even_sizes(encoding, size):
    with pytest.raises(
        ValueError, match=f"encoding '{encoding}' shares colours between pixels; {size[0]}x{size[1]}"
    ):
        decode_image(EXACT, image(np.zeros((3, 8), np.uint8), encoding, *size))


def test_a_plane_of_colours_that_is_missing_is_an_error():
    with pytest.raises(
        ValueError, match="4x2 nv12 with rows of 4 bytes, needs 4 bytes per row and 12 in total"
    ):
        decode_image(EXACT, image(np.zeros((2, 4), np.uint8), "nv12", 4, 2))


MOSAICS = {"rggb": "RGGB", "bggr": "BGGR", "gbrg": "GBRG", "grbg": "GRBG"}
VALUES = {"R": 200, "G": 100, "B": 50}


@pytest.mark.parametrize("pattern", MOSAICS)
@pytest.mark.parametrize("bits", [8, 16])
def test_a_mosaic_of_one_colour_becomes_that_colour(pattern, bits):
    block = np.array([VALUES[each] for each in MOSAICS[pattern]]).reshape(2, 2)
    scale = 1 if bits == 8 else 257  # 65535 / 255
    rows = np.tile(block * scale, (3, 4)).astype(np.uint8 if bits == 8 else "<u2")
    message = image(rows, f"bayer_{pattern}{bits}", 8, 6)
    np.testing.assert_array_equal(decode_image(ImageSpec(8, 6), message), np.full((6, 8, 3), (200, 100, 50)))


@pytest.mark.parametrize(
    ("encoding", "pixel"),
    [
        ("rgb16", (65535, 257 * 100, 0)),
        ("bgr16", (0, 257 * 100, 65535)),
        ("rgba16", (65535, 257 * 100, 0, 9)),
        ("bgra16", (0, 257 * 100, 65535, 9)),
    ],
)
@pytest.mark.parametrize(("order", "big"), [("<", 0), (">", 1)])
def test_colours_of_16_bits_become_8(encoding, pixel, order, big):
    rows = np.full((2, 4, len(pixel)), pixel, f"{order}u2")
    out = decode_image(EXACT, image(rows, encoding, 4, 2, is_bigendian=big))
    np.testing.assert_array_equal(out, np.full((2, 4, 3), (255, 100, 0)))


@pytest.mark.parametrize(("order", "big"), [("<", 0), (">", 1)])
def test_greys_of_16_bits_become_8_to_the_nearest(order, big):
    rows = np.array([[0, 128, 129, 65535]], f"{order}u2")  # a step is 257
    out = decode_image(ImageSpec(4, 1, "mono8"), image(rows, "mono16", 4, 1, is_bigendian=big))
    np.testing.assert_array_equal(out[..., 0], [[0, 0, 1, 255]])


def test_colours_without_a_named_order_are_opencvs():
    rows = np.full((2, 4, 3), (50, 100, 200), np.uint8)
    np.testing.assert_array_equal(decode_image(EXACT, image(rows, "8UC3", 4, 2))[0, 0], [200, 100, 50])
    rows = np.full((2, 4, 4), (50, 100, 200, 9), np.uint8)
    np.testing.assert_array_equal(decode_image(EXACT, image(rows, "8UC4", 4, 2))[0, 0], [200, 100, 50])
    grey = np.array([[1, 2, 3, 4]] * 2, np.uint8)
    out = decode_image(ImageSpec(4, 2, "mono8"), image(grey, "8UC1", 4, 2))
    np.testing.assert_array_equal(out[..., 0], grey)


def test_depth_is_no_colour_and_grey_is_no_depth():
    with pytest.raises(
        ValueError, match="encoding '16UC1' cannot be converted to 'rgb8'; accepted: rgb8, bgr8"
    ):
        decode_image(EXACT, image(np.zeros((2, 4), "<u2"), "16UC1", 4, 2))
    with pytest.raises(ValueError, match="'mono16' cannot be converted to 'depth'; accepted: 16UC1, 32FC1"):
        decode_image(ImageSpec(4, 2, "depth"), image(np.zeros((2, 4), "<u2"), "mono16", 4, 2))


# ---- compressed depth ------------------------------------------------------------------------------------

DEPTH = ImageSpec(4, 2, "depth")
MILLIMETRES = np.array([[0, 500, 501, 65535], [1000, 0, 0, 7]], np.uint16)


def nibbles(*groups):
    """Return the RVL words of groups of four bits: eight to a little-endian word, the highest first."""
    padded = list(groups) + [0] * (-len(groups) % 8)
    words = [int("".join(f"{group:x}" for group in padded[i : i + 8]), 16) for i in range(0, len(padded), 8)]
    return struct.pack(f"<{len(words)}I", *words)


# 1 zero | 4 others: +500 (1000), +1 (2), +65034 (130068), -64535 (129069) | 2 zeros | 1 other: -993 (1985)
# each difference d is sent as 2 d, or as -2 d - 1 below 0; each number in groups of three bits, the lowest first,
# with 8 added where it goes on: 1000 = 0o1750, 130068 = 0o376024, 129069 = 0o374055, 1985 = 0o3701
RVL = nibbles(
    *(1, 4),
    *(0 + 8, 5 + 8, 7 + 8, 1),
    *(2,),
    *(4 + 8, 2 + 8, 0 + 8, 6 + 8, 7 + 8, 3),
    *(5 + 8, 5 + 8, 0 + 8, 4 + 8, 7 + 8, 3),
    *(2, 1),
    *(1 + 8, 0 + 8, 7 + 8, 3),
)


def compressed(data, format_):
    data = np.frombuffer(data, np.uint8)
    return make("sensor_msgs/msg/CompressedImage", format=format_, data=data)


def header(first=0.0, second=0.0):
    return struct.pack("<iff", 0, first, second)


def png(pixels):
    return cv2.imencode(".png", pixels)[1].tobytes()


def rvl(width=4, height=2, data=RVL):
    return struct.pack("<II", width, height) + data


@pytest.mark.parametrize(
    "format_", ["16UC1; compressedDepth png", "16UC1; compressedDepth", "16UC1; compressedDepth "]
)
def test_compressed_depth_begins_with_twelve_bytes(format_):
    out = decode_compressed(DEPTH, compressed(header() + png(MILLIMETRES), format_))
    np.testing.assert_allclose(out[..., 0], [[0, 0.5, 0.501, 65.535], [1, 0, 0, 0.007]], rtol=1e-6)
    assert out.dtype == np.float32


def test_rvl_depth_has_its_size_and_then_runs_of_differences():
    out = decode_compressed(DEPTH, compressed(header() + rvl(), "16UC1; compressedDepth rvl"))
    np.testing.assert_allclose(out[..., 0], [[0, 0.5, 0.501, 65.535], [1, 0, 0, 0.007]], rtol=1e-6)


@pytest.mark.parametrize(("payload", "codec"), [(png(MILLIMETRES), "png"), (rvl(), "rvl")])
def test_depth_of_32_bits_is_quantised_by_its_inverse(payload, codec):
    message = compressed(header(10_000.0, -500.0) + payload, f"32FC1; compressedDepth {codec}")
    # 10000 / (500 + 500), 10000 / (501 + 500), 10000 / (65535 + 500), 10000 / (1000 + 500), 10000 / (7 + 500)
    expected = [[0, 10, 9.99001, 0.1514349], [6.666667, 0, 0, 19.72387]]
    np.testing.assert_allclose(decode_compressed(DEPTH, message)[..., 0], expected, rtol=1e-6)


def test_an_inverse_depth_beyond_infinity_is_no_measurement():
    message = compressed(header(100.0, 500.0) + png(MILLIMETRES), "32FC1; compressedDepth png")
    np.testing.assert_allclose(
        decode_compressed(DEPTH, message)[..., 0], [[0, 0, 100, 100 / 65035], [0.2, 0, 0, 0]], rtol=1e-6
    )


@pytest.mark.parametrize(
    ("data", "format_", "error"),
    [
        (b"\0" * 11, "16UC1; compressedDepth png", "11 bytes are too few for compressedDepth"),
        (header(), "16UC1; compressedDepth png", r"not a jpeg or png image \(0 bytes"),
        (header() + png(MILLIMETRES)[:-9], "16UC1; compressedDepth png", "not a whole picture"),
        (
            header() + png(np.zeros((2, 4), np.uint8)),
            "16UC1; compressedDepth png",
            "must be 16-bit png, not uint8",
        ),
        (header(0.0, 1.0) + png(MILLIMETRES), "32FC1; compressedDepth png", "has the parameters 0 and 1"),
        (
            header(float("nan")) + png(MILLIMETRES),
            "32FC1; compressedDepth png",
            "has the parameters nan and 0",
        ),
        (header() + b"\1\0\0", "16UC1; compressedDepth rvl", "3 bytes are too few for RVL"),
        (header() + rvl(width=0), "16UC1; compressedDepth rvl", "the RVL image is 0x2"),
        (header() + rvl(width=5), "16UC1; compressedDepth rvl", "the image is 5x2, the contract says 4x2"),
        (header() + rvl(data=RVL[:8]), "16UC1; compressedDepth rvl", "the RVL data end at pixel 1 of 8"),
        (header() + rvl(data=b""), "16UC1; compressedDepth rvl", "the RVL data end at pixel 0 of 8"),
        (header() + rvl(data=nibbles(0, 9, 1)), "16UC1; compressedDepth rvl", "have more than 8 pixels"),
        (header() + rvl(data=nibbles(0, 0)), "16UC1; compressedDepth rvl", "an empty run at pixel 0"),
        (header() + rvl(data=b"\xff" * 8), "16UC1; compressedDepth rvl", "the RVL data end at pixel 0 of 8"),
        (header() + rvl(data=nibbles(*[15] * 14, 0, 0)), "16UC1; compressedDepth rvl", "more than 32 bits"),
    ],
)
def test_damaged_compressed_depth_is_an_error_that_says_why(data, format_, error):
    with pytest.raises(ValueError, match=error):
        decode_compressed(DEPTH, compressed(data, format_))


def test_the_size_of_compressed_depth_is_read_before_anything_is_made_of_it():
    large = rvl(60_000, 60_000)
    with pytest.raises(ValueError, match="the image is 60000x60000; at most 16777216 pixels"):
        decode_compressed(
            ImageSpec(4, 2, "depth", "stretch"), compressed(header() + large, "16UC1; compressedDepth rvl")
        )


def test_compressed_depth_is_no_colour_but_can_be_shown():
    message = compressed(header() + png(MILLIMETRES), "16UC1; compressedDepth png")
    with pytest.raises(
        ValueError, match="compressedDepth png' cannot be converted to 'rgb8', only to 'depth'"
    ):
        decode_compressed(EXACT, message)
    np.testing.assert_allclose(decode_picture(message)[0, 1], [0.5])


@pytest.mark.parametrize("seed", range(5))
def test_rvl_is_decoded_as_the_plain_algorithm_encodes_it(seed):
    rng = np.random.default_rng(seed)
    pixels = rng.integers(0, 65536, 500).astype(np.uint16) * (rng.random(500) < 0.7)
    np.testing.assert_array_equal(decode_rvl(encode_rvl(pixels.tolist()), 500), pixels)


def encode_rvl(pixels):
    """The encoder of Wilson (2017), figure 2, number by number."""
    groups, place, previous = [], 0, 0

    def put(value):
        while True:
            value, low = value >> 3, value & 7
            groups.append(low + 8 if value else low)
            if not value:
                return

    while place < len(pixels):
        start = place
        while place < len(pixels) and not pixels[place]:
            place += 1
        put(place - start)
        start = place
        while place < len(pixels) and pixels[place]:
            place += 1
        put(place - start)
        for value in pixels[start:place]:
            put(2 * (value - previous) if value >= previous else 2 * (previous - value) - 1)
            previous = value
    return nibbles(*groups)


# ---- pictures that are cut short -------------------------------------------------------------------------


@pytest.mark.parametrize("extension", [".jpg", ".png"])
@pytest.mark.parametrize("share", [0.5, 0.9, 0.999])
def test_a_picture_that_is_cut_short_has_no_pixels(extension, share):
    colours = np.random.default_rng(0).integers(0, 256, (48, 64, 3), dtype=np.uint8)
    raw = cv2.imencode(extension, colours)[1].tobytes()
    with pytest.raises(ValueError, match=r"not a whole picture .*: it is cut short"):
        decode_compressed(ImageSpec(64, 48), compressed(raw[: int(len(raw) * share)], "jpeg"))
    padded = raw + b"\0" * 20  # as some cameras send
    assert decode_compressed(ImageSpec(64, 48), compressed(padded, "jpeg")).shape == (48, 64, 3)


def test_the_end_of_a_thumbnail_is_not_that_of_its_picture():
    small, large = (
        cv2.imencode(".jpg", np.zeros((size, size, 3), np.uint8))[1].tobytes() for size in (8, 64)
    )
    segment = b"\xff\xe1" + struct.pack(">H", 2 + len(small)) + small
    raw = large[:2] + segment + large[2:]
    assert decode_compressed(ImageSpec(64, 64), compressed(raw, "jpeg")).shape == (64, 64, 3)
    with pytest.raises(ValueError, match="it is cut short"):
        decode_compressed(ImageSpec(64, 64), compressed(raw[:-40], "jpeg"))


def test_the_size_of_every_message_is_known_without_decoding_it():
    assert size_of(image(np.zeros((2, 12), np.uint8), "rgb8", 4, 2)) == (4, 2)
    assert size_of(compressed(png(MILLIMETRES), "png")) == (4, 2)
    assert size_of(compressed(header() + png(MILLIMETRES), "16UC1; compressedDepth png")) == (4, 2)
    assert size_of(compressed(header() + rvl(), "16UC1; compressedDepth rvl")) == (4, 2)
    for data, format_ in (
        (b"", "png"),
        (b"", "16UC1; compressedDepth rvl"),
        (header(), "16UC1; compressedDepth png"),
    ):
        assert size_of(compressed(data, format_)) is None
