"""Compressed pictures are indexed like an array; jpegs of the right size are kept as they are, depth exactly."""

import concurrent.futures
import re
import signal
import threading

import cv2
import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes.arrays import cache, dataset, pictures
from il_ros.episodes.arrays.camera_frames import CameraFrames, read_ahead
from il_ros.episodes.arrays.dataset import Dataset, DatasetError
from il_ros.episodes.arrays.pictures import CompressedPictures, PictureFile, compressed, compressing, decode
from il_ros.episodes.catalogue import look
from il_ros.episodes.jobs import mapped

RNG = np.random.default_rng(0)
COMPRESSED_TEXT = made.TEXT.replace("sensor_msgs/msg/Image\n", "sensor_msgs/msg/CompressedImage\n")


def smooth(height=48, width=64, channels=3):
    """A picture with soft shapes and edges."""
    small = RNG.integers(0, 256, (6, 8, channels)).astype(np.uint8)
    return cv2.resize(small, (width, height), interpolation=cv2.INTER_CUBIC).reshape(height, width, channels)


def decoded(data, like):
    out = np.empty_like(like)
    decode(data, out)
    return out


def kept(tmp_path, shown, missing=()):
    with PictureFile(tmp_path / "camera") as file:
        for number, picture in enumerate(shown):
            file.append(None if number in missing else compressed(picture))
    return CompressedPictures(tmp_path / "camera", shown[0].shape, shown[0].dtype)


@pytest.mark.parametrize("channels", [3, 1])
def test_a_colour_or_grey_picture_loses_little(channels):
    picture = smooth(channels=channels)
    data = compressed(picture)
    error = decoded(data, picture).astype(float) - picture
    assert 10 * np.log10(255**2 / np.mean(error**2)) > 40  # dB
    assert len(data) < picture.nbytes


def test_colours_keep_their_order():
    red = np.zeros((16, 16, 3), np.uint8)
    red[..., 0] = 200
    assert np.abs(decoded(compressed(red), red).astype(int) - red).max() <= 3


@pytest.mark.parametrize(
    ("depth", "start"),
    [
        (RNG.integers(0, 65536, (9, 7, 1)).astype(np.uint16) / 1000.0, b"\x89PNG"),
        (RNG.uniform(0, 100, (9, 7, 1)), b"\x28\xb5\x2f\xfd"),
        (np.full((9, 7, 1), 65.536), b"\x28\xb5\x2f\xfd"),  # one millimetre beyond 16 bits
    ],
    ids=["whole millimetres", "any", "far"],
)
def test_depth_is_exact_to_the_last_bit(depth, start):
    depth = depth.astype(np.float32)
    data = compressed(depth)
    assert data[:4].tobytes() == start
    np.testing.assert_array_equal(decoded(data, depth), depth)


def test_pictures_are_indexed_like_an_array(tmp_path):
    shown = np.stack([smooth() for _ in range(5)])
    found = kept(tmp_path, shown, missing=[3])
    exact = np.stack([decoded(compressed(each), each) for each in shown])
    exact[3] = 0
    assert (found.shape, found.dtype, found.ndim, len(found)) == (shown.shape, shown.dtype, 4, 5)
    np.testing.assert_array_equal(np.asarray(found), exact)
    np.testing.assert_array_equal(found[-1], exact[-1])
    np.testing.assert_array_equal(found[1:4], exact[1:4])
    np.testing.assert_array_equal(found[np.array([4, 0])], exact[[4, 0]])
    np.testing.assert_array_equal(found[:, ::3, ::3], exact[:, ::3, ::3])
    np.testing.assert_array_equal(np.stack(list(found)), exact)
    with pytest.raises(IndexError, match="picture 5 of 5"):
        found[5]
    with pytest.raises(ValueError, match="read-only"):
        found[0][0] = 1


def test_ticks_that_show_the_same_message_share_one_picture(tmp_path):
    data = compressed(smooth())
    with PictureFile(tmp_path / "camera") as file:
        for _ in range(10):
            file.append(data)
    assert (tmp_path / "camera.pictures").stat().st_size == len(data)
    assert len(CompressedPictures(tmp_path / "camera", (48, 64, 3), np.dtype(np.uint8))) == 10


