"""Tests of a policy in the simulator of its task, during its training: on which starts, and what they find."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack, closing
from typing import Any

from il_ros.core.contract import Contract
from il_ros.core.tables import counted, listed
from il_ros.envs.tasks import is_environment, make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies.runner import LoadedPolicy
from il_ros.sim import TEST_SEED
from il_ros.sim.lockstep import Lockstep
from il_ros.sim.tasks.task import Task, task_names
from il_ros.training.loop import EpochMetrics
from il_ros.training.recipe import SUCCESS, Recipe, Training
from il_ros.training.simulator.parallel import SuccessiveEvaluations


class NoSimulatorError(ValueError):
    """There is no simulator of a task here; the message says why."""


def simulated_task(tasks: Collection[str], contract: Contract) -> tuple[str, Task]:
    """Return the name of the task that all episodes are of, and its simulator, which fits their contract.

    `tasks`: those of the episodes, by name. Raises NoSimulatorError when there is none: the episodes are of several
    tasks or of no named one, or it is neither a simulated task nor a Gymnasium environment that is installed.
    """
    names = sorted({name for name in tasks if name})
    if len(names) != 1:
        raise NoSimulatorError(
            f"the episodes are of several tasks ({listed(names)})" if names else "the episodes name no task"
        )
    (name,) = names
    if name not in task_names() and not is_environment(name):
        raise NoSimulatorError(f"the episodes' task '{name}' has no simulator")
    try:
        task, _ = make_any_task(name, contract)
        with ExitStack() as opened:
            opened.callback(task.close)
            world = Lockstep(task, contract)
            world.reset(TEST_SEED)
            world.observe()  # whether it has what the contract observes
            opened.pop_all()
    except (ValueError, RuntimeError) as error:
        raise NoSimulatorError(str(error)) from error
    return name, task


def starts_of(tests: int) -> range:
    """Return the starts of the tests in a training: neither those of demonstrations nor of `il-ros evaluate`."""
    return range(TEST_SEED, TEST_SEED + tests)


def policy_tests(
    dataset: Dataset, recipe: Recipe, jobs: int, on_warning: Callable[[str], None]
) -> PolicyTests | None:
    """Return the tests that a recipe asks for; None where there are none, with a warning where none are possible.

    Raises NoSimulatorError where none are possible, and the recipe chooses by them.
    """
    training = recipe.training
    if not training.test_every:
        return None
    try:
        if recipe.policy.follows:
            raise NoSimulatorError(f"a model of the family '{recipe.family}' does not drive")
        name, task = simulated_task([episode.task for episode in dataset.train], dataset.contract)
    except NoSimulatorError as error:
        if training.keep == SUCCESS:
            raise NoSimulatorError(
                f"keep: there is no success to choose by: {error}; set keep to last"
            ) from error
        on_warning(f"not tested in a simulator: {error}")
        return None
    return PolicyTests(name, task, starts_of(training.tests), jobs, on_warning)


def tests_so_far(curves: Sequence[EpochMetrics], training: Training) -> dict[str, Any]:
    """Return what a checkpoint keeps of the tests, under the key "tests"; nothing where there were none.

    `starts`: of each test. `times`: how many tests there were. `success` (None: not defined), `mean_return`: of the
    weights that are kept, None where they were not tested. `chosen`: whether they were chosen by the tests.
    `duration_s`: of all tests.
    """
    tested = [metrics for metrics in curves if not math.isnan(metrics.score)]
    if not tested:
        return {}
    kept = next((metrics for metrics in reversed(curves) if metrics.best), tested[-1])
    return {
        "tests": {
            "starts": training.tests,
            "times": len(tested),
            "success": _known(kept.success),
            "mean_return": _known(kept.mean_return),
            "chosen": training.keep == SUCCESS,
            "duration_s": curves[-1].tests_s,
        }
    }


class PolicyTests:
    """Runs the same `starts` with each policy. `task` is closed at the end; `jobs`: processes that may share the work.

    `on_warning` gets a sentence when a policy fails in an episode, once.
    """

    def __init__(
        self, name: str, task: Task, starts: Sequence[int], jobs: int, on_warning: Callable[[str], None]
    ) -> None:
        self.name = name
        self._starts, self._task, self._warn = starts, task, on_warning
        self._evaluations = SuccessiveEvaluations(name, task, jobs)
        self._warned = False

    def measured(self, policy: LoadedPolicy) -> tuple[float, float]:
        """Return the success rate, NaN where the task does not define success, and the mean return."""
        found = self._evaluations.evaluated(policy, self._starts)
        failed = [episode for episode in found.episodes if episode.error]
        if failed and not self._warned:
            self._warned = True
            self._warn(
                f"in {len(failed)} of {counted(len(self._starts), 'test')} the policy failed: {failed[0].error}"
            )
        return found.rate if found.judged else math.nan, found.mean_return

    def close(self) -> None:
        """Close the task, and end the processes."""
        with closing(self._task):
            self._evaluations.close()


def _known(value: float) -> float | None:
    return None if math.isnan(value) else value
