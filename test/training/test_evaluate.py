"""Evaluation: counts, intervals, and policy errors."""

import numpy as np
import pytest

from il_ros.core import contract, share
from il_ros.policies.protocol import PolicyError
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task
from il_ros.training.evaluate import Episode, Evaluation, evaluate

REACH = contract.load(share.path("config", "contracts", "arm_reach.yaml"))


def test_the_expert_succeeds_and_a_constant_policy_does_not():
    task = make_task("reach")
    episodes = []
    score = evaluate(make_expert("reach"), REACH, task, range(3), on_episode=episodes.append)
    assert (score.successes, score.rate) == (3, 1.0)
    assert [episode.seed for episode in episodes] == [0, 1, 2]

    class Still:
        def act(self, observation):
            return observation["joints"][None, :7]

    assert evaluate(Still(), REACH, task, range(1)).episodes[0].ending == "time is up"


def test_a_policy_error_counts_as_failure_with_its_message():
    class Broken:
        def act(self, observation):
            raise PolicyError("arm/joint1 is nan")

    score = evaluate(Broken(), REACH, make_task("reach"), range(2))
    assert score.successes == 0
    assert {(one.ending, one.error) for one in score.episodes} == {("policy error", "arm/joint1 is nan")}


@pytest.mark.parametrize(("execute", "played"), [(1, [0] * 7), (3, [0, 1, 2] * 2), (9, [0, 1, 2, 3] * 2)])
def test_a_chunk_is_played_until_the_next_computation_is_due(execute, played):
    """Chunks of four steps; each opens the gripper by its number in mm. A new episode begins with a new chunk."""
    opened = []

    class Counting:
        def act(self, observation):
            chunk = np.tile([*observation["joints"][:6], 0.0], (4, 1))
            chunk[:, 6] = np.arange(4) * 1e-3
            return chunk

    class Watched:
        def __init__(self, task):
            self.task = task

        def __getattr__(self, name):
            return getattr(self.task, name)

        def step(self, commands):
            opened.append(round(float(commands["gripper_position_controller/commands"].data[0]) * 1e3))
            self.task.step(commands)

    evaluate(Counting(), REACH, Watched(make_task("reach")), [0, 1], execute=execute)
    first = opened[: len(opened) // 2]  # both end at the time limit
    assert first[: len(played)] == opened[len(first) :][: len(played)] == played


def test_to_play_no_step_is_refused():
    with pytest.raises(ValueError, match="every is 0; at least 1 is needed"):
        evaluate(make_expert("reach"), REACH, make_task("reach"), [0], execute=0)


def test_the_interval_is_wilsons():
    """8 of 10: (0.8 + 3.8415/20 ± 1.96 sqrt(0.16/10 + 3.8415/400)) / 1.38415 = 0.490..0.943."""
    episodes = tuple(Episode(seed, seed < 8, False, 1.0) for seed in range(10))
    np.testing.assert_allclose(Evaluation("push", "v1", episodes).interval, (0.490, 0.943), atol=5e-4)


def test_an_evaluation_without_episodes_is_rejected():
    with pytest.raises(ValueError, match="at least one episode"):
        evaluate(make_expert("reach"), REACH, make_task("reach"), [])
