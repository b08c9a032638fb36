"""`press`: the sensor against statics by hand, what counts as pressed, and that only the force tells when to stop."""

from contextlib import closing

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.arm import ARM_COMMAND, GRIPPER_COMMAND
from il_ros.sim.tasks.kinematics import pointing_down
from il_ros.sim.tasks.table.press import CRUSHED_N, HEIGHT_M, STIFFNESS_N_M
from il_ros.sim.tasks.task import make_task

OWN = contract.find("arm_press")


@pytest.fixture
def task():
    with closing(make_task("press")) as made:
        yield made


def array(values):
    return messages.make("std_msgs/msg/Float64MultiArray", data=np.asarray(values, dtype=float))


def still(task, tip_m, steps=60):
    """Hold the tip's target for some time, without the disturbances of a command."""
    task._wobble.at = lambda time_s: np.zeros(6)
    for _ in range(steps):
        task.step({ARM_COMMAND: array(pointing_down(np.array(tip_m))), GRIPPER_COMMAND: array([0.0])})


def test_a_tool_that_touches_nothing_feels_nothing(task):
    """The weight of the tool, 2.3 N, is not in it."""
    task.reset(0)
    still(task, [0.3, 0.05, 0.2])
    np.testing.assert_allclose(task.scene.wrench, np.zeros(6), atol=0.01)


def test_at_rest_the_sensor_feels_the_pads_spring(task):
    """F = k x for a pad of 200 N/m."""
    task.reset(0)
    task.scene.set_goal(np.array([0.3, 0.0, 0.0]))
    task.scene.set_pad(0.08, 200.0)
    still(task, [0.3, 0.0, 0.058])
    down_m = -float(task.scene.data.joint("pad").qpos[0])
    assert 0.01 < down_m < 0.03
    assert task.pressing_n == pytest.approx(200.0 * down_m, abs=0.03)
    reading = next(each for each in task.readings() if each.topic == "wrench")
    assert reading.type == "geometry_msgs/msg/WrenchStamped"
    assert reading.message.wrench.force.z == pytest.approx(-task.pressing_n)


def test_the_topics_tell_neither_height_nor_stiffness(task):
    """Two pads at one place: until the tool is on one of them, all readings are the same."""
    seen = []
    for height, stiffness in ((HEIGHT_M[0], STIFFNESS_N_M[0]), (HEIGHT_M[1], STIFFNESS_N_M[1])):
        task.reset(4)
        task._time_ns = 0
        task.scene.set_pad(height, stiffness)
        still(task, [0.3, 0.0, 0.15], steps=3)
        seen.append([messages.encode(each.type, each.message) for each in task.readings()])
    assert seen[0] == seen[1]
    assert set(task.streams) == {each.topic for each in task.readings()}
    assert list(task.streams)[-1] == "joint_states"


def feeling(task, forces):
    """Step with these forces instead of the sensor's; return success and failure after each."""
    type(task).pressing_n = property(lambda self: forces[self._steps - 1])
    try:
        told = []
        for _ in forces:
            task.step({})
            told.append((task.success, task.failed))
        return told
    finally:
        type(task).pressing_n = PRESSING


PRESSING = type(make_task("press")).pressing_n


def test_the_pad_must_be_pressed_for_a_second_on_end(task):
    """20 steps of 50 ms within 3 to 5 N; one step outside begins anew."""
    task.reset(0)
    told = feeling(task, [4.0] * 19 + [5.1] + [3.0] * 19 + [5.0] + [2.9])
    assert [success for success, _ in told] == [False] * 39 + [True, False]
    assert not any(failed for _, failed in told)


def test_a_pad_that_was_pressed_too_hard_stays_a_failure(task):
    task.reset(0)
    assert feeling(task, [CRUSHED_N, CRUSHED_N + 0.1, 4.0]) == [(False, False), (False, True), (False, True)]
    task.reset(1)
    assert not task.failed


def test_a_restored_state_feels_and_has_counted_the_same(task):
    expert = make_expert("press")
    kept = []

    def act(observation):
        kept.append((task.state(), task.scene.wrench))
        return expert.act(observation)

    rollout(task, act, OWN, 5)
    state, wrench = kept[-3]
    held_s = state[-2]
    assert held_s > 0.5
    task.reset(5)
    task.restore(state)
    np.testing.assert_array_equal(task.scene.wrench, wrench)
    np.testing.assert_array_equal(task.state(), state)
    task.step({})
    assert task.state()[-2] == pytest.approx(held_s + 0.05)


def test_the_expert_presses_from_every_start_and_a_blind_one_does_not(task):
    expert = make_expert("press")
    done = [rollout(task, expert.act, OWN, seed) for seed in range(6)]
    assert all(each.success for each in done)
    assert all(-each.observations["force"][:, 2].min() < CRUSHED_N for each in done)
    numb = [rollout(task, lambda seen: expert.act({**seen, "force": np.zeros(3)}), OWN, s) for s in range(2)]
    assert all(each.failed for each in numb)  # it goes on down


def test_recorded_demonstrations_hold_the_force(task, tmp_path):
    list(demonstrate(TaskEpisodes(task, OWN, tmp_path), make_expert("press"), [1]))
    (episode,) = Dataset.open(tmp_path, OWN, validation=0.0).train
    assert 3.0 < -episode.observations["force"][-1, 2] < 5.0
