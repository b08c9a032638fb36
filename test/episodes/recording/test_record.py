"""The recorder core: the contents of an episode, its end, and the report of lost messages."""

import errno
from datetime import datetime, timezone
from pathlib import Path

import numpy as np
import pytest
from rosbags.highlevel import AnyReader

from il_ros.core import contract, messages, share
from il_ros.episodes import layout
from il_ros.episodes.bag.sink import FileSink
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import look
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder, RecordError
from il_ros.records.decision import Decision, to_json

STRING, JOINTS = "std_msgs/msg/String", "sensor_msgs/msg/JointState"
POSE = "geometry_msgs/msg/PoseStamped"
TALK = RecordedStream("/talk", STRING)
S, MS = 1_000_000_000, 1_000_000
NOW = datetime(2026, 11, 21, 8, 0, tzinfo=timezone.utc)


class Clock:
    """A node clock that the test advances."""

    def __init__(self) -> None:
        self.ns = 100 * S

    def __call__(self) -> int:
        return self.ns


def string(text: str) -> bytes:
    return messages.encode(STRING, messages.make(STRING, data=text))


def joints(stamp_ns: int, names=("joint1",), positions=None, frame="") -> bytes:
    positions = np.zeros(len(names)) if positions is None else np.array(positions, float)
    fields = {"header": messages.header(stamp_ns, frame), "name": list(names), "position": positions}
    return messages.encode(JOINTS, messages.make(JOINTS, **fields))


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make(tmp_path: Path, clock: Clock):
    """Return a factory of recorders with small limits; they are closed at the end."""
    made: list[EpisodeRecorder] = []

    def build(*, loaded=None, open_bag=None, free_bytes=lambda path: 10**12, **options) -> EpisodeRecorder:
        options = RecordOptions(**{"root": tmp_path, "flush_s": 0.02, **options})
        made.append(
            EpisodeRecorder(
                options, loaded, clock, wall=lambda: NOW, free_bytes=free_bytes, open_bag=open_bag
            )
        )
        return made[-1]

    yield build
    for recorder in made:
        recorder.close(timeout_s=60)


def finished(recorder: EpisodeRecorder) -> layout.EpisodeInfo:
    """Wait until the last episode is saved; assert that its file equals the recorder's description."""
    assert recorder.last.done.wait(60)
    info = layout.load_info(recorder.last.folder)
    assert info == recorder.last.info
    return info


def named(stamp_ns: int, names) -> bytes:
    """A joint state of these joints, all at 0."""
    zeros = np.zeros(len(names))
    head = messages.header(stamp_ns)
    return messages.encode(JOINTS, messages.make(JOINTS, header=head, name=list(names), position=zeros))


def texts(folder: Path) -> list[tuple[int, str]]:
    with AnyReader([folder]) as reader:
        return [
            (stamp, messages.decode(STRING, raw).data)
            for c, stamp, raw in reader.messages()
            if c.topic == "/talk"
        ]


def test_an_episode_holds_the_messages_between_start_and_stop(make, clock: Clock, tmp_path: Path):
    recorder = make(pre_roll_s=0.0)
    talk = recorder.add_stream(TALK)
    recorder.receive(talk, string("before"))
    clock.ns += 1
    assert recorder.start(Label("push", "ada", "push it", seed=7)) == "episode_000001"
    for k in range(3):
        clock.ns += 500 * MS
        recorder.receive(talk, string(f"in {k}"))
    recorder.stop()
    recorder.receive(talk, string("after"))
    info = finished(recorder)
    first = 100 * S + 1
    assert texts(tmp_path / "episode_000001") == [(first + (k + 1) * 500 * MS, f"in {k}") for k in range(3)]
    assert (info.task, info.operator, info.instruction, info.seed) == ("push", "ada", "push it", 7)
    assert (info.started_ns, info.stopped_ns, info.stop_reason) == (first, first + 1500 * MS, "stopped")
    assert (info.complete, info.outcome, info.faults) == (True, "unmarked", ())
    assert info.recorded_at == "2026-11-21T08:00:00+00:00"
    assert (info.streams[0].messages, info.streams[0].rate_hz, info.streams[0].lost) == (3, 2.0, 0)
    assert info.grade.level == "good"


