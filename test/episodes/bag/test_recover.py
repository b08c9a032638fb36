"""Recovery of a bag truncated anywhere gives a complete bag with all messages before the cut."""

import json
from pathlib import Path

import pytest
from mcap.reader import make_reader
from mcap.writer import CompressionType, Writer
from rosbags.highlevel import AnyReader

from il_ros.core import contract, messages, share
from il_ros.episodes import layout
from il_ros.episodes.bag.metadata import Qos
from il_ros.episodes.bag.recover import FAULT, RecoverError, recover
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo

STRING = "std_msgs/msg/String"
MS = 1_000_000


def string(text: str) -> bytes:
    return messages.encode(STRING, messages.make(STRING, data=text))


def read(folder: Path) -> list[str]:
    with AnyReader([folder]) as reader:
        return [messages.decode(STRING, raw).data for _, _, raw in reader.messages()]


@pytest.fixture(params=["none", "zstd"])
def killed(request, tmp_path: Path) -> Path:
    """Return an episode of ten messages in five chunks, without index and end, as after a kill."""
    folder = tmp_path / "episode_000003"
    writer = BagWriter(folder, compression=request.param)
    talk = writer.add_stream("/talk", STRING, Qos(reliability=2))
    writer.add_metadata("il_ros.contract", {"name": "c", "hash": "h", "text": ""})
    EpisodeInfo("episode_000003", task="push", started_ns=100 * MS, topics={"talk": "/talk"}).save(folder)
    for k in range(10):
        writer.write(talk, (100 + k) * MS, string(f"message {k}"), publish_ns=k)
        if k % 2:
            writer.flush()
    end = writer.written_bytes
    writer.close()
    file = layout.bag_file(folder)
    file.write_bytes(file.read_bytes()[:end])
    (folder / ".reserve").write_bytes(b"\0")
    return folder


def test_all_messages_of_a_killed_recording_are_read_again(killed: Path):
    result = recover(killed)
    assert (result.messages, result.changed, result.cut_bytes, result.damaged_chunks) == (10, True, 0, 0)
    assert read(killed) == [f"message {k}" for k in range(10)]
    with layout.bag_file(killed).open("rb") as file:
        reader = make_reader(file, validate_crcs=True)
        assert [m.publish_time for _, _, m in reader.iter_messages()] == list(range(10))
        assert reader.get_summary().statistics.message_count == 10
        channel = next(iter(reader.get_summary().channels.values()))
        assert "reliability: 2" in channel.metadata["offered_qos_profiles"]
        assert {record.name for record in reader.iter_metadata()} == {"il_ros.contract"}
    names = {path.name for path in killed.iterdir()}
    assert names == {"metadata.yaml", "episode.json", "episode_000003_0.mcap"}


def test_recovery_completes_the_episode_and_adds_a_fault(killed: Path):
    recover(killed)
    info = layout.load_info(killed)
    assert info.complete
    assert info.task == "push"
    assert info.faults == (FAULT,)
    assert info.stopped_ns == 109 * MS
    assert (info.streams[0].topic, info.streams[0].messages) == ("/talk", 10)
    assert info.grade.level == "poor"


def test_a_second_recovery_changes_nothing(killed: Path):
    recover(killed)
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    assert not recover(killed).changed
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before


def test_a_cut_anywhere_gives_a_prefix(killed: Path):
    file = layout.bag_file(killed)
    whole = file.read_bytes()
    counts = []
    for cut in range(len(whole) - 400, len(whole), 13):
        file.write_bytes(whole[:cut])
        recover(killed)
        kept = read(killed)
        assert kept == [f"message {k}" for k in range(len(kept))]
        counts.append(len(kept))
    assert counts == sorted(counts)
    assert counts[-1] >= 8


def test_trailing_zeros_are_dropped(killed: Path):  # as after a power failure
    with layout.bag_file(killed).open("ab") as file:
        file.write(bytes(5000))
    result = recover(killed)
    assert (result.messages, result.cut_bytes) == (10, 5000)