def test_a_damaged_picture_is_an_error_with_its_file_in_every_thread(tmp_path):
    found = kept(tmp_path, np.stack([smooth() for _ in range(40)]))
    path = tmp_path / "camera.pictures"
    content = bytearray(path.read_bytes())
    start, size = found._places[20].tolist()
    content[start : start + size] = bytes(size)
    path.write_bytes(content)
    np.testing.assert_array_equal(found[19], found[19])
    said = re.escape(f"{path}: picture 20, bytes {start} to {start + size}")
    with pytest.raises(OSError, match=said):
        found[20]
    batches = read_ahead({"camera": CameraFrames([found])}, [[0, 1], [19, 20], [2, 3], [4, 5]], threads=2)
    assert next(batches)["camera"].shape == (2, 48, 64, 3)
    with pytest.raises(OSError, match=said):
        next(batches)


def test_places_beyond_the_file_are_refused_also_where_their_sum_overflows(tmp_path):
    kept(tmp_path, np.stack([smooth() for _ in range(2)]))
    for place in ([0, 1 << 40], [2**63 - 1, 1], [1, 2**63 - 1]):
        np.save(tmp_path / "camera.places.npy", np.array([[0, 1], place]))
        with pytest.raises(ValueError, match=r"has fewer bytes than camera\.places\.npy says"):
            CompressedPictures(tmp_path / "camera", (48, 64, 3), np.dtype(np.uint8))


def test_a_jpeg_that_states_another_size_is_refused_before_it_is_decoded(monkeypatch):
    picture = smooth()
    data = bytearray(compressed(picture).tobytes())
    frame = data.index(b"\xff\xc0")  # marker, length (2), bits (1), height (2), width (2)
    data[frame + 5 : frame + 9] = b"\xff\xff\xff\xff"
    monkeypatch.setattr(cv2, "imdecode", None)  # it would take 12 GB
    with pytest.raises(ValueError, match="not a picture of 64x48"):
        decoded(np.frombuffer(bytes(data), np.uint8), picture)


def test_frames_come_in_order_whatever_the_threads_do(tmp_path):
    shown = np.stack([np.full((8, 8, 3), number, np.uint8) for number in range(60)])
    cameras = {"a": CameraFrames([kept(tmp_path, shown)]), "b": CameraFrames([shown])}
    batches = [RNG.integers(0, 60, 17).tolist() for _ in range(12)]
    for threads in (1, 5):
        for wanted, found in zip(batches, read_ahead(cameras, batches, threads), strict=True):
            np.testing.assert_array_equal(found["a"], shown[wanted])  # even areas survive a jpeg
            np.testing.assert_array_equal(found["b"], shown[wanted])


def test_threads_end_when_the_reader_stops_early(tmp_path):
    cameras = {"a": CameraFrames([kept(tmp_path, np.stack([smooth() for _ in range(30)]))])}
    reading = read_ahead(cameras, [[number] * 20 for number in range(30)], threads=3)
    next(reading)
    reading.close()
    assert not [each for each in threading.enumerate() if each.name.startswith("pictures")]


# ---- through the cache


