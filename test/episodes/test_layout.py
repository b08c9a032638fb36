"""Episode numbers are used once, and `episode.json` round-trips."""

import json
import resource
import threading
from pathlib import Path

import pytest

from il_ros.episodes import layout
from il_ros.episodes.layout import EpisodeInfo, Grade, LayoutError, StreamInfo, claim_next

START = '"schema": 1, "name": "episode_000001",'


def test_info_round_trips(tmp_path: Path):
    info = EpisodeInfo(
        name="episode_000012",
        outcome="success",
        instruction="schiebe den Würfel",
        seed=7,
        topics={"joint_states": "/arm/joint_states"},
        started_ns=5_000_000_000,
        stopped_ns=7_500_000_000,
        faults=("disk full",),
        streams=(
            StreamInfo(
                "/joint_states",
                "sensor_msgs/msg/JointState",
                messages=3,
                rate_hz=2.0,
                age_p50_s=-0.3,
                ahead=1,
                by_arrival=True,
            ),
        ),
        clock="steady",
        grade=Grade("fair", ("idle for half of it",), idle_share=0.5),
        complete=True,
    )
    info.save(tmp_path)
    assert layout.load_info(tmp_path) == info
    assert (info.number, info.duration_s) == (12, 2.5)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "can't be read"),
        ("[]", "holds list"),
        ('{"schema": 99}', "schema is 99; this version reads 1"),
        ('{"schema": 1, "name": "episode_000001", "colour": 1}', "colour"),
        ('{"schema": 1, "name": "take 3"}', "must look like 'episode_000012'"),
        ('{"schema": 1, "name": "episode_000001", "outcome": "great"}', "success, failure, unmarked"),
        ("[" * 100_000, "nested too deeply"),
        ('{"schema": true, "name": "episode_000001"}', "schema is True; this version reads 1"),
        ('{"schema": 1}', "a description without 'name'"),
        ('{"schema": 1, "name": 5}', "name is 5; it must be a text"),
        ('{"schema": 1, "name": "episode_%s"}' % ("9" * 5000), "must look like 'episode_000012'"),
        (f'{{{START} "topics": []}}', "topics is []; it must be an object"),
        (f'{{{START} "started_ns": "now"}}', "started_ns is 'now'; it must be a whole number from 0"),
        (f'{{{START} "stopped_ns": -1}}', "stopped_ns is -1"),
        (f'{{{START} "faults": "disk full"}}', "faults is 'disk full'; it must be a list"),
        (f'{{{START} "streams": [5]}}', "streams[0] is 5; it must be an object"),
        (f'{{{START} "streams": [{{"topic": "/a"}}]}}', "streams[0] without 'type'"),
        (f'{{{START} "grade": {{"level": "great"}}}}', "grade.level is 'great'; it must be one of: 'good'"),
        (f'{{{START} "grade": {{"level": "good", "idle_share": NaN}}}}', "NaN is not a number in JSON"),
        (f'{{{START} "complete": 1}}', "complete is 1; it must be true or false"),
        (f'{{{START} "task": "a", "task": "b"}}', "the key 'task' is given twice"),
    ],
)
def test_error_names_an_invalid_info_file(tmp_path: Path, text: str, says: str):
    (tmp_path / "episode.json").write_text(text)
    with pytest.raises(LayoutError, match=r"episode\.json") as caught:
        layout.load_info(tmp_path)
    assert says in str(caught.value)


def test_numbers_increase_from_one(tmp_path: Path):
    assert [claim_next(tmp_path / "new" / "root").name for _ in range(2)] == [
        "episode_000001",
        "episode_000002",
    ]


def test_the_number_of_a_deleted_episode_is_not_reused(tmp_path: Path):
    claim_next(tmp_path)
    claim_next(tmp_path).rmdir()
    assert claim_next(tmp_path).name == "episode_000003"


def test_without_a_counter_numbering_continues_after_the_highest_folder(tmp_path: Path):
    (tmp_path / "episode_000041").mkdir()
    (tmp_path / "episode_notes").mkdir()
    assert claim_next(tmp_path).name == "episode_000042"


@pytest.mark.parametrize("content", [b"", b"many", b"\xff", "²".encode(), b"9" * 5000])
def test_a_damaged_counter_does_not_stop_the_numbering(tmp_path: Path, content: bytes):
    (tmp_path / "episode_000041").mkdir()
    (tmp_path / ".last_episode").write_bytes(content)
    assert claim_next(tmp_path).name == "episode_000042"


def test_concurrent_recorders_on_one_root_get_distinct_numbers(tmp_path: Path):
    claimed: list[str] = []

    def claim() -> None:
        for _ in range(20):
            claimed.append(claim_next(tmp_path).name)

    threads = [threading.Thread(target=claim) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert sorted(claimed) == [f"episode_{number:06d}" for number in range(1, 81)]


def test_discarding_deletes_nothing_and_can_be_undone(tmp_path: Path):
    folder = claim_next(tmp_path)
    (folder / "data").write_text("kept")
    layout.discard(folder, "arm bumped", "2026-11-21T08:00:00Z")
    assert layout.is_discarded(folder)
    assert json.loads((folder / "discarded.json").read_text())["reason"] == "arm bumped"
    layout.undo_discard(folder)
    layout.undo_discard(folder)
    assert not layout.is_discarded(folder)
    assert (folder / "data").read_text() == "kept"


def test_a_full_disk_leaves_no_empty_episode_and_keeps_the_number(tmp_path):
    claim_next(tmp_path).rmdir()  # the counter alone knows of 1
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))  # no file may be written, as on a full disk
    try:
        with pytest.raises(OSError, match="too large") as caught:
            claim_next(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert caught.value.filename == str(tmp_path / layout.COUNTER_FILE)
    assert [path.name for path in tmp_path.iterdir()] == [layout.COUNTER_FILE]
    assert claim_next(tmp_path).name == "episode_000002"
