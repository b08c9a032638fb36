import mujoco
import numpy as np
import pytest

from il_ros.sim.tasks.kinematics import FARTHEST_M, forward, pointing_down
from il_ros.sim.tasks.task import make_task

DOWN = [0.0, 0.0, -1.0]


def test_upright_the_tip_is_above_the_base():  # 0.12 + 0.27 + 0.25 + 0.14
    tip, tool = forward(np.zeros(6))
    np.testing.assert_allclose(tip, [0.0, 0.0, 0.78])
    np.testing.assert_allclose(tool, np.eye(3))


def test_lengths_and_axes_are_those_of_the_model():
    scene = make_task("reach").scene
    rng = np.random.default_rng(0)
    for _ in range(50):
        joints = rng.uniform(-2, 2, 6)
        scene.set_joints(joints, 0.0)
        mujoco.mj_kinematics(scene.model, scene.data)
        tip, tool = forward(joints)
        np.testing.assert_allclose(tip, scene.tip_m, atol=1e-12)
        np.testing.assert_allclose(tool, scene.data.site("tip").xmat.reshape(3, 3), atol=1e-12)


def test_pointing_down_inverts_forward_with_the_fingers_left_and_right_of_the_yaw():
    rng = np.random.default_rng(1)
    for _ in range(50):
        wanted, yaw = rng.uniform([0.2, -0.2, 0.01], [0.42, 0.2, 0.25]), rng.uniform(-1, 1)
        tip, tool = forward(pointing_down(wanted, yaw))
        np.testing.assert_allclose(tip, wanted, atol=1e-12)
        np.testing.assert_allclose(tool[:, 2], DOWN, atol=1e-12)
        np.testing.assert_allclose(tool[:, 1], [-np.sin(yaw), np.cos(yaw), 0.0], atol=1e-12)


def test_out_of_reach_gives_the_farthest_point_on_the_line():
    tip, tool = forward(pointing_down(np.array([2.0, 0.0, -0.02])))  # wrist level with the shoulder
    np.testing.assert_allclose(tip, [FARTHEST_M, 0.0, -0.02], atol=1e-12)
    np.testing.assert_allclose(tool[:, 2], DOWN, atol=1e-12)


def test_a_tip_at_the_base_has_a_finite_solution():
    assert np.isfinite(pointing_down(np.array([0.0, 0.0, -0.02]))).all()
    assert pointing_down(np.array([0.3, 0.0, 0.1]))[3] == pytest.approx(0.0)
