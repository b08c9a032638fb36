"""What the reader of LeRobot data sets refuses: each error names file, key and value. Nothing is half imported."""

import os

import lerobot_files
import numpy as np
import pyarrow as arrow
import pyarrow.parquet as parquet
import pytest
from lerobot_files import DATA, EPISODES, FRONT, change_column, change_info

from il_ros.cli.main import main
from il_ros.episodes.exchange import errors
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot import parquet as bounded
from il_ros.episodes.exchange.lerobot.export import export_lerobot
from il_ros.episodes.exchange.lerobot.ingest import import_lerobot
from il_ros.episodes.exchange.lerobot.layout import read_info
from il_ros.episodes.exchange.lerobot.options import ExportOptions


def feature(name, **changes):
    return lambda info: info["features"][name].update(changes)


def renamed(old, new):
    def change(info):
        info["features"][new] = info["features"].pop(old)

    return change


INFOS = {
    r"codebase_version is 'v2.1'; 'v3.0' is read": lambda info: info.update(codebase_version="v2.1"),
    "fps is 0; it must be a whole number from 1": lambda info: info.update(fps=0),
    "fps is 9.5; it must be": lambda info: info.update(fps=9.5),
    "without 'total_frames'": lambda info: info.pop("total_frames"),
    r"data_path is '../../etc/\{chunk_index": lambda info: info.update(data_path="../../etc/{chunk_index}"),
    "the key '../x'": renamed("next.reward", "../x"),
    "the key '..'; a key may not": renamed("next.reward", ".."),
    "features lacks 'index'": lambda info: info["features"].pop("index"),
    r"shape is \[100000, 100000, 3\]": feature(FRONT, shape=[100000, 100000, 3]),
    r"shape is \[96, 128\]; a picture has": feature(FRONT, shape=[96, 128]),
    r"shape is \[200000\]: 200000 values": feature("next.reward", shape=[200000]),
    r"shape\[0\] is -7": feature("action", shape=[-7]),
    "file-000.mp4: is 128x96; info.json says 64x96": feature(FRONT, shape=[96, 64, 3]),
    r"column 'action': 12 frames with 84 numbers; shape \[6\] needs 72": feature(
        "action", shape=[6], names=None
    ),
    "has no feature 'action' of numbers in one dimension": feature("action", dtype="complex64"),
    "total_frames 35": lambda info: info.update(total_frames=35),
    "total_episodes 4": lambda info: info.update(total_episodes=4),
    "total_tasks 3": lambda info: info.update(total_tasks=3),
}


@pytest.mark.parametrize("message", INFOS)
def test_an_info_that_can_not_be_read_is_refused(tmp_path, message):
    source = lerobot_files.copied(tmp_path)
    change_info(source, INFOS[message])
    with pytest.raises(ExchangeError, match=message):
        import_lerobot(source, tmp_path / "episodes", demonstrations=True)


def at(place, value):
    def change(values):
        values[place] = value
        return values

    return change


COLUMNS = {
    "index of frame 2 of episode 0 is 7; it must be 2": (DATA, "index", at(2, 7)),
    "frame_index of frame 3 of episode 1 is 0; it must be 3": (DATA, "frame_index", at(15, 0)),
    "timestamp of frame 5 of episode 0 is nan; it must be 0.5": (DATA, "timestamp", at(5, float("nan"))),
    "task_index in episode 0 is 0 to 2; info.json says total_tasks 2": (DATA, "task_index", at(1, 2)),
    "column 'next.reward': 1 value missing": (DATA, "next.reward", at(4, None)),
    "row 1 is of episode 5; it must be of episode 1": (EPISODES, "episode_index", at(1, 5)),
    "length of episode 1 is 14, but its frames are 12 to 27": (EPISODES, "length", at(1, 14)),
    "file_index of row 2 is -1": (EPISODES, "data/file_index", at(2, -1)),
    "file-009.parquet: there is no such file": (EPISODES, "data/file_index", lambda values: [9] * 3),
    "file-009.mp4: there is no such file": (EPISODES, f"videos/{FRONT}/file_index", lambda values: [9] * 3),
    "is from 2.0 to 1.2 s": (EPISODES, f"videos/{FRONT}/from_timestamp", at(0, 2.0)),
    r"a frame lies at 1.200000 s where the data set has one at 1.245": (
        *(EPISODES, f"videos/{FRONT}/from_timestamp"),
        at(1, 1.245),
    ),
    "has only 1 of 9 frames from 3.550 s on": (
        *(EPISODES, f"videos/{FRONT}/from_timestamp"),
        at(2, 3.55),
    ),
    r"task_index is \[0, 0\]": ("meta/tasks.parquet", "task_index", at(1, 0)),
}


@pytest.mark.parametrize("message", COLUMNS)
def test_tables_that_contradict_each_other_are_refused(tmp_path, message):
    source = lerobot_files.copied(tmp_path)
    change_column(source, *COLUMNS[message])
    with pytest.raises(ExchangeError, match=message):
        import_lerobot(source, tmp_path / "episodes", demonstrations=True)


def test_episodes_that_do_not_follow_each_other_are_refused(tmp_path):
    source = lerobot_files.copied(tmp_path)
    change_column(source, EPISODES, "dataset_from_index", at(1, 13))
    change_column(source, EPISODES, "length", at(1, 14))
    with pytest.raises(ExchangeError, match=r"episode 1 has frames 13 to 27; it must begin at 12"):
        import_lerobot(source, tmp_path / "episodes")


