"""The arm's tasks: physics by seed, commands, readings, success, cameras."""

import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from il_ros.core import messages
from il_ros.sim.mujoco.render import load_triton
from il_ros.sim.tasks.arm import ARM_COMMAND, GRIPPER_COMMAND
from il_ros.sim.tasks.kinematics import pointing_down
from il_ros.sim.tasks.task import RESET_PAUSE_NS, Cameras, camera_names, make_task

ARRAY = "std_msgs/msg/Float64MultiArray"
ARM_TASKS = ("reach", "push", "pick_place")


def numbers(*values):
    return messages.make(ARRAY, data=np.array(values, dtype=float))


def moved(task, seed, steps):
    """Return the final state of an episode whose commands depend on the step number alone."""
    task.reset(seed)
    home = pointing_down(np.array([0.26, 0.0, 0.06]))
    for k in range(steps):
        arm = numbers(*(home + 0.2 * np.sin(k / 7 + np.arange(6))))
        task.step({ARM_COMMAND: arm, GRIPPER_COMMAND: numbers(0.04 + 0.03 * np.sin(k))})
    return task.state()


def by_topic(task):
    return {reading.topic: reading.message for reading in task.readings()}


# ---- the clock and the seed ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ARM_TASKS)
def test_an_episode_depends_on_seed_and_commands_only(name):
    task, other = make_task(name), make_task(name)
    first = moved(task, 3, 40)
    moved(other, 8, 11)
    assert moved(other, 3, 40).tobytes() == first.tobytes()
    assert moved(other, 4, 40).tobytes() != first.tobytes()


def test_another_process_computes_the_same_bits():
    program = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
        "from test_arm import moved, make_task\n"
        "print(moved(make_task('push'), 5, 60).tobytes().hex())"
    )
    out = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=200, check=True
    )
    assert out.stdout.strip() == moved(make_task("push"), 5, 60).tobytes().hex()


def test_reading_sensors_changes_nothing():
    task, seen = make_task("push"), make_task("push", cameras=Cameras(("overhead",), 32, 32))
    task.reset(1), seen.reset(1)
    for _ in range(5):
        seen.readings(), task.step({}), seen.step({})
    assert task.state().tobytes() == seen.state().tobytes()


def test_resets_do_not_set_the_clock_back():
    task = make_task("reach")
    task.reset(0)
    task.step({})
    assert task.time_ns == RESET_PAUSE_NS + 50_000_000
    task.reset(0)
    assert task.time_ns == 2 * RESET_PAUSE_NS + 50_000_000


@pytest.mark.parametrize("name", ARM_TASKS)
def test_starts_differ_and_none_is_a_success(name):
    task = make_task(name)
    starts = set()
    for seed in range(20):
        task.reset(seed)
        assert not task.success
        assert not task.failed
        starts.add(task.state().tobytes())
    assert len(starts) == 20


# ---- commands --------------------------------------------------------------------------------------------


def test_joints_go_where_they_are_commanded_and_the_last_command_holds():
    task = make_task("reach")
    task.reset(0)
    wanted = pointing_down(np.array([0.33, 0.1, 0.2]))
    task.step({ARM_COMMAND: numbers(*wanted), GRIPPER_COMMAND: numbers(0.06)})
    for _ in range(40):
        task.step({})
    # 28 mrad is the largest disturbance of a joint
    np.testing.assert_allclose(task.scene.joints.position[:6], wanted, atol=0.03)
    assert task.scene.joints.position[6] == pytest.approx(0.06, abs=1e-3)


@pytest.mark.parametrize(
    ("topic", "values", "message"),
    [
        (ARM_COMMAND, [0.0, 0.0], "needs 6 numbers, not 2"),
        (ARM_COMMAND, [0.0, 0.0, np.nan, 0.0, 0.0, 0.0], "finite, not [0.0, 0.0, nan"),
        (GRIPPER_COMMAND, [np.inf], "finite, not [inf]"),
        ("cmd_vel", [1.0], "the arm has no such command topic; it has: arm_position_controller/commands"),
    ],
)
def test_an_invalid_command_is_refused_without_stepping(topic, values, message):
    task = make_task("push")
    task.reset(0)
    before = task.state()
    good = {GRIPPER_COMMAND: numbers(0.01)} if topic != GRIPPER_COMMAND else {}
    with pytest.raises(ValueError, match=f"^{topic}: ") as error:
        task.step(good | {topic: numbers(*values)})
    assert message in str(error.value)
    assert task.state().tobytes() == before.tobytes()


