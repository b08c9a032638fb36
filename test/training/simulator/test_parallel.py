"""Evaluations on several processes."""

from contextlib import closing

import numpy as np
import psutil
import pytest
import torch

from il_ros.envs.tasks import TaskError, make_any_task
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.actor import Actor
from il_ros.policies.families.registry import make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.training.simulator import parallel
from il_ros.training.simulator.parallel import ParallelEvaluation, SuccessiveEvaluations

TASK, STARTS = "Pendulum-v1", (5, 3, 8)


@pytest.fixture(scope="module")
def policy():
    task, contract = make_any_task(TASK)
    task.close()
    size = ActionForm(contract).size
    normaliser = Normaliser(Affine(np.zeros(3), np.ones(3)), Affine(np.zeros(size), np.full(size, 2.0)))
    torch.manual_seed(3)
    settings = Actor(hidden=(8,))
    return LoadedPolicy(
        contract, "actor", settings, make_network("actor", settings, contract, normaliser), normaliser, "v7"
    )


def test_evaluations_on_two_processes_are_those_of_one_in_the_order_of_the_starts(policy, monkeypatch):
    """Also after such a process was killed, which only costs time."""
    monkeypatch.setattr(parallel, "WORTH_S", 0.0)
    task = make_any_task(TASK, policy.contract)[0]
    with closing(task), closing(SuccessiveEvaluations(TASK, task, 2)) as evaluations:
        alone = evaluations.evaluated(policy, STARTS)
        assert evaluations._parallel is None
        together = evaluations.evaluated(policy, STARTS)
        assert evaluations._parallel is not None
        for child in psutil.Process().children():
            if "spawn_main" in " ".join(child.cmdline()):
                child.kill()
        after = evaluations.evaluated(policy, STARTS)
        assert evaluations._parallel is None
    assert together == alone == after
    assert [episode.seed for episode in together.episodes] == list(STARTS)
    assert len({episode.total_reward for episode in together.episodes}) == len(STARTS)


def test_an_environment_that_a_process_does_not_know_is_an_error_with_its_name(policy):
    with (
        closing(ParallelEvaluation("Nowhere-v0", 1)) as evaluation,
        pytest.raises(TaskError, match="Nowhere"),
    ):
        evaluation.evaluated(policy, STARTS)