def test_a_chunk_with_a_wrong_checksum_is_dropped_and_counted(killed: Path):
    file = layout.bag_file(killed)
    data = bytearray(file.read_bytes())
    with BagWriter(killed.with_name("episode_000009")) as other:
        assert other.written_bytes < 100
    place = data.find(b"message 4") if b"message 4" in data else data.rfind(b"\x28\xb5\x2f\xfd") + 20
    data[place] ^= 1
    file.write_bytes(data)
    result = recover(killed)
    assert (result.messages, result.damaged_chunks) == (8, 1)
    assert len(read(killed)) == 8


def test_an_interrupted_recovery_restarts_from_the_original(killed: Path):
    file = layout.bag_file(killed)
    file.rename(file.with_name(file.name + ".orig"))
    file.write_bytes(b"half a recovery")
    assert recover(killed).messages == 10
    assert read(killed) == [f"message {k}" for k in range(10)]


def test_a_copy_that_differs_is_thrown_away(killed: Path, monkeypatch: pytest.MonkeyPatch):
    before = {path.name: path.read_bytes() for path in killed.iterdir()}
    monkeypatch.setattr("il_ros.episodes.bag.recovery.rewrite.digest", lambda scan: object())
    with pytest.raises(RecoverError, match="its copy differs; the file is unchanged"):
        recover(killed)
    assert {path.name: path.read_bytes() for path in killed.iterdir()} == before


def test_a_running_recording_is_rejected(tmp_path: Path):
    writer = BagWriter(tmp_path / "episode_000001")
    with pytest.raises(RecoverError, match="still being recorded"):
        recover(tmp_path / "episode_000001")
    writer.close()


def test_a_missing_episode_json_is_restored_from_the_bag(tmp_path: Path):
    loaded = contract.load(share.path("config", "contracts", "arm_push.yaml"))
    folder = tmp_path / "episode_000001"
    writer = BagWriter(folder)
    writer.add_metadata("il_ros.contract", {"name": "arm_push", "hash": loaded.hash, "text": loaded.text})
    talk = writer.add_stream("/talk", STRING)
    writer.write(talk, 5 * MS, string("x"))
    writer.flush()
    end = writer.written_bytes
    writer.close()
    file = layout.bag_file(folder)
    file.write_bytes(file.read_bytes()[:end])
    (folder / "episode.json").write_text('{"half')
    recover(folder)
    info = layout.load_info(folder)
    assert (info.contract_hash, info.contract_text, info.started_ns) == (loaded.hash, loaded.text, 5 * MS)
    assert (folder / "episode.json.unreadable").read_text() == '{"half'
    missing = {stream.topic for stream in info.streams if stream.required and not stream.messages}
    assert missing == {"joint_states", "object_pose", "goal_pose"}


def test_a_bag_of_another_recorder_is_recovered(tmp_path: Path):
    folder = tmp_path / "my_bag"
    folder.mkdir()
    with (folder / "data.mcap").open("wb") as file:
        writer = Writer(file, compression=CompressionType.LZ4, chunk_size=10)
        writer.start(profile="ros2", library="other")
        schema = writer.register_schema(STRING, "ros2msg", messages.definition(STRING).encode())
        channel = writer.register_channel("/talk", "cdr", schema)
        for k in range(3):
            writer.add_message(channel, k, string(f"message {k}"), k)
    assert recover(folder).messages == 3
    assert read(folder) == [f"message {k}" for k in range(3)]
    assert not (folder / "episode.json").exists()


@pytest.mark.parametrize(
    ("name", "data", "says"),
    [
        ("a.mcap", b"", "is empty"),
        ("a.mcap", b"SQLite format 3", "doesn't begin with the MCAP magic bytes"),
        ("a.db3", b"SQLite format 3", "must hold an .mcap file; it holds only a.db3"),
    ],
)
def test_a_file_that_is_not_mcap_is_rejected_and_unchanged(tmp_path: Path, name: str, data: bytes, says: str):
    (tmp_path / name).write_bytes(data)
    with pytest.raises(RecoverError) as caught:
        recover(tmp_path)
    assert says in str(caught.value)
    assert (tmp_path / name).read_bytes() == data


def test_info_without_grade_round_trips(killed: Path):
    assert json.loads((killed / "episode.json").read_text())["grade"] is None
