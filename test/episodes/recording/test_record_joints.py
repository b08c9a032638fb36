"""Joints in several messages on one topic: the age of each, and two publishers of one."""

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes import layout
from il_ros.episodes.recording.options import RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder, RecordError

JOINTS, MS = "sensor_msgs/msg/JointState", 1_000_000
TEXT = """
name: t
rate_hz: 10
observations:
  joints: {{topic: j, type: {type}, names: [a, b], fields: [{fields}], max_age_s: 0.2, stamp: {stamp}}}
actions:
  arm: {{topic: c, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, limits: {{speed: 1}}}}
"""


class FedRecorder:
    """A recorder on a clock that the test sets, in ms."""

    def __init__(self, root, fields="position", stamp="header"):
        self.at_ms = 0
        own = contract.parse(TEXT.format(type=JOINTS, fields=fields, stamp=stamp), "t")
        options = RecordOptions(root, min_free_disk_bytes=0, pre_roll_s=0.0)
        self.recorder = EpisodeRecorder(options, own, lambda: 10**12 + self.at_ms * MS)
        streams = contract_streams(own, {topic: f"/{topic}" for topic in own.topics})
        self.streams = {spec.topic: self.recorder.add_stream(spec) for spec in streams}

    def put(self, at_ms, names, position=(), effort=(), frame="", late_ms=1):
        self.at_ms = at_ms
        head = messages.header(10**12 + (at_ms - late_ms) * MS, frame)
        fields = {"position": np.array(position, float), "effort": np.array(effort, float)}
        message = messages.make(JOINTS, header=head, name=list(names), **fields)
        self.recorder.receive(self.streams["/j"], messages.encode(JOINTS, message))

    def command(self, value):
        (stream,) = (each for each in self.streams.values() if each.spec.role == "command")
        message = messages.make(stream.spec.type, data=np.array([value, value], float))
        self.recorder.receive(stream, messages.encode(stream.spec.type, message))

    def stop(self):
        self.recorder.stop()
        assert self.recorder.last.done.wait(60)
        return layout.load_info(self.recorder.last.folder)


@pytest.fixture
def fed(tmp_path):
    made = []

    def make(**options):
        made.append(FedRecorder(tmp_path, **options))
        return made[-1]

    yield make
    for each in made:
        each.recorder.close()


def test_arm_and_gripper_on_one_topic_are_a_good_take(fed):
    it = fed()
    it.put(0, "a", [0])
    it.put(8, "b", [1], late_ms=7)  # an older stamp than the arm's next, and later than it
    it.recorder.start()
    for at_ms in range(20, 2000, 20):
        it.put(at_ms, "a", [at_ms / 1000])
        it.put(at_ms + 1, "b", [1], late_ms=7)
        it.command(at_ms / 1000)
    info = it.stop()
    assert (info.grade.level, info.grade.reasons) == ("good", ())
    assert (info.streams[0].backwards, info.streams[0].stale_s) == (0, 0)


def test_a_joint_that_never_came_is_named_at_the_start(fed):
    it = fed()
    it.put(0, "a", [0])
    with pytest.raises(RecordError, match=r"not started, no messages on: /j \(position of 'b', never any\)"):
        it.recorder.start()
    it.put(10, "b", [0])
    it.recorder.start()


def test_a_joint_that_fell_silent_is_named_at_the_start(fed):
    it = fed()
    it.put(0, "b", [0])
    it.put(1500, "a", [0])
    with pytest.raises(RecordError, match=r"/j \(position of 'b', for 1.5 s\)"):
        it.recorder.start()


def test_an_effort_that_is_asked_for_and_empty_is_named_at_the_start(fed):
    it = fed(fields="position, effort")
    it.put(0, "ab", [0, 0])
    with pytest.raises(RecordError, match=r"/j \(effort of 'a', never any\)"):
        it.recorder.start()
    other = fed()
    other.put(0, "ab", [0, 0])
    other.recorder.start()


@pytest.mark.parametrize("stamp", ["header", "arrival"])
def test_a_joint_that_falls_silent_makes_the_take_stale(fed, stamp):
    it = fed(stamp=stamp)
    it.put(0, "ab", [0, 0])
    it.recorder.start()
    for at_ms in range(10, 510, 10):
        it.put(at_ms, "a", [0])
        it.put(at_ms, "b", [0])
    for at_ms in range(510, 2010, 10):  # b is 0.2 s old at 0.7 s (its stamp is 1 ms older)
        it.put(at_ms, "a", [0])
    info = it.stop()
    assert info.streams[0].stale_s == pytest.approx(1.3 if stamp == "arrival" else 1.301, abs=1e-9)
    assert info.grade.level == "poor"


def test_a_take_is_not_started_beside_a_second_publisher_of_the_same_joints(fed):
    it = fed()
    it.recorder.watch.publishers = lambda topic: {"/j": ("/broadcaster", "/gui")}[topic]
    it.put(0, "ab", [1, 2], frame="base_link")
    it.put(5, "ba", [0, 0])
    said = (
        r"not started, /j: 'a', 'b' come from two publishers: \[a, b\] in frame 'base_link' and \[b, a\] within 1 s; "
        "stop one of them, or remap its topic; the topic's publishers: /broadcaster, /gui"
    )
    with pytest.raises(RecordError, match=said):
        it.recorder.start()
    it.put(2000, "ab", [1, 2], frame="base_link")
    it.recorder.start()


def test_a_second_publisher_while_recording_is_told_at_once_and_makes_the_take_poor(fed):
    it = fed()
    it.put(0, "ab", [1, 2])
    it.recorder.start()
    it.recorder.poll()
    it.put(10, "ba", [0, 0])
    it.put(20, "ab", [1, 2])
    (event,) = it.recorder.poll()
    assert (event.kind, event.text[:42]) == ("fault", "/j: 'a', 'b' come from two publishers: [a,")
    info = it.stop()
    assert info.faults == (event.text,)
    assert (info.grade.level, info.grade.reasons[0]) == ("poor", event.text)
    it.put(3000, "ab", [1, 2])
    it.recorder.start()  # the second one is gone
    assert it.stop().faults == ()


def test_a_joint_stamped_ahead_is_no_younger_than_its_arrival(fed):
    it = fed()
    it.put(0, "a", [0])
    it.put(0, "b", [0])
    it.recorder.start()
    it.put(10, "b", [0], late_ms=-5000)
    for at_ms in range(10, 2010, 10):  # b is 0.2 s old at 0.21 s
        it.put(at_ms, "a", [0])
    info = it.stop()
    assert info.streams[0].stale_s == pytest.approx(1.79, abs=1e-9)
