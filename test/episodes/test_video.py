"""Videos and contact sheets show each camera's newest image at the right time."""

import cv2
import made_episodes as made
import numpy as np
import pytest

from il_ros.core import atomic, messages
from il_ros.episodes.bag.reader import BagMessage, open_bag
from il_ros.episodes.layout import load_info
from il_ros.episodes.video import VideoError, write_sheet, write_video


def grey(tick, value, topic="/camera/image_raw", width=64, height=48):
    message = messages.make(
        made.IMAGE,
        header=messages.header(made.stamp(tick)),
        width=width,
        height=height,
        encoding="rgb8",
        step=width * 3,
        data=np.full(width * height * 3, value, dtype=np.uint8),
    )
    return BagMessage(topic, made.IMAGE, messages.encode(made.IMAGE, message), made.stamp(tick))


def opened(folder):
    return open_bag(folder), load_info(folder)


def test_a_video_has_one_frame_per_period_and_repeats_the_newest_image(tmp_path):
    items = [*made.recorded(1), *(grey(tick, 20 * tick) for tick in range(11))]
    bag, info = opened(made.write(tmp_path, [item for item in items if "joint" not in item.topic]))
    path = tmp_path / "film.mp4"
    # 10 ticks of 50 ms at 40 pictures a second: 0, 25, ..., 500 ms
    assert write_video(bag, info, path, fps=40) == 21
    film = cv2.VideoCapture(str(path))
    assert film.get(cv2.CAP_PROP_FPS) == pytest.approx(40)
    shown = []
    while (read := film.read())[0]:
        shown.append(read[1][-20:, 100:].mean())
    assert len(shown) == 21
    np.testing.assert_allclose(shown, [20 * (k // 2) for k in range(21)], atol=4)


def test_cameras_are_side_by_side_and_a_silent_one_is_black(tmp_path):
    items = [grey(0, 200), grey(2, 200), grey(1, 100, "/wrist/image_raw"), grey(2, 100, "/wrist/image_raw")]
    bag, info = opened(made.write(tmp_path, items))
    path = tmp_path / "sheet.png"
    assert write_sheet(bag, info, path, pictures=2) == 2
    sheet = cv2.imread(str(path))
    # two times, two 320x240 images: 64x48 is enlarged to height 240; 6 pixels between the times
    assert sheet.shape == (240, 1286, 3)
    assert sheet[:, 640:646].min() == 255
    # rows below the clock and the cameras' names
    means = [sheet[60:, 320 * k + 6 * (k > 1) + 100 : 320 * k + 6 * (k > 1) + 300].mean() for k in range(4)]
    np.testing.assert_allclose(means, [200, 0, 200, 100], atol=1)


def test_one_camera_can_be_selected(tmp_path):
    bag, info = opened(made.write(tmp_path, [grey(0, 50), grey(0, 90, "/wrist/image_raw")]))
    path = tmp_path / "sheet.png"
    write_sheet(bag, info, path, pictures=1, topics=["/wrist/image_raw"])
    assert cv2.imread(str(path)).shape == (240, 320, 3)


def test_depth_and_jpeg_are_shown(tmp_path):
    depth = messages.make(
        made.IMAGE, width=4, height=2, encoding="16UC1", step=8, data=np.full(8, 2000, "<u2").view(np.uint8)
    )
    jpeg = cv2.imencode(".jpg", np.full((2, 4, 3), 60, np.uint8))[1].reshape(-1)
    kind = "sensor_msgs/msg/CompressedImage"
    compressed = messages.make(kind, format="jpeg", data=jpeg)
    items = [
        BagMessage("/depth", made.IMAGE, messages.encode(made.IMAGE, depth), made.START_NS),
        BagMessage("/jpeg", kind, messages.encode(kind, compressed), made.START_NS),
    ]
    bag, info = opened(made.write(tmp_path, items))
    write_sheet(bag, info, tmp_path / "sheet.png", pictures=1)
    sheet = cv2.imread(str(tmp_path / "sheet.png"))
    assert sheet[100, 300, 0] == 127  # 2 m of 4 m
    assert abs(int(sheet[100, 700, 0]) - 60) <= 2


def test_a_bag_without_cameras_is_an_error(tmp_path):
    bag, info = opened(made.write(tmp_path, [made.joints(0)]))
    with pytest.raises(VideoError, match="no pictures in it; cameras in the bag: none"):
        write_sheet(bag, info, tmp_path / "sheet.png")
    with pytest.raises(VideoError, match="no pictures on /nose"):
        write_video(bag, info, tmp_path / "film.mp4", topics=["/nose"])


def test_error_names_a_video_file_that_cannot_be_written(tmp_path):
    bag, info = opened(made.write(tmp_path, [grey(0, 50)]))
    with pytest.raises(FileNotFoundError, match=r"nowhere/film\.mp4"):
        write_video(bag, info, tmp_path / "nowhere" / "film.mp4")


@pytest.mark.parametrize("name", ["x.jpg", "x", "x.MP5"])
def test_another_kind_of_file_than_mp4_is_refused_before_anything_is_written(tmp_path, name):
    bag, info = opened(made.write(tmp_path / "e", [grey(0, 50)]))
    with pytest.raises(VideoError, match=r"the name must end in \.mp4"):
        write_video(bag, info, tmp_path / name)
    with pytest.raises(VideoError, match=r"the name must end in \.png"):
        write_sheet(bag, info, tmp_path / "x.mp4")
    assert [path.name for path in tmp_path.iterdir()] == ["e"]


def test_an_encoder_that_fails_is_no_written_video(tmp_path, monkeypatch):
    import imageio_ffmpeg

    bag, info = opened(made.write(tmp_path / "e", [grey(0, 50)]))
    (tmp_path / "x.mp4").write_text(f"an older film, {atomic.MARK}")
    wrong = tmp_path / "ffmpeg"
    real = imageio_ffmpeg.get_ffmpeg_exe()  # reads all pictures and writes none, as on a full disk
    wrong.write_text(
        f'#!/bin/sh\ncase "$*" in *rawvideo*libx264*) exec cat >/dev/null;; *) exec {real} "$@";; esac\n'
    )
    wrong.chmod(0o755)
    monkeypatch.setenv("IMAGEIO_FFMPEG_EXE", str(wrong))
    with pytest.raises(VideoError, match="the video encoder failed"):
        write_video(bag, info, tmp_path / "x.mp4")
    assert (tmp_path / "x.mp4").read_text() == f"an older film, {atomic.MARK}"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["e", "ffmpeg", "x.mp4"]


def test_the_index_is_in_front_so_that_a_page_can_play_it(tmp_path):
    bag, info = opened(made.write(tmp_path / "e", [grey(0, 50)]))
    write_video(bag, info, tmp_path / "x.mp4")
    written = (tmp_path / "x.mp4").read_bytes()
    assert 0 < written.index(b"moov") < written.index(b"mdat")
    assert b"avc1" in written
