"""What a training with own steps acts in."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack, closing

from il_ros.core.contract import Contract
from il_ros.envs.gym_task import REWARD
from il_ros.envs.task_env import TaskEnv
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rl.judge import judge_of
from il_ros.rl.world import Person, Scales, World
from il_ros.sim.tasks.task import Task, is_judged


class Environments:
    """An environment for the own steps of each seed, and a task for evaluations.

    `make()`: returns a new task of that name. `person(task)`: returns who corrects the learner that acts in this task;
    None: nobody does. Raises ValueError when the contract does not fit the task.
    """

    def __init__(
        self,
        name: str,
        contract: Contract,
        make: Callable[[], Task],
        seeds: int,
        person: Callable[[Task], Person] | None = None,
    ) -> None:
        self.name = name
        with ExitStack() as stack:
            tasks = [stack.enter_context(closing(make())) for _ in range(seeds + 1)]
            self.test = tasks.pop()
            self.own = [TaskEnv(task, contract) for task in tasks]
            self._persons = [None if person is None else person(task) for task in tasks]
            self._opened = stack.pop_all()

    @property
    def most_steps(self) -> int:
        """The limit of an episode's steps."""
        return round(self.test.time_limit_s * 1e9 / self.test.control_period_ns)

    @property
    def is_corrected(self) -> bool:
        """Whether a person corrects the learners."""
        return any(person is not None for person in self._persons)

    @property
    def is_judged(self) -> bool:
        """Whether the reward is 1 for a success, which ends the episode, and 0 otherwise."""
        return is_judged(self.test) and REWARD not in self.test.streams

    def worlds(self, scales: Scales, reward: LoadedReward | None, *, ends: bool) -> list[World]:
        """Return the world of each seed. `reward`: a model that gives the rewards, and with `ends` the ends."""
        found = []
        for seed, (environment, person) in enumerate(zip(self.own, self._persons, strict=True)):
            judge = None if reward is None else judge_of(reward, scales.contract.period_ns / 1e9, ends=ends)
            name = f"environment {seed} ({self.name})"
            found.append(World(environment, scales, name, person, judge))
        return found

    def close(self) -> None:
        """Close all tasks."""
        self._opened.close()
