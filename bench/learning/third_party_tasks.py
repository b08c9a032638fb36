"""Gymnasium's own tasks with an expert each: state feedback by hand, by a regulator, or by random search.

An expert maps the environment's observation to its action. LunarLander needs `pip install 'gymnasium[box2d]'`.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np

LINEAR = json.loads(Path(__file__).with_name("linear_experts.json").read_text())
"""Weights and bias of linear feedback by environment, found by augmented random search (Mania et al. 2018)."""


@dataclass(frozen=True)
class ThirdParty:
    """`act`: the expert. `demonstrations`: as many as a person would record."""

    name: str
    act: Callable[[Any], Any]
    demonstrations: int = 10

    def make(self):
        """Return the environment."""
        return gymnasium.make(self.name, disable_env_checker=True)


def _cart_pole(seen):
    return int(seen @ (0.6, 1.2, 18.0, 3.5) > 0)


def _acrobot(seen):
    return 2 if seen[5] > 0 else 0  # torque along the second joint's motion pumps energy


def _mountain_car(seen):
    """Return the push of two curves in the phase plane (from Xiao, "Reinforcement Learning", 2022)."""
    place, speed = seen
    lower = min(-0.09 * (place + 0.25) ** 2 + 0.03, 0.3 * (place + 0.9) ** 4 - 0.008)
    return 2 if lower <= speed <= -0.07 * (place + 0.38) ** 2 + 0.07 else 0


def _mountain_car_continuous(seen):
    return np.array([1.0 if seen[1] >= 0 else -1.0], dtype=np.float32)


def _pendulum(seen):
    cosine, sine, speed = seen
    angle, energy = np.arctan2(sine, cosine), speed**2 / 2 + 15 * (cosine - 1)
    if abs(angle) < 0.4 and abs(angle + 0.2 * speed) < 0.6:
        torque = -10 * angle - 2.5 * speed
    else:
        torque = -0.6 * energy * np.sign(speed + 0.05)
    return np.clip([torque], -2, 2).astype(np.float32)


def _lander(continuous):
    env = SimpleNamespace(unwrapped=SimpleNamespace(continuous=continuous))

    def act(seen):
        from gymnasium.envs.box2d.lunar_lander import heuristic  # needs gymnasium[box2d]

        return heuristic(env, seen)

    return act


def _inverted_pendulum(seen):
    return np.clip([seen @ (1, 10, 1, 2)], -3, 3).astype(np.float32)


DOUBLE_PENDULUM = (0.213, 1.813, 5.569, 0.315, 0.902, 0.848)
"""Of a linear-quadratic regulator at the top: cart, both angles, and their speeds (Q 1, 10, 10, 0.1, 0.1, 0.1; R 1)."""


def _double_pendulum(seen):
    state = (seen[0], np.arctan2(seen[1], seen[3]), np.arctan2(seen[2], seen[4]), *seen[5:8])
    return np.clip([-np.dot(DOUBLE_PENDULUM, state)], -1, 1).astype(np.float32)


def _reacher(seen):
    """Return a spring from fingertip to target through the transposed Jacobian, and damping."""
    cosines, sines, speeds, apart = seen[0:2], seen[2:4], seen[6:8], seen[8:10]
    first = np.arctan2(sines[0], cosines[0])
    both = first + np.arctan2(sines[1], cosines[1])
    near, far = 0.1 * np.array([np.cos(first), np.sin(first)]), 0.11 * np.array([np.cos(both), np.sin(both)])
    jacobian = np.array([[-(near + far)[1], -far[1]], [(near + far)[0], far[0]]])
    return np.clip(jacobian.T @ (-10 * apart) - 0.05 * speeds, -1, 1).astype(np.float32)


def _linear(name):
    weights, bias = (np.array(LINEAR[name][part]) for part in ("weights", "bias"))
    return lambda seen: np.clip(weights @ seen + bias, -1, 1).astype(np.float32)


def third_party_tasks():
    """Return the tasks by name."""
    tasks = [
        ThirdParty("CartPole-v1", _cart_pole),
        ThirdParty("Acrobot-v1", _acrobot),
        ThirdParty("MountainCar-v0", _mountain_car),
        ThirdParty("MountainCarContinuous-v0", _mountain_car_continuous),
        ThirdParty("Pendulum-v1", _pendulum),
        ThirdParty("LunarLander-v3", _lander(False)),
        ThirdParty("LunarLanderContinuous-v3", _lander(True)),
        ThirdParty("InvertedPendulum-v5", _inverted_pendulum),
        ThirdParty("InvertedDoublePendulum-v5", _double_pendulum),
        ThirdParty("Reacher-v5", _reacher),
        *(ThirdParty(name, _linear(name)) for name in LINEAR),
    ]
    return {task.name: task for task in tasks}
