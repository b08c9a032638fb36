"""What can't be learnt from is refused at the start, or said while it is recorded, and makes the take poor."""

import cv2
import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.recording.options import RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder, RecordError

MS, S = 1_000_000, 1_000_000_000
JOINTS, IMAGE = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image"
COMPRESSED, ARRAY = "sensor_msgs/msg/CompressedImage", "std_msgs/msg/Float64MultiArray"
TEXT = """
name: two_joints
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [j1, j2], fields: [FIELDS], max_age_s: 0.2}
  cam: {topic: image_raw, type: KIND, image: {width: 48, height: 36, encoding: rgb8}, max_age_s: 0.2}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [j1, j2], unit: rad, reference: joints,
        limits: {lower: -3, upper: 3, speed: 2}}
"""


class Robot:
    """A recorder of the contract's streams, and a robot that publishes them at 20 Hz on a clock set by hand."""

    def __init__(self, root, kind=IMAGE, fields="position", optional=()):
        self.now_ns = 1000 * S
        loaded = contract.parse(TEXT.replace("KIND", kind).replace("FIELDS", fields), "contract")
        self.recorder = EpisodeRecorder(
            RecordOptions(root=root, min_free_disk_bytes=0, optional=optional), loaded, lambda: self.now_ns
        )
        specs = contract_streams(loaded, {topic: f"/{topic}" for topic in loaded.topics}, optional)
        self.streams = {spec.contract_topic: self.recorder.add_stream(spec) for spec in specs}
        self.events = []

    def run(self, ticks, picture, joints=lambda stamp: joint_state(stamp)):
        """Publish for some ticks; without a `picture`, the camera is silent."""
        for _ in range(ticks):
            self.now_ns += 50 * MS
            head = messages.header(self.now_ns - 5 * MS)
            if picture is not None:
                self.recorder.receive(self.streams["image_raw"], picture(head))
            self.recorder.receive(self.streams["joint_states"], joints(head))
            command = messages.make(ARRAY, data=np.full(2, np.sin(self.now_ns / S)))
            self.recorder.receive(self.streams["arm/commands"], messages.encode(ARRAY, command))
            self.events += [(event.kind, event.text) for event in self.recorder.poll()]

    def stopped(self):
        self.recorder.stop()
        assert self.recorder.last.done.wait(60)
        return self.recorder.last.info.grade


def image(encoding="rgb8", channels=3, width=48):
    def made(head):
        data = np.zeros(36 * width * channels, np.uint8)
        fields = {"height": 36, "width": width, "step": width * channels, "encoding": encoding, "data": data}
        return messages.encode(IMAGE, messages.make(IMAGE, header=head, **fields))

    return made


def jpeg(share=1.0):
    _, data = cv2.imencode(".jpg", np.random.default_rng(0).integers(0, 255, (36, 48, 3), dtype=np.uint8))
    data = data.ravel()[: int(share * data.size)]
    return lambda head: messages.encode(
        COMPRESSED, messages.make(COMPRESSED, header=head, format="jpeg", data=data)
    )


def joint_state(head, names=("j1", "j2"), **fields):
    values = {field: np.array(numbers, float) for field, numbers in fields.items()}
    message = messages.make(
        JOINTS, header=head, name=list(names), **{"position": np.zeros(len(names)), **values}
    )
    return messages.encode(JOINTS, message)


