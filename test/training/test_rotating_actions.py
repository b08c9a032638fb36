"""Orientations and joints without end: one rotation is one label, and a policy learns it."""

from dataclasses import replace

import numpy as np
import pytest

from il_ros.core import contract, messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import LoadedPolicy, sample
from il_ros.training.fitting import fit_normaliser
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train
from il_ros.training.samples import samples
from il_ros.training.trainer import warm_start

JOINTS, ARRAY, POSE = (
    "sensor_msgs/msg/JointState",
    "std_msgs/msg/Float64MultiArray",
    "geometry_msgs/msg/PoseStamped",
)
START, MS = 1_760_000_000_000_000_000, 1_000_000
CARTESIAN = contract.parse(
    """
name: cartesian
rate_hz: 20
trigger: tool_pose
observations:
  tool: {topic: tool_pose, type: geometry_msgs/msg/PoseStamped, max_age_s: 0.2}
actions:
  target: {topic: target_pose, type: geometry_msgs/msg/PoseStamped, reference: tool, limits: {speed: 2.0}}
""",
    "cartesian",
)
TURNING = """
name: turning
rate_hz: 20
trigger: joint_states
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.2}}
actions:
  arm: {{topic: commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], reference: joints, mode: {mode},
        continuous: [a], limits: {{speed: 2.0}}}}
"""
RECIPE = changed(
    Recipe(), ["hidden=[32]", "epochs=40", "batch_size=32", "learning_rate=0.01", "validation=0"]
)


def write(folder, sent):
    """Write a bag of another recorder: (topic, type, stamp in ms, message)."""
    from rosbags.rosbag2 import StoragePlugin, Writer
    from rosbags.typesys import Stores, get_typestore

    store, connections = get_typestore(Stores.ROS2_JAZZY), {}
    with Writer(folder, version=9, storage_plugin=StoragePlugin.MCAP) as bag:
        for topic, kind, at_ms, message in sent:
            if topic not in connections:
                connections[topic] = bag.add_connection(topic, kind, typestore=store)
            bag.write(connections[topic], START + int(at_ms * MS), messages.encode(kind, message))


def pose(at_ms, x, quaternion):
    point = messages.make("geometry_msgs/msg/Point", x=float(x), y=0.0, z=0.3)
    turn = messages.make(
        "geometry_msgs/msg/Quaternion", **dict(zip("xyzw", map(float, quaternion), strict=True))
    )
    inner = messages.make("geometry_msgs/msg/Pose", position=point, orientation=turn)
    return messages.make(POSE, header=messages.header(START + int(at_ms * MS)), pose=inner)


def pointing_down(root, flips):
    """Episodes of a tool that points down, a turn by 180 degrees: w trembles about 0, and a driver keeps w >= 0."""
    for number in range(4):
        rng = np.random.default_rng(number)
        yaw = rng.uniform(-0.3, 0.3)

        def quaternion(tremor, yaw=yaw):
            numbers = np.array([np.cos(yaw / 2), np.sin(yaw / 2), 0.001 * tremor, 0.002 * tremor])
            numbers /= np.linalg.norm(numbers)
            return -numbers if flips and numbers[3] < 0 else numbers

        sent = []
        for index in range(60):
            x, at_ms = 0.3 + 0.002 * index, 50 * index
            sent.append(("/tool_pose", POSE, at_ms + 1, pose(at_ms, x, quaternion(rng.normal()))))
            sent.append(("/target_pose", POSE, at_ms + 2, pose(at_ms, x + 0.01, quaternion(rng.normal()))))
        write(root / f"rec{number}", sent)
    return Dataset.open(root, CARTESIAN, validation=0)


