"""Export as a LeRobotDataset v3.0. Values are read back by pyarrow and ffmpeg, not by this package's reader."""

import json
import math
import subprocess

import imageio_ffmpeg
import lerobot_files
import made_episodes as made
import numpy as np
import pyarrow.parquet as parquet
import pytest

from il_ros.core import messages
from il_ros.episodes import layout
from il_ros.episodes.catalogue import scan
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot import export
from il_ros.episodes.exchange.lerobot.depth import DepthCodes
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.options import ExportOptions
from il_ros.episodes.exchange.lerobot.video import VideoWriter, require_even_times
from il_ros.episodes.exchange.lerobot.writing import segments
from il_ros.records.decision import GroupDecision

VIDEO = "videos/observation.images.camera/chunk-000/file-000.mp4"


def exported(root, out, *, append=False, contract=None, **options):
    given = ExportOptions(**{"jobs": 1, **options})
    return export_lerobot(scan(root).entries, out, given, append=append, contract=contract)


def info_of(out):
    return json.loads((out / "meta/info.json").read_text())


@pytest.fixture
def root(tmp_path):
    """Two successes of 20 and 10 ticks and a failure of 5."""
    folder = tmp_path / "episodes"
    made.write(folder, made.recorded(20), 1, instruction="pick the cube")
    made.write(folder, made.recorded(10), 2, instruction="pick the ball")
    made.write(folder, made.recorded(5), 3, instruction="pick the cube", outcome="failure")
    return folder


def test_numbers_and_counters_are_those_of_the_ticks(root, tmp_path):
    report = exported(root, tmp_path / "out")
    assert (report.episodes, report.frames) == (3, 35)
    found = lerobot_files.columns(tmp_path / "out")
    ticks = np.concatenate([np.arange(20), np.arange(10), np.arange(5)])
    state = np.stack([ticks, ticks + 0.5, np.full(35, 0.01)], axis=1).astype(np.float32)
    np.testing.assert_array_equal(found["observation.state"], state)
    np.testing.assert_array_equal(
        found["action"], np.stack([ticks + 1, ticks + 2, np.full(35, 0.05)], axis=1).astype(np.float32)
    )
    np.testing.assert_array_equal(found["index"], np.arange(35))
    np.testing.assert_array_equal(found["frame_index"], ticks)
    np.testing.assert_array_equal(found["episode_index"], [0] * 20 + [1] * 10 + [2] * 5)
    np.testing.assert_array_equal(found["task_index"], [0] * 20 + [1] * 10 + [0] * 5)
    np.testing.assert_array_equal(np.float32(found["timestamp"]), np.float32(ticks / 20))
    np.testing.assert_array_equal(np.flatnonzero(found["next.done"]), [19, 29, 34])
    np.testing.assert_array_equal(np.flatnonzero(found["next.success"]), [19, 29])
    assert found["intervention"].all()  # the expert had authority throughout
    assert parquet.ParquetFile(tmp_path / "out" / lerobot_files.DATA).num_row_groups == 3


def test_labels_of_some_action_groups_are_no_rows(tmp_path):
    """A data set has no weight per group, so the policy's numbers would be learnt with the expert's."""
    text = made.TEXT + "groups: {arm: [arm], hand: [gripper]}\n"
    items = [part for tick in range(12) for part in (made.image(tick), made.joints(tick))]
    for tick in range(12):
        hand = "policy" if tick < 4 else "expert"
        groups = {"arm": GroupDecision((0, 1), "expert", "why"), "hand": GroupDecision((2,), hand, "why")}
        whole = "expert" if hand == "expert" else "expert+policy"
        items.append(made.decision(tick, authority=whole, mode="hg_dagger", groups=groups))
    made.write(tmp_path / "episodes", items, text=text)
    exported(tmp_path / "episodes", tmp_path / "labels", actions="labels", holes="split")
    action = lerobot_files.columns(tmp_path / "labels")["action"]
    np.testing.assert_array_equal(action[:, 0], np.arange(5, 13, dtype=np.float32))
    exported(tmp_path / "episodes", tmp_path / "sent", actions="sent")
    found = lerobot_files.columns(tmp_path / "sent")
    assert len(found["action"]) == 12
    assert found["intervention"].all()  # a person drove a group


