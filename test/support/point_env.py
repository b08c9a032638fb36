"""A point that must reach 0, as a Gymnasium environment: x' = x + u / 2; the expert is u = -x."""

import gymnasium
import numpy as np
from gymnasium import spaces

NAME = "Point-v0"
TICKS = 8


class PointEnv(gymnasium.Env):
    """Ends after eight steps, with success when |x| < 0.1; a start beyond `lost` cannot succeed."""

    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 - Gymnasium's type
    observation_space = spaces.Box(-9, 9, (1,), np.float32)
    action_space = spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.steps = self.np_random.uniform(-1, 1, 1).astype(np.float32), 0
        return self.x, {}

    def step(self, action):
        self.x, self.steps = (self.x + action / 2).astype(np.float32), self.steps + 1
        info = {"is_success": bool(abs(self.x[0]) < 0.1)}
        return self.x, -float(self.x[0] ** 2), False, self.steps == TICKS, info


def expert(observation):
    return -observation


def gives_up_beyond_half(observation):
    return None if abs(observation[0]) > 0.5 else -observation


def wrong(observation):
    return np.zeros(3)


if NAME not in gymnasium.registry:
    gymnasium.register(NAME, entry_point=PointEnv)