def test_a_quaternion_that_changes_its_sign_changes_no_label(tmp_path):
    plain, flipping = pointing_down(tmp_path / "plain", False), pointing_down(tmp_path / "flips", True)
    signs = np.concatenate([np.sign(episode.commands[:, 3]) for episode in flipping.train])
    assert 0.3 < np.mean(signs > 0) < 0.7  # half of the commands are -q
    inputs, form = Inputs.of(CARTESIAN), ActionForm(CARTESIAN)
    labels, others = (samples(data.train, inputs, 2, form=form).actions for data in (plain, flipping))
    np.testing.assert_array_equal(labels, others)
    assert labels.shape[2] == 9


@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_a_policy_learns_an_orientation_whose_quaternion_changes_its_sign(tmp_path, loss):
    data = pointing_down(tmp_path / "eps", True)
    policy = train(data, changed(RECIPE, [f"policy.loss={loss}"]), tmp_path / "out").policy
    policy = checkpoint.load(tmp_path / "out")
    for episode in data.train:
        for frame in range(0, len(episode), 7):
            (command,) = policy.act({"tool": episode.observations["tool"][frame]})
            shown = episode.commands[frame]
            assert np.linalg.norm(command[3:]) == pytest.approx(1)
            assert 2 * np.arccos(min(1, abs(command[3:] @ shown[3:]))) < np.deg2rad(3)
            np.testing.assert_allclose(command[:3], shown[:3], atol=0.02)


def wrapped(angle):
    return (angle + np.pi) % (2 * np.pi) - np.pi


def led_around(root, mode, report=wrapped):
    """Episodes of a joint that turns at 0.5 rad/s and is led by 0.05 rad; its driver reports -pi to pi."""
    own = contract.parse(TURNING.format(mode=mode), "turning")
    for number in range(4):
        sent = []
        for index in range(200):
            at_ms, angle = 20 * index, 2.2 + 0.3 * number + 0.01 * index
            state = {"name": ["a", "b"], "position": np.array([report(angle), 0.0])}
            head = messages.header(START + at_ms * MS)
            sent.append(("/joint_states", JOINTS, at_ms + 1, messages.make(JOINTS, header=head, **state)))
            led = np.array([report(angle + 0.05), 0.0])
            sent.append(("/commands", ARRAY, at_ms + 2, messages.make(ARRAY, data=led)))
        write(root / f"rec{number}", sent)
    return Dataset.open(root, own, validation=0)


def test_deltas_of_a_continuous_joint_are_small_at_the_end_of_its_turn(tmp_path):
    data = led_around(tmp_path, "delta")
    seen = np.concatenate([episode.observations["joints"][:, 0] for episode in data.train])
    assert (seen.min(), seen.max()) == pytest.approx((-np.pi, np.pi), abs=0.05)  # they pass the end
    deltas = np.concatenate([episode.actions[:, 0] for episode in data.train])
    # the label of a tick is the last command before the next one, up to two messages of 0.01 rad later
    assert (deltas.min(), deltas.max()) == (pytest.approx(0.06, abs=0.011), pytest.approx(0.06, abs=0.011))
    chunks = samples(data.train, Inputs.of(data.contract), 10, form=ActionForm(data.contract)).actions[..., 0]
    steps = np.diff(chunks, axis=1)
    assert (steps.min(), steps.max()) == (pytest.approx(0, abs=0.031), pytest.approx(0.025, abs=0.011))
    assert chunks.max() < 0.35


@pytest.mark.parametrize("mode", ["delta", "absolute"])
def test_a_policy_drives_a_continuous_joint_over_the_end_of_its_turn(tmp_path, mode):
    train(led_around(tmp_path / "eps", mode), RECIPE, tmp_path / "out")
    policy = checkpoint.load(tmp_path / "out")
    for angle in (2.5, 3.0, 3.1, 3.13, -3.13, -3.1, -3.0, 3.13 + 4 * np.pi):
        ahead = policy.act({"joints": np.array([angle, 0.0])})[0][0] - angle
        assert ahead == pytest.approx(0.065, abs=0.03)


