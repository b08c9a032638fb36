"""What the doctor finds in a take while it is recorded is in its grade, in the words of the doctor on its bag."""

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays.cache import cache_folder
from il_ros.episodes.catalogue import scan
from il_ros.episodes.doctor.cameras import Look
from il_ros.episodes.doctor.examination import examined
from il_ros.episodes.doctor.findings import Check
from il_ros.episodes.doctor.live import TakeHistory, TakeWatch
from il_ros.episodes.recording.options import RecordedStream, RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder
from il_ros.records.decision import Decision, to_json

JOINTS, IMAGE, STRING = "sensor_msgs/msg/JointState", "sensor_msgs/msg/Image", "std_msgs/msg/String"
CONTRACT = contract.parse(
    """
name: watched
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], unit: rad, max_age_s: 0.2}
  camera:
    topic: camera
    type: sensor_msgs/msg/Image
    image: {width: 8, height: 6, encoding: rgb8}
    max_age_s: 0.2
actions:
  arm:
    topic: commands
    type: std_msgs/msg/Float64MultiArray
    names: [a, b]
    unit: rad
    reference: joints
    limits: {lower: -1, upper: 1, speed: 10}
""",
    "watched.yaml",
)
S, PERIOD_NS = 1_000_000_000, 50_000_000
TICKS = 120


class Clock:
    ns = 100 * S

    def __call__(self):
        return self.ns


def motion(ticks):
    """Joints (T, 2) that start, stop and turn, as people move them."""
    t = np.arange(ticks) * 0.05
    return np.stack([0.6 * np.sin(1.1 * t), 0.5 * np.cos(0.7 * t)], axis=1)


@pytest.fixture
def recorder(tmp_path):
    clock = Clock()
    made = EpisodeRecorder(RecordOptions(root=tmp_path, pre_roll_s=0.0, flush_s=0.02), CONTRACT, clock)
    specs = [
        *contract_streams(CONTRACT, {topic: f"/{topic}" for topic in CONTRACT.topics}),
        RecordedStream("/decision", STRING, role="decision"),
    ]
    streams = {spec.topic: made.add_stream(spec) for spec in specs}

    def send(topic, kind, message):
        made.receive(streams[topic], messages.encode(kind, message))

    def frame(position, pixels):
        head = messages.header(clock.ns)
        picture = {"height": 6, "width": 8, "encoding": "rgb8", "step": 24, "data": pixels.reshape(-1)}
        send("/camera", IMAGE, messages.make(IMAGE, header=head, **picture))
        send("/joint_states", JOINTS, messages.make(JOINTS, header=head, name=["a", "b"], position=position))

    def take(*, measured=None, commanded=None, pictures=None):
        """Record one take of 6 s and return its grade; by default there is nothing wrong with it."""
        wanted = motion(TICKS)
        measured = wanted if measured is None else measured
        commanded = wanted if commanded is None else commanded
        noise = np.random.default_rng(0).integers(100, 156, (TICKS, 6, 8, 3), dtype=np.uint8)
        pictures = noise if pictures is None else pictures
        frame(measured[0], pictures[0])
        made.start()
        for tick in range(TICKS):
            clock.ns += PERIOD_NS
            frame(measured[tick], pictures[tick])
            decided = Decision(
                clock.ns, clock.ns, "expert", "because", sent=tuple(commanded[tick]), mode="expert"
            )
            send("/decision", STRING, messages.make(STRING, data=to_json(decided)))
        made.stop()
        made.last.done.wait(60)
        clock.ns += S
        return made.last.info.grade

    yield take
    made.close()


def found_by_the_doctor(root):
    """The sentences of the doctor about the bags, by check."""
    found = examined(scan(root).entries, CONTRACT, cache_folder(root)).findings
    return {each.check: f"{each.check.value}: {each.what.rstrip('.')}" for each in found}


def with_jump():
    measured = motion(TICKS)
    measured[60, 0] += 0.8
    return measured


def frozen():
    pictures = np.random.default_rng(1).integers(100, 156, (TICKS, 6, 8, 3), dtype=np.uint8)
    pictures[40:70] = pictures[40]
    return pictures


def dark():
    pictures = np.random.default_rng(2).integers(100, 156, (TICKS, 6, 8, 3), dtype=np.uint8)
    pictures[30:] //= 50
    return pictures


def test_a_take_without_faults_is_good(recorder):
    for _ in range(3):
        assert (recorder().level, recorder().reasons) == ("good", ())