def test_pre_roll_is_in_the_bag_and_outside_the_demonstration(make, clock: Clock, tmp_path: Path):
    recorder = make(pre_roll_s=1.0)
    talk = recorder.add_stream(TALK)
    for k in range(4):  # at 100.0, 100.6, 101.2, 101.8
        recorder.receive(talk, string(str(k)))
        clock.ns += 600 * MS
    recorder.start()  # at 102.4
    recorder.stop()
    info = finished(recorder)
    assert texts(tmp_path / "episode_000001") == [(101_800 * MS, "3")]
    assert info.started_ns == 102_400 * MS
    assert info.streams[0].messages == 0


def test_a_latched_message_begins_every_episode(make, clock: Clock, tmp_path: Path):
    recorder = make(pre_roll_s=1.0)
    talk = recorder.add_stream(RecordedStream("/talk", STRING, latched=True, required=True))
    recorder.receive(talk, string("map"))
    clock.ns += 60 * S
    for name in ("episode_000001", "episode_000002"):
        assert recorder.start() == name
        recorder.stop()
        assert finished(recorder).complete
        assert texts(tmp_path / name) == [(160 * S, "map")]


def test_pre_roll_is_bounded_in_memory_and_cleared_when_the_clock_jumps_back(make, clock: Clock):
    recorder = make(pre_roll_s=10.0, pre_roll_bytes=1000)
    talk = recorder.add_stream(TALK)
    for _ in range(100):
        recorder.receive(talk, string("x" * 92))  # 101 bytes
    assert recorder._pre_roll.bytes <= 1000
    clock.ns -= 50 * S
    recorder.receive(talk, string(""))
    assert len(recorder._pre_roll.at(clock.ns)) == 1


def test_the_error_of_start_names_the_silent_streams(make, clock: Clock):
    recorder = make()
    arm = recorder.add_stream(RecordedStream("/joint_states", JOINTS, required=True, max_age_s=0.1))
    recorder.add_stream(RecordedStream("/camera", "sensor_msgs/msg/Image", required=True, max_age_s=0.1))
    recorder.add_stream(TALK)
    recorder.receive(arm, joints(clock.ns))
    clock.ns += 2500 * MS
    with pytest.raises(
        RecordError, match=r"no messages on: /joint_states \(for 2\.5 s\); /camera \(never any\)$"
    ):
        recorder.start()
    assert not list(recorder.options.root.glob("episode_*"))


def test_a_silent_optional_stream_is_a_warning_and_no_reason_not_to_start(make, clock: Clock):
    recorder = make(optional=("camera",))
    arm = recorder.add_stream(RecordedStream("/joint_states", JOINTS, required=True, max_age_s=0.1))
    camera = recorder.add_stream(
        RecordedStream("/camera", "sensor_msgs/msg/Image", optional=True, max_age_s=0.1)
    )
    recorder.receive(arm, joints(clock.ns))
    assert recorder.watch.silent() == []
    assert recorder.watch.silent(optional=True) == ["/camera (never any)"]
    recorder.start()
    warned = [event.text for event in recorder.poll() if event.kind == "warning"]
    assert warned == ["no messages on /camera (never any)"]
    recorder.receive(camera, b"\0" * 64)
    assert [event.text for event in recorder.poll()] == ["topic /camera can be used again"]


def test_only_streams_of_which_all_observations_are_optional_are(make):
    own = contract.parse(
        """
name: test
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.1}
  speeds: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [velocity], names: [a], max_age_s: 0.1}
  goal: {topic: goal, type: geometry_msgs/msg/PoseStamped, fields: [position], max_age_s: 0.1}
actions:
  arm: {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, limits: {speed: 1.0}}
""",
        "test",
    )
    resolve = {topic: f"/{topic}" for topic in own.topics}
    streams = {each.topic: each for each in contract_streams(own, resolve, ["speeds", "goal"])}
    assert {topic: (each.required, each.optional) for topic, each in streams.items()} == {
        "/joint_states": (True, False),
        "/goal": (False, True),
        "/commands": (False, False),
    }
    with pytest.raises(ValueError, match=r"optional: 'gaol' is no observation .* has: joints, speeds, goal"):
        contract_streams(own, resolve, ["gaol"])


