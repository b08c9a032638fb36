"""A clock that is set while an episode is recorded ends the episode; a driver's clock that is ahead is a fault."""

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import Selection
from il_ros.episodes.recording.clock import RecordingClock
from il_ros.episodes.recording.options import RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder, RecordError
from il_ros.episodes.verify import verify

MS, S = 1_000_000, 1_000_000_000
EPOCH = 1_760_000_000 * S
JOINTS, ARRAY, IMAGE = "sensor_msgs/msg/JointState", "std_msgs/msg/Float64MultiArray", "sensor_msgs/msg/Image"
TEXT = """\
name: two_joints
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.2}
  cam:
    {topic: image, type: sensor_msgs/msg/Image, image: {width: 2, height: 1, encoding: mono8}, max_age_s: 0.1}
actions:
  arm: {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, limits: {speed: 2}}
"""


class Clocks:
    """A system clock and a steady clock, in step until one is set."""

    def __init__(self):
        self.passed_ns = self.set_ns = 0

    def ros(self):
        return EPOCH + self.passed_ns + self.set_ns

    def steady(self):
        return 5 * S + self.passed_ns


def joints(stamp_ns, position):
    message = messages.make(
        JOINTS, header=messages.header(stamp_ns), name=["a"], position=np.array([float(position)])
    )
    return messages.encode(JOINTS, message)


def picture(stamp_ns, value):
    pixels = np.full(2, value, np.uint8)
    message = messages.make(
        IMAGE, header=messages.header(stamp_ns), width=2, height=1, step=2, encoding="mono8", data=pixels
    )
    return messages.encode(IMAGE, message)


def command(position):
    return messages.encode(ARRAY, messages.make(ARRAY, data=np.array([float(position)])))


class Robot:
    """A robot that moves at 0.3 rad/s under commands 0.03 rad ahead; every 20 ms a state, command and picture.

    `ahead_s`: how far the camera's clock is ahead; each picture was taken 10 ms before it arrives.
    """

    def __init__(self, root, steady=True, ahead_s=0.0, text=TEXT):
        self.root, self.clocks, self.ahead_s = root, Clocks(), ahead_s
        self.contract = contract.parse(text, "c")
        steady_ns = self.clocks.steady if steady else None
        options = RecordOptions(root, min_free_disk_bytes=0, flush_s=0.02)
        self.recorder = EpisodeRecorder(options, self.contract, self.clocks.ros, steady_ns=steady_ns)
        specs = contract_streams(self.contract, {topic: f"/{topic}" for topic in self.contract.topics})
        self.streams = {spec.contract_topic: self.recorder.add_stream(spec) for spec in specs}
        self.period = 0

    def run(self, periods):
        for _ in range(periods):
            k, self.period = self.period, self.period + 1
            position = 0.3 * 0.02 * k
            stamp_ns = self.clocks.ros() - 10 * MS + round(self.ahead_s * S)
            self.recorder.receive(self.streams["image"], picture(stamp_ns, k % 256))
            self.recorder.receive(self.streams["joint_states"], joints(self.clocks.ros(), position))
            self.clocks.passed_ns += 2 * MS
            self.recorder.receive(self.streams["commands"], command(position + 0.03))
            self.clocks.passed_ns += 18 * MS

    def finished(self):
        if self.recorder.writer:
            self.recorder.stop()
        assert self.recorder.last.done.wait(60)
        return self.recorder.last.info

    def arrays(self):
        return Dataset.open(self.root, self.contract, Selection(poor=True), validation=0.0).train[0]


def leads(episode):
    return episode.commands[:, 0] - episode.observations["joints"][:, 0]


