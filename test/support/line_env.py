"""A place on a line as a Gymnasium environment, and demonstrations of moving to its middle, as recorded episodes."""

import gymnasium
import numpy as np

from il_ros.envs.from_env import contract_of
from il_ros.envs.gym_task import GymTask
from il_ros.envs.write_episode import write_episode
from il_ros.episodes.arrays.dataset import Dataset

STEPS = 20


class Line(gymnasium.Env):
    """Moves by 0.1 to the left (0) or right (1), or with `numbers` by 0.1 * action; begins within -1..1.

    `edge`: the episode terminates at this distance from the middle. `goal`: it terminates within this distance, with
    the reward 1; all others are 0 then. `fails_at`: in this step of its life it returns NaN, or with `raises` an error.
    """

    observation_space = gymnasium.spaces.Box(-np.inf, np.inf, (1,), np.float64)
    metadata = {"render_modes": [], "render_fps": 10}  # noqa: RUF012 - Gymnasium's type

    def __init__(self, numbers=False, edge=None, fails_at=None, raises=False, goal=None):
        self.action_space = gymnasium.spaces.Box(-1.0, 1.0, (1,)) if numbers else gymnasium.spaces.Discrete(2)
        self.numbers, self.edge, self.fails_at, self.raises, self.taken = numbers, edge, fails_at, raises, 0
        self.goal = goal

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.place, self.count = float(self.np_random.uniform(-1, 1)), 0
        return np.array([self.place]), {}

    def step(self, action):
        self.taken += 1
        self.count += 1
        self.place += 0.1 * float(action[0]) if self.numbers else 0.2 * int(action) - 0.1
        if self.taken == self.fails_at and self.raises:
            raise RuntimeError("the motor is gone")
        seen = np.nan if self.taken == self.fails_at else self.place
        ends = self.edge is not None and abs(self.place) >= self.edge
        if self.goal is not None:
            there = abs(self.place) < self.goal
            return np.array([seen]), float(there), there, self.count >= STEPS, {}
        return np.array([seen]), -abs(self.place), ends, self.count >= STEPS, {}


def task(**options):
    """Return the task of a line."""
    env = Line(**options)
    env.spec = gymnasium.envs.registration.EnvSpec("Line-v0", max_episode_steps=STEPS)
    return GymTask(env)


def to_the_middle(place):
    """Return the expert's move."""
    return int(place < 0)


def dataset(root, count=4, seed=0, expert=to_the_middle, verdict=lambda places: None, **options):
    """Record demonstrations under `root`, and return them with the contract of the line.

    `verdict(places)`: the episode's success, None: it is not marked.
    """
    env = Line(**options)
    env.spec = gymnasium.envs.registration.EnvSpec("Line-v0", max_episode_steps=STEPS)
    contract = contract_of(env)
    for number in range(count):
        observations, actions, over = [env.reset(seed=100 * seed + number)[0]], [], False
        while not over:
            move = expert(observations[-1][0])
            actions.append([2.0 * move - 1.0] if env.numbers else [1.0 - move, float(move)])
            observation, _, ended, cut, _ = env.step(actions[-1] if env.numbers else move)
            observations.append(observation)
            over = ended or cut
        write_episode(
            root,
            contract,
            {"observation": np.array(observations)},
            np.array(actions),
            task="Line-v0",
            success=verdict(np.array(observations)[:, 0]),
        )
    return Dataset.open(root, contract, validation=0.0)


class PlainLine:
    """The line by the keys of its contract, without messages and limiter: fast."""

    def __init__(self, **options):
        self._env = Line(**options)

    def reset(self, *, seed=None):
        observation, info = self._env.reset(seed=seed)
        return {"observation": observation}, info

    def step(self, action):
        chosen = action if self._env.numbers else int(np.argmax(action))
        observation, *rest = self._env.step(chosen)
        return {"observation": observation}, *rest