def test_a_second_start_and_a_stop_without_start_are_rejected(make):
    recorder = make()
    with pytest.raises(RecordError, match="nothing is being recorded"):
        recorder.stop()
    with pytest.raises(RecordError, match="no episode to mark"):
        recorder.mark("success")
    recorder.start()
    with pytest.raises(RecordError, match="episode_000001 is being recorded"):
        recorder.start()


def test_the_bag_holds_the_contract_and_its_topics(make, clock: Clock, tmp_path: Path):
    loaded = contract.load(share.path("config", "contracts", "arm_push.yaml"))
    recorder = make(loaded=loaded, silence_s=1000.0)
    for spec in contract_streams(loaded, {topic: f"/robot/{topic}" for topic in loaded.topics}):
        stream = recorder.add_stream(spec)
        if spec.type == JOINTS:
            names = loaded.observation("joints").names
            recorder.receive(stream, joints(clock.ns, names))
    required = {name for name, stream in recorder.streams.items() if stream.spec.required}
    assert required == {"/robot/joint_states", "/robot/object_pose", "/robot/goal_pose"}
    with pytest.raises(RecordError, match="/robot/object_pose"):
        recorder.start()
    for topic in ("/robot/object_pose", "/robot/goal_pose"):
        recorder.receive(recorder.streams[topic], messages.encode(POSE, messages.make(POSE)))
    recorder.start()
    recorder.stop()
    info = finished(recorder)
    assert info.topics["joint_states"] == "/robot/joint_states"
    assert (info.contract_hash, info.contract_text) == (loaded.hash, loaded.text)
    assert loaded.text.encode() in layout.bag_file(tmp_path / "episode_000001").read_bytes()


def test_the_time_of_a_success_is_kept_if_it_was_marked_while_recording(make, clock: Clock):
    recorder = make()
    recorder.start()
    clock.ns += 2 * S
    marked_ns = clock.ns
    recorder.mark("success")
    clock.ns += 1 * S
    recorder.mark("success")  # the first time counts
    recorder.stop()
    assert finished(recorder).succeeded_ns == marked_ns
    recorder.mark("failure")
    assert finished(recorder).succeeded_ns is None
    recorder.mark("success")  # afterwards: nobody knows when
    assert finished(recorder).succeeded_ns is None


def test_marking_works_while_recording_and_afterwards(make):
    recorder = make()
    recorder.start()
    assert recorder.mark("failure") == "episode_000001"
    recorder.stop()
    assert finished(recorder).outcome == "failure"
    recorder.mark("success")
    assert finished(recorder).outcome == "success"
    with pytest.raises(RecordError, match="'great'"):
        recorder.mark("great")


def test_discarding_writes_a_tombstone_while_recording_and_afterwards(make, tmp_path: Path):
    recorder = make()
    recorder.start()
    assert recorder.discard() == "episode_000001"
    finished(recorder)
    recorder.start()
    recorder.stop()
    finished(recorder)
    assert [layout.is_discarded(folder) for folder in layout.episode_folders(tmp_path)] == [True, False]
    recorder.discard("arm bumped")
    assert layout.is_discarded(tmp_path / "episode_000002")
    first, second = (look(folder).reason for folder in layout.episode_folders(tmp_path))
    assert first.endswith(": no reason given")
    assert second.endswith(": arm bumped")
    assert layout.bag_file(tmp_path / "episode_000001").exists()


def test_a_discarded_episode_is_not_called_saved_and_cannot_be_marked(make, tmp_path: Path):
    recorder = make()
    recorder.start()
    recorder.discard()
    with pytest.raises(RecordError, match="episode_000001 is discarded"):
        recorder.mark("success")
    finished(recorder)
    assert "discarded" in [event.text for event in recorder.poll() if event.kind == "saved"] or recorder.last
    with pytest.raises(RecordError, match=r"il-ros episodes undo .*episode_000001"):
        recorder.mark("success")
    layout.undo_discard(tmp_path / "episode_000001")
    assert recorder.mark("success") == "episode_000001"


