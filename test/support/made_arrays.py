"""Synthetic episode arrays without bags: a small linear task that any policy can learn."""

from __future__ import annotations

import dataclasses

import numpy as np

from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.episodes.arrays.episode import EpisodeArrays

TEXT = """
name: made_up
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1}
  object: {topic: object_pose, type: geometry_msgs/msg/PoseStamped, fields: [position, orientation],
           max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {lower: -1, upper: 1, speed: 1000}}
"""
CONTRACT = contract.parse(TEXT, "made_up.yaml")
DELTA = contract.parse(TEXT.replace("unit: rad,", "unit: rad, mode: delta,"), "delta.yaml")
CAMERA_LINES = """  camera: {topic: camera/image_raw, type: sensor_msgs/msg/Image,
           image: {width: 32, height: 24}, max_age_s: 0.1}
actions:"""
WITH_CAMERA = contract.parse(TEXT.replace("actions:", CAMERA_LINES), "camera.yaml")
PERIOD_NS = CONTRACT.period_ns


def episode(number, frames=30, own=CONTRACT, **changes):
    """An episode in which the command is half the joints plus the object's x and y."""
    rng = np.random.default_rng(number)
    joints = rng.uniform(-0.5, 0.5, (frames, 2))
    position = rng.uniform(-0.2, 0.2, (frames, 3))
    orientation = np.tile([0.0, 0.0, 0.0, 1.0], (frames, 1))
    observations = {"joints": joints, "object": np.concatenate([position, orientation], axis=1)}
    if any(spec.key == "camera" for spec in own.observations):
        observations["camera"] = pictures(position)
    delta = own.actions[0].mode == "delta"
    made = EpisodeArrays(
        name=f"episode_{number:06d}",
        observations=observations,
        commands=0.5 * joints + position[:, :2],
        offsets=joints if delta else np.zeros_like(joints),
        ticks_ns=np.arange(1, frames + 1) * PERIOD_NS,
        period_ns=PERIOD_NS,
        outcome="success",
        task="made_up",
    )
    return dataclasses.replace(made, **changes)


def pictures(position):
    """Black images (T, 24, 32, 3) with a white spot at the object's x (across) and y (down)."""
    out = np.zeros((len(position), 24, 32, 3), np.uint8)
    for frame, (x, y, _) in enumerate(position):
        column, row = round(16 + 60 * x), round(12 + 45 * y)
        out[frame, row - 2 : row + 2, column - 2 : column + 2] = 255
    return out


def dataset(train=4, validation=1, own=CONTRACT, **changes):
    episodes = [episode(number, own=own, **changes) for number in range(train + validation)]
    names = [one.name for one in episodes]
    summary = DatasetSummary(tuple(names[:train]), tuple(names[train:]), sum(map(len, episodes)), {}, ())
    return Dataset(own, tuple(episodes[:train]), tuple(episodes[train:]), summary)


def observation(own=CONTRACT, seed=0):
    rng = np.random.default_rng(seed)
    values = {"joints": rng.uniform(-0.5, 0.5, 2), "object": np.array([0.1, -0.1, 0.0, 0, 0, 0, 1])}
    if any(spec.key == "camera" for spec in own.observations):
        values["camera"] = pictures(values["object"][None, :3])[0]
    return values
