"""What a training with own steps acts in."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, closing
from typing import Protocol

from il_ros.core.contract import Contract
from il_ros.envs.gym_task import REWARD
from il_ros.envs.task_env import TaskEnv
from il_ros.policies.runner import LoadedPolicy
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rl.steps.judge import judge_of
from il_ros.rl.steps.world import ContractEnvironment, Person, Scales, World
from il_ros.sim.tasks.task import Task, is_judged
from il_ros.training.evaluate import Evaluation
from il_ros.training.simulator.parallel import SuccessiveEvaluations


class OwnEnvironments(Protocol):
    """What a training acts in: `Environments` in process, or a running ROS graph (`il_ros.nodes.env.learning`).

    `name`: of the task or Gymnasium environment. `over_topics`: whether it is a graph.
    """

    name: str
    over_topics: bool

    @property
    def most_steps(self) -> int:
        """The limit of an episode's steps."""
        ...

    @property
    def is_corrected(self) -> bool:
        """Whether a person corrects the learners."""
        ...

    @property
    def is_judged(self) -> bool:
        """Whether the reward is 1 for a success, which ends the episode, and 0 otherwise."""
        ...

    def worlds(self, scales: Scales, reward: LoadedReward | None, *, ends: bool) -> list[World]:
        """Return the world of each seed. `reward`: a model that gives the rewards, and with `ends` the ends."""
        ...

    def evaluated(self, policy: LoadedPolicy, starts: Iterable[int]) -> Evaluation:
        """Run an episode of a policy from each start, beside the own ones."""
        ...

    def close(self) -> None:
        """Release what was opened."""
        ...


class Environments:
    """Environments in this process: one for the own steps of each seed, and a task for evaluations.

    `make()`: returns a new task of that name. `person(task)`: returns who corrects the learner that acts in this task;
    None: nobody does. `jobs`: the processes on which long evaluations run (`SuccessiveEvaluations`).
    Raises ValueError when the contract does not fit the task.
    """

    over_topics = False

    def __init__(
        self,
        name: str,
        contract: Contract,
        make: Callable[[], Task],
        seeds: int,
        person: Callable[[Task], Person] | None = None,
        jobs: int = 1,
    ) -> None:
        self.name = name
        with ExitStack() as stack:
            tasks = [stack.enter_context(closing(make())) for _ in range(seeds + 1)]
            self.test = tasks.pop()
            self.own = [TaskEnv(task, contract) for task in tasks]
            self._persons = [None if person is None else person(task) for task in tasks]
            self._evaluations = SuccessiveEvaluations(name, self.test, jobs)
            stack.callback(self._evaluations.close)
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
        """See `OwnEnvironments`."""
        return worlds_in(self.own, self._persons, self.name, scales, reward, ends=ends)

    def evaluated(self, policy: LoadedPolicy, starts: Iterable[int]) -> Evaluation:
        """See `OwnEnvironments`."""
        return self._evaluations.evaluated(policy, tuple(starts))

    def close(self) -> None:
        """Close all tasks."""
        self._opened.close()


def worlds_in(
    environments: Sequence[ContractEnvironment],
    persons: Sequence[Person | None],
    name: str,
    scales: Scales,
    reward: LoadedReward | None,
    *,
    ends: bool,
) -> list[World]:
    """Return the world of each environment, see `OwnEnvironments.worlds`."""
    found = []
    for seed, (environment, person) in enumerate(zip(environments, persons, strict=True)):
        judge = None if reward is None else judge_of(reward, scales.contract.period_ns / 1e9, ends=ends)
        found.append(World(environment, scales, f"environment {seed} ({name})", person, judge))
    return found