@pytest.mark.parametrize(("made_from", "level"), [("", "poor"), ("episode_000003 at 4.20 s", "good")])
def test_a_short_take_is_poor_unless_it_corrects_a_moment_of_another_episode(
    make, clock: Clock, made_from, level
):
    recorder = make(pre_roll_s=0.0)
    recorder.start(Label(made_from=made_from))
    clock.ns += 250 * MS
    recorder.stop()
    assert finished(recorder).grade.level == level


def test_max_duration_ends_the_episode(make, clock: Clock):
    recorder = make(max_duration_s=2.0)
    recorder.start()
    clock.ns += 1999 * MS
    assert [event.kind for event in recorder.poll()] == ["started"]
    clock.ns += 1 * MS
    assert next(event.kind for event in recorder.poll()) == "ended"
    assert finished(recorder).stop_reason == "after max_duration_s = 2"


def test_start_is_refused_on_a_full_disk(make):
    recorder = make(free_bytes=lambda path: 5 << 20, min_free_disk_bytes=100 << 20)
    with pytest.raises(RecordError, match="5 MiB free; 100 MiB must stay free"):
        recorder.start()


def test_start_is_refused_on_a_read_only_root(make, tmp_path: Path):
    (tmp_path / "file").write_text("")
    recorder = make(root=tmp_path / "file")
    with pytest.raises(RecordError, match=r"can't be written: .*file"):
        recorder.start()


def failing_after(size: int):
    """Return a function that opens bags on a disk that is full after `size` bytes."""

    class Full(FileSink):
        def append(self, blocks):
            if self.size + sum(map(len, blocks)) > size and any(len(block) > 5000 for block in blocks):
                raise OSError(errno.ENOSPC, "No space left on device")
            super().append(blocks)

    return lambda folder, options: BagWriter(folder, chunk_bytes=options.chunk_bytes, open_sink=Full)


def wait_for_failure(recorder: EpisodeRecorder) -> None:
    for _ in range(1000):
        if recorder.writer.failure:
            return
        recorder.writer.done.wait(0.01)
    raise AssertionError("no failure within 10 s")


def test_a_failed_write_ends_the_episode_with_a_fault_and_counts_the_lost_messages(
    make, clock: Clock, tmp_path: Path
):
    recorder = make(open_bag=failing_after(50_000), chunk_bytes=10_000, pre_roll_s=0.0)
    talk = recorder.add_stream(TALK)
    clock.ns += 1
    recorder.start()
    for _ in range(10):
        clock.ns += 100 * MS
        recorder.receive(talk, string("x" * 9990))
    wait_for_failure(recorder)
    recorder.receive(talk, string("lost"))
    kinds = [event.kind for event in recorder.poll()]
    assert kinds[:2] == ["started", "fault"]
    info = finished(recorder)
    kept = texts(tmp_path / "episode_000001")
    assert 1 <= len(kept) <= 4
    assert info.complete
    assert info.faults == ("writing failed: [Errno 28] No space left on device",)
    assert (info.streams[0].messages, info.streams[0].lost) == (len(kept), 11 - len(kept))
    assert info.grade.level == "poor"
    recorder._open_bag = make()._open_bag  # the disk has space again
    assert recorder.start() == "episode_000002"
    recorder.receive(talk, string("again"))
    recorder.stop()
    assert finished(recorder).complete
    assert [text for _, text in texts(tmp_path / "episode_000002")] == ["again"]