def test_info_describes_the_features_as_lerobot_writes_them(root, tmp_path):
    exported(root, tmp_path / "out")
    info, golden = info_of(tmp_path / "out"), info_of(lerobot_files.GOLDEN)
    assert {key: type(value) for key, value in info.items()} == {
        key: type(value) for key, value in golden.items()
    }
    assert info["features"]["observation.state"] == {
        "dtype": "float32",
        "shape": [3],
        "names": ["joints/position/a", "joints/position/b", "joints/position/gripper"],
    }
    assert info["features"]["action"]["names"] == ["arm/a", "arm/b", "gripper/gripper"]
    camera = info["features"]["observation.images.camera"]
    assert (camera["dtype"], camera["shape"]) == ("video", [6, 8, 3])
    assert camera["info"]["video.codec"] == "h264"
    assert (info["total_episodes"], info["total_frames"], info["total_tasks"], info["fps"]) == (3, 35, 2, 20)


def test_tables_have_the_types_of_those_that_lerobot_wrote(root, tmp_path):
    """Every column of ours that the golden data set has is of the same type, and the task is the pandas index."""
    exported(root, tmp_path / "out")
    for file in (lerobot_files.DATA, lerobot_files.EPISODES, "meta/tasks.parquet"):
        ours = parquet.read_schema(tmp_path / "out" / file)
        theirs = parquet.read_schema(lerobot_files.GOLDEN / file)
        sizes = ("observation.state", "action")
        shared = [name for name in ours.names if name in theirs.names and name not in sizes]
        assert len(shared) >= 2
        assert {name: ours.field(name).type for name in shared} == {
            name: theirs.field(name).type for name in shared
        }
    pandas = json.loads(parquet.read_schema(tmp_path / "out/meta/tasks.parquet").metadata[b"pandas"])
    assert pandas["index_columns"] == ["task"]


def test_statistics_by_hand(root, tmp_path):
    """Joint a is at 0..19, 0..9, 0..4: its mean is (190 + 45 + 10) / 35 = 7; all pixels of tick k are k."""
    exported(root, tmp_path / "out")
    stats = json.loads((tmp_path / "out/meta/stats.json").read_text())
    state = stats["observation.state"]
    squares = sum(k * k for count in (20, 10, 5) for k in range(count))
    assert state["mean"][0] == pytest.approx(7)
    assert state["std"][0] == pytest.approx(math.sqrt(squares / 35 - 49))
    assert (state["min"][0], state["max"][0], state["count"]) == (0, 19, [35])
    ordered = sorted(k for count in (20, 10, 5) for k in range(count))
    assert state["q50"][0] == ordered[17]
    pixels = stats["observation.images.camera"]
    assert np.shape(pixels["mean"]) == (3, 1, 1)
    assert pixels["mean"][0][0][0] == pytest.approx(7 / 255)
    assert pixels["max"][2][0][0] == pytest.approx(19 / 255)
    assert pixels["q50"][1][0][0] == pytest.approx(ordered[17] / 255)
    each = lerobot_files.columns(tmp_path / "out", lerobot_files.EPISODES)
    np.testing.assert_allclose(each["stats/observation.state/mean"][:, 0], [9.5, 4.5, 2])
    assert set(stats) == set(info_of(tmp_path / "out")["features"])


@pytest.mark.parametrize("codec", ["h264", "av1"])
def test_videos_hold_every_frame_at_its_time(root, tmp_path, codec):
    exported(root, tmp_path / "out", codec=codec)
    frames = lerobot_files.decoded(tmp_path / "out" / VIDEO)
    ticks = np.concatenate([np.arange(20), np.arange(10), np.arange(5)])
    assert np.abs(frames.astype(int) - ticks[:, None, None, None]).max() <= 3
    require_even_times(tmp_path / "out" / VIDEO, 20, 35)
    spans = lerobot_files.columns(tmp_path / "out", lerobot_files.EPISODES)
    begin = spans["videos/observation.images.camera/from_timestamp"]
    np.testing.assert_allclose(begin, [0, 1, 1.5], rtol=0, atol=1e-12)


def test_a_lost_frame_or_a_wrong_rate_of_a_video_is_noticed(tmp_path):
    with VideoWriter(tmp_path / "a.mp4", 8, 6, 20, "h264") as video:
        for _ in range(5):
            video.write(np.zeros((6, 8, 3), np.uint8))
    require_even_times(tmp_path / "a.mp4", 20, 5)
    with pytest.raises(ExchangeError, match="has 5 frames; it must have 6"):
        require_even_times(tmp_path / "a.mp4", 20, 6)
    with pytest.raises(ExchangeError, match=r"frame 1 lies at 0.050000 s, not at 0.033333 s"):
        require_even_times(tmp_path / "a.mp4", 30, 5)


