"""Which ticks a policy computes for, what it is told, and which way it takes: on a real graph."""

import made_versions as made
import numpy as np
import pytest
import torch
from announced_versions import LATCHED
from ticked_robot import CONTRACT, Robot

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.runtime.diagnostics import ERROR
from il_ros.policies import checkpoint
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy

STEPS = 6


def write(folder, network=None, name="bc", **settings):
    """Write a policy whose weights are random, or set by `network`."""
    identity = Affine(np.zeros(2), np.ones(2))
    chosen = family(name).settings(horizon=STEPS, **settings)
    torch.manual_seed(0)
    made_network = make_network(name, chosen, CONTRACT, Normaliser(identity, identity))
    if network is not None:
        network(made_network)
    policy = LoadedPolicy(CONTRACT, name, chosen, made_network, Normaliser(identity, identity), "v1")
    checkpoint.save(folder, policy)
    return checkpoint.load(folder)


def answers(graph, values):
    """Return the proposal of each tick, at which joint a has these values."""
    robot = Robot(graph)
    return [robot.answer(value) for value in values]


def seen(value):
    return {"joints": np.array([value, 0.0])}


def test_between_two_computations_the_chunk_goes_on(graph, tmp_path):
    policy = write(tmp_path / "first", hidden=(8,))
    graph.start(PolicyServer, checkpoint=str(tmp_path / "first"), execute=3, inference="inline")
    values = [0.1, 0.2, 0.3, 0.4, 0.5]
    for number, got in enumerate(answers(graph, values)):
        begun = number - number % 3
        np.testing.assert_allclose(got.chunk, policy.act(seen(values[begun]))[number - begun :], atol=1e-6)
        assert got.seen_ns == got.stamp_ns - (number - begun) * CONTRACT.period_ns


def test_chunks_are_averaged_where_they_overlap(graph, tmp_path):
    policy = write(tmp_path / "first", hidden=(8,))
    graph.start(PolicyServer, checkpoint=str(tmp_path / "first"), ensemble=0.0, inference="inline")
    first, second = answers(graph, [0.1, 0.9])
    one, other = policy.act(seen(0.1)), policy.act(seen(0.9))
    np.testing.assert_allclose(first.chunk, one, atol=1e-6)
    np.testing.assert_allclose(second.chunk[:-1], (one[1:] + other[:-1]) / 2, atol=1e-6)
    np.testing.assert_allclose(second.chunk[-1], other[-1], atol=1e-6)


def test_the_next_chunk_begins_with_the_committed_steps(graph, tmp_path):
    policy = write(tmp_path / "first", name="two_step", hidden=(8,), prefix=2)
    node = graph.start(
        PolicyServer, checkpoint=str(tmp_path / "first"), commit=2, execute=2, inference="inline"
    )
    status = graph.publisher("dagger_supervisor/status", "std_msgs/msg/String", LATCHED)
    status(messages.make("std_msgs/msg/String", data='{"generation": 1, "authority": "policy"}'))
    graph.until(lambda: node._generation.authority == "policy", "the supervisor's status")
    got = answers(graph, [0.1, 0.2, 0.9])
    first = policy.act(seen(0.1))
    np.testing.assert_allclose(got[2].chunk[:2], first[2:4], atol=1e-6)
    np.testing.assert_allclose(got[2].chunk, policy.act(seen(0.9), previous=first[2:4]), atol=1e-5)


def two_ways(network):
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        network.experts[-1].bias[:, 0] = torch.tensor([0.25, -0.5])[:, None]
    network.won = torch.tensor([0.5, 0.5])
    network.apart = torch.tensor([[0.0, 0.1], [0.1, 0.0]])


@pytest.mark.parametrize(("way", "answer"), [(0, 0.25), (1, -0.5)])
def test_a_way_can_be_asked_for(graph, tmp_path, way, answer):
    assert write(tmp_path / "first", two_ways, "moe", hidden=(8,), experts=2).network.ways == 2
    graph.start(PolicyServer, checkpoint=str(tmp_path / "first"), way=way)
    for got in answers(graph, [0.1, 0.2, 0.3]):
        np.testing.assert_allclose(got.chunk, answer)
        assert got.way == way


def test_without_one_the_ways_are_drawn(graph, tmp_path):
    write(tmp_path / "first", two_ways, "moe", hidden=(8,), experts=2)
    graph.start(PolicyServer, checkpoint=str(tmp_path / "first"))
    assert {(got.way, float(got.chunk[0, 0])) for got in answers(graph, [0.1] * 16)} == {(0, 0.25), (1, -0.5)}


def test_a_way_that_there_is_not_is_an_error_and_not_proposed(graph, tmp_path):
    checkpoint.save(tmp_path / "first", made.constant_policy(CONTRACT, [0.1, 0.2], "v1"))
    node = graph.start(PolicyServer, checkpoint=str(tmp_path / "first"), way=1)
    robot = Robot(graph)
    robot.tick()
    graph.until(lambda: node.status().level == ERROR, "the status to say so")
    assert "way is 1; policy v1 has 1 way" in node.status().message
    assert not robot.proposals
