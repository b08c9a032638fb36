"""CartPole of fixed horizon, as in the package seals: the length of an episode tells nothing of the policy."""

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec

STEPS = 500


class FixedHorizon(gymnasium.Wrapper):
    """CartPole that nothing ends before its time limit; the angle is wrapped to -pi..pi."""

    spec = EnvSpec("CartPole-fixed-v0", max_episode_steps=STEPS)

    def step(self, action):
        inner: Any = self.env.unwrapped  # CartPole's own attributes
        inner.steps_beyond_terminated = None
        _, _, terminated, truncated, info = self.env.step(action)
        place, speed, angle, turning = inner.state
        inner.state = np.array([place, speed, (angle + np.pi) % (2 * np.pi) - np.pi, turning])
        return inner.state.copy(), float(not terminated), False, truncated, info


def cartpole():
    made = gymnasium.make("CartPole-v1", disable_env_checker=True, max_episode_steps=STEPS)
    return FixedHorizon(made)