def test_pictures_as_images_are_exact(root, tmp_path):
    import cv2

    exported(root, tmp_path / "out", pictures="image")
    assert not (tmp_path / "out/videos").exists()
    assert info_of(tmp_path / "out")["video_path"] is None
    column = parquet.read_table(tmp_path / "out" / lerobot_files.DATA).column("observation.images.camera")
    shades = [cv2.imdecode(np.frombuffer(each["bytes"], np.uint8), 1) for each in column.to_pylist()]
    np.testing.assert_array_equal([shade.min() for shade in shades], [shade.max() for shade in shades])
    np.testing.assert_array_equal([shade.min() for shade in shades], [*range(20), *range(10), *range(5)])


def test_authority_goes_out_as_intervention_and_the_sent_commands_as_actions(tmp_path):
    items = [item for item in made.recorded(20) if item.topic != made.DECISIONS]
    items += [
        made.decision(tick, authority="expert" if tick >= 12 else "policy", mode="hg_dagger")
        for tick in range(20)
    ]
    made.write(tmp_path / "episodes", items)
    exported(tmp_path / "episodes", tmp_path / "sent")
    found = lerobot_files.columns(tmp_path / "sent")
    np.testing.assert_array_equal(found["intervention"], np.arange(20) >= 12)
    np.testing.assert_array_equal(found["action"][:, 0], np.arange(20) + 1)
    exported(tmp_path / "episodes", tmp_path / "labels", actions="labels")
    found = lerobot_files.columns(tmp_path / "labels")
    np.testing.assert_array_equal(found["action"][:, 0], np.arange(12, 20) + 1)
    assert "intervention" not in found


def test_half_the_rate_has_every_second_tick(root, tmp_path):
    report = exported(root, tmp_path / "out", fps=10)
    found = lerobot_files.columns(tmp_path / "out")
    np.testing.assert_array_equal(found["observation.state"][:10, 0], np.arange(0, 20, 2))
    assert "17 ticks left out: another tick is nearer to each frame" in "\n".join(report.lines())


def test_small_files_divide_the_data_and_the_videos(root, tmp_path):
    exported(root, tmp_path / "one")
    exported(root, tmp_path / "many", data_mb=0.001, video_mb=0.001)
    rows = lerobot_files.columns(tmp_path / "many", lerobot_files.EPISODES)
    assert list(rows["data/file_index"]) == [0, 1, 2]
    assert list(rows["videos/observation.images.camera/file_index"]) == [0, 1, 2]
    assert set(rows["videos/observation.images.camera/from_timestamp"]) == {0}
    parts = [
        parquet.read_table(tmp_path / "many" / f"data/chunk-000/file-{number:03d}.parquet")
        for number in range(3)
    ]
    whole = parquet.read_table(tmp_path / "one" / lerobot_files.DATA)
    assert [row for part in parts for row in part.to_pylist()] == whole.to_pylist()


def test_appending_gives_the_episodes_of_one_export(root, tmp_path):
    exported(root, tmp_path / "whole")
    for name, folders in (("first", (1,)), ("rest", (2, 3))):
        (tmp_path / name).mkdir()
        for number in folders:
            (root / layout.episode_name(number)).rename(tmp_path / name / layout.episode_name(number))
    exported(tmp_path / "first", tmp_path / "out")
    before = (tmp_path / "out" / lerobot_files.DATA).read_bytes()
    exported(tmp_path / "rest", tmp_path / "out", append=True)
    assert (tmp_path / "out" / lerobot_files.DATA).read_bytes() == before
    tables = [
        parquet.read_table(tmp_path / "out/data/chunk-000" / f"file-{number:03d}.parquet")
        for number in (0, 1)
    ]
    whole = parquet.read_table(tmp_path / "whole" / lerobot_files.DATA)
    assert tables[0].to_pylist() + tables[1].to_pylist() == whole.to_pylist()
    info, other = info_of(tmp_path / "out"), info_of(tmp_path / "whole")
    assert info == other
    stats = [json.loads((tmp_path / name / "meta/stats.json").read_text()) for name in ("out", "whole")]
    for key in ("observation.state", "observation.images.camera"):
        for name in ("min", "max", "mean", "std", "count"):
            np.testing.assert_allclose(stats[0][key][name], stats[1][key][name], rtol=1e-9, atol=1e-12)
    assert json.loads((tmp_path / "out/meta/il_ros.json").read_text())["episodes"][2]["outcome"] == "failure"