def test_a_driver_that_counts_turns_gives_the_same_labels(tmp_path):
    for mode in ("delta", "absolute"):
        ways = [
            led_around(tmp_path / mode / name, mode, report)
            for name, report in (("a", wrapped), ("b", float))
        ]
        inputs, form = Inputs.of(ways[0].contract), ActionForm(ways[0].contract)
        found = [samples(data.train, inputs, 5, form=form) for data in ways]
        np.testing.assert_allclose(found[0].actions, found[1].actions, atol=1e-9)
        np.testing.assert_allclose(found[0].features, found[1].features, atol=1e-9)


def test_a_joint_that_jumps_by_a_turn_and_is_not_declared_is_told(tmp_path):
    data = led_around(tmp_path / "eps", "delta")
    assert data.summary.warnings == ()
    undeclared = contract.parse(TURNING.format(mode="delta").replace("continuous: [a],", ""), "undeclared")
    (warning,) = Dataset.open(tmp_path / "eps", undeclared, validation=0).summary.warnings
    # it turns by 0.025 rad a tick, so the last tick before the end is at most that far from pi
    assert warning.startswith("arm/a is measured at 3.1")
    assert "and a tick later at -3.1" in warning
    assert warning.endswith("(rec0): if it has no end, declare 'continuous: [a]' at actions.arm")


def former_policy(data):
    """A policy as version 0.1.0 made it: it learns the numbers of the quaternion."""
    inputs = Inputs.of(CARTESIAN)
    raw = samples(data.train, inputs, 1, form=ActionForm(CARTESIAN, former=True))
    normaliser = fit_normaliser(
        samples(data.train, inputs, 1, form=ActionForm(CARTESIAN)), inputs, CARTESIAN, RECIPE
    )
    normaliser = replace(normaliser, actions=Affine(raw.actions[:, 0].mean(axis=0), np.ones(7)))
    network = make_network("bc", RECIPE.policy, CARTESIAN, normaliser)
    return LoadedPolicy(CARTESIAN, "bc", RECIPE.policy, network, normaliser, "v1")


def test_a_policy_that_learnt_quaternions_still_drives(tmp_path):
    data = pointing_down(tmp_path / "eps", False)
    policy = former_policy(data)
    checkpoint.save(tmp_path / "old", policy)
    loaded = checkpoint.load(tmp_path / "old", CARTESIAN)
    assert loaded.form.former
    seen = {"tool": data.train[0].observations["tool"][0]}
    (expected,) = loaded.normaliser.actions.restore(
        sample(loaded.network, Batch(loaded.window(seen))).chunk[0].numpy().astype(float)
    )
    np.testing.assert_allclose(loaded.act(seen)[0], expected, atol=1e-6)  # its numbers, unchanged


def test_a_training_does_not_go_on_from_quaternions_but_says_so(tmp_path):
    data = pointing_down(tmp_path / "eps", False)
    checkpoint.save(tmp_path / "old", former_policy(data))
    start, _, why = warm_start.begin(tmp_path / "old", CARTESIAN, RECIPE, 0, 0)
    assert start is None
    assert "it learnt the numbers of quaternions, orientations are learnt as rotation matrices now" in why
    train(data, changed(RECIPE, ["epochs=1"]), tmp_path / "new", version="v2")
    start, _, why = warm_start.begin(tmp_path / "new", CARTESIAN, changed(RECIPE, ["epochs=1"]), 0, 0)
    assert (start.version, why) == ("v2", "")


def test_a_checkpoint_with_another_number_of_actions_is_refused(tmp_path):
    policy = former_policy(pointing_down(tmp_path / "eps", False))
    checkpoint.save(tmp_path / "old", policy)
    file = tmp_path / "old" / "config.json"
    file.write_text(
        file.read_text().replace('"actions": {\n   "centre": [', '"actions": {\n   "centre": [0.0,')
    )
    with pytest.raises(checkpoint.CheckpointError):
        checkpoint.load(tmp_path / "old")
