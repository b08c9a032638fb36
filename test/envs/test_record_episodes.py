"""Recording in process: the bags hold what was seen and done, bit for bit, and read like any other episode."""

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.envs.from_env import contract_of, contract_of_spaces
from il_ros.envs.record_episodes import RecordEpisodes
from il_ros.envs.registration import register
from il_ros.envs.write_episode import ArraysError, write_episode
from il_ros.episodes.arrays.dataset import Dataset, DatasetError
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import scan
from il_ros.episodes.layout import load_info
from il_ros.episodes.verify import verify
from il_ros.sim.experts import make_expert

register()


class Corridor(gymnasium.Env):
    """Walks to cell 3 by 'right'; a picture, a number and a cell are seen. Ends there, or after six steps."""

    metadata = {"render_modes": []}  # noqa: RUF012 - Gymnasium's type
    observation_space = spaces.Dict(
        {
            "picture": spaces.Box(0, 255, (32, 40, 3), np.uint8),
            "noise": spaces.Box(-1, 1, (2,), np.float32),
            "cell": spaces.Discrete(4),
        }
    )
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.cell = self.steps = 0
        return self._seen(), {}

    def step(self, action):
        self.cell, self.steps = min(3, self.cell + int(action)), self.steps + 1
        done = self.cell == 3
        return self._seen(), float(done), done, self.steps >= 6, {"is_success": done}

    def _seen(self):
        picture = self.np_random.integers(0, 256, (32, 40, 3), dtype=np.uint8)
        return {
            "picture": picture,
            "noise": self.np_random.random(2, dtype=np.float32),
            "cell": np.int64(self.cell),
        }


def frames(root, own, **options):
    return Dataset.open(root, own, validation=0.0, **options).train


def played(env, seed, act):
    observation, _ = env.reset(seed=seed)
    seen, done, ended = [], [], False
    while not ended:
        seen.append(observation)
        done.append(act(observation))
        observation, _, terminated, truncated, info = env.step(done[-1])
        ended = terminated or truncated
    return seen, done, observation, info


def test_what_was_seen_and_done_is_read_back_bit_for_bit(tmp_path):
    with RecordEpisodes(Corridor(), tmp_path, task="walk", operator="Ada") as env:
        seen, _, _, info = played(env, 3, lambda observation: 1)
        own = env.contract
    (episode,) = frames(tmp_path, own)
    assert info["episode"] == tmp_path / "episode_000001"
    assert (len(episode), episode.outcome, episode.task) == (3, "success", "walk")
    assert set(episode.authority) == {"expert"}
    np.testing.assert_array_equal(episode.observations["picture"], [each["picture"] for each in seen])
    assert episode.observations["noise"].tolist() == [each["noise"].tolist() for each in seen]
    assert episode.observations["cell"].tolist() == [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]
    assert episode.commands.tolist() == [[0.0, 1.0]] * 3
    entry = scan(tmp_path).entries[0]
    assert (entry.info.operator, entry.info.seed, entry.info.stop_reason) == ("Ada", 3, "terminated")
    assert contracts.parse(entry.info.contract_text, "recorded") == own


def test_rewards_and_the_last_observation_are_in_the_bag(tmp_path):
    with RecordEpisodes(Corridor(), tmp_path) as env:
        _, _, last, _ = played(env, 0, lambda observation: 1)
    bag = open_bag(tmp_path / "episode_000001")
    recorded = [messages.decode(each.type, each.raw).data for each in bag.messages(["/task/reward"])]
    assert recorded == [0.0, 0.0, 1.0]
    noise = [messages.decode(each.type, each.raw).data for each in bag.messages(["/observation/noise"])]
    assert len(noise) == 4
    np.testing.assert_array_equal(noise[-1], last["noise"].astype(np.float64))


def test_an_episode_without_success_is_a_failure_and_a_cut_one_is_unmarked(tmp_path):
    with RecordEpisodes(Corridor(), tmp_path) as env:
        played(env, 0, lambda observation: 0)
        env.reset(seed=1)
        env.step(1)
        env.reset(seed=2)  # without a step: no episode
        env.reset(seed=3)
        env.step(0)
        env.mark("success")
    found = [(entry.outcome, entry.info.stop_reason) for entry in scan(tmp_path).entries]
    assert found == [
        ("failure", "truncated"),
        ("unmarked", "reset before its end"),
        ("success", "the environment was closed"),
    ]


def test_a_policys_actions_are_recorded_and_are_no_labels(tmp_path):
    with RecordEpisodes(Corridor(), tmp_path, source="policy") as env:
        played(env, 0, lambda observation: 1)
        own = env.contract
    with pytest.raises(DatasetError, match="commands of policy are not learnt in mode policy"):
        frames(tmp_path, own)


def test_an_action_beyond_the_bounds_is_limited_before_it_is_sent_and_recorded(tmp_path):
    with RecordEpisodes(gymnasium.make("Pendulum-v1", max_episode_steps=12), tmp_path) as env:
        played(env, 0, lambda observation: np.array([3.0], np.float32))
        own = env.contract
    (episode,) = frames(tmp_path, own)
    assert set(episode.commands[:, 0]) == {2.0}
    (entry,) = scan(tmp_path).entries
    assert entry.info.grade.clipped_share == 1.0