def jpeg(tick, width=8, height=6, format="jpeg", quality=80):
    picture = np.full((height, width, 3), (200, 20 + round(tick), 40), np.uint8)
    data = cv2.imencode(".jpg", picture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    kind = "sensor_msgs/msg/CompressedImage"
    message = messages.make(
        kind, header=messages.header(made.stamp(tick)), format=format, data=data.reshape(-1)
    )
    return made._recorded("/camera/image_raw", kind, message, made.stamp(tick) + made.MS // 2), data


def with_jpegs(root, ticks=6, size=(8, 6), text=COMPRESSED_TEXT):
    items = [item for item in made.recorded(ticks) if "camera" not in item.topic]
    shown = [jpeg(tick, *size) for tick in range(ticks)]
    items = sorted([*items, *(item for item, _ in shown)], key=lambda item: item.log_ns)
    return made.write(root, items, text=text), [data for _, data in shown]


def test_a_jpeg_of_the_contracts_size_is_kept_as_it_is_and_decodes_to_what_the_policy_sees(tmp_path):
    folder, shown = with_jpegs(tmp_path)
    own = contracts.parse(COMPRESSED_TEXT, "jpeg.yaml")
    raw = cache.Conversion(own, tmp_path / "cache").load(look(folder))
    packed = cache.Conversion(own, tmp_path / "cache", compressed=True).load(look(folder))
    np.testing.assert_array_equal(np.asarray(packed.observations["camera"]), raw.observations["camera"])
    (file,) = (tmp_path / "cache").rglob("observation.camera.pictures")
    assert file.read_bytes() == b"".join(data.tobytes() for data in shown)
    assert packed.digest == raw.digest  # of pictures, the shape


def test_a_bag_may_have_raw_pictures_where_the_contract_has_compressed_ones(tmp_path):
    entry = look(made.write(tmp_path, made.recorded(4)))
    own = contracts.parse(COMPRESSED_TEXT, "jpeg.yaml")
    found = cache.Conversion(own, tmp_path / "cache").load(entry)
    wanted = cache.Conversion(made.CONTRACT, tmp_path / "cache").load(entry)
    np.testing.assert_array_equal(found.observations["camera"], wanted.observations["camera"])


def test_a_jpeg_of_another_size_is_made_anew(tmp_path):
    text = COMPRESSED_TEXT.replace("encoding: rgb8", "encoding: rgb8, fit: resize")
    folder, _ = with_jpegs(tmp_path, size=(16, 12), text=text)
    own = contracts.parse(text, "jpeg.yaml")
    raw = cache.Conversion(own, tmp_path / "cache").load(look(folder)).observations["camera"]
    packed = (
        cache.Conversion(own, tmp_path / "cache", compressed=True).load(look(folder)).observations["camera"]
    )
    assert packed.shape == raw.shape == (6, 6, 8, 3)
    assert np.abs(np.asarray(packed).astype(int) - raw).max() <= 3


def test_a_jpeg_that_is_turned_by_its_orientation_is_not_kept():
    """The decoder turns it, so its bytes have another shape than the header says."""
    spec = contracts.parse(
        COMPRESSED_TEXT.replace("encoding: rgb8", "encoding: rgb8, fit: stretch"), "c"
    ).observation("camera")
    _, data = jpeg(0)
    orientation = b"\xff\xe1\x00\x22Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"
    turned = data[:2].tobytes() + orientation + data[2:].tobytes()
    message = messages.make(
        "sensor_msgs/msg/CompressedImage",
        header=messages.header(0),
        format="jpeg",
        data=np.frombuffer(turned, np.uint8),
    )
    assert cv2.imdecode(np.frombuffer(turned, np.uint8), cv2.IMREAD_COLOR).shape == (8, 6, 3)  # turned
    found = compressing(spec)(message)
    assert found.tobytes() != turned
    assert decoded(found, np.empty((6, 8, 3), np.uint8)).shape == (6, 8, 3)


def test_a_broken_jpeg_costs_its_tick_as_it_does_raw(tmp_path):
    items = [item for item in made.recorded(4) if "camera" not in item.topic]
    shown = [jpeg(tick)[0] for tick in range(4)]
    shown[2] = shown[2]._replace(raw=shown[2].raw[:-40] + bytes(40))
    folder = made.write(
        tmp_path, sorted([*items, *shown], key=lambda item: item.log_ns), text=COMPRESSED_TEXT
    )
    own = contracts.parse(COMPRESSED_TEXT, "jpeg.yaml")
    raw = cache.Conversion(own, tmp_path / "cache").load(look(folder))
    packed = cache.Conversion(own, tmp_path / "cache", compressed=True).load(look(folder))
    np.testing.assert_array_equal(packed.ticks_ns, raw.ticks_ns)
    assert packed.skipped == raw.skipped


@pytest.mark.parametrize("damage", ["cut", "lost", "places"])
def test_damaged_pictures_are_made_again(tmp_path, damage):
    entry = look(made.write(tmp_path / "episodes", made.recorded(8)))
    first = cache.Conversion(made.CONTRACT, tmp_path / "cache", compressed=True).load(entry)
    (file,) = (tmp_path / "cache").rglob("observation.camera.pictures")
    if damage == "cut":
        file.write_bytes(file.read_bytes()[:-1])
    elif damage == "lost":
        file.unlink()
    else:
        np.save(file.with_name("observation.camera.places.npy"), np.zeros((8, 2)))
    again = cache.Conversion(made.CONTRACT, tmp_path / "cache", compressed=True).load(entry)
    np.testing.assert_array_equal(
        np.asarray(again.observations["camera"]), np.asarray(first.observations["camera"])
    )


def test_pictures_are_compressed_where_all_together_are_too_large(tmp_path, monkeypatch):
    for number in (1, 2):
        made.write(tmp_path, made.recorded(20), number)
    # 20 ticks at 20 Hz are 0.95 s from the first message to the last; 6 x 8 x 3 bytes each
    seconds = sum(look(tmp_path / f"episode_00000{n}").info.duration_s for n in (1, 2))
    raw = seconds * 20 * 6 * 8 * 3
    for most, expected in ((raw, np.ndarray), (raw - 1, CompressedPictures)):
        monkeypatch.setattr(cache, "RAW_BYTES", most)
        (first, _) = Dataset.open(tmp_path, made.CONTRACT, validation=0).train
        assert type(first.observations["camera"]) is expected
    (first, _) = Dataset.open(tmp_path, made.CONTRACT, validation=0, pictures="raw").train
    assert type(first.observations["camera"]) is np.ndarray
    with pytest.raises(ValueError, match="pictures: 'jpg' is not known"):
        Dataset.open(tmp_path, made.CONTRACT, pictures="jpg")


def test_several_processes_convert_the_same_and_say_why_an_episode_is_left_out(tmp_path):
    for number in (1, 2, 3):
        made.write(tmp_path / "a", made.recorded(5), number)
        made.write(tmp_path / "b", made.recorded(5), number)
    for root in ("a", "b"):
        made.write(tmp_path / root, [item for item in made.recorded(5) if "joint" not in item.topic], 4)
    one = Dataset.open(tmp_path / "a", made.CONTRACT, validation=0, pictures="compressed", jobs=1)
    two = Dataset.open(tmp_path / "b", made.CONTRACT, validation=0, pictures="compressed", jobs=2)
    assert one.summary.train == two.summary.train == ("episode_000001", "episode_000002", "episode_000003")
    assert [name for name, _ in two.summary.left_out] == ["episode_000004"]
    assert one.summary.left_out[0][1].replace("/a/", "/b/") == two.summary.left_out[0][1]
    for first, second in zip(one.train, two.train, strict=True):
        assert first.digest == second.digest
        np.testing.assert_array_equal(
            np.asarray(first.observations["camera"]), np.asarray(second.observations["camera"])
        )


def test_a_killed_process_is_an_error_and_no_hang(tmp_path, monkeypatch):
    for number in (1, 2):
        made.write(tmp_path, made.recorded(5), number)
    monkeypatch.setattr(
        dataset,
        "mapped",
        lambda _, work, jobs: mapped(signal.raise_signal, [signal.SIGKILL] * len(work), jobs),
    )
    with pytest.raises(DatasetError, match="one of the 2 processes that convert episodes was killed"):
        Dataset.open(tmp_path, made.CONTRACT, jobs=2)


def test_concurrent_readers_of_one_file_get_their_own_pictures(tmp_path):
    shown = np.stack([np.full((8, 8, 3), number, np.uint8) for number in range(50)])
    found = kept(tmp_path, shown)
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for number, picture in enumerate(pool.map(found.__getitem__, range(50))):
            assert (picture == number).all()
    assert pictures.raw_bytes(made.CONTRACT.observations) == 6 * 8 * 3
