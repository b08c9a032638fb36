"""An arm with two tasks, and a base: three contracts, and episodes in which all learn the same simple rules."""

from __future__ import annotations

import numpy as np

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays

ARM = """
name: {name}
rate_hz: 20
trigger: joint_states
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1, unit: rad}}
  goal: {{topic: goal, type: std_msgs/msg/Float64MultiArray, names: [x, y], max_age_s: 0.1}}
{more}
actions:
  arm: {{topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad, reference: joints,
        limits: {{lower: -2, upper: 2, speed: 1000}}}}
"""
BLOCK = "  block: {topic: block, type: std_msgs/msg/Float64MultiArray, names: [x, y], max_age_s: 0.1}"
BASE_TEXT = """
name: base
rate_hz: 20
observations:
  scan: {topic: scan, type: std_msgs/msg/Float64MultiArray, names: [left, front, right], max_age_s: 0.1}
actions:
  wheels: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {lower: -1, upper: 1, speed: 9}}
"""
REACH_TEXT, PUSH_TEXT = ARM.format(name="reach", more=""), ARM.format(name="push", more=BLOCK)
REACH, PUSH, BASE = (contract.parse(text, "own.yaml") for text in (REACH_TEXT, PUSH_TEXT, BASE_TEXT))


def episode(own, number, frames=20):
    """An episode: reach commands half the joints plus the goal, push the joints minus the block, base its front."""
    rng = np.random.default_rng(number)
    seen = {spec.key: rng.uniform(-0.5, 0.5, (frames, spec.size)) for spec in own.observations}
    if own is BASE:
        commands = seen["scan"][:, 1:2]
    else:
        commands = seen["joints"] - seen["block"] if own is PUSH else 0.5 * seen["joints"] + seen["goal"]
    return EpisodeArrays(
        f"episode_{number:06d}",
        seen,
        commands,
        np.zeros_like(commands),
        np.arange(1, frames + 1) * own.period_ns,
        own.period_ns,
        outcome="success",
        task=own.name,
    )