@pytest.mark.parametrize(
    ("fault", "check", "words"),
    [
        (
            {"commanded": motion(TICKS) + np.array([0.3, 0.0])},
            Check.OFFSET,
            "arm/a: the label is +0.3 rad (+17.2 degrees) beside",
        ),
        (
            {"measured": np.roll(motion(TICKS), 12, axis=0)},
            Check.LAG,
            "The robot follows its commands 0.5",
        ),
        ({"measured": with_jump(), "commanded": with_jump()}, Check.JUMP, "joints/position/a jumps by 0.8"),
        ({"pictures": frozen()}, Check.FROZEN, "camera repeats one picture for 1.5 s while the robot moves"),
    ],
)
def test_a_fault_is_in_the_grade_in_the_doctors_words(recorder, tmp_path, fault, check, words):
    assert recorder().level == recorder().level == "good"  # a jump is one beside other takes
    grade = recorder(**fault)
    assert grade.level == "fair"
    (sentence,) = [reason for reason in grade.reasons if reason.startswith(f"{check.value}: ")]
    assert words in sentence
    assert sentence == found_by_the_doctor(tmp_path)[check]


@pytest.mark.filterwarnings("error")
def test_an_impossible_number_is_in_the_grade_and_leaves_the_other_takes_alone(recorder, tmp_path):
    assert recorder().level == recorder().level == "good"
    measured = motion(TICKS)
    measured[60, 0] = 1e200
    (sentence,) = recorder(measured=measured).reasons
    assert sentence.startswith("impossible number: joints/position/a is 1e+200 in episode_000003 (at ")
    assert sentence == found_by_the_doctor(tmp_path)[Check.MAGNITUDE]
    assert (recorder().level, recorder(measured=with_jump(), commanded=with_jump()).level) == ("good", "fair")


def test_a_camera_that_gets_dark_is_in_the_grade(recorder, tmp_path):
    (sentence,) = recorder(pictures=dark()).reasons
    assert sentence.startswith("dark camera: camera is dark, overexposed or covered for 4.")
    assert Check.DARK in found_by_the_doctor(
        tmp_path
    )  # whose time is exact; here one picture a second is decoded


def test_a_number_that_stands_still_is_found_beside_the_takes_before(recorder, tmp_path):
    assert recorder().level == recorder().level == "good"
    still = motion(TICKS)
    still[:, 1] = 0.25
    grade = recorder(measured=still, commanded=still)
    about = [reason for reason in grade.reasons if reason.startswith("constant number: ")]
    assert about[0].startswith("constant number: joints/position/b stands still in episode_000003")
    assert about[0] == found_by_the_doctor(tmp_path)[Check.CONSTANT] or len(about) == 2


def test_an_error_of_a_check_costs_the_checks_not_the_take(recorder, monkeypatch, tmp_path):
    def broken(*_):
        raise IndexError("planted")

    monkeypatch.setattr("il_ros.episodes.doctor.tracking.following", broken)
    grade = recorder()
    assert grade.reasons == (
        "the doctor's checks failed (IndexError: planted); `il-ros episodes doctor` repeats them",
    )
    (entry,) = scan(tmp_path).entries
    assert entry.state == "ready"


def test_a_short_take_and_one_without_commands_are_not_examined():
    watch = TakeWatch(CONTRACT, "episode_000001")
    assert watch.take() is None
    watch.decision(Decision(1, 1, "none", "nothing"))
    watch.message("joint_states", b"", 0)  # too short for a header
    assert watch.take() is None


def test_history_keeps_the_newest_takes_only():
    history = TakeHistory(CONTRACT)
    for number in range(12):
        watch = TakeWatch(CONTRACT, f"episode_{number:06d}")
        for tick in range(20):
            now_ns = S * number + tick * PERIOD_NS
            head = messages.header(now_ns)
            joints = messages.make(JOINTS, header=head, name=["a", "b"], position=motion(20)[tick])
            watch.message("joint_states", messages.encode(JOINTS, joints), now_ns)
            watch.decision(Decision(now_ns, now_ns, "expert", "because", sent=tuple(motion(20)[tick])))
        episode, looks = watch.take()
        assert (len(episode), looks) == (20, {})
        history.findings(episode, {}, S * number)
    assert len(history._takes) == 8


def test_brightness_before_the_first_picture_is_that_of_the_first():
    watch = TakeWatch(CONTRACT, "episode_000001")
    for tick in range(12):
        now_ns = S + tick * PERIOD_NS
        head = messages.header(now_ns)
        joints = messages.make(JOINTS, header=head, name=["a", "b"], position=motion(20)[tick])
        watch.message("joint_states", messages.encode(JOINTS, joints), now_ns)
        if tick == 5:
            data = np.full(6 * 8 * 3, 77, dtype=np.uint8)
            picture = {"height": 6, "width": 8, "encoding": "rgb8", "step": 24, "data": data}
            watch.message(
                "camera", messages.encode(IMAGE, messages.make(IMAGE, header=head, **picture)), now_ns
            )
        watch.decision(Decision(now_ns, now_ns, "expert", "because", sent=(0.0, 0.0)))
    look: Look = watch.take()[1]["camera"]
    assert look.brightness.tolist() == [77.0] * 12
    assert look.repeats.tolist() == [True] * 4 + [False] + [True] * 6
