"""The scripted expert with smooth noise on its joint commands: a demonstrator who is not perfect."""

import numpy as np

from il_ros.sim.experts import make_expert


class NoisyExpert:
    """The noise has the standard deviation `noise_rad` and is drawn from `rng`."""

    def __init__(self, task, noise_rad, rng):
        self._expert, self._noise_rad = make_expert(task), noise_rad
        self._rng, self._noise = rng, np.zeros(6)

    def act(self, observation):
        chunk = self._expert.act(observation)
        if chunk is None:
            return None
        self._noise = 0.9 * self._noise + 0.436 * self._rng.standard_normal(6)  # deviation 1
        noisy = chunk.copy()
        noisy[:, :6] += self._noise_rad * self._noise
        return noisy
