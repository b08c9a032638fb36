"""Own steps on a real graph: they give, bit for bit, what own steps in one process give."""

import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.core.processes.group import ProcessGroup
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.corrector import Corrector
from il_ros.interactive.dagger.human import typical_motion
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.nodes.env.learning import GraphEnvironments
from il_ros.nodes.env.ros_env import RosEnv
from il_ros.rl.recipe import load
from il_ros.rl.run import train
from il_ros.rl.steps.environments import Environments
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import command
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import task_class
from il_ros.training.loop import TrainingError

TASK = "reach"
LIMIT_S = task_class(TASK).time_limit_s
QUICK = [
    *("steps=60", "random_steps=15", "every=25", "tests=1", "batch=16"),
    *("policy.hidden=[16]", "agent.hidden=16", "reward.hidden=16"),
]


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    root, own = tmp_path_factory.mktemp("episodes"), contracts.find(task_class(TASK).contract)
    task = make_any_task(TASK, own)[0]
    list(demonstrate(TaskEpisodes(task, own, root), make_expert(TASK), [1, 2]))
    task.close()
    return Dataset.open(root, own, validation=0.0)


@pytest.fixture(scope="module")
def graph(tmp_path_factory, shown):
    specs = SCENARIOS["env"].nodes({"task": TASK, "speed": "0", "cameras": "false"})
    with ProcessGroup({spec.name: command(spec) for spec in specs}, tmp_path_factory.mktemp("env"), print):
        made = GraphEnvironments(RosEnv(shown.contract, timeout_s=60.0, time_limit_s=LIMIT_S), TASK)
        yield made
        made.close()


def in_process(shown):
    return Environments(TASK, shown.contract, lambda: make_any_task(TASK, shown.contract)[0], 1)


def learnt(shown, out, environments, changes=(), **options):
    return train(shown, load("gail", [*QUICK, *changes]), out, environments, version="v1", **options)


def test_a_training_on_a_graph_equals_one_in_process_bit_by_bit_also_when_it_is_resumed(
    shown, graph, tmp_path
):
    here = in_process(shown)
    assert (graph.most_steps, graph.is_judged) == (here.most_steps, here.is_judged)
    one = learnt(shown, tmp_path / "here", here)
    here.close()
    learnt(shown, tmp_path / "there", graph, on_step=lambda progress: progress.step != 40)
    other = learnt(shown, tmp_path / "there", graph, resume=True)
    assert one.scores == other.scores
    assert [score.step for score in one.scores] == [25, 50, 60]
    for name in ("checkpoint", "reward"):
        files = [tmp_path / place / name / "model.safetensors" for place in ("here", "there")]
        assert files[0].read_bytes() == files[1].read_bytes()
    with pytest.raises(TrainingError, match="graph: was True, is now None"):
        learnt(shown, tmp_path / "there", in_process(shown), resume=True)


def test_a_simulated_person_corrects_on_a_graph_as_in_one_process(shown, graph, tmp_path):
    def person():
        motion = typical_motion(shown.train, shown.contract)
        return Corrector(shown.contract, motion, lambda: make_expert(TASK))

    here, there = person(), person()
    own = shown.contract
    beside = Environments(TASK, own, lambda: make_any_task(TASK, own)[0], 1, lambda _: here)
    one = learnt(shown, tmp_path / "here", beside)
    beside.close()
    corrected = GraphEnvironments(graph._env, TASK, there)
    assert corrected.is_corrected
    assert not graph.is_corrected
    other = learnt(shown, tmp_path / "there", corrected)
    assert here.ticks > 5
    assert (there.takeovers, there.ticks) == (here.takeovers, here.ticks)
    assert one.scores == other.scores
    files = [tmp_path / place / "checkpoint" / "model.safetensors" for place in ("here", "there")]
    assert files[0].read_bytes() == files[1].read_bytes()


def test_an_interrupted_own_episode_goes_on_where_it_was_and_says_when_it_cannot(shown, graph):
    own = graph._own
    seen, _ = own.reset(seed=3)
    for _ in range(3):
        seen, *_ = own.step(np.array(seen["joints"]))
    own.leave()
    graph._env.reset(seed=4)  # somebody else's episode
    again, *_ = own.step(np.array(seen["joints"]))
    direct, _ = graph._env.reset(seed=3)
    for _ in range(4):
        direct, *_ = graph._env.step(np.array(direct["joints"]))
    assert all(np.array_equal(again[key], direct[key]) for key in again)
    own._observation = {key: value + 1.0 for key, value in own._observation.items()}
    own.leave()
    with pytest.raises(
        RuntimeError, match="the same actions lead elsewhere; own steps on a graph need lockstep"
    ):
        own.step(np.array(seen["joints"]))
