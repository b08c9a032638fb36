"""The policy server on a real graph: loading, refusals, proposals."""

import json
import time

import numpy as np
import pytest
import torch
import two_robots
from made_versions import constant_policy
from rclpy.qos import DurabilityPolicy, QoSProfile
from ticked_robot import CONTRACT, MS, TEXT, Robot

from il_ros.core import contract, messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN
from il_ros.policies import checkpoint, vocabulary
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.joint.contracts import joined
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.vocabulary import Vocabulary
from il_ros.records import proposal

STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)


def write_checkpoint(folder, bias, version, own=CONTRACT):
    """Write a policy that always answers `bias` (2,)."""
    checkpoint.save(folder, constant_policy(own, bias, version))
    return str(folder)


@pytest.fixture
def trained(tmp_path):
    return write_checkpoint(tmp_path / "first", [0.25, -0.5], "v1")


def test_a_proposal_carries_the_policys_uncertainty(graph, tmp_path):
    identity = Affine(np.zeros(2), np.ones(2))
    settings = family("ensemble").settings(hidden=(4,), members=2)
    network = make_network("ensemble", settings, CONTRACT, Normaliser(identity, identity))
    policy = LoadedPolicy(CONTRACT, "ensemble", settings, network, Normaliser(identity, identity), "v1")
    checkpoint.save(tmp_path / "unsure", policy)
    graph.start(PolicyServer, checkpoint=str(tmp_path / "unsure"))
    got = Robot(graph).answer()
    assert got.uncertainty == policy.act_with_uncertainty({"joints": np.zeros(2)})[1]
    assert got.uncertainty > 0


def test_a_chunk_that_differs_from_the_previous_one_is_uncertain(graph, tmp_path):
    """The chunk is always [0.0, 0.5] for joint b, so its second step never matches the next chunk."""
    identity = Affine(np.zeros(2), np.ones(2))
    settings = family("bc").settings(hidden=(4,), horizon=2)
    network = make_network("bc", settings, CONTRACT, Normaliser(identity, identity))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.linear_layers()[-1].bias.copy_(torch.tensor([0.0, 0.0, 0.0, 0.5]))
    policy = LoadedPolicy(CONTRACT, "bc", settings, network, Normaliser(identity, identity), "v1")
    checkpoint.save(tmp_path / "chunks", policy)
    graph.start(PolicyServer, checkpoint=str(tmp_path / "chunks"))
    robot = Robot(graph)
    assert robot.answer().uncertainty is None
    # predicted [0, 0.5], answered [0, 0]: sqrt(0.25 / 2)
    assert robot.answer().uncertainty == pytest.approx(0.353553, abs=1e-6)


def test_it_answers_a_tick_with_the_policys_chunk_version_and_stamp(graph, trained):
    node, robot = graph.start(PolicyServer, checkpoint=trained), Robot(graph)
    assert node.state == "active"
    got = robot.answer()
    assert (got.source, got.version, got.stamp_ns, got.generation) == ("policy", "v1", 1050 * MS, None)
    np.testing.assert_allclose(got.chunk, [[0.25, -0.5]])
    status = node.status()
    assert (status.level, status.values["version"]) == (OK, "v1")
    for name in ("observation age p50 [ms]", "inference p99 [ms]", "publish p99 [ms]"):
        assert name in status.values


def test_a_joint_policy_is_served_under_the_contract_of_one_robot(graph, tmp_path):
    own = joined([two_robots.BASE, CONTRACT])
    policy = constant_policy(own, [0.75, 0.25, -0.5], "v1", optional=own.partial)  # wheels, then the arm
    checkpoint.save(tmp_path / "joint", policy)
    (tmp_path / "arm.yaml").write_text(TEXT)
    node = graph.start(PolicyServer, checkpoint=str(tmp_path / "joint"), contract=str(tmp_path / "arm.yaml"))
    assert node.state == "active"
    np.testing.assert_allclose(Robot(graph).answer().chunk, [[0.25, -0.5]])