def test_a_simulated_task_is_recorded_with_its_own_messages(tmp_path):
    expert = make_expert("push")
    with RecordEpisodes(gymnasium.make("il_ros/push-v0"), tmp_path) as env:
        seen, done, *_ = played(env, 5, lambda observation: expert.act(observation)[0])
        own = env.contract
    (episode,) = frames(tmp_path, own)
    assert (episode.outcome, episode.task) == ("success", "push")
    for key in ("joints", "object", "goal"):
        np.testing.assert_array_equal(episode.observations[key], [each[key] for each in seen])
    np.testing.assert_array_equal(episode.commands, done)
    assert {stream.type for stream in scan(tmp_path).entries[0].info.streams} >= {
        "sensor_msgs/msg/JointState",
        "geometry_msgs/msg/PoseStamped",
    }
    assert verify(tmp_path / "episode_000001", own).ok


def test_environments_of_several_processes_record_into_one_folder(tmp_path):
    environments = gymnasium.make_vec(
        "CartPole-v1",
        num_envs=3,
        vectorization_mode="async",
        wrappers=[lambda env: RecordEpisodes(env, tmp_path)],
    )
    environments.reset(seed=0)
    for _ in range(60):
        environments.step(np.ones(3, dtype=np.int64))  # always to the right: about ten steps an episode
    environments.close()
    found = scan(tmp_path).entries
    assert len(found) >= 12
    assert {entry.state for entry in found} == {"ready"}
    assert [entry.info.number for entry in found] == list(range(1, len(found) + 1))


def test_an_unknown_source_or_outcome_is_refused(tmp_path):
    with pytest.raises(ValueError, match="source is 'me'; it must be 'expert' or 'policy'"):
        RecordEpisodes(Corridor(), tmp_path, source="me")
    with RecordEpisodes(Corridor(), tmp_path) as env:
        env.reset(seed=0)
        with pytest.raises(ValueError, match="outcome is 'fine'; it must be one of: success"):
            env.mark("fine")


# ---- from arrays -----------------------------------------------------------------------------------------

TEXT = """\
name: arrays
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], fields: [position, velocity],
           max_age_s: 0.1}
  camera: {topic: camera, type: sensor_msgs/msg/Image, image: {width: 4, height: 3}, max_age_s: 0.1}
  depth: {topic: depth, type: sensor_msgs/msg/Image, image: {width: 4, height: 3, encoding: depth}, max_age_s: 0.1}
  words: {topic: words, type: std_msgs/msg/String, max_age_s: 0.1}
actions:
  arm: {topic: arm, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, limits: {speed: 1.0}}
"""
ARRAYS = contracts.parse(TEXT, "arrays.yaml")


def made(steps, more=0):
    rng = np.random.default_rng(0)
    count = steps + more
    return {
        "joints": rng.normal(size=(count, 4)).cumsum(axis=0) / 1000,
        "camera": rng.integers(0, 256, (count, 3, 4, 3), dtype=np.uint8),
        "depth": rng.random((count, 3, 4, 1), dtype=np.float32),
        "words": np.array([f"step {index}" for index in range(count)]),
    }, rng.normal(size=(steps, 2))


@pytest.mark.parametrize("more", [0, 1])
def test_arrays_are_read_back_bit_for_bit(tmp_path, more):
    observations, actions = made(30, more)
    folder = write_episode(
        tmp_path, ARRAYS, observations, actions, rewards=np.arange(30.0), success=True, task="fold", seed=4
    )
    (episode,) = frames(tmp_path, ARRAYS)
    assert (episode.name, episode.outcome, episode.task) == (folder.name, "success", "fold")
    for key, values in observations.items():
        assert episode.observations[key].tolist() == values[:30].tolist()
    np.testing.assert_array_equal(episode.commands, actions)
    assert np.diff(episode.ticks_ns).tolist() == [50_000_000] * 29
    assert verify(folder, ARRAYS).ok


def test_arrays_of_a_generated_contract(tmp_path):
    own = contract_of_spaces("made", spaces.Box(-1, 1, (3,)), spaces.Box(-1, 1, (1,)), 50.0)
    observations, actions = np.random.default_rng(1).random((40, 3)), np.linspace(-1, 1, 40)
    write_episode(tmp_path, own, {"observation": observations}, actions)
    (episode,) = frames(tmp_path, own)
    np.testing.assert_array_equal(episode.observations["observation"], observations)
    np.testing.assert_array_equal(episode.commands[:, 0], actions)


def changed(**values):
    observations, actions = made(5)
    return {**observations, **values}, actions