# ---- success --------------------------------------------------------------------------------------------


def test_reach_succeeds_within_two_centimetres():
    task = make_task("reach")
    task.reset(0)
    task.scene.set_goal(task.scene.tip_m + np.array([0.0, 0.019, 0.0]))
    assert task.success
    task.scene.set_goal(task.scene.tip_m + np.array([0.0, 0.021, 0.0]))
    assert not task.success


def test_push_succeeds_within_three_centimetres_at_rest():
    task = make_task("push")
    task.reset(0)
    for away, done in ((0.029, True), (0.031, False)):
        task.scene.set_goal(task.scene.object_m * [1, 1, 0] + [away, 0, 0])
        assert task.success is done
    task.scene.set_goal(task.scene.object_m * [1, 1, 0])
    task.scene.data.qvel[8] = 0.1  # sliding over the mark
    assert not task.success


def test_pick_place_succeeds_when_the_cube_lies_in_the_bin_and_is_released():
    task = make_task("pick_place")
    task.reset(0)
    bin_ = task.scene.goal_m
    for opening, place, done in (
        (0.06, [0.03, -0.03, 0.026], True),
        (0.04, [0.0, 0.0, 0.026], False),  # still held
        (0.06, [0.07, 0.0, 0.02], False),  # beside the bin
        (0.06, [0.0, 0.0, 0.08], False),  # above it
    ):
        task.scene.set_joints(task.scene.joints.position[:6], opening)
        task.scene.set_object(bin_ + place)
        assert task.success is done


def test_a_block_off_the_table_is_a_failure():
    task = make_task("push")
    task.reset(0)
    task.scene.set_object(np.array([0.3, 0.6, 0.02]))
    assert task.failed


# ---- sensor readings -------------------------------------------------------------------------------------


def test_readings_come_with_the_trigger_last_and_one_stamp():
    task = make_task("push", cameras=Cameras(("wrist", "overhead"), 40, 30))
    task.reset(0)
    readings = task.readings()
    assert [reading.topic for reading in readings] == [
        "wrist_camera/image_raw",
        "overhead_camera/image_raw",
        "object_pose",
        "goal_pose",
        "joint_states",
    ]
    assert list(task.streams) == [reading.topic for reading in readings]
    assert {messages.stamp_ns(reading.message) for reading in readings} == {task.time_ns}
    joints = readings[-1].message
    assert joints.name == ["joint1", "joint2", "joint3", "joint4", "joint5", "joint6", "gripper"]
    assert joints.position.shape == joints.velocity.shape == joints.effort.shape == (7,)
    image = readings[0].message
    assert (image.width, image.height, image.step, image.encoding) == (40, 30, 120, "rgb8")
    assert image.data.shape == (3600,)
    for reading in readings:  # they can be serialised
        messages.decode(reading.type, messages.encode(reading.type, reading.message))


def test_poses_hold_position_and_orientation():
    task = make_task("pick_place")
    task.reset(0)
    task.scene.set_object(np.array([0.3, 0.1, 0.02]), yaw_rad=np.pi / 2)
    pose = by_topic(task)["object_pose"].pose
    assert (pose.position.x, pose.position.y, pose.position.z) == (0.3, 0.1, 0.02)
    assert (pose.orientation.z, pose.orientation.w) == pytest.approx((0.5**0.5, 0.5**0.5))
    assert (pose.orientation.x, pose.orientation.y) == (0.0, 0.0)


def test_cameras_publish_in_every_divisor_th_period():
    task = make_task("reach", cameras=Cameras(("overhead",), 16, 16, divisor=3))
    task.reset(0)
    seen = []
    for _ in range(7):
        seen.append("overhead_camera/image_raw" in by_topic(task))
        task.step({})
    assert seen == [True, False, False, True, False, False, True]