def test_a_policy_with_history_sees_the_past_ticks_across_a_new_generation(graph, tmp_path):
    """The network sums joint a over its window of three ticks: history is the server's, so nothing resets it."""
    identity = Affine(np.zeros(2), np.ones(2))
    settings = family("bc").settings(hidden=(1,), history=3)
    network = make_network("bc", settings, CONTRACT, Normaliser(identity, identity))
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        first, last = network.linear_layers()
        first.weight[0, ::2] = 1.0  # joint a at each tick
        last.weight[0, 0] = 1.0
    policy = LoadedPolicy(CONTRACT, "bc", settings, network, Normaliser(identity, identity), "v1")
    checkpoint.save(tmp_path / "summing", policy)
    graph.start(PolicyServer, checkpoint=str(tmp_path / "summing"))
    tell = graph.publisher("dagger_supervisor/status", STRING, LATCHED)
    robot, answered = Robot(graph), []
    for number, value in enumerate((1.0, 2.0, 4.0, 8.0)):
        if number == 2:
            tell(messages.make(STRING, data=json.dumps({"generation": 8})))
        robot.tick(a=value)
        graph.until(lambda count=number: len(robot.proposals) > count, "a proposal")
        got = proposal.from_message(robot.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
        answered.append(got.chunk[0, 0])
        assert got.generation is None
    # before the history begins, the oldest tick is repeated: 1 + 1 + 1, 1 + 1 + 2, 1 + 2 + 4, 2 + 4 + 8
    np.testing.assert_allclose(answered, [3, 4, 7, 14])


@pytest.mark.parametrize("name", ["flow", "transformer"])
def test_every_family_is_served_and_a_tick_has_its_own_noise(graph, tmp_path, name):
    identity = Affine(np.zeros(2), np.ones(2))
    small = {"flow": {"hidden": (8,)}, "transformer": {"width": 8, "heads": 2, "blocks": 1}}[name]
    settings = family(name).settings(horizon=3, history=2, **small)
    network = make_network(name, settings, CONTRACT, Normaliser(identity, identity))
    policy = LoadedPolicy(CONTRACT, name, settings, network, Normaliser(identity, identity), "v1")
    checkpoint.save(tmp_path / name, policy)
    graph.start(PolicyServer, checkpoint=str(tmp_path / name))
    robot, seen = Robot(graph), []
    for value in (0.1, 0.2, 0.3):
        robot.tick(a=value)
        seen.append({"joints": np.array([value, 0.0])})
        graph.until(lambda: len(robot.proposals) == len(seen), "a proposal")
        got = proposal.from_message(robot.proposals[-1], CONTRACT.action_names, CONTRACT.period_ns)
        np.testing.assert_allclose(got.chunk, policy.act(seen[-2:], seed=got.stamp_ns), atol=1e-6)


def test_a_text_that_was_not_shown_is_logged_once_and_named_in_the_diagnostics(graph, tmp_path, capfd):
    words = "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 100}\n"
    own = contract.parse(TEXT.replace("actions:", f"{words}actions:"), "words")
    identity = Affine(np.zeros(2), np.ones(2))
    settings = family("film").settings(hidden=(4,))
    assets = {vocabulary.ASSET: Vocabulary.of(["go left", "go right"]).to_bytes()}
    network = make_network("film", settings, own, Normaliser(identity, identity), assets)
    policy = LoadedPolicy(own, "film", settings, network, Normaliser(identity, identity), "v1")
    checkpoint.save(tmp_path / "told", policy)
    node, robot = graph.start(PolicyServer, checkpoint=str(tmp_path / "told")), Robot(graph)
    say = graph.publisher("words", STRING, 1)
    graph.until(say.count, "the policy server's subscription")

    def hears(text, uncertainty):
        say(messages.make(STRING, data=text))

        def answered():
            robot._stamp_ns = time.time_ns()  # a text has no stamp: its arrival counts
            robot.tick()
            answers = [
                proposal.from_message(each, own.action_names, own.period_ns) for each in robot.proposals[-1:]
            ]
            return [each.uncertainty for each in answers] == [uncertainty]

        graph.until(answered, f"the answer to {text}")
        named = node.status().values["beyond the demonstrations"]
        assert node.status().values["beyond the demonstrations"] == named
        return named

    assert "words" not in hears("go left", None)
    assert "the words of words ('sing') by 2 scales" in hears(
        "sing", 2.0
    )  # not shown, and one word that was not
    said = "words 'sing' was not shown: it means none of those that were shown"
    assert capfd.readouterr().err.count(said) == 1


def test_inactive_it_is_silent_and_active_again_it_proposes(graph, trained):
    node, robot = graph.start(PolicyServer, checkpoint=trained), Robot(graph)
    node.trigger_deactivate()
    robot.tick()
    graph.spin(0.2)
    assert robot.proposals == []
    assert "inactive: not proposing" in node.status().message
    node.trigger_activate()
    graph.in_line(robot._joints)
    robot.answer()


def test_a_message_without_a_joint_is_not_answered_and_names_the_joint(graph, trained):
    node, robot = graph.start(PolicyServer, checkpoint=trained), Robot(graph)
    robot.tick(names=("a", "c"))
    graph.until(lambda: "'b'" in node.status().message, "the reason")
    assert node.status().level == WARN
    assert robot.proposals == []


def test_a_nan_in_the_state_is_not_answered(graph, trained):
    node, robot = graph.start(PolicyServer, checkpoint=trained), Robot(graph)
    robot.tick(a=float("nan"))
    graph.until(lambda: node.status().values.get("ticks without observation"), "the tick")
    assert robot.proposals == []


def test_a_non_finite_answer_is_an_error_and_not_proposed(graph, trained):
    node, robot = graph.start(PolicyServer, checkpoint=trained), Robot(graph)
    huge = node._policy.normaliser.actions.scale  # planted: a broken normaliser
    huge[:] = np.inf
    robot.tick()
    graph.until(lambda: node.status().level == ERROR, "the error")
    assert "arm/b is -inf" in node.status().message or "arm/a is inf" in node.status().message
    graph.spin(0.05)
    assert robot.proposals == []


def other(tmp_path, change):
    file = tmp_path / "other.yaml"
    file.write_text(TEXT.replace(*change))
    return str(file)


def test_another_contract_refuses_to_configure_naming_the_difference(graph, tmp_path, trained):
    node = graph.start(
        PolicyServer, checkpoint=trained, contract=other(tmp_path, ("rate_hz: 20", "rate_hz: 25"))
    )
    assert node.state == "unconfigured"
    reason = node._last_error[1]
    assert "configure refused" in reason
    assert "rate_hz: 25.0 here, 20.0 there" in reason


def test_an_equivalent_contract_is_accepted(graph, tmp_path, trained):
    same = other(tmp_path, ("name: two_joints", "name: another  # and a comment"))
    assert graph.start(PolicyServer, checkpoint=trained, contract=same).state == "active"


@pytest.mark.parametrize("path", ["", "/nowhere"])
def test_without_a_checkpoint_it_stays_unconfigured_with_the_reason(graph, path):
    node = graph.start(PolicyServer, checkpoint=path)
    assert node.state == "unconfigured"
    assert ("checkpoint is empty" if not path else "/nowhere: no such folder") in node._last_error[1]


def test_on_a_missing_device_it_stays_unconfigured_with_the_reason(graph, trained):
    node = graph.start(PolicyServer, checkpoint=trained, device="cuda:99")
    assert node.state == "unconfigured"
    assert "configure refused" in node._last_error[1]
    assert "cannot be loaded on device 'cuda:99'" in node._last_error[1]


def test_damaged_weights_are_refused(graph, tmp_path, trained):
    file = tmp_path / "first" / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-1] ^= 1
    file.write_bytes(raw)
    node = graph.start(PolicyServer, checkpoint=trained)
    assert node.state == "unconfigured"
    assert "checksum" in node._last_error[1]