def test_what_is_appended_a_second_time_is_named(root, tmp_path):
    assert not any("twice" in note for note in exported(root, tmp_path / "out").notes)
    again = exported(root, tmp_path / "out", append=True)
    (note,) = (note for note in again.notes if "twice" in note)
    assert note.startswith("3 episodes had been in it before, by name and first tick: episode_000001, ")


def test_only_like_features_are_appended(root, tmp_path):
    exported(root, tmp_path / "out", pictures="image")
    with pytest.raises(
        ExchangeError, match=r"features.observation.images.camera is \('image'.*can be appended"
    ):
        exported(root, tmp_path / "out", append=True)


def test_several_contracts_are_refused_by_name(root, tmp_path):
    made.write(root, made.recorded(5), 4, text=made.TEXT.replace("max_age_s: 0.12", "max_age_s: 0.13"))
    with pytest.raises(
        ExchangeError, match="episode_000001 and episode_000004 were recorded under different contracts"
    ):
        exported(root, tmp_path / "out")
    assert exported(root, tmp_path / "out", contract=made.CONTRACT).episodes == 4


def test_a_hole_is_refused_left_out_or_divides_the_episode(root, tmp_path):
    items = [
        item
        for item in made.recorded(20)
        if not (item.topic == "/camera/image_raw" and 6 <= shade(item) <= 12)
    ]
    made.write(root, items, 4)
    with pytest.raises(ExchangeError, match=r"(?s)have holes.*episode_000004: no frame for .*camera .*stale"):
        exported(root, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    report = exported(root, tmp_path / "out", holes="leave-out")
    assert (report.episodes, report.left_out[0][0]) == (3, "episode_000004")
    assert exported(root, tmp_path / "parts", holes="split").episodes == 5
    found = lerobot_files.columns(tmp_path / "parts")
    first, second = found["episode_index"] == 3, found["episode_index"] == 4
    np.testing.assert_array_equal(found["observation.state"][first, 0], np.arange(8))  # 0.12 s old at most
    np.testing.assert_array_equal(found["observation.state"][second, 0], np.arange(13, 20))
    assert (found["next.success"][first].any(), found["next.success"][second].any()) == (False, True)


def shade(item):
    return int(messages.decode(made.IMAGE, item.raw).data[0])


def test_an_episode_without_a_verdict_beside_others_must_be_decided(root, tmp_path):
    made.write(root, made.recorded(5), 4, outcome="unmarked")
    with pytest.raises(ExchangeError, match="episode_000004: without a verdict"):
        exported(root, tmp_path / "out")
    assert exported(root, tmp_path / "a", unmarked="leave-out").episodes == 3
    exported(root, tmp_path / "b", unmarked="success")
    assert lerobot_files.columns(tmp_path / "b")["next.success"][-1]


def test_without_any_verdict_there_is_no_column_of_it(tmp_path):
    made.write(tmp_path / "episodes", made.recorded(5), outcome="unmarked")
    exported(tmp_path / "episodes", tmp_path / "out")
    assert "next.success" not in lerobot_files.columns(tmp_path / "out")


@pytest.fixture
def ended_early(root, tmp_path, monkeypatch):
    """An export to `out` that ended after two of three episodes; the list gets those that are converted from now on."""
    write, written = segments._write, []

    def failing(*arguments):
        if len(written) == 2:
            raise KeyboardInterrupt
        written.append(arguments[1].name)
        return write(*arguments)

    monkeypatch.setattr(segments, "_write", failing)
    with pytest.raises(KeyboardInterrupt):
        exported(root, tmp_path / "out")
    again = []
    monkeypatch.setattr(
        segments, "_write", lambda *arguments: again.append(arguments[1].name) or write(*arguments)
    )
    return again


def test_an_export_that_ends_early_leaves_nothing_that_looks_whole_and_goes_on(root, tmp_path, ended_early):
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.rglob("info.json"))
    assert exported(root, tmp_path / "out").episodes == 3
    assert ended_early == ["episode_000003"]
    assert not list(tmp_path.glob(".out*"))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('"frames": ', '"frames": -'),
        ('"folder": "', '"folder": "/tmp/'),
        ('"notes": []', '"notes": 3'),
        ("{", "[" * 9999),
    ],
)
def test_an_episode_whose_note_is_damaged_is_converted_anew(root, tmp_path, ended_early, before, after):
    first = min(tmp_path.rglob("segment.json"))
    assert before in first.read_text()
    first.write_text(first.read_text().replace(before, after))
    assert exported(root, tmp_path / "out").episodes == 3
    assert len(ended_early) == 2


