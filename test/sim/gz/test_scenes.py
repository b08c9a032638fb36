"""The tasks on the messages of gz-sim."""

import sys

import numpy as np
import pytest

from il_ros.core import messages
from il_ros.core.specs import JOINT_STATE, LASER_SCAN, POSE
from il_ros.sim.gz import services
from il_ros.sim.gz.task import gz_task
from il_ros.sim.tasks.drive import ODOMETRY
from il_ros.sim.tasks.task import make_task

NAMES = ["right_finger", "left_finger", *(f"joint{k}" for k in range(6, 0, -1))]


def joint_states(position, stamp_ns=10**9):
    zeros = np.zeros(8)
    return messages.make(
        JOINT_STATE,
        header=messages.header(stamp_ns),
        name=NAMES,
        position=position,
        velocity=zeros,
        effort=zeros,
    )


def pose(x, y, z, stamp_ns):
    message = messages.make(POSE, header=messages.header(stamp_ns))
    message.pose.position.x, message.pose.position.y, message.pose.position.z = x, y, z
    return message


def test_joints_are_found_by_name_and_both_fingers_make_the_gripper():
    _, scene = gz_task("reach")
    scene.receive("gz/joint_states", joint_states(np.array([0.01, 0.02, 6, 5, 4, 3, 2, 1.0])))
    np.testing.assert_allclose(scene.joints.position, [1, 2, 3, 4, 5, 6, 0.03])
    with pytest.raises(ValueError, match="no joint joint1"):
        scene.receive("gz/joint_states", messages.make(JOINT_STATE, name=["other"], position=np.zeros(1)))


def test_an_opening_is_shared_by_the_fingers():
    _, scene = gz_task("reach")
    scene.command_arm(np.arange(6.0))
    scene.command_gripper(0.03)
    assert scene.targets["arm/joint6/target"] == 5.0
    assert scene.targets["arm/left_finger/target"] == scene.targets["arm/right_finger/target"] == 0.015


def test_push_succeeds_once_the_block_lies_still_on_the_mark():
    task, scene = gz_task("push")
    task.reset(0)
    x, y, _ = scene.goal_m
    scene.receive("gz/object_pose", pose(*scene.object_m, 900_000_000))
    scene.receive("gz/object_pose", pose(x, y - 0.02, 0.02, 10**9))
    scene.receive("gz/object_pose", pose(x, y, 0.02, 1_100_000_000))  # 0.2 m/s
    assert not task.success
    scene.receive("gz/object_pose", pose(x, y, 0.02, 1_200_000_000))
    assert task.success
    scene.receive("gz/object_pose", pose(x, y, -0.3, 1_300_000_000))
    assert task.failed  # it fell off the table


def test_a_pose_from_before_a_reset_is_no_success_after_it():
    task, scene = gz_task("push")
    task.reset(0)
    task.reset(1)
    scene.receive("gz/object_pose", pose(*scene.goal_m[:2], 0.02, 10**9))  # as the episode before ended
    scene.receive("gz/object_pose", pose(*scene.goal_m[:2], 0.02, 1_010_000_000))
    assert not task.success
    x, y, z = scene.poses["object"][:3]
    np.testing.assert_allclose(scene.object_m, [x, y, z])
    scene.receive("gz/object_pose", pose(x + 0.001, y, z, 1_020_000_000))
    scene.receive(
        "gz/object_pose", pose(x + 0.2, y, z, 1_030_000_000)
    )  # later positions are accepted anywhere
    np.testing.assert_allclose(scene.object_m, [x + 0.2, y, z])


def odometry(x, y, z, stamp_ns):
    message = messages.make(ODOMETRY, header=messages.header(stamp_ns))
    at = message.pose.pose.position
    at.x, at.y, at.z = x, y, z
    message.pose.pose.orientation.w = 1.0
    message.twist.twist.linear.x = 0.25
    return message


def test_a_robot_pose_from_before_a_reset_is_no_success_after_it():
    task, scene = gz_task("drive")
    task.reset(0)
    start, goal = scene.poses["drive"][:3], scene.poses["goal"][:3]
    scene.receive("gz/odom", odometry(*start, 900_000_000))
    scene.receive("gz/odom", odometry(*goal, 10**9))
    assert task.success
    task.reset(0)
    scene.receive("gz/odom", odometry(*goal, 1_050_000_000))  # as the episode before ended
    assert not task.success
    np.testing.assert_allclose(scene.position_m, start)
    np.testing.assert_allclose(scene.velocity[0], [0, 0, 0])
    assert scene.stamps["odom"] == 10**9  # the stale pose was ignored
    scene.receive("gz/odom", odometry(start[0] + 0.01, *start[1:], 1_100_000_000))
    np.testing.assert_allclose(scene.position_m, [start[0] + 0.01, *start[1:]])
    scene.receive("gz/odom", odometry(*goal, 1_150_000_000))
    assert task.success


def test_starts_equal_the_embedded_simulators():
    task, scene = gz_task("push")
    reference = make_task("push")
    task.reset(5)
    reference.reset(5)
    np.testing.assert_allclose(scene.poses["object"][:3], reference.scene.object_m, atol=1e-9)
    np.testing.assert_allclose(scene.goal_m, reference.scene.goal_m, atol=1e-9)
    targets = list(scene.targets.values())
    np.testing.assert_allclose(targets[:6], reference.scene.joints.position[:6], atol=1e-9)
    drive, scene = gz_task("drive")
    drive.reset(5)
    assert {"drive", "goal", "panel0", "end1", "cylinder1", "box1"} <= scene.poses.keys()
    assert len(scene.poses) == 2 + 24 + 2 + 2 + 2


def test_a_scan_of_another_laser_is_refused():
    _, scene = gz_task("drive")
    with pytest.raises(ValueError, match="gz/scan: 3 beams; the task's laser has 60"):
        scene.receive("gz/scan", messages.make(LASER_SCAN, ranges=np.zeros(3, np.float32)))
    assert scene.missing == ["gz/odom", "gz/scan"]


def test_the_request_that_sets_model_poses():
    words = services.put("tabletop", {"object": np.array([0.3, -0.05, 0.02, 1.0, 0.0, 0.0, 0.0])})
    assert words[:4] == ["gz", "service", "-s", "/world/tabletop/set_pose_vector"]
    wanted = 'pose {name: "object" position {x: 0.3 y: -0.05 z: 0.02} orientation {w: 1 x: 0 y: 0 z: 0}}'
    assert words[-1] == wanted
    assert services.pause("corridor", True)[-1] == "pause: true"


def test_a_refusal_of_gz_and_a_missing_gz_are_errors_with_the_message():
    command = [sys.executable, "-c", "print('Service call timed out')", "/world/x/control"]
    with pytest.raises(
        RuntimeError, match="/world/x/control: gz refused the request: Service call timed out"
    ):
        services.ask(command)
    with pytest.raises(RuntimeError, match="no 'gz' on the PATH"):
        services.ask(["/nowhere/gz", "service", "-s", "/world/x/control"])
    services.ask([sys.executable, "-c", "print('data: true')", "", ""])
