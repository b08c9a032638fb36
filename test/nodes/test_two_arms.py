"""Two arms on the real graph: a person corrects the left one while the policy drives the right one."""

import itertools
import json

import numpy as np
import pytest
import torch
from two_arms import STEP, TwoArms

from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.counts import count_decisions
from il_ros.policies.families.ensemble import Ensemble
from il_ros.policies.families.registry import make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import UncertaintyModel, UncertaintyScale
from il_ros.records.decision import NOBODY
from il_ros.records.labelling import label
from il_ros.records.takeovers import group_takeovers
from il_ros.session import report
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

POLICY = (0.5, 0.25, -0.5, 0.6)
SHOWN = np.array([0.3, -0.2, -0.2, 0.2])
CORRECTED = (0.8, 0.4)
"""Where the person leads the left arm."""


@pytest.fixture
def arms(graph, tmp_path):
    return TwoArms(graph, tmp_path, POLICY)


def authorities(decisions, group):
    return [decision.groups[group].authority for decision in decisions]


def sent(decisions, *places):
    return np.array([[decision.sent[place] for place in places] for decision in decisions])


def test_the_left_arm_is_corrected_while_the_right_one_goes_on_and_only_that_is_learnt(arms, tmp_path):
    # 1. a demonstration with both arms
    arms.place()
    arms.leader = SHOWN.copy()
    arms.tick()
    arms.enable("enable", True)
    arms.ticks(2)
    arms.record()
    assert {decision.authority for decision in arms.ticks(20)} == {"expert"}
    arms.keep()
    arms.enable("enable", False)

    # 2. the policy drives, then a person corrects the left arm by the leader's clutch for that arm
    arms.place()
    arms.leader[:2] = CORRECTED
    arms.record()
    alone = arms.ticks(10)
    arms.enable("left/enable", True)
    corrected = arms.ticks(21)
    if corrected[0].authority == "policy":  # its proposal for this tick came before the leader's first one
        alone.append(corrected.pop(0))
    arms.enable("left/enable", False)
    after = arms.ticks(5)
    arms.keep()
    run = [*alone, *corrected, *after]

    # the right arm: always the policy's, and its commands are those of a run without a person
    assert set(authorities(run, "right")) == {"policy"}
    steps = np.arange(1, len(run) + 1)[:, None]
    straight = np.minimum(1.0, steps * STEP / 0.6) * np.array(POLICY[2:])  # both joints arrive together
    np.testing.assert_allclose(sent(run, 2, 3), straight, atol=1e-9)

    # the left arm: the expert's while the clutch is engaged, without a jump at either handover
    assert set(authorities(alone, "left")) == {"policy"}
    assert set(authorities(corrected, "left")) == {"expert"}
    assert set(authorities(after, "left")) == {"policy"}
    started = np.abs(sent(corrected, 0, 1)[0] - arms.measured[corrected[0].stamp_ns][:2])
    assert started.max() <= STEP + 1e-9  # the ramp starts where the arm is measured
    assert np.abs(np.diff(sent(corrected, 0, 1), axis=0)).max() <= STEP + 1e-9
    assert corrected[0].authority == "expert+policy"
    assert corrected[0].groups["left"].reason.startswith("expert takes over from policy")
    assert sent(corrected, 0)[-1, 0] > POLICY[0]  # beyond what the policy would have done

    # what the decisions say: takeovers and labels of the left arm alone
    taken = group_takeovers((each.authorities, each.mode) for each in run)
    assert taken == {len(alone): ("left",)}
    for decision in run:
        values = label(decision.mode, decision)
        if decision in corrected:
            assert values[:2] == decision.sent[:2]
            assert np.isnan(values[2:]).all()
        else:
            assert values is None
    assert count_decisions(run).interventions == 1

    # 3. what is learnt from
    data = Dataset.open(tmp_path / "episodes", contract.load(tmp_path / "contract.yaml"), validation=0)
    first, second = data.train
    assert first.labelled.all()
    assert len(second) == len(corrected)
    assert second.labelled.tolist() == [[True, False]] * len(corrected)
    assert second.group_takeovers_ns == {"left": (corrected[0].stamp_ns,), "right": ()}
    np.testing.assert_array_equal(np.asarray(second.commands)[:, :2], sent(corrected, 0, 1))

    recipe = changed(Recipe(), ["hidden=[8]", "epochs=2", "policy.horizon=4"])
    normaliser = train(data, recipe, tmp_path / "v2").policy.normaliser.actions
    low, high = normaliser.centre - normaliser.scale, normaliser.centre + normaliser.scale
    both = np.concatenate([np.asarray(first.commands)[:, :2], sent(corrected, 0, 1)])
    np.testing.assert_allclose((low[:2], high[:2]), (both.min(axis=0), both.max(axis=0)))
    right = np.asarray(first.commands)[:, 2:]  # the policy's -0.5 and 0.6 are no labels
    np.testing.assert_allclose((low[2:], high[2:]), (right.min(axis=0), right.max(axis=0)))
    assert high[3] == pytest.approx(0.2)

    # 4. the report
    found = report.read(tmp_path / "episodes")
    assert (found.groups["left"].labels, found.groups["right"].labels) == (
        len(first) + len(corrected),
        len(first),
    )
    assert (found.groups["left"].takeovers, found.groups["right"].takeovers) == (1, 0)
    assert "  left: the expert drove" in report.text(found)


