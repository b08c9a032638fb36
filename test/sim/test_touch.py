"""`touch`: the instruction decides which block counts, and it is recorded with the rest."""

from contextlib import closing

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.table.touch import APART_M, BLOCKS, TOUCH_M
from il_ros.sim.tasks.task import make_task

OWN = contract.find("arm_touch")


@pytest.fixture
def task():
    with closing(make_task("touch")) as made:
        yield made


def test_the_seed_draws_distant_blocks_and_each_is_named(task):
    named = set()
    for seed in range(40):
        task.reset(seed)
        places = [task.scene.mark_m(name)[:2] for name in BLOCKS]
        gaps = [np.linalg.norm(a - b) for index, a in enumerate(places) for b in places[:index]]
        assert min(gaps) >= APART_M
        named.add(task.named)
    assert named == set(BLOCKS)


def test_readings_say_the_instruction_and_where_each_block_is(task):
    task.reset(3)
    found = {each.topic: each for each in task.readings()}
    assert list(found)[-1] == "joint_states"
    assert set(found) == set(task.streams)
    assert found["instruction"].message.data == f"touch the {task.named} block"
    for name in BLOCKS:
        pose = found[f"{name}_pose"].message.pose.position
        np.testing.assert_allclose([pose.x, pose.y, pose.z], task.scene.mark_m(name))


def at(task, name):
    """Put a block so that the tip is on it."""
    task.scene.set_mark(name, task.scene.tip_m - [0, 0, TOUCH_M])


def test_only_the_named_block_is_a_success_and_another_one_a_failure(task):
    task.reset(0)
    for name in BLOCKS:
        task.scene.set_mark(name, np.array([5.0, 5.0, 0.0]))
    assert not task.success
    assert not task.failed
    for name in BLOCKS:
        at(task, name)
        assert (task.success, task.failed) == (name == task.named, name != task.named)
        task.scene.set_mark(name, np.array([5.0, 5.0, 0.0]))


def test_the_expert_touches_the_named_block_from_every_start(task):
    expert = make_expert("touch")
    done = [rollout(task, expert.act, OWN, seed) for seed in range(25)]
    assert all(each.success for each in done)


def test_the_expert_gives_up_when_no_block_or_two_are_named(task):
    seen = {name: np.zeros(3) for name in BLOCKS} | {"joints": np.zeros(7)}
    for words in ("", "touch the mauve block", "touch the red or the blue block"):
        assert make_expert("touch").act({**seen, "instruction": np.array(words)}) is None


def test_a_restored_state_has_the_blocks_of_the_state(task):
    task.reset(5)
    kept, readings = task.state(), [messages.encode(r.type, r.message) for r in task.readings()[:5]]
    task.scene.set_mark("red", np.array([0.3, 0.3, 0.02]))
    task.restore(kept)
    assert [messages.encode(r.type, r.message) for r in task.readings()[:5]] == readings


def test_recorded_demonstrations_hold_the_instruction(task, tmp_path):
    list(demonstrate(TaskEpisodes(task, OWN, tmp_path), make_expert("touch"), [1, 2]))
    told = []
    for seed in (1, 2):
        task.reset(seed)
        told.append(task.instruction)
    episodes = Dataset.open(tmp_path, OWN, validation=0.0).train
    assert [set(each.observations["instruction"].tolist()) for each in episodes] == [{told[0]}, {told[1]}]