def test_the_overhead_camera_shows_the_block_at_its_position():
    task = make_task("push", cameras=Cameras(("overhead",), 96, 96))
    task.reset(0)
    block = task.scene.object_m
    data = by_topic(task)["overhead_camera/image_raw"].data.reshape(96, 96, 3).astype(int)
    red = (data[..., 0] > 120) & (data[..., 1] < 80) & (data[..., 2] < 80)
    rows, columns = np.nonzero(red)
    # 0.8 m above (0.31, 0), looking straight down, 45 degrees; rows point to -x, columns to -y
    scale = 48 / np.tan(np.pi / 8) / (0.80 - 0.04)
    assert 20 < len(rows) < 150
    assert rows.mean() == pytest.approx(47.5 - scale * (block[0] - 0.31), abs=1.5)
    assert columns.mean() == pytest.approx(47.5 - scale * block[1], abs=1.5)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_side_camera_shows_how_high_the_ball_is(seed):
    task = make_task("reach", cameras=Cameras(("side",), 96, 96))
    task.reset(seed)
    ball = task.scene.goal_m
    data = by_topic(task)["side_camera/image_raw"].data.reshape(96, 96, 3).astype(int)
    rows, columns = np.nonzero(data[..., 1] > data[..., [0, 2]].max(axis=2) + 25)
    # 0.75 m beside (0.31, 0) at a height of 0.35 m, looking down by 15.66 degrees, 40 degrees; columns point to x
    apart, tilt = ball - [0.31, -0.75, 0.35], np.radians(15.66)
    ahead = apart[1] * np.cos(tilt) - apart[2] * np.sin(tilt)
    up = apart[1] * np.sin(tilt) + apart[2] * np.cos(tilt)
    scale = 48 / np.tan(np.radians(20)) / ahead
    assert 15 < len(rows) < 80  # a ball of 2 cm: a radius of about 3 pixels
    assert rows.mean() == pytest.approx(47.5 - scale * up, abs=1.5)
    assert columns.mean() == pytest.approx(47.5 + scale * apart[0], abs=1.5)


def test_the_side_camera_publishes_only_on_request():
    with pytest.raises(ValueError, match="there is no 'front'; the task has: overhead, wrist, side"):
        make_task("push", cameras=Cameras(("front",)))
    assert "side" not in camera_names("push")


def test_images_can_have_different_sizes():
    task = make_task("push")
    task.reset(0)
    for width, height in ((32, 24), (200, 100), (16, 160), (32, 24)):
        assert task.picture("scene", width, height).shape == (height, width, 3)
    task.close()
    assert task.picture("scene", 8, 8).shape == (8, 8, 3)
    with pytest.raises(ValueError, match="no camera 'front'"):
        task.picture("front", 8, 8)


def test_a_triton_that_cannot_be_imported_keeps_no_picture_back(monkeypatch):
    def broken(name):
        if name == "triton":
            raise ImportError("libtriton.so: undefined symbol")
        return import_module(name)

    load_triton()  # where there is one: this process may import torch's optimisers later
    monkeypatch.setattr("il_ros.sim.mujoco.render.find_spec", lambda name: name)
    monkeypatch.setattr("il_ros.sim.mujoco.render.import_module", broken)
    task = make_task("push")
    task.reset(0)
    assert task.picture("overhead", 8, 8).shape == (8, 8, 3)


def test_missing_graphics_name_the_packages(monkeypatch):
    def absent(name):
        raise ImportError("libEGL.so.1: cannot open shared object file")

    monkeypatch.setattr("il_ros.sim.mujoco.render.import_module", absent)
    task = make_task("push")
    task.reset(0)
    task.readings()  # readings without cameras need no graphics
    with pytest.raises(RuntimeError, match=r"libEGL.*apt-get install -y libegl1 libgl1-mesa-dri"):
        task.picture("overhead", 8, 8)


def test_graphics_that_do_not_exist_are_one_sentence(tmp_path):
    words = ["env", "record", "reach", "--root", str(tmp_path)]
    ran = subprocess.run(
        [sys.executable, "-m", "il_ros", *words],
        env={**os.environ, "MUJOCO_GL": "steam"},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert ran.returncode == 2
    assert "il-ros env record: simulator mujoco cannot be loaded: " in ran.stderr
    assert "MUJOCO_GL: steam" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_unknown_names_are_refused_with_the_known_ones():
    with pytest.raises(
        ValueError,
        match="task 'stack' is not known; known: reach, push, pick_place, drive, carry, touch, press",
    ):
        make_task("stack")
    with pytest.raises(
        ValueError, match=r"'push': unknown simulator 'gz'; there are: mujoco, gazebo_classic$"
    ):
        make_task("push", simulator="gz")
    with pytest.raises(ValueError, match="no 'front'; the task has: overhead, wrist"):
        make_task("push", cameras=Cameras(("front",)))
    with pytest.raises(ValueError, match="divisor is 0"):
        Cameras(divisor=0)
