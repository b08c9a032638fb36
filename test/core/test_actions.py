"""Delta actions: conversion to differences from the measured position, and back."""

import numpy as np

from il_ros.core import actions, contract

CONTRACT = contract.parse(
    """
name: t
rate_hz: 10
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b, g], max_age_s: 0.1}
actions:
  arm:
    topic: c
    type: std_msgs/msg/Float64MultiArray
    names: [b, a]
    reference: joints
    mode: delta
    limits: {speed: 1}
  gripper: {topic: g, type: std_msgs/msg/Float64MultiArray, names: [g], reference: joints, limits: {speed: 1}}
  base: {topic: v, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 1}}
""",
    "t",
)
SEEN = {"joints": np.array([0.1, 0.2, 0.3])}


def test_deltas_refer_to_the_measured_joint_of_the_same_name_and_other_actions_stay_absolute():
    sent = np.array([[1.0, 2.0, 3.0, 4.0]])  # b, a, g, linear.x
    learnt = actions.relative(CONTRACT, sent, SEEN)
    np.testing.assert_allclose(learnt, [[0.8, 1.9, 3.0, 4.0]])
    np.testing.assert_allclose(actions.absolute(CONTRACT, learnt, SEEN), sent)


def test_the_measured_state_is_in_action_order_and_nan_for_velocities():
    np.testing.assert_array_equal(actions.measured(CONTRACT, SEEN), [0.2, 0.1, 0.3, np.nan])
