"""Weights per action group: only a group's own labels count, and a chunk ends where they do."""

import numpy as np
import pytest
import torch

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser, fit_actions
from il_ros.training.batches import Batches
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import by_autograd, gradient_of
from il_ros.training.samples import samples
from il_ros.training.thinning import kept_frames
from il_ros.training.weighting import Weighting, expanded, weights_of

TEXT = """
name: arm_base_arm
rate_hz: 2
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, c], max_age_s: 0.1}
actions:
  left: {topic: left, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, continuous: true,
         limits: {speed: 9}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {speed: 9}}
  hand: {topic: hand, type: std_msgs/msg/Float64MultiArray, names: [b], reference: joints, limits: {speed: 9}}
groups: {arm: [left, hand], wheels: [base]}
"""
OWN = contract.parse(TEXT, "own.yaml")
INPUTS = Inputs.of(OWN)
HALF_S = 500_000_000
RNG = torch.Generator()
NAN = np.nan
ARM, WHEELS = ("policy", "expert", "expert", "policy"), ("expert", "expert", "policy", "expert")


def episode():
    """Four frames; the expert drives the arm at the second and third, the wheels at all but the third.

    The flat action is left, base, hand. The expert took the arm at the second frame.
    """
    commands = np.array([[NAN, 1, NAN], [2, 2, 2], [3, NAN, 3], [NAN, 4, NAN]], float)
    return EpisodeArrays(
        "episode_000001",
        {"joints": np.arange(12.0).reshape(4, 3)},
        commands,
        np.zeros((4, 3)),
        np.arange(1, 5) * HALF_S,
        HALF_S,
        authority=("x",) * 4,
        takeovers_ns=(2 * HALF_S,),
        groups=OWN.groups,
        authorities={"arm": ARM, "wheels": WHEELS},
        group_takeovers_ns={"arm": (2 * HALF_S,), "wheels": ()},
    )


def test_which_group_is_labelled_is_read_from_the_commands():
    np.testing.assert_array_equal(episode().labelled, [[0, 1], [1, 1], [1, 0], [0, 1]])


def test_a_chunk_ends_in_a_group_at_its_first_step_without_a_label():
    out = samples([episode()], INPUTS, 3)
    arm = [[0, 0, 0], [1, 1, 0], [1, 0, 0], [0, 0, 0]]
    wheels = [[1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 0, 0]]
    np.testing.assert_array_equal(out.weights, np.stack([arm, wheels, arm], axis=2))
    assert np.isnan(out.actions[0, 0, [0, 2]]).all()
    assert out.actions[0, 0, 1] == 1


def test_weights_count_from_the_takeovers_of_the_group():
    weighting = Weighting(recovery=3, recovery_s=0.6, lapse=0.5, lapse_s=0.6)
    np.testing.assert_array_equal(weights_of(episode(), weighting, "arm"), [0.5, 3, 3, 1])
    np.testing.assert_array_equal(weights_of(episode(), weighting, "wheels"), [1, 1, 1, 1])
    out = samples([episode()], INPUTS, 1, weighting)
    np.testing.assert_array_equal(out.weights[:, 0], [[0, 1, 0], [3, 1, 3], [3, 0, 3], [0, 1, 0]])


def test_an_angle_learnt_as_cosine_and_sine_has_the_weight_of_its_group():
    form = ActionForm(OWN)
    assert form.names == ("base/linear.x", "hand/b", "left/a cos", "left/a sin")
    np.testing.assert_array_equal(form.group_of, [1, 0, 0, 0])
    np.testing.assert_array_equal(expanded(np.array([0.25, 0.75]), form.group_of), [0.75, 0.25, 0.25, 0.25])
    out = samples([episode()], INPUTS, 1, form=form)
    np.testing.assert_array_equal(out.weights[:, 0], [[1, 0, 0, 0], [1, 1, 1, 1], [0, 1, 1, 1], [1, 0, 0, 0]])


def test_a_number_without_a_label_does_not_count_in_the_scale():
    actions = np.array([[NAN, 1.0], [2.0, NAN], [6.0, 3.0]])
    found = fit_actions(actions, "min_max", np.full(2, np.inf))
    np.testing.assert_allclose((found.centre, found.scale), ([4, 2], [2, 1]))
    found = fit_actions(actions, "std", np.full(2, np.inf))
    np.testing.assert_allclose((found.centre, found.scale), ([4, 2], [2, 1]))


def test_a_number_that_is_never_labelled_is_an_error():
    with pytest.raises(ValueError, match="number 1 of the learnt action has no label in any frame"):
        fit_actions(np.array([[1.0, NAN], [2.0, NAN]]), "min_max", np.full(2, np.inf))


def test_infinity_and_nan_in_a_part_of_a_group_are_errors():
    for value in (np.inf, NAN):
        broken = episode()
        commands = np.array(broken.commands)
        commands[1, 0] = value
        object.__setattr__(broken, "commands", commands)
        with pytest.raises(ValueError, match="command 0 of frame 1 is NaN or infinity"):
            samples([broken], INPUTS, 1)


@pytest.mark.parametrize("name", ["bc", "ensemble"])
@pytest.mark.parametrize("loss", ["mse", "l1"])
def test_the_loss_and_its_gradient_are_those_of_the_labelled_numbers_alone(name, loss):
    """All weights of the network are 0, so the loss is that of the commands: 1, 2, 2, 2, 3, 3, 4."""
    plain = Normaliser(Affine(np.zeros(4), np.ones(4)), Affine(np.zeros(3), np.ones(3)))
    network = make_network(name, family(name).settings(hidden=(4,), loss=loss), OWN, plain)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.zero_()
    network.eval()  # an ensemble draws no bootstrap counts
    (batch,) = Batches(samples([episode()], INPUTS, 1), INPUTS, plain, "cpu").in_order(4)
    flat = FlatParameters(network)
    numbers = np.array([1, 2, 2, 2, 3, 3, 4.0])
    expected = (numbers if loss == "l1" else numbers**2).mean()
    assert gradient_of(network, flat, batch)(batch, RNG).total.item() == pytest.approx(expected)
    fast = flat.gradient.clone()
    by_autograd(network, flat, batch, RNG)
    torch.testing.assert_close(fast, flat.gradient)
    # the slope of each of the three outputs' bias, over the seven labels
    slopes = -(np.array([2, 3, 2]) if loss == "l1" else 2 * np.array([5.0, 7.0, 5.0])) / 7
    bias = network.head.linear.bias.grad.reshape(-1, 3).sum(dim=0)
    np.testing.assert_allclose(bias, slopes, rtol=1e-6)


def test_frames_without_a_label_of_a_group_do_not_count_as_motion():
    still = EpisodeArrays(
        "episode_000001",
        {"joints": np.concatenate([np.arange(6.0)[:, None], np.zeros((6, 2))], axis=1)[[0, 1, 2, 2, 2, 2]]},
        np.array([[0, 1, 0], [0, 2, 0], [0, NAN, 0], [0, NAN, 0], [0, NAN, 0], [0, NAN, 0]], float),
        np.zeros((6, 3)),
        np.arange(1, 7) * HALF_S,
        HALF_S,
        groups=OWN.groups,
    )
    (kept,) = kept_frames([still], INPUTS, 100)
    assert kept.tolist() == [True, True, True, False, False, False]