def test_a_failed_append_leaves_the_data_set_as_it_was(root, tmp_path, monkeypatch):
    exported(root, tmp_path / "out")
    before = {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    monkeypatch.setattr(export, "publish", lambda *_: (_ for _ in ()).throw(OSError("the disk is full")))
    with pytest.raises(OSError, match="the disk is full"):
        exported(root, tmp_path / "out", append=True)
    assert {path: path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file()} == before


def test_processes_give_the_same_data_set(root, tmp_path):
    exported(root, tmp_path / "one")
    exported(root, tmp_path / "two", jobs=2)
    for path in (tmp_path / "one").rglob("*.parquet"):
        other = parquet.read_table(tmp_path / "two" / path.relative_to(tmp_path / "one"))
        assert parquet.read_table(path).equals(other)


def test_an_existing_folder_is_not_replaced(root, tmp_path):
    (tmp_path / "out").mkdir()
    with pytest.raises(ExchangeError, match="exists already; give another name"):
        exported(root, tmp_path / "out")
    with pytest.raises(ExchangeError, match="nowhere: does not exist"):
        exported(root, tmp_path / "nowhere", append=True)


def test_a_rate_without_a_whole_number_must_be_chosen(tmp_path):
    text = made.TEXT.replace("rate_hz: 20", "rate_hz: 19.5")
    made.write(tmp_path / "episodes", made.recorded(5), text=text)
    with pytest.raises(ExchangeError, match=r"19.5 Hz, but a data set has a whole number"):
        exported(tmp_path / "episodes", tmp_path / "out")


# ---- depth -----------------------------------------------------------------------------------------------


def test_depth_codes_by_hand():
    """At 1 m: 4095 log(4.5 / 3.51) / log(13.5 / 3.51) = 755.3; at the ends 0 and 4095."""
    codes = DepthCodes().encode(np.array([0.0, 0.005, 0.01, 1.0, 10.0, 12.0]))
    np.testing.assert_array_equal(codes, [0, 0, 0, 755, 4095, 4095])


def test_depth_comes_back_within_half_a_code():
    codes = DepthCodes()
    metres = np.linspace(0.02, 10.0, 5001)
    error = np.abs(codes.decode(codes.encode(metres)) - metres)
    assert (error <= [codes.error_m(each) * 1.001 + 1e-6 for each in metres]).all()
    assert codes.error_m(1.0) < 0.0008
    assert codes.error_m(10.0) < 0.0023
    assert codes.decode(np.zeros(1, np.uint16)) == 0


def test_depth_is_a_lossless_video_of_codes(tmp_path):
    text = made.TEXT.replace("width: 8, height: 6, encoding: rgb8", "width: 40, height: 24, encoding: depth")
    rng = np.random.default_rng(3)
    depth = rng.uniform(0.3, 9.0, (20, 24, 40, 1)).astype(np.float32)
    depth[4, 2, 3] = 0
    items = [item for item in made.recorded(20) if item.topic != "/camera/image_raw"]
    items += [made.depth_image(tick, depth[tick]) for tick in range(20)]
    made.write(tmp_path / "episodes", items, text=text)
    exported(tmp_path / "episodes", tmp_path / "out")
    camera = info_of(tmp_path / "out")["features"]["observation.images.camera"]
    assert camera["shape"] == [24, 40, 1]
    assert (camera["info"]["is_depth_map"], camera["info"]["video.codec"]) == (True, "hevc")
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-i", str(tmp_path / "out" / VIDEO)]
    raw = subprocess.run(
        [*command, "-f", "rawvideo", "-pix_fmt", "gray12le", "-"], capture_output=True, check=True
    ).stdout
    found = np.frombuffer(raw, "<u2").reshape(depth.shape)
    np.testing.assert_array_equal(found, DepthCodes().encode(depth))
