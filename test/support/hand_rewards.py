"""Success and progress models whose weights are set by hand: they read one number and know one place."""

import numpy as np
import torch

from il_ros.core.contract import parse
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.registry import inputs_of, make_reward
from il_ros.rewards.settings import ProgressSettings, SuccessSettings

CONTRACT = parse(
    """
name: joint
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, fields: [position], names: [joint1], max_age_s: 0.5}
actions:
  arm: {topic: commands, type: std_msgs/msg/Float64MultiArray, names: [joint1], reference: joints,
        limits: {lower: -9.0, upper: 9.0, speed: 1.0}}
""",
    "joint",
)
PERIOD_NS = 50_000_000
PLAIN = {"hidden": (1,), "before_s": 0.0, "members": 1}


def success(contract, key="joints", at=0.0, steep=1.0, **settings):
    """Return a model whose probability of success is sigmoid(steep * (x - at)), x > -100: the key's first number."""
    return _made("success", SuccessSettings(inputs=(key,), **{**PLAIN, **settings}), contract, at, steep)


def progress(contract, key="joints", at=0.0, steep=1.0, **settings):
    """Return a model whose progress is sigmoid(steep * (x - at)), x > -100: the key's first number."""
    return _made("progress", ProgressSettings(inputs=(key,), **{**PLAIN, **settings}), contract, at, steep)


def _made(family, settings, contract, at, steep):
    size = len(inputs_of(contract, settings).groups)
    normaliser = Normaliser(Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(1), np.ones(1)))
    network = make_reward(family, settings, contract, normaliser)
    first, _, last = network.layers
    with torch.no_grad():
        first.weight.zero_()
        first.weight[0, 0], first.bias[0] = 1.0, 100.0
        last.weight[0, 0], last.bias[0] = steep, -steep * (100.0 + at)
    return LoadedReward(contract, family, settings, network, normaliser, f"{family}-by-hand")