def test_a_file_without_its_end_is_refused(tmp_path):
    source = lerobot_files.copied(tmp_path)
    (source / DATA).write_bytes((source / DATA).read_bytes()[:-500])
    with pytest.raises(ExchangeError, match=r"is not a whole Parquet file.*a writer that was killed"):
        import_lerobot(source, tmp_path / "episodes")


def test_a_fifo_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    source = lerobot_files.copied(tmp_path)
    (source / DATA).unlink()
    os.mkfifo(source / DATA)
    with pytest.raises(ExchangeError, match="is not a regular file"):
        import_lerobot(source, tmp_path / "episodes")


def test_a_playlist_in_the_place_of_a_video_is_not_followed(tmp_path):
    """The playlist names the data set's own video, which ffmpeg would open if it took the file for what it is."""
    source = lerobot_files.copied(tmp_path)
    video = source / f"videos/{FRONT}/chunk-000/file-000.mp4"
    video.rename(source / "hidden.mp4")
    video.write_text(f"ffconcat version 1.0\nfile '{source / 'hidden.mp4'}'\n")
    with pytest.raises(ExchangeError, match="is not an MP4 file with a video"):
        import_lerobot(source, tmp_path / "episodes")


def test_more_rows_than_a_file_can_hold_are_not_read(tmp_path, monkeypatch):
    """2 million equal values take less than a thousandth of their size."""
    path = tmp_path / "a.parquet"
    parquet.write_table(arrow.table({"x": np.zeros(2_000_000)}), path, compression="zstd")
    assert path.stat().st_size < 100_000
    with pytest.raises(ExchangeError, match="bytes claim 2000000 rows; it is damaged"):
        bounded.ParquetReader(path)


def test_an_import_that_fails_leaves_no_usable_episode_of_the_bad_part(tmp_path, capsys):
    source = lerobot_files.copied(tmp_path)
    change_column(source, DATA, "index", at(30, 0))
    root = tmp_path / "episodes"
    assert main(["episodes", "import", "lerobot", str(source), "--root", str(root)]) == 1
    assert "index of frame 3 of episode 2 is 0; it must be 30" in capsys.readouterr().err
    assert main(["episodes", "list", str(root)]) == 0
    assert "Usable: 2 unmarked" in capsys.readouterr().out


def test_unknown_keys_and_types_are_named(tmp_path):
    source = lerobot_files.copied(tmp_path)

    def change(info):
        info["author"] = "me"
        info["features"]["words"] = {"dtype": "language", "shape": [1], "names": None}

    change_info(source, change)
    notes = "\n".join(read_info(source).notes)
    assert "its keys author are not known" in notes
    assert "feature 'words' has dtype 'language', which is not read" in notes


def test_the_missing_package_is_named_with_its_extra(tmp_path, monkeypatch):
    def missing(name):
        raise ImportError(f"No module named '{name}'")

    monkeypatch.setattr(errors.importlib, "import_module", missing)
    with pytest.raises(
        ExchangeError, match=r"'pyarrow' is missing.*pip install pyarrow, or pip install 'il_ros\[exchange\]'"
    ):
        export_lerobot([], tmp_path / "out")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fps": 0}, "fps is 0; it must be a whole number from 1 to 1000"),
        ({"codec": "vp9"}, "codec is 'vp9'; it must be one of: h264, av1"),
        ({"holes": "fill"}, "holes is 'fill'; it must be one of: refuse, leave-out, split"),
        ({"quality": 99}, "quality is 99"),
    ],
)
def test_options_that_do_not_exist_are_refused(options, message):
    with pytest.raises(ExchangeError, match=message):
        ExportOptions(**options)


def test_the_commands_export_append_and_import(tmp_path, capsys):
    import made_episodes as made

    for number in (1, 2):
        made.write(tmp_path / f"day{number}", made.recorded(10))
    out, back = str(tmp_path / "out"), str(tmp_path / "back")
    words = ["episodes", "export", "lerobot", "-o", out, "--jobs", "1", "--root"]
    assert main([*words, str(tmp_path / "day1")]) == 0
    assert main([*words, str(tmp_path / "day2")]) == 1
    assert "exists already; give another name, or append to it" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "day2"), "--append"]) == 0
    assert read_info(tmp_path / "out").episodes == 2
    assert main(["episodes", "import", "lerobot", out, "--root", back, "--episodes", "1"]) == 0
    assert "1 episode, 10 frames: episode_000001 to episode_000001" in capsys.readouterr().out
    assert main(["episodes", "import", "lerobot", out, "--root", back, "--episodes", "x"]) == 1
    assert "--episodes x: must be numbers" in capsys.readouterr().err
    contract = tmp_path / "drafted.yaml"
    assert main(["contract", "from-lerobot", out, "-o", str(contract)]) == 0
    assert "contract 'out', 20 Hz, 2 observations, 3 commanded numbers" in capsys.readouterr().out
    assert main(["contract", "from-lerobot", out, "-o", str(contract)]) == 1
    assert "exists already; choose another file" in capsys.readouterr().err
    assert main(["contract", "from-lerobot", out]) == 0
    assert capsys.readouterr().out == contract.read_text()