@pytest.mark.parametrize(
    ("observations", "actions", "message"),
    [
        (*changed(joints=np.zeros((5, 3))), r"observations.joints: has shape \(5, 3\); needed: \(5, 4\)"),
        (*changed(camera=np.zeros((5, 3, 4, 3))), "observations.camera: has dtype float64; needed: uint8"),
        (*changed(more=np.zeros((5, 1))), "'more' is not in the contract; it has: joints, camera"),
        (*changed(joints=np.full((5, 4), np.nan)), "observations.joints: a number of step 0 is not finite"),
        (*changed(joints=np.zeros((7, 4))), "needed: .5, 4., or one row more"),
        (made(5)[0], np.zeros((5, 3)), r"actions: has shape \(5, 3\); needed: \(T, 2\), 2 numbers .*arm/a, arm/b"),
        (made(5)[0], np.zeros((0, 2)), r"actions: has shape \(0, 2\)"),
        ({}, np.zeros((5, 2)), "'joints' is missing; given: none"),
    ],
)  # fmt: skip
def test_arrays_that_are_no_episode_are_refused_and_leave_nothing(tmp_path, observations, actions, message):
    with pytest.raises(ArraysError, match=message):
        write_episode(tmp_path, ARRAYS, observations, actions)
    assert not list(tmp_path.glob("episode_*"))


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"success": "yes"}, "success: is 'yes'; needed: True, False, or None if it is not known"),
        ({"success": 1}, "success: is 1; needed: True, False"),
        ({"task": None}, "task is None; it must be a text"),
        ({"operator": 3}, "operator is 3; it must be a text"),
        ({"instruction": b"fold"}, "instruction is b'fold'; it must be a text"),
        ({"seed": 1.5}, "seed is 1.5; it must be a whole number or None"),
        ({"seed": True}, "seed is True; it must be a whole number or None"),
        ({"rewards": ["a"] * 5}, "rewards: has dtype <U1; needed: numbers"),
        ({"rewards": [np.nan] * 5}, "rewards: a number of step 0 is not finite"),
        ({"rewards": [1.0] * 4}, r"rewards: has shape \(4,\); needed: \(5,\)"),
        ({"actions": [[1, 2], [1]]}, "actions: is no array"),
        ({"actions": "none"}, r"actions: has shape \(\); needed: \(T, 2\)"),
        ({"observations": [1, 2]}, r"observations: is \[1, 2\]; needed: arrays by the contract's keys"),
        ({"contract": "arm_push"}, "contract: is 'arm_push'; needed: a Contract"),
        ({"root": 3}, "root: is 3; needed: the path of a folder"),
    ],
)
def test_an_argument_of_another_type_is_refused_and_leaves_nothing(tmp_path, given, message):
    observations, actions = made(5)
    every = {"root": tmp_path, "contract": ARRAYS, "observations": observations, "actions": actions, **given}
    with pytest.raises(ArraysError, match=message):
        write_episode(**every)
    assert not list(tmp_path.glob("episode_*"))


def test_texts_are_texts_and_numpys_words_for_success_and_seed_are_taken(tmp_path):
    observations, actions = made(5)
    with pytest.raises(ArraysError, match=r"observations\.words: has dtype int64; needed: texts"):
        write_episode(tmp_path, ARRAYS, {**observations, "words": np.arange(5)}, actions)
    folder = write_episode(
        tmp_path, ARRAYS, observations, actions, success=np.bool_(False), seed=np.int64(4), task="fold"
    )
    info = load_info(folder)
    assert (info.outcome, info.seed) == ("failure", 4)


def test_a_message_that_the_numbers_do_not_fill_is_refused(tmp_path):
    push = contracts.find("arm_push")
    arrays = {"joints": np.zeros((2, 7)), "object": np.zeros((2, 3)), "goal": np.zeros((2, 3))}
    with pytest.raises(
        ArraysError, match=r"observations.object: a geometry_msgs/msg/PoseStamped cannot be made"
    ):
        write_episode(tmp_path, push, arrays, np.zeros((2, 7)))


@pytest.mark.parametrize("name", ["Pendulum-v1", "il_ros/reach-v0"])
def test_a_step_outside_an_episode_is_refused_and_begins_no_other(name, tmp_path):
    with RecordEpisodes(gymnasium.make(name, max_episode_steps=3), tmp_path) as env:
        action = env.action_space.sample()
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset before step"):
            env.step(action)
        env.reset(seed=0)
        while not any(env.step(action)[2:4]):
            pass
        with pytest.raises(gymnasium.error.ResetNeeded, match="call reset before step"):
            env.step(action)
    assert len(scan(tmp_path).entries) == 1


def test_the_contract_of_an_environment_can_be_edited(tmp_path):
    with gymnasium.make("Pendulum-v1", max_episode_steps=15) as env:
        text = contract_of(env).text.replace(
            "size: 3  # or names: [...], one for each number", "names: [x, y, speed]"
        )
        edited = contracts.parse(text, "edited.yaml")
        with RecordEpisodes(env, tmp_path, contract=edited) as recording:
            played(recording, 0, lambda observation: np.array([0.5], np.float32))
    (episode,) = frames(tmp_path, edited)
    assert len(episode) == 15
