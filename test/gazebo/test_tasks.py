"""The tasks in a real Gazebo: same starts, same sensors, same successes, and bit-reproducible."""

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.core.share import path
from il_ros.sim.experts import make_expert
from il_ros.sim.gazebo.process import why_missing
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import Cameras, make_task

CONTRACTS = {"reach": "arm_reach", "push": "arm_push", "pick_place": "arm_pick_place", "drive": "drive"}
EPISODES = 4


def contract_of(name):
    return contract.load(path("config", "contracts", f"{CONTRACTS[name]}.yaml"))


@pytest.fixture(scope="module")
def tasks():
    """Return task(name): one Gazebo per task for the whole module."""
    if why_missing():
        pytest.skip(why_missing())
    started = {}

    def task(name):
        if name not in started:
            cameras = Cameras(("camera",) if name == "drive" else ("overhead", "wrist"), 64, 48)
            started[name] = make_task(name, cameras=cameras, simulator="gazebo_classic")
        return started[name]

    yield task
    for each in started.values():
        each.close()


def numbers(task):
    """The observations without images: {topic: list of numbers}."""
    found = {}
    for reading in task.readings():
        message = reading.message
        if reading.topic == "joint_states":
            found[reading.topic] = [*message.position, *message.velocity]
        elif reading.topic == "scan":
            found[reading.topic] = np.minimum(message.ranges, message.range_max).tolist()
        elif reading.topic.endswith("pose"):
            at, turn = message.pose.position, message.pose.orientation
            found[reading.topic] = [at.x, at.y, at.z, turn.x, turn.y, turn.z, turn.w]
        elif reading.topic == "odom":
            at, twist = message.pose.pose.position, message.twist.twist
            found[reading.topic] = [at.x, at.y, twist.linear.x, twist.angular.z]
    return found


@pytest.mark.parametrize("name", CONTRACTS)
def test_a_seed_gives_the_same_start_as_in_mujoco(tasks, name):
    reference = make_task(name)
    for seed in (0, 5):
        tasks(name).reset(seed)
        reference.reset(seed)
        here, there = numbers(tasks(name)), numbers(reference)
        assert here.keys() == there.keys()
        for topic, values in there.items():
            tolerance = 2e-3 if topic == "scan" else 1e-6
            np.testing.assert_allclose(here[topic], values, atol=tolerance, err_msg=topic)


@pytest.mark.parametrize("name", ["push", "drive"])
def test_an_episode_is_bit_reproducible_after_any_other(tasks, name):
    task, expert, terms = tasks(name), make_expert(name), contract_of(name)
    first = rollout(task, expert.act, terms, seed=3)
    ended, seen = task.state(), task.readings()
    rollout(task, expert.act, terms, seed=4)
    again = rollout(task, expert.act, terms, seed=3)
    assert again.steps == first.steps
    assert (again.actions == first.actions).all()
    assert (task.state() == ended).all()
    for before, after in zip(seen, task.readings(), strict=True):
        if before.topic.endswith("image_raw"):
            assert (before.message.data == after.message.data).all(), f"{before.topic}: another picture"


def test_another_process_of_gazebo_gives_the_same_numbers(tasks):
    expert, terms = make_expert("push"), contract_of("push")
    first = rollout(tasks("push"), expert.act, terms, seed=7)
    other = make_task("push", simulator="gazebo_classic")
    again = rollout(other, expert.act, terms, seed=7)
    assert (again.actions == first.actions).all()
    assert (other.state() == tasks("push").state()).all()
    other.close()


@pytest.mark.parametrize("name", CONTRACTS)
def test_the_expert_for_mujoco_also_succeeds_in_gazebo(tasks, name):
    expert, terms = make_expert(name), contract_of(name)
    done = [rollout(tasks(name), expert.act, terms, seed).success for seed in range(EPISODES)]
    assert done == [True] * EPISODES


@pytest.mark.parametrize("name", ["push", "drive"])
def test_images_match_the_numeric_state(tasks, name):
    task, camera = tasks(name), tasks(name).camera_names[0]
    task.reset(0)
    first = task.picture(camera, 64, 48)
    task.reset(1)
    second = task.picture(camera, 64, 48)
    task.reset(0)
    assert (task.picture(camera, 64, 48) == first).all()
    assert (second != first).any()
    reference = make_task(name)
    reference.reset(0)
    wanted = reference.picture(camera, 64, 48)
    reference.close()
    likeness = np.corrcoef(first.ravel(), wanted.ravel())[0, 1]
    assert likeness > 0.75  # the same view with other lighting


def test_a_collision_with_a_wall_fails(tasks):
    task = tasks("drive")
    task.reset(0)
    ahead = np.array([[0.6, 0.0]])
    ended = rollout(task, lambda _: ahead, contract_of("drive"), seed=0)
    assert ended.failed
    assert not ended.success


def test_a_block_that_is_not_pushed_does_not_move(tasks):
    task = tasks("push")
    task.reset(2)
    before = task.scene.object_m
    for _ in range(40):
        task.step({})
    np.testing.assert_allclose(task.scene.object_m, before, atol=1e-4)
    assert not task.success
