"""The simulated tasks as Gymnasium environments in process."""

import subprocess
import sys
import textwrap
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from il_ros.envs.registration import NAMES
from il_ros.envs.task_env import TaskEnv
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import task_class, task_names


def episode(env, act, seed):
    """One episode: [(observation, reward, terminated, truncated, info), ...]."""
    observation, _ = env.reset(seed=seed)
    steps = []
    while not steps or not any(steps[-1][2:4]):
        steps.append(env.step(act(observation)[0]))
        observation = steps[-1][0]
    return steps


def stay(observation):
    return np.array([observation["joints"]])


@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning")  # units and limits are the contract's on purpose
@pytest.mark.parametrize("name", NAMES)
def test_each_passes_gymnasiums_checker_with_pictures(name):
    with gymnasium.make(name, render_mode="rgb_array", width=32, height=24) as env:
        check_env(env.unwrapped)
        env.reset(seed=0)
        assert env.render().shape == (24, 32, 3)


def test_the_readmes_lines_make_environments_in_a_process_of_their_own():
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    lines = text[text.index("    import gymnasium\n") :].partition("\n\n")[0]
    code = textwrap.dedent(lines) + "\nprint(env.spec.id, environments.num_envs)\nenvironments.close()\n"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.stdout.split() == ["il_ros/push-v0", "4"], done.stderr


def test_every_task_has_an_environment_with_its_contract():
    assert set(NAMES.values()) == set(task_names())
    for name, task in NAMES.items():
        with gymnasium.make(name) as env:
            assert env.unwrapped.contract.name == task_class(task).contract


def test_the_expert_succeeds_and_a_seed_gives_the_same_episode_bit_by_bit():
    with gymnasium.make("il_ros/push-v0") as env:
        first = episode(env, make_expert("push").act, seed=3)
        episode(env, make_expert("push").act, seed=4)
        again = episode(env, make_expert("push").act, seed=3)
    assert [step[0]["joints"].tobytes() for step in first] == [step[0]["joints"].tobytes() for step in again]
    _, reward, terminated, truncated, info = first[-1]
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert sum(step[1] for step in first) == 1.0
    assert info["time_s"] == pytest.approx(len(first) * 0.05)


def test_the_safety_limiter_limits_actions():
    with gymnasium.make("il_ros/push-v0") as env:
        observation, _ = env.reset(seed=0)
        *_, info = env.step(np.concatenate([observation["joints"][:6] + 1.0, [0.03]]))
        moved = np.abs(info["sent"] - observation["joints"])[:6].max()
    assert "arm/joint1 speed" in info["limited"]
    # from rest 40 rad/s^2 for 0.05 s allow 2 rad/s, which is the speed limit: 2 rad/s * 0.05 s
    assert moved == pytest.approx(0.1)


def test_the_limiter_begins_anew_at_each_reset():
    with gymnasium.make("il_ros/drive-v0") as env:
        env.reset(seed=0)
        for _ in range(10):
            env.step(np.array([0.6, 0.0]))
        env.reset(seed=1)
        *_, info = env.step(np.array([0.6, 0.0]))
    assert info["sent"][0] == pytest.approx(0.1)  # 2 m/s^2 for 0.05 s from rest
    assert info["limited"] == ("base/linear.x acceleration",)


def test_the_time_limit_truncates_and_requires_a_reset():
    with gymnasium.make("il_ros/reach-v0", time_limit_s=0.2) as env:
        observation, _ = env.reset(seed=0)
        ends = [env.step(observation["joints"]) for _ in range(4)]
        assert [end[2:4] for end in ends] == [(False, False)] * 3 + [(False, True)]
        assert ends[-1][4]["reason"] == "not within 0.2 s"
        with pytest.raises(RuntimeError, match=r"call reset\(\)"):
            env.unwrapped.step(observation["joints"])


@pytest.mark.parametrize("action", [np.zeros(6), np.full(7, np.nan)])
def test_an_invalid_action_is_refused(action):
    with gymnasium.make("il_ros/reach-v0") as env:
        env.reset(seed=0)
        with pytest.raises(ValueError, match=r"7,.* finite"):
            env.unwrapped.step(action)


def test_cameras_are_observed_as_the_contract_says():
    with gymnasium.make("il_ros/push-v0", contract="arm_push_images") as env:
        observation, _ = env.reset(seed=0)
        space = env.observation_space
        assert space["overhead"] == gymnasium.spaces.Box(0, 255, (96, 96, 3), np.uint8)
        assert observation in space
        assert observation["overhead"].std() > 5  # a scene, not a blank picture


def test_a_contract_of_another_robot_is_refused():
    with pytest.raises(ValueError, match=r"contract drive observes scan; push publishes: object_pose"):
        gymnasium.make("il_ros/push-v0", contract="drive")


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_several_in_one_process_and_in_several_give_the_same_bits_as_one(mode):
    environments = gymnasium.make_vec("il_ros/reach-v0", num_envs=2, vectorization_mode=mode)
    seen, _ = environments.reset(seed=[5, 6])
    rows = [seen["joints"]]
    for _ in range(5):
        seen, *_ = environments.step(np.array([[0.1, 0.2, 0.0, 0.1, 0.0, 0.0, 0.02]] * 2))
        rows.append(seen["joints"])
    environments.close()
    for column, seed in enumerate((5, 6)):
        with gymnasium.make("il_ros/reach-v0") as env:
            one, _ = env.reset(seed=seed)
            alone = [one["joints"]]
            alone += [env.step(np.array([0.1, 0.2, 0.0, 0.1, 0.0, 0.0, 0.02]))[0]["joints"] for _ in range(5)]
        assert [row[column].tobytes() for row in rows] == [row.tobytes() for row in alone]


def test_pictures_come_from_several_processes_too():
    environments = gymnasium.make_vec(
        "il_ros/push-v0",
        num_envs=2,
        vectorization_mode="async",
        vector_kwargs={"context": "spawn"},  # a graphics context does not survive a fork
        contract="arm_push_images",
        render_mode="rgb_array",
        width=64,
        height=48,
    )
    seen, _ = environments.reset(seed=[1, 2])
    pictures = np.array(environments.call("render"))
    environments.close()
    assert seen["overhead"].shape == (2, 96, 96, 3)
    assert (seen["overhead"][0] != seen["overhead"][1]).any()  # other starts
    assert pictures.shape == (2, 48, 64, 3)
    assert pictures.std() > 5


def test_without_a_render_mode_there_is_no_picture():
    with gymnasium.make("il_ros/reach-v0") as env:
        env.reset(seed=0)
        assert env.unwrapped.render() is None
    with pytest.raises(ValueError, match="render_mode is 'depth'; it must be 'rgb_array' or None"):
        TaskEnv("reach", render_mode="depth")
