"""The drive task: physics, commands, readings, success and failure."""

import math

import numpy as np
import pytest

from il_ros.core import contract, messages, share
from il_ros.core.codecs import decode
from il_ros.sim.tasks.drive import COMMAND, TWIST_STAMPED, DriveTask
from il_ros.sim.tasks.task import RESET_PAUSE_NS, Cameras, make_task

CONTRACT = contract.load(share.path("config", "contracts", "drive.yaml"))


def twist(linear, angular, stamp_ns=0):
    message = messages.make(TWIST_STAMPED, header=messages.header(stamp_ns, "anything"))
    message.twist.linear.x, message.twist.angular.z = linear, angular
    return {COMMAND: message}


def task_at(seed, **options):
    task = make_task("drive", **options)
    task.reset(seed)
    return task


def by_topic(task):
    return {reading.topic: reading.message for reading in task.readings()}


def speed(task):
    twist = by_topic(task)["odom"].twist.twist
    return np.array([twist.linear.x, twist.angular.z])


def position(task):
    point = by_topic(task)["odom"].pose.pose.position
    return np.array([point.x, point.y])


def turned_by(task):
    quaternion = by_topic(task)["odom"].pose.pose.orientation
    return 2 * math.atan2(quaternion.z, quaternion.w)


def test_equal_seeds_and_commands_give_bit_equal_states():
    first, second = task_at(5), task_at(4)
    second.step(twist(0.3, 0.3))
    second.reset(5)  # a reset discards the previous state
    for k in range(60):
        for task in (first, second):
            task.step(twist(0.6, math.sin(k)))
        assert first.state().tobytes() == second.state().tobytes()


def test_other_seeds_give_other_starts():
    assert not np.array_equal(task_at(1).state(), task_at(2).state())


def test_it_drives_straight_at_the_commanded_speed():
    task = task_at(0)
    heading = turned_by(task)
    for _ in range(12):  # 0.6 s: full speed
        task.step(twist(0.4, 0.0))
    start = position(task)
    for _ in range(10):
        task.step(twist(0.4, 0.0))
    np.testing.assert_allclose(
        position(task) - start, 0.2 * np.array([math.cos(heading), math.sin(heading)]), atol=0.005
    )  # 0.4 m/s * 0.5 s
    np.testing.assert_allclose(speed(task), [0.4, 0.0], atol=0.01)


def test_a_positive_angular_velocity_turns_left_on_the_spot():
    task = task_at(0)
    before, start = turned_by(task), position(task)
    for _ in range(20):
        task.step(twist(0.0, 1.0))
    assert 0.8 < turned_by(task) - before < 1.0  # 1 rad/s * 1 s, less the acceleration
    np.testing.assert_allclose(position(task), start, atol=0.01)


def test_a_twist_beyond_the_robots_limits_is_limited():
    task = task_at(0)
    for _ in range(14):
        task.step(twist(50.0, 0.0))
    assert speed(task)[0] == pytest.approx(0.6, abs=0.02)


def test_half_a_second_without_a_command_stops_the_wheels():
    task = task_at(0)
    for _ in range(12):
        task.step(twist(0.4, 0.0))
    for _ in range(9):
        task.step({})
    assert speed(task)[0] == pytest.approx(0.4, abs=0.01)
    for _ in range(8):
        task.step({})
    assert speed(task)[0] == pytest.approx(0.0, abs=0.01)


@pytest.mark.parametrize(
    ("linear", "angular", "name"), [(math.nan, 0.0, "linear.x"), (0.0, math.inf, "angular.z")]
)
def test_a_non_finite_number_is_refused_without_stepping(linear, angular, name):
    task = task_at(0)
    before, time_ns = task.state(), task.time_ns
    with pytest.raises(ValueError, match=f"cmd_vel: {name} is (nan|inf)"):
        task.step(twist(linear, angular))
    assert before.tobytes() == task.state().tobytes()
    assert task.time_ns == time_ns


def test_an_unknown_topic_is_refused_by_name():
    with pytest.raises(ValueError, match="no command topic 'cmd'; it has: cmd_vel"):
        task_at(0).step({"cmd": twist(0, 0)[COMMAND]})


def test_a_step_before_a_reset_is_an_error():
    with pytest.raises(RuntimeError, match="reset"):
        make_task("drive").step({})


def test_readings_have_one_stamp_and_end_with_the_trigger():
    task = task_at(0)
    task.step(twist(0.1, 0.0))
    readings = task.readings()
    assert [reading.topic for reading in readings] == list(task.streams) == ["goal_pose", "scan", "odom"]
    assert {messages.stamp_ns(reading.message) for reading in readings} == {task.time_ns}
    assert task.time_ns == RESET_PAUSE_NS + 50_000_000
    for reading in readings:
        assert messages.encode(
            reading.type, messages.decode(reading.type, messages.encode(reading.type, reading.message))
        )


def test_a_reset_does_not_set_the_time_back():
    task = task_at(0)
    task.step({})
    before = task.time_ns
    task.reset(1)
    assert task.time_ns == before + RESET_PAUSE_NS


def test_the_contract_fits_the_task():
    seen = by_topic(task_at(0))
    for spec in CONTRACT.observations:
        assert decode(spec, seen[spec.topic]).shape == spec.shape
    assert {spec.topic: spec.type for spec in CONTRACT.actions} == DriveTask.commands


def test_driving_against_a_wall_fails_after_two_seconds_of_contact():
    task = task_at(0)
    steps = 0
    while not task.failed and steps < 400:
        task.step(twist(0.6, 0.0))
        steps += 1
    assert task.failed
    assert not task.success
    task.reset(0)
    assert not task.failed


def test_it_succeeds_in_the_end_zone():
    task = task_at(0)
    assert not task.success
    goal = task.corridor.goal
    task.scene.data.qpos[:2] = goal.x_m + 0.4, goal.y_m  # 0.4 m from its centre; its radius is 0.45 m
    task.step({})
    assert task.success


def test_cameras_publish_in_their_own_periods():
    task = task_at(0, cameras=Cameras(names=("camera",), width=32, height=24, divisor=2))
    came = []
    for _ in range(4):
        came.append("camera/image_raw" in by_topic(task))
        task.step({})
    assert came == [True, False, True, False]
    picture = task.picture("camera", 64, 48)
    assert picture.shape == (48, 64, 3)
    assert picture.std() > 10  # the image is not blank
    task.close()


def test_an_unknown_camera_is_refused():
    with pytest.raises(ValueError, match="no 'wrist'; the task has: camera"):
        make_task("drive", cameras=Cameras(names=("wrist",)))