@pytest.mark.parametrize("steady", [True, False])
@pytest.mark.parametrize("back_s", [0.4, 3.0, 40.0])
def test_a_clock_that_is_set_back_ends_the_take_with_a_fault(tmp_path, steady, back_s):
    robot = Robot(tmp_path, steady)
    robot.run(50)
    robot.recorder.start()
    robot.run(100)
    robot.clocks.set_ns = -round(back_s * S)
    robot.run(100)
    (event,) = [each for each in robot.recorder.poll() if each.kind == "fault" and "ended" in each.text]
    info = robot.finished()
    # without a steady clock the time since the last message is missing in what it says: 18 ms
    fault = f"the recorder's clock was set back by {back_s if steady else back_s - 0.018:.3f} s"
    assert event.text == f"ended: {fault}"
    assert (info.faults, info.grade.level, info.grade.reasons[0]) == ((fault,), "poor", fault)
    assert (info.stop_reason, info.clock) == (fault, "steady" if steady else "node")
    assert info.duration_s == pytest.approx(2.0, abs=0.02)
    assert f"recorder: {fault}" in verify(tmp_path / info.name).warnings
    episode = robot.arrays()
    assert len(episode) == 40  # 2 s at 20 Hz, all from before
    assert leads(episode).min() > 0.029
    assert leads(episode).max() < 0.045  # at most two newer commands of 0.006 rad within the tick's period


def test_a_clock_that_is_set_forward_ends_the_take_where_a_steady_clock_shows_it(tmp_path):
    robot = Robot(tmp_path)
    robot.run(50)
    robot.recorder.start()
    robot.run(50)
    robot.clocks.set_ns = 5 * S
    robot.run(50)
    assert robot.finished().faults == ("the recorder's clock was set forward by 5.000 s",)


def test_after_a_step_the_next_take_is_in_the_new_time_and_has_no_message_of_the_old_one(tmp_path):
    robot = Robot(tmp_path)
    robot.run(50)
    robot.recorder.start()
    robot.run(50)
    robot.clocks.set_ns = -3 * S
    robot.run(50)
    robot.recorder.start()
    begun_ns = robot.clocks.ros()
    robot.run(50)
    info = robot.finished()
    assert (info.name, info.faults, info.started_ns) == ("episode_000002", (), begun_ns)
    assert info.grade.level == "good"
    assert verify(tmp_path / "episode_000002").warnings == ()


def test_a_stop_after_the_end_says_why_it_ended(tmp_path):
    robot = Robot(tmp_path)
    robot.run(50)
    robot.recorder.start()
    robot.clocks.set_ns = -S
    robot.run(1)
    with pytest.raises(
        RecordError, match=r"episode_000001 ended: the recorder's clock was set back by 1\.000 s"
    ):
        robot.recorder.stop()
    robot.finished()


def test_the_steady_clock_gives_the_log_times(tmp_path):
    # 19 ms are within the tolerance: the log times follow the steady clock
    clocks = Clocks()
    clock = RecordingClock(clocks.ros, clocks.steady)
    clocks.passed_ns, clocks.set_ns = S, -19 * MS
    assert (clock.now_ns(), clock.step_ns()) == (EPOCH + S, 0)
    clocks.set_ns = -21 * MS
    assert clock.step_ns() == -21 * MS
    clock.tie()
    assert (clock.now_ns(), clock.step_ns()) == (EPOCH + S - 21 * MS, 0)


def test_a_pause_between_the_readings_of_the_two_clocks_is_no_step():
    """On a busy computer: 0.8 s, 0.3 s and 0 s pass between readings of ROS time and of the steady clock."""
    time_ns = [10 * S]
    pauses_ns = [0, 800 * MS, 300 * MS]  # 0: of the tie

    def ros_ns():
        read_ns = time_ns[0] + 5 * S
        time_ns[0] += pauses_ns.pop(0) if pauses_ns else 0
        return read_ns

    clock = RecordingClock(ros_ns, lambda: time_ns[0])
    assert clock.now_ns() == 15 * S
    assert clock.step_ns() == 0  # the third reading is not interrupted
    assert pauses_ns == []
    assert clock.now_ns() == 15 * S + 1100 * MS


def test_a_pause_while_the_clocks_are_tied_shifts_no_log_time():
    time_ns, pauses_ns = [10 * S], [800 * MS]

    def ros_ns():
        read_ns = time_ns[0] + 5 * S
        time_ns[0] += pauses_ns.pop(0) if pauses_ns else 0
        return read_ns

    clock = RecordingClock(ros_ns, lambda: time_ns[0])
    assert clock.now_ns() == 15 * S + 800 * MS  # by hand: 10.8 s on the steady clock, 5 s apart


def test_while_every_reading_is_interrupted_no_step_is_reported():
    time_ns = [0]
    pause_ns = [0]

    def ros_ns():
        read_ns = time_ns[0] + 5 * S
        time_ns[0] += pause_ns[0]
        return read_ns

    clock = RecordingClock(ros_ns, lambda: time_ns[0])
    pause_ns[0] = 50 * MS
    assert clock.step_ns() == 0


