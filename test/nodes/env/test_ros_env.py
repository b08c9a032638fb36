"""A Gymnasium environment over topics: real processes, as `il-ros run env` starts them."""

import time

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from rclpy.qos import DurabilityPolicy, QoSProfile

from il_ros.core import contract, messages
from il_ros.core.processes.group import ProcessGroup
from il_ros.core.share import path
from il_ros.core.specs import JOINT_STATE, POSE
from il_ros.envs.spaces import action_space, observation_space
from il_ros.envs.task_env import TaskEnv
from il_ros.nodes.env.ros_env import RosEnv, RosEnvError
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import command
from il_ros.sim.experts import make_expert

PUSH = contract.load(path("config", "contracts", "arm_push.yaml"))
EXTRA = """
  extra: {topic: extra_pose, type: geometry_msgs/msg/PoseStamped, fields: [position], unit: m,
          max_age_s: 20.0}
actions:"""
WAIT_S = 60.0
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


@pytest.fixture(scope="module")
def processes(tmp_path_factory):
    specs = SCENARIOS["env"].nodes({"task": "push", "speed": "0", "cameras": "false"})
    logs = tmp_path_factory.mktemp("env")
    with ProcessGroup({spec.name: command(spec) for spec in specs}, logs, print) as group:
        yield group


@pytest.fixture
def make(processes):
    """Return make(**options): an environment, closed at the end."""
    made = []

    def make(terms=PUSH, **options):
        made.append(RosEnv(terms, timeout_s=WAIT_S, **options))
        return made[-1]

    yield make
    for env in made:
        env.close()


def episode(env, act, seed):
    """One episode: [(observation, reward, terminated, truncated, info), ...]."""
    observation, _ = env.reset(seed=seed)
    steps = []
    while not steps or not any(steps[-1][2:4]):
        steps.append(env.step(act(observation)))
        observation = steps[-1][0]
    return steps


def propose_on(env):
    """Run episodes while a test waits."""
    end_s = time.monotonic() + WAIT_S
    while time.monotonic() < end_s:
        episode(env, lambda seen: np.array(seen["joints"]), seed=0)


def expert(observation):
    return make_expert("push").act(observation)[0]


@pytest.mark.filterwarnings("ignore:.*Box.*:UserWarning")  # units and limits are the contract's on purpose
def test_it_passes_gymnasiums_checker(make):
    check_env(make(), skip_render_check=True)


def test_the_expert_succeeds_and_a_seed_gives_the_same_episode_bit_by_bit(make):
    env = make()
    first = episode(env, expert, seed=3)
    episode(env, expert, seed=4)
    again = episode(env, expert, seed=3)
    assert len(first) == len(again)
    for (before, *_), (after, *_) in zip(first, again, strict=True):
        assert all((before[key] == after[key]).all() for key in before)
    _, reward, terminated, truncated, info = first[-1]
    assert (reward, terminated, truncated, info["success"]) == (1.0, True, False, True)
    assert sum(step[1] for step in first) == 1.0
    assert {step[4]["authority"] for step in first} == {"policy"}
    assert info["time_s"] == pytest.approx(len(first) * 0.05)
    env.close()
    assert len(episode(make(name="another"), expert, seed=3)) == len(first)


def test_an_episode_over_topics_equals_one_in_process_bit_by_bit(make):
    def perturbed(observation):  # beyond the limits now and then, so that the limiter acts
        draws = np.random.default_rng(int.from_bytes(observation["joints"].tobytes()[:4], "little"))
        return expert(observation) + draws.normal(0.0, 0.08, 7) * [1, 1, 1, 1, 1, 1, 0.1]

    here, there = TaskEnv("push", time_limit_s=3.0), make(time_limit_s=3.0)
    assert here.observation_space == there.observation_space
    assert here.action_space == there.action_space
    for seed in (3, 11):
        assert here.reset(seed=seed)[1] == there.reset(seed=seed)[1]
        in_process, over_topics = episode(here, perturbed, seed), episode(there, perturbed, seed)
        assert len(in_process) == len(over_topics)
        assert any(step[4]["limited"] for step in in_process)
        for one, other in zip(in_process, over_topics, strict=True):
            assert {key: value.tobytes() for key, value in one[0].items()} == {
                key: value.tobytes() for key, value in other[0].items()
            }
            assert one[1:4] == other[1:4]
            assert one[4].keys() == other[4].keys()
            np.testing.assert_array_equal(one[4].pop("sent"), other[4].pop("sent"))
            assert one[4] == other[4]


