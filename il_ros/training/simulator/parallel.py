"""Evaluations during a training, on several processes: each has a task of its own, and runs a part of the episodes.

An episode depends on its start and its policy only, so the result is that of one process, bit for bit.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from il_ros.core.contract import Contract
from il_ros.episodes.jobs import Pool
from il_ros.policies import checkpoint
from il_ros.policies.runner import LoadedPolicy
from il_ros.sim.tasks.task import Task
from il_ros.training.device import torch_settings
from il_ros.training.evaluate import Episode, Evaluation, evaluate

WORTH_S = 5.0
"""CPU time of an evaluation from which on it is worth starting processes, which import for seconds."""
_TASKS: dict[tuple[str, str], Task] = {}
"""Of a process that evaluates: its tasks by name and hash of the contract."""


class _StartsOfProcess(NamedTuple):
    """The episodes of one process. `policy`: the folder of its checkpoint."""

    task: str
    policy: str
    starts: tuple[int, ...]


class SuccessiveEvaluations:
    """Runs episodes in `task`, called `name`: first in this process; then, if that took WORTH_S, in up to `jobs`.

    `name` is one that `il_ros.envs.tasks` knows. If a process is killed, as Ctrl-C does, this one goes on alone.
    """

    def __init__(self, name: str, task: Task, jobs: int) -> None:
        self._name, self._task, self._jobs, self._spent_s = name, task, jobs, 0.0
        self._parallel: ParallelEvaluation | None = None

    def evaluated(self, policy: LoadedPolicy, starts: Sequence[int]) -> Evaluation:
        """Run an episode of a policy from each start."""
        if self._jobs > 1 and self._spent_s > WORTH_S:
            if self._parallel is None:
                self._parallel = ParallelEvaluation(self._name, min(self._jobs, len(starts)))
            try:
                return self._parallel.evaluated(policy, starts)
            except BrokenProcessPool:
                self.close()
                self._jobs = 1
        began_s = time.process_time()
        found = evaluate(policy, policy.contract, self._task, starts, version=policy.version)
        self._spent_s = time.process_time() - began_s
        return found

    def close(self) -> None:
        """End the other processes; the task stays open."""
        if self._parallel is not None:
            self._parallel.close()
            self._parallel = None


class ParallelEvaluation:
    """Runs episodes of the task called `name` in `jobs` processes, which start with the first evaluation."""

    def __init__(self, name: str, jobs: int) -> None:
        self._name, self._jobs, self._pool = name, jobs, Pool(_run, jobs)

    def evaluated(self, policy: LoadedPolicy, starts: Sequence[int]) -> Evaluation:
        """Run an episode of a policy from each start; raises BrokenProcessPool when a process was killed."""
        with tempfile.TemporaryDirectory(prefix="il_ros_evaluation_") as folder:
            place = Path(folder) / "policy"
            checkpoint.save(place, policy)
            parts = [
                _StartsOfProcess(self._name, str(place), tuple(starts[job :: self._jobs]))
                for job in range(self._jobs)
            ]
            coming = self._pool.submit(part for part in parts if part.starts)
            done = [future.result() for future in coming]
        by_start = {episode.seed: episode for part in done for episode in part}
        return Evaluation(self._name, policy.version, tuple(by_start[start] for start in starts))

    def close(self) -> None:
        """End the processes."""
        self._pool.close()


def _run(part: _StartsOfProcess) -> tuple[Episode, ...]:
    """Run a part in this process."""
    with torch_settings(threads=1):
        policy = checkpoint.load(part.policy)
        task = _task(part.task, policy.contract)
        return evaluate(policy, policy.contract, task, part.starts).episodes


def _task(name: str, contract: Contract) -> Task:
    """Return the process's task, made once."""
    from il_ros.envs.tasks import make_any_task

    key = (name, contract.hash)
    if key not in _TASKS:
        _TASKS[key] = make_any_task(name, contract)[0]
    return _TASKS[key]