def test_low_disk_space_ends_the_episode_before_the_disk_is_full(make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("il_ros.episodes.recording.episode_writer.CHECK_S", 0.0)
    free = [1 << 30]
    recorder = make(free_bytes=lambda path: free[0], min_free_disk_bytes=100 << 20)
    recorder.start()
    free[0] = 50 << 20
    wait_for_failure(recorder)
    recorder.poll()
    assert finished(recorder).faults == ("the disk is nearly full: 50 MiB free, 100 MiB must stay free",)


def test_a_disk_that_is_full_soon_is_said_while_recording_and_when_it_is_not_any_more(make, clock):
    free = [700 << 20]
    recorder = make(free_bytes=lambda path: free[0], min_free_disk_bytes=100 << 20, disk_warning_s=1800.0)
    talk = recorder.add_stream(TALK)
    for second in range(10):  # a mebibyte a second, and 600 are left: 10 min
        recorder.disk.look(second)
        recorder.receive(talk, string("x" * (1 << 20)))
    recorder.start()
    told = [event for event in recorder.poll() if event.kind == "warning"]
    assert [" is full in 10 min: 629.1 MB left at 1.0 MB a second" in event.text for event in told] == [True]
    assert recorder.poll() == []
    free[0] = 1 << 40
    recorder.disk.look(20.0)
    assert [(event.kind, event.text) for event in recorder.poll()] == [
        ("restored", "the disk can be used again")
    ]


def test_a_deleted_folder_ends_the_episode_with_a_fault(
    make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr("il_ros.episodes.recording.episode_writer.CHECK_S", 0.0)
    recorder = make()
    recorder.start()
    (tmp_path / "episode_000001").rename(tmp_path / "moved")
    wait_for_failure(recorder)
    recorder.poll()
    assert recorder.last.done.wait(60)
    events = recorder.poll()
    assert [event.kind for event in events] == ["fault"]
    assert "NOT COMPLETE" in events[0].text
    assert "No such file" in recorder.last.info.faults[0]
    assert recorder.start() == "episode_000002"


def test_a_slow_disk_ends_the_episode_before_memory_runs_out(make):
    recorder = make(queue_bytes=1000, flush_s=1.0)
    talk = recorder.add_stream(TALK)
    recorder.start()
    for _ in range(30):
        recorder.receive(talk, string("x" * 92))
    recorder.poll()
    info = finished(recorder)
    assert "can't keep up" in info.faults[0]
    assert info.streams[0].lost >= 1
    assert info.streams[0].lost + info.streams[0].messages == 30


def test_the_grade_reports_a_dead_publisher_and_decreasing_stamps(make, clock: Clock):
    recorder = make()
    arm = recorder.add_stream(RecordedStream("/joint_states", JOINTS, required=True, max_age_s=0.1))
    recorder.receive(arm, joints(clock.ns))
    recorder.start()
    for back in (0, 30, 0):
        clock.ns += 50 * MS
        recorder.receive(arm, joints(clock.ns - back * MS * 3))
    clock.ns += 1 * S
    recorder.stop()
    info = finished(recorder)
    assert info.streams[0].backwards == 1
    assert info.grade.level == "poor"
    assert any("silent for the last 1.00 s" in reason for reason in info.grade.reasons)
    assert any("went back 1 time" in reason for reason in info.grade.reasons)


def test_closing_saves_the_running_episode(make, tmp_path: Path):
    recorder = make()
    recorder.start()
    recorder.close(timeout_s=60)
    assert layout.load_info(tmp_path / "episode_000001").stop_reason == "the recorder was shut down"


def test_invalid_options_are_rejected(tmp_path: Path):
    for wrong in ({"flush_s": 2.0}, {"compression": "gzip"}, {"pre_roll_s": -1.0}, {"chunk_bytes": 0}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            RecordOptions(root=tmp_path, **wrong)


@pytest.mark.parametrize(
    "text", ['{"sent": 5, "limited": []}', "[" * 100_000, '{"sent": [1e999], "limited": [1]}']
)
def test_an_odd_decision_does_not_end_the_recording_and_is_named(make, clock: Clock, text: str):
    recorder = make(loaded=contract.load(share.path("config", "contracts", "drive.yaml")), pre_roll_s=0.0)
    stream = recorder.add_stream(RecordedStream("/d", STRING, role="decision"))
    recorder.start()
    good = to_json(Decision(1, 1, "expert", "", sent=(0.5, 0.0)))
    for sent in (good, text, good):
        clock.ns += 500 * MS
        recorder.receive(stream, string(sent))
    recorder.stop()
    info = finished(recorder)
    assert (info.complete, info.stop_reason, info.streams[0].messages) == (True, "stopped", 3)
    (fault,) = info.faults
    assert fault.startswith("1 of 3 decisions and commands could not be read; the first: not a decision: ")
    assert info.grade.clipped_share == 0.0