def test_the_safety_limiter_limits_actions(make):
    env = make()
    observation, _ = env.reset(seed=0)
    target = np.concatenate([observation["joints"][:6] + 1.0, [0.03]])
    *_, info = env.step(target)
    assert any("arm/" in limited for limited in info["limited"])
    assert np.abs(info["sent"] - observation["joints"])[:6].max() < 2.0 * 0.05 + 1e-6  # 2 rad/s by contract


def test_the_time_limit_truncates_and_requires_a_reset(make):
    env = make(time_limit_s=0.2)
    resting, _ = env.reset(seed=0)
    still = np.array(resting["joints"])
    ends = [env.step(still)[2:4] for _ in range(4)]
    assert ends == [(False, False)] * 3 + [(False, True)]
    with pytest.raises(RosEnvError, match="call reset"):
        env.step(still)


@pytest.mark.parametrize("action", [np.zeros(6), np.full(7, np.nan)])
def test_an_invalid_action_is_refused(make, action):
    env = make()
    env.reset(seed=0)
    with pytest.raises(ValueError, match=r"7,.* finite"):
        env.step(action)


def test_a_silent_stream_is_an_error_that_names_it(make, tmp_path):
    env = make(with_extra(tmp_path))
    with pytest.raises(RosEnvError, match=r"extra \(extra_pose\): nothing received"):
        env.reset(seed=0)


def test_a_stream_that_falls_silent_truncates_without_invented_data(make, tmp_path, graph):
    seen = graph.received("joint_states", JOINT_STATE)
    env = make()

    def shown():
        env.reset(seed=0)  # each first frame is published once; a new subscriber may miss it
        return seen

    graph.until(shown, "the present simulated time", WAIT_S)
    env.close()
    one = messages.make(POSE, header=seen[-1].header)
    one.pose.position.x = 0.25
    graph.publisher("extra_pose", POSE, LATCHED)(one)
    env = make(with_extra(tmp_path), time_limit_s=100.0)
    observation, _ = env.reset(seed=0)
    resting, steps = np.array(observation["joints"]), []
    while not steps or not steps[-1][3]:
        steps.append(env.step(resting))
    last, _, terminated, _, info = steps[-1]
    assert not terminated
    assert "extra (extra_pose): stale" in info["reason"]
    assert last["extra"][0] == 0.25
    assert (last["joints"] == steps[-2][0]["joints"]).all()


def test_two_programs_cannot_propose_as_one_source(make):
    make()
    second = make(name="second")
    with pytest.raises(RosEnvError, match="ros_env also proposes on /policy_server/proposal"):
        propose_on(second)  # the second may discover the first only after its start


def test_a_second_program_is_detected_while_stepping(make):
    env = make()
    env.reset(seed=0)
    make(name="late")
    with pytest.raises(RosEnvError, match="late also proposes on /policy_server/proposal"):
        propose_on(env)


def test_without_a_supervisor_the_error_names_it(processes):
    env = RosEnv(PUSH, timeout_s=0.5, namespace="elsewhere")
    with pytest.raises(
        RosEnvError,
        match=r"no supervisor subscribes to /elsewhere/policy_server/proposal .* il-ros run env --task push --speed 0$",
    ):
        env.reset(seed=0)
    env.close()


def test_spaces_are_the_contracts():
    drive = contract.load(path("config", "contracts", "drive.yaml"))
    box = action_space(drive)
    np.testing.assert_array_equal(box.low, [-0.2, -2.0])
    np.testing.assert_array_equal(box.high, [0.6, 2.0])
    images = contract.load(path("config", "contracts", "arm_push_images.yaml"))
    space = observation_space(images)
    assert space["overhead"] == gymnasium.spaces.Box(0, 255, (96, 96, 3), np.uint8)
    assert space["joints"].shape == (7,)


def with_extra(folder):
    file = folder / "extra.yaml"
    text = path("config", "contracts", "arm_push.yaml").read_text()
    file.write_text(text.replace("\nactions:", EXTRA, 1))
    return file
