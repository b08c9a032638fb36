"""Contracts for the teleop tests: an arm of two joints, and a base."""

import pytest

from il_ros.core import contract

_ARM = """
name: two_joints
rate_hz: 10
observations:
  joints:
    topic: joint_states
    type: sensor_msgs/msg/JointState
    fields: [position]
    names: [a, b]
    unit: rad
    max_age_s: 0.5
actions:
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [a, b]
    unit: rad
    reference: joints
    limits: {lower: [-1.0, -2.0], upper: [1.0, 2.0], speed: [2.0, 4.0]}
    safe: hold
"""
_BASE = """
name: base
rate_hz: 10
observations:
  odometry:
    topic: odom
    type: nav_msgs/msg/Odometry
    fields: [linear]
    unit: m/s
    max_age_s: 0.5
actions:
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/TwistStamped
    names: [linear.x, angular.z]
    unit: m/s, rad/s
    limits: {lower: [-0.5, -2.0], upper: [0.5, 2.0], speed: [0.8, 1.0]}
    safe: zero
"""
ARM = contract.parse(_ARM, "arm")
BASE = contract.parse(_BASE, "base")


@pytest.fixture
def arm():
    return ARM


@pytest.fixture
def base():
    return BASE
