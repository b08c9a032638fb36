"""Any Gymnasium environment as a task: the roll-out, the outcome, and what it refuses."""

import re

import gymnasium
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.envs.from_env import contract_of
from il_ros.envs.gym_task import GymTask, judged
from il_ros.envs.tasks import TaskError, is_environment, make_any_task, require_task
from il_ros.sim.lockstep import command_messages
from il_ros.sim.rollout import rollout
from il_ros.training.evaluate import evaluate


def test_a_rollout_equals_the_environments_own_episode_bit_for_bit():
    env = gymnasium.make("Pendulum-v1")
    own = contract_of(env)
    draws = np.random.default_rng(0).uniform(-2, 2, (200, 1)).astype(np.float32)
    answers = iter(draws.astype(np.float64))
    run = rollout(GymTask(env), lambda seen: next(answers)[None], own, seed=7)
    seen, _ = env.reset(seed=7)
    total = 0.0
    for step, action in enumerate(draws):
        np.testing.assert_array_equal(run.observations["observation"][step], seen.astype(np.float64))
        seen, reward, *_ = env.step(action)
        total += float(reward)
    assert (run.steps, run.total_reward, run.success, run.failed) == (200, total, False, False)
    assert run.duration_s == pytest.approx(10.0)


def test_the_same_seed_gives_the_same_episode():
    task, own = make_any_task("CartPole-v1")
    act = iter(np.eye(2)[np.random.default_rng(1).integers(0, 2, 1000)])
    drawn = [next(act) for _ in range(60)]

    def again(seed):
        answers = iter(drawn)
        return rollout(task, lambda seen: next(answers)[None], own, seed)

    first, other, second = again(3), again(4), again(3)
    assert first.observations["observation"].tobytes() == second.observations["observation"].tobytes()
    assert first.observations["observation"][0].tolist() != other.observations["observation"][0].tolist()


def test_reaching_the_reward_threshold_is_success_and_less_is_failure():
    class Right:
        def act(self, seen):
            return np.array([[0.0, 1.0]])

    task, own = make_any_task("CartPole-v1")
    score = evaluate(Right(), own, task, range(2))
    assert task.goal == "reach a return of 475"
    assert [episode.ending for episode in score.episodes] == ["failure", "failure"]
    assert all(8 <= episode.total_reward <= 11 for episode in score.episodes)  # it falls after about 10 steps
    low, _ = make_any_task("CartPole-v1", success_return=8.0)
    assert evaluate(Right(), own, low, range(2)).rate == 1.0


@pytest.mark.parametrize(
    ("info", "threshold", "expected"),
    [
        ({"is_success": True}, 1000.0, True),
        ({"success": np.float32(0)}, None, False),
        ({}, 5.0, True),
        ({}, 5.1, False),
        ({}, None, None),
    ],
)
def test_success_is_what_the_environment_says_else_its_return(info, threshold, expected):
    assert judged(info, 5.0, threshold) is expected


def test_the_rate_of_an_edited_contract_is_the_tasks():
    with gymnasium.make("Pendulum-v1") as env:
        slow = contracts.parse(contract_of(env).text.replace("rate_hz: 20.0", "rate_hz: 10.0"), "slow.yaml")
    task, own = make_any_task("Pendulum-v1", slow)
    assert (task.control_period_ns, own) == (100_000_000, slow)


def test_a_command_outside_the_bounds_or_missing_is_refused():
    task, own = make_any_task("Pendulum-v1")
    task.reset(0)
    with pytest.raises(ValueError, match="action: Pendulum-v1 needs a command in its first step"):
        task.step({})
    with pytest.raises(ValueError, match=r"action: action_0 is 2.5; the environment takes -2 to 2"):
        task.step(command_messages(own, np.array([2.5]), 1))
    task.step(command_messages(own, np.array([1.0]), 1))
    task.step({})  # the last command is kept
    assert task.time_ns == 1_000_000_000 + 2 * 50_000_000


def test_pictures_need_a_render_mode():
    task, _ = make_any_task("CartPole-v1")
    task.reset(0)
    with pytest.raises(ValueError, match="make it with render_mode='rgb_array'"):
        task.picture("any", 10, 10)


