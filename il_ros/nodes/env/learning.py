"""A running ROS graph for own steps: a learner acts through `RosEnv`, in the graph's simulator, such as Gazebo."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from il_ros.core.specs import Vector
from il_ros.nodes.env.ros_env import RosEnv
from il_ros.policies.protocol import PolicyError
from il_ros.policies.runner import LoadedPolicy
from il_ros.records.labelling import POLICY
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rl.steps.environments import worlds_in
from il_ros.rl.steps.world import Observation, Person, Scales, World
from il_ros.training.evaluate import Episode, Evaluation


class GraphEnvironments:
    """One graph in lockstep for the own steps of one seed, and for its evaluations (`OwnEnvironments`).

    `person`: a simulated person, whose commands are sent in place of the learner's; None: nobody corrects. A real
    person takes over at the supervisor, see docs/reinforcement.md.
    Own episodes and evaluations take turns: after an evaluation the own episode is taken up by its actions, which
    lead to the same observation in lockstep.
    """

    over_topics = True
    is_judged = True

    def __init__(self, env: RosEnv, name: str, person: Person | None = None) -> None:
        self.name = name
        self._env, self._own, self._person = env, _TakenUp(env), person

    @property
    def most_steps(self) -> int:
        """The limit of an episode's steps."""
        return self._env.most_steps

    @property
    def is_corrected(self) -> bool:
        """Whether a person corrects the learner."""
        return self._person is not None

    def worlds(self, scales: Scales, reward: LoadedReward | None, *, ends: bool) -> list[World]:
        """Return the one world; see `OwnEnvironments`."""
        return worlds_in([self._own], [self._person], self.name, scales, reward, ends=ends)

    def evaluated(self, policy: LoadedPolicy, starts: Iterable[int]) -> Evaluation:
        """Run an episode of a policy from each start; raises RosEnvError when the graph does not answer."""
        self._own.leave()
        return Evaluation(self.name, policy.version, tuple(self._episode(policy, seed) for seed in starts))

    def close(self) -> None:
        """Leave the graph."""
        self._env.close()

    def _episode(self, policy: LoadedPolicy, seed: int) -> Episode:
        act, total, over = policy.in_episode(), 0.0, False
        observation, _ = self._env.reset(seed=seed)
        info: dict[str, Any] = {"success": False, "time_s": 0.0}
        while not over:
            try:
                command = act(observation)[0]
            except PolicyError as error:
                return Episode(seed, False, False, info["time_s"], str(error), total)
            observation, reward, terminated, truncated, info = self._env.step(command)
            total += reward
            over = terminated or truncated
        failed = terminated and not info["success"]
        return Episode(seed, info["success"], failed, info["time_s"], total_reward=total)


class _TakenUp:
    """The graph as the environment of own episodes, which `leave` interrupts and the next step takes up again."""

    def __init__(self, env: RosEnv) -> None:
        self._env = env
        self._seed: int | None = None
        self._taken: list[Vector] = []
        self._observation: Observation = {}
        self._left = False

    def leave(self) -> None:
        """Let others use the graph until the next step."""
        self._left = self._seed is not None

    def reset(self, *, seed: int | None = None) -> tuple[Observation, dict[str, Any]]:
        """Begin an episode."""
        self._seed, self._taken, self._left = seed, [], False
        self._observation, info = self._env.reset(seed=seed)
        return self._observation, info

    def step(self, action: Vector) -> tuple[Observation, float, bool, bool, dict[str, Any]]:
        """Take a step, see `RosEnv.step`; raises RuntimeError when another source drove, or nothing repeats itself."""
        if self._left:
            self._take_up()
        self._taken.append(np.array(action))
        self._observation, earned, terminated, truncated, info = self._env.step(action)
        if info["authority"] != POLICY:
            raise RuntimeError(
                f"the supervisor had '{info['authority']}' drive; own steps need the authority"
            )
        return self._observation, earned, terminated, truncated, info

    def _take_up(self) -> None:
        wanted, self._left = self._observation, False
        seen, _ = self._env.reset(seed=self._seed)
        for action in self._taken:
            seen, *_ = self._env.step(action)
        if any(not np.array_equal(seen[key], wanted[key]) for key in wanted):
            raise RuntimeError(
                "the same actions lead elsewhere; own steps on a graph need lockstep (--speed 0)"
            )
