"""Takes of a made-up arm that is followed well, for the doctor's checks; faults are planted into them."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.takes import TakeSet

TEXT = """
name: planted
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], unit: rad, max_age_s: 0.1}
  object: {topic: object_pose, type: geometry_msgs/msg/PoseStamped, fields: [position], max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, limits: {lower: -2, upper: 2, speed: 10}}
"""
CAMERA = "  camera: {topic: c, type: sensor_msgs/msg/Image, image: {width: 32, height: 24}, max_age_s: 0.1}\nactions:"
NUMBERS = contract.parse(TEXT, "planted.yaml")
PICTURES = contract.parse(TEXT.replace("actions:", CAMERA), "pictures.yaml")
TICKS = 100
LAG = 2
"""Ticks by which the robot follows its commands."""


def course(number):
    """Return joints (T + LAG, 2) of take `number`, with speeds that change: a person's, who never stops for long."""
    rng = np.random.default_rng(number)
    time = np.arange(TICKS + LAG) / 20
    start, reach = rng.uniform(-0.05, 0.05, 2), rng.uniform(0.95, 1.05, 2)
    pace = 0.6 * time + 0.12 * np.sin(2 * np.pi * 0.9 * time)
    return start + reach * 0.5 * np.stack([np.sin(pace), 1 - np.cos(pace)], axis=1)


def take(number, own):
    joints = course(number)
    shift = np.random.default_rng(100 + number).uniform(0.0, 0.3, 3)
    observations = {
        "joints": joints[:TICKS],
        "object": np.hstack([joints[:TICKS, :1], joints[:TICKS, 1:], 0.1 * joints[:TICKS, :1]]) + shift,
    }
    if own is PICTURES:
        observations["camera"] = pictures(joints[:TICKS])
    return EpisodeArrays(
        name=f"episode_{number + 1:06d}",
        observations=observations,
        commands=joints[LAG:],
        offsets=np.zeros((TICKS, 2)),
        ticks_ns=50_000_000 * np.arange(1, TICKS + 1),
        period_ns=50_000_000,
    )


def pictures(joints):
    """Pictures (T, 24, 32, 3) with sharp stripes that move, above with joint a and below with joint b, on a ramp."""
    columns = np.arange(32)[None, None, :] * np.ones((len(joints), 24, 1))
    moved = np.where(np.arange(24)[None, :, None] < 12, joints[:, :1, None], joints[:, 1:, None])
    stripes = np.clip(4 * np.sin(0.9 * columns + 20 * moved), -1, 1)
    return np.repeat((100 + 2 * columns + 60 * stripes)[..., None], 3, axis=3).astype(np.uint8)


def clean(own=NUMBERS, count=10):
    episodes = tuple(take(number, own) for number in range(count))
    folders = {each.name: Path("root") / each.name for each in episodes}
    return TakeSet(own, episodes, folders, dict.fromkeys(folders, 0.0))


def planted(takes, places, change):
    episodes = list(takes.episodes)
    for place in places:
        episodes[place] = change(episodes[place])
    return dataclasses.replace(takes, episodes=tuple(episodes))


def seen(episode, key, values):
    return dataclasses.replace(episode, observations={**episode.observations, key: values})


def rows(episode, chosen):
    chosen = np.asarray(chosen)
    return dataclasses.replace(
        episode,
        observations={key: values[chosen] for key, values in episode.observations.items()},
        commands=episode.commands[chosen],
        offsets=episode.offsets[chosen],
        ticks_ns=50_000_000 * np.arange(1, len(chosen) + 1),
    )