REFUSED = {
    "another encoding": ({}, image("strange_encoding"), joint_state, "encoding 'strange_encoding'"),
    "another size": ({}, image(width=64), joint_state, "the image is 64x36, the contract says 48x36"),
    "half a jpeg": ({"kind": COMPRESSED}, jpeg(0.1), joint_state, "cam (image_raw): "),
    "NaN": ({}, image(), lambda head: joint_state(head, position=[0, np.nan]), "position/j2 is nan"),
    "empty effort": ({"fields": "position, effort"}, image(), joint_state, "effort of 'j1', never any"),
    "a missing joint": ({}, image(), lambda head: joint_state(head, ["j1"]), "position of 'j2', never any"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_start_that_could_teach_nothing_is_refused_with_the_reason(tmp_path, name):
    made, picture, joints, says = REFUSED[name]
    robot = Robot(tmp_path, **made)
    robot.run(10, picture, joints)
    with pytest.raises(
        RecordError, match=r"not started, (nothing could be learnt|no messages on): "
    ) as raised:
        robot.recorder.start()
    assert says in str(raised.value)
    assert not list(tmp_path.iterdir())  # nothing was begun
    problems = robot.recorder.watch.problems() + robot.recorder.watch.silent()
    assert any(says in problem for problem in problems)


@pytest.mark.parametrize("picture", [None, image("strange_encoding")])
def test_an_optional_camera_without_use_is_a_warning_and_makes_no_take_poor(tmp_path, picture):
    robot = Robot(tmp_path, optional=("cam",))
    robot.run(10, picture)
    robot.recorder.start()
    robot.run(40, picture)
    says = "no messages on /image_raw" if picture is None else "encoding 'strange_encoding'"
    assert [says in text for kind, text in robot.events if kind == "warning"] == [True]
    grade = robot.stopped()
    assert grade.level != "poor", grade.reasons


@pytest.mark.parametrize("made", [{}, {"kind": COMPRESSED}])
def test_a_robot_without_faults_starts_and_is_good(tmp_path, made):
    robot = Robot(tmp_path, **made)
    picture = jpeg() if made else image()
    robot.run(10, picture)
    robot.recorder.start()
    robot.run(40, picture)
    assert robot.stopped().level == "good"
    assert not [event for event in robot.events if event[0] == "warning"]


def test_a_size_that_changes_while_recording_is_told_within_a_second_and_makes_the_take_poor(tmp_path):
    """Of 4 s the last two have another size: of the five checks (four and one at the end) about half fail."""
    robot = Robot(tmp_path)
    robot.run(10, image())
    robot.recorder.start()
    robot.run(40, image())
    assert [kind for kind, _ in robot.events] == ["started"]
    robot.run(20, image(width=64))  # one second
    ((kind, text),) = robot.events[1:]
    assert kind == "warning"
    assert "cam (image_raw): the image is 64x36, the contract says 48x36" in text
    robot.run(20, image(width=64))
    assert len(robot.events) == 2  # told once
    grade = robot.stopped()
    assert grade.level == "poor"
    assert grade.reasons[0].startswith("cam (image_raw): the image is 64x36, the contract says 48x36")


def test_a_stream_lost_while_recording_is_told_while_it_is_lost(tmp_path):
    robot = Robot(tmp_path)
    robot.run(10, image())
    robot.recorder.start()
    robot.run(10, image())
    robot.run(19, None)
    assert [kind for kind, _ in robot.events] == ["started"]
    robot.run(3, None)  # silence_s is 1 s
    assert robot.events[1:] == [("warning", "no messages on /image_raw (for 1.1 s)")]
    robot.run(2, image())
    assert robot.events[2:] == [("restored", "topic /image_raw can be used again")]
    assert robot.stopped().level == "poor"


def test_a_take_without_commands_is_poor(tmp_path):
    robot = Robot(tmp_path)
    robot.run(10, image())
    robot.now_ns += MS  # commands before the start are pre-roll
    robot.recorder.start()
    for _ in range(40):
        robot.now_ns += 50 * MS
        head = messages.header(robot.now_ns - 5 * MS)
        robot.recorder.receive(robot.streams["image_raw"], image()(head))
        robot.recorder.receive(robot.streams["joint_states"], joint_state(head))
    grade = robot.stopped()
    assert grade.level == "poor"
    assert grade.reasons[0] == "no command was recorded, so there is nothing to learn"


def test_a_clock_that_was_set_back_is_no_fault_of_the_streams(tmp_path):
    """A simulation starts again at an earlier time; the streams are judged by what comes after."""
    robot = Robot(tmp_path)
    robot.run(30, image())
    robot.now_ns = 10 * S
    robot.run(30, image())
    assert robot.recorder.watch.problems() == []
    robot.recorder.start()
