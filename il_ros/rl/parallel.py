"""Evaluations on several processes: each has a task of its own, and runs a part of the episodes.

An episode depends on its start and its policy only, so the result is that of one process, bit for bit.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import NamedTuple

from il_ros.core.contract import Contract
from il_ros.episodes.jobs import Pool
from il_ros.policies import checkpoint
from il_ros.policies.runner import LoadedPolicy
from il_ros.sim.tasks.task import Task
from il_ros.training.evaluate import Episode, Evaluation, evaluate
from il_ros.training.run import torch_settings

_TASKS: dict[tuple[str, str], Task] = {}
"""Of a process that evaluates: its tasks by name and hash of the contract."""


class _StartsOfProcess(NamedTuple):
    """The episodes of one process. `policy`: the folder of its checkpoint."""

    task: str
    policy: str
    starts: tuple[int, ...]


class ParallelEvaluation:
    """Runs episodes of the task called `name` in `jobs` processes, which start with the first evaluation."""

    def __init__(self, name: str, jobs: int) -> None:
        self._name, self._jobs, self._pool = name, jobs, Pool(_run, jobs)

    def evaluated(self, policy: LoadedPolicy, starts: Sequence[int]) -> Evaluation:
        """Run an episode of a policy from each start; raises RuntimeError when a process was killed."""
        with tempfile.TemporaryDirectory(prefix="il_ros_evaluation_") as folder:
            place = Path(folder) / "policy"
            checkpoint.save(place, policy)
            parts = [
                _StartsOfProcess(self._name, str(place), tuple(starts[job :: self._jobs]))
                for job in range(self._jobs)
            ]
            try:
                coming = self._pool.submit(part for part in parts if part.starts)
                done = [future.result() for future in coming]
            except BrokenProcessPool as error:
                raise RuntimeError(f"a process that evaluates {self._name} was killed") from error
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