def test_names_of_environments_are_known_by_their_form():
    assert is_environment("Pendulum-v1")
    assert is_environment("package:group/Name-v0")
    assert not any(map(is_environment, ("push", "fold", "my task", "Pendulum")))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("puhs", r"unknown task 'puhs'; there are: reach, push, .* such as Pendulum-v1"),
        ("Nope-v1", "environment 'Nope-v1' is not known: Environment `Nope` doesn't exist"),
        ("no_package:Name-v0", "environment 'no_package:Name-v0' is not known: No module named 'no_package'"),
    ],
)
def test_an_unknown_task_is_refused_by_name(name, message):
    with pytest.raises(TaskError, match=message):
        make_any_task(name)


def test_our_own_environments_are_the_simulated_tasks():
    task, own = make_any_task("il_ros/push-v0")
    assert (task.name, own.name) == ("push", "arm_push")
    with pytest.raises(TaskError, match="task 'push' has a success condition of its own"):
        make_any_task("push", success_return=1.0)


class Failing(gymnasium.Env):
    """Fails in its own code: in reset with seed 1, else in step."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)
    action_space = gymnasium.spaces.Box(-1, 1, (1,), np.float32)

    def reset(self, *, seed=None, options=None):
        if seed == 1:
            raise KeyError("no such scene")
        return np.zeros(1, np.float32), {}

    def step(self, action):
        raise SystemExit(4)


def test_an_environment_that_fails_in_its_own_code_is_named_with_the_line():
    env = Failing()
    task, own = GymTask(env), contract_of(env)
    with pytest.raises(
        TaskError, match=r"Failing: reset fails: KeyError: .*scene.* \(line \d+ of .*test_gym"
    ):
        task.reset(1)
    with pytest.raises(TaskError, match=r"Failing: step fails: SystemExit: 4 \(line \d+ of .*test_gym"):
        rollout(task, lambda seen: np.zeros((1, 1)), own, seed=0)


def test_an_environment_that_cannot_be_made_is_named():
    def needy(size):
        return Failing()

    gymnasium.register("Needy-v0", entry_point=needy)
    with pytest.raises(TaskError, match=r"environment 'Needy-v0' cannot be made: TypeError: .*size"):
        make_any_task("Needy-v0")


class Answering(gymnasium.Env):
    """Returns what it was made with."""

    observation_space = gymnasium.spaces.Box(-1, 1, (1,))
    action_space = gymnasium.spaces.Box(-1, 1, (1,))

    def __init__(self, start=None, after=()):
        self.start, self.after = start, after

    def reset(self, *, seed=None, options=None):
        return (SEEN, {}) if self.start is None else self.start

    def step(self, action):
        return self.after


SEEN = np.zeros(1, np.float32)


@pytest.mark.parametrize(
    ("after", "words"),
    [
        (
            (SEEN, 0.0, False, {}),
            "step returns 4 values, not (observation, reward, terminated, truncated, info); that is gym's interface of "
            "before 0.26",
        ),
        (None, "step returns NoneType, no tuple, not (observation,"),
        ((SEEN, None, False, False, {}), "step returns the reward None; a number is needed"),
        ((SEEN, "good", False, False, {}), "step returns the reward 'good'; a number is needed"),
        ((SEEN, 0.0, False, False, None), "step returns None as info; a dictionary is needed"),
    ],
)
def test_an_answer_that_is_not_gymnasiums_is_described(after, words):
    task = GymTask(Answering(after=after))
    task.reset(0)
    command = command_messages(contract_of(task.env), np.zeros(1), 0)
    with pytest.raises(TaskError, match=re.escape(words)):
        task.step(command)


def test_a_reset_of_the_former_interface_is_described():
    with pytest.raises(
        TaskError, match=re.escape("reset returns ndarray, no tuple, not (observation, info)")
    ):
        GymTask(Answering(start=SEEN)).reset(0)


def test_what_is_no_task_is_found_without_making_one(monkeypatch, tmp_path):
    for name in ("push", "il_ros/push-v0", "Pendulum-v1", "a_module:Unknown-v0"):
        require_task(name)
    for name, why in (
        ("puhs", "unknown task 'puhs'; there are: reach, push"),
        ("Pendulm-v1", "environment 'Pendulm-v1' is not known"),
        ("il_ros/puhs-v0", "environment 'il_ros/puhs-v0' is not known"),
    ):
        with pytest.raises(TaskError, match=why):
            require_task(name)
    with pytest.raises(ValueError, match="task 'push': unknown simulator 'gz'; there are: mujoco, gazebo_c"):
        require_task("push", "gz")
    monkeypatch.setenv("IL_ROS_GAZEBO", str(tmp_path))
    with pytest.raises(TaskError, match="simulator gazebo_classic: there is no Gazebo"):
        require_task("push", "gazebo_classic")