def test_the_commands_of_the_two_arms_are_of_one_decision_per_tick(arms):
    arms.place()
    run = arms.ticks(5)
    assert {b.stamp_ns - a.stamp_ns for a, b in itertools.pairwise(run)} == {50_000_000}


KNOWN = 0.2  # rad: beyond it, the members disagree on the left arm


def disagreeing(own):
    """Return an ensemble of two that answers POLICY; beyond KNOWN of the left shoulder, the members move apart.

    Their disagreement on each number of the left arm is the shoulder's excess over KNOWN, and so is the group's
    uncertainty; calibrated, 0.1 rad of it is 1.
    """
    identity = Affine(np.zeros(4), np.ones(4))
    normaliser = Normaliser(identity, identity)
    settings = Ensemble(hidden=(2,), members=2, bootstrap=False)
    network = make_network("ensemble", settings, own, normaliser)
    trunk, head = network.member_layers()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
        trunk.weight[:, 0, 0] = 1.0  # relu(left shoulder - KNOWN)
        trunk.bias[:, 0, 0] = -KNOWN
        head.weight[0, 0, :2], head.weight[1, 0, :2] = 1.0, -1.0
        head.bias[:, 0] = torch.tensor(POLICY)
    scales = (UncertaintyScale(1.0), UncertaintyScale(0.1, "left"), UncertaintyScale(0.1, "right"))
    model = UncertaintyModel("own", 1.0, scales=scales)
    return LoadedPolicy(own, "ensemble", settings, network, normaliser, "v1", uncertainty_model=model)


def test_help_is_requested_for_the_left_arm_while_the_policy_drives_the_right_one(graph, tmp_path):
    """The left shoulder goes to 0.5 rad; from 0.25 on, its group's uncertainty is above 0.5."""
    arms = TwoArms(graph, tmp_path, disagreeing, "gated", gated__ask=0.5, gated__least_s=0.0)
    requests = graph.received("dagger_supervisor/request", "std_msgs/msg/String")
    arms.place()
    run = []
    while not run or run[-1].groups["left"].authority == "policy":
        run.append(arms.tick())
        assert len(run) < 60, "the left arm has no reason to need help"
    arms.leader[:2] = CORRECTED
    waiting = arms.ticks(5)
    for decision in (*run, *waiting):
        shoulder = arms.measured[decision.stamp_ns][0]
        assert decision.groups["left"].uncertainty == pytest.approx(
            max(0.0, shoulder - KNOWN) / 0.1, abs=1e-4
        )
        assert decision.groups["right"].uncertainty == pytest.approx(0.0, abs=1e-6)
    assert [each.groups["left"].uncertainty > 0.5 for each in run] == [False] * (len(run) - 1) + [True]
    assert set(authorities(waiting, "left")) == {NOBODY}
    assert "waiting for the expert: uncertainty 0." in waiting[0].groups["left"].reason
    graph.until(lambda: requests, "the request")
    request = json.loads(requests[-1].data)
    assert (request["wanted"], request["number"], request["groups"]) == (True, 1, ["left"])

    arms.enable("left/enable", True)
    helped = arms.ticks(10)
    if helped[0].groups["left"].authority == NOBODY:  # the policy's proposal for this tick came first
        waiting.append(helped.pop(0))
    assert set(authorities(helped, "left")) == {"expert"}
    arms.enable("left/enable", False)
    after = arms.ticks(3)
    whole = [*run, *waiting, *helped, *after]
    assert (
        authorities(after, "left")[-1] == "policy"
    )  # released; no request before the uncertainty was low once

    # the right arm is the policy's throughout, and its commands are those of a run without a request
    assert set(authorities(whole, "right")) == {"policy"}
    steps = np.arange(1, len(whole) + 1)[:, None]
    straight = np.minimum(1.0, steps * STEP / 0.6) * np.array(POLICY[2:])
    np.testing.assert_allclose(sent(whole, 2, 3), straight, atol=1e-9)