# ---- a driver's clock


@pytest.mark.parametrize(("ahead_s", "said"), [(0.3, "0.29"), (0.9, "0.89"), (37.0, "37")])
def test_no_take_starts_while_a_drivers_clock_is_ahead(tmp_path, ahead_s, said):
    """37 s are TAI's lead of UTC, so the number tells what is wrong; 10 ms are the picture's way."""
    robot = Robot(tmp_path, ahead_s=ahead_s)
    robot.run(50)
    with pytest.raises(
        RecordError, match=f"not started, /image: stamped about {said} s ahead of the recorder's clock"
    ):
        robot.recorder.start()
    (age,) = [info.age_p50_s for info in robot.recorder.live() if info.topic == "/image"]
    assert age == pytest.approx(0.01 - ahead_s, rel=1e-6)  # shown, not clipped at 0


def test_a_clock_that_runs_ahead_while_recording_makes_the_take_poor(tmp_path):
    robot = Robot(tmp_path)
    robot.run(50)
    robot.recorder.start()
    robot.ahead_s = 0.3
    robot.run(100)
    info = robot.finished()
    assert info.grade.level == "poor"
    assert info.grade.reasons[0].startswith("/image: stamped about 0.29 s ahead of the recorder's clock")


@pytest.mark.parametrize("ahead_s", [0.0, 0.025, -0.05])
def test_a_driver_in_step_or_behind_starts(tmp_path, ahead_s):
    robot = Robot(tmp_path, ahead_s=ahead_s)
    robot.run(50)
    robot.recorder.start()
    robot.run(50)
    assert robot.finished().grade.level == "good"


def test_the_contract_may_ignore_a_drivers_clock(tmp_path):
    text = TEXT.replace("max_age_s: 0.1}", "max_age_s: 0.1, stamp: arrival}")
    robot = Robot(tmp_path, ahead_s=37.0, text=text)
    robot.run(50)
    robot.recorder.start()
    robot.run(100)
    info = robot.finished()
    assert (info.grade.level, info.grade.reasons) == ("good", ())
    (stream,) = [stream for stream in info.streams if stream.topic == "/image"]
    assert stream.age_p50_s == pytest.approx(-36.99, rel=0.13)
    assert (stream.by_arrival, stream.stale_s) == (True, 0.0)
    episode = robot.arrays()
    assert len(episode) == 40
    shown = episode.observations["cam"][:, 0, 0, 0]
    np.testing.assert_allclose(shown * 0.006, episode.observations["joints"][:, 0])  # the newest picture


def test_single_messages_far_ahead_are_counted_and_do_not_make_the_clock_wrong(tmp_path):
    robot = Robot(tmp_path)
    robot.run(50)
    robot.recorder.start()
    robot.run(50)
    robot.ahead_s = 3600.0
    robot.run(1)
    robot.ahead_s = 0.0
    robot.run(149)
    info = robot.finished()
    (stream,) = [stream for stream in info.streams if stream.topic == "/image"]
    assert stream.ahead == 1
    assert info.grade.level == "fair"  # 1 of 200: as one lost message
    assert "/image: 1 message stamped more than 1 s ahead, not used" in info.grade.reasons
    report = verify(tmp_path / info.name)
    assert any(
        "1 left out: a message of image was set apart: stamped 3599.990 s" in w for w in report.warnings
    )


def test_a_clock_that_goes_on_between_its_readings_was_not_set_back():
    times = iter(range(EPOCH, EPOCH + 1000))
    clock = RecordingClock(lambda: next(times))  # each reading is a nanosecond later
    assert [clock.step_ns() for _ in range(5)] == [0] * 5


def test_a_clock_of_the_node_that_comes_out_of_order_by_a_few_ms_was_not_set():
    times_ns = [100 * MS]
    clock = RecordingClock(lambda: times_ns[-1])
    assert clock.now_ns() == 100 * MS
    times_ns.append(80 * MS)
    assert (clock.step_ns(), clock.now_ns()) == (0, 100 * MS)
    times_ns.append(79 * MS)
    assert clock.step_ns() == -21 * MS
