"""Label weights and their effect on the loss."""

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.core.settings import SettingsError
from il_ros.core.specs import ActionGroup
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.training.batches import Batches
from il_ros.training.loop import mean_loss
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import by_autograd, gradient_of
from il_ros.training.recipe import Recipe, Training, changed
from il_ros.training.samples import samples
from il_ros.training.weighting import Weighting, sentence, weights_of

WHO = ("policy", "policy", "policy", "expert", "expert", "expert", "policy", "policy")
INPUTS = Inputs.of(made.CONTRACT)
RNG = torch.Generator()  # the losses here draw nothing


def taken_over(**changes):
    """Eight frames, half a second apart; the expert takes over at the fourth and has the next two."""
    ticks_ns = np.arange(8) * 500_000_000
    commands = np.tile(np.arange(8.0)[:, None], (1, 2))
    values = {"commands": commands, "ticks_ns": ticks_ns, "period_ns": 500_000_000, "authority": WHO}
    return made.episode(0, 8, **{**values, "takeovers_ns": (1_500_000_000,), **changes})


def test_recoveries_weigh_more_and_lapses_less():
    out = weights_of(taken_over(), Weighting(recovery=3, recovery_s=1.0, lapse=0.5, lapse_s=0.6))
    np.testing.assert_array_equal(out, [1, 1, 0.5, 3, 3, 1, 1, 1])


def test_what_the_expert_did_before_it_took_over_again_is_no_lapse():
    episode = taken_over(authority=("policy", *WHO[3:6], "policy", "expert", "policy", "policy"))
    episode = taken_over(authority=episode.authority, takeovers_ns=(500_000_000, 2_500_000_000))
    out = weights_of(episode, Weighting(recovery=3, recovery_s=0.5, lapse=0.5, lapse_s=1.2))
    np.testing.assert_array_equal(out, [0.5, 3, 1, 1, 0.5, 3, 1, 1])


def test_without_takeovers_or_decisions_weights_are_uniform():
    weighting = Weighting(recovery=3, lapse=0.5)
    np.testing.assert_array_equal(weights_of(taken_over(takeovers_ns=()), weighting), np.ones(8))
    np.testing.assert_array_equal(weights_of(made.episode(0, 5), weighting), np.ones(5))


def test_what_was_corrected_and_what_weighs_otherwise_is_said():
    """Eight frames each; the expert takes over at the fourth frame of the first and has it for three (see WHO)."""
    episodes = [taken_over(), made.episode(1, 8)]
    base = "3 of 16 frames to train on are corrections: 1 takeover in 1 episode"
    assert sentence(episodes, Weighting()) == base
    assert sentence(episodes, Weighting(recovery=3, recovery_s=0.6, lapse=0.5, lapse_s=0.5)) == (
        f"{base}; recovery 3 on 2 frames of the expert in the first 0.6 s after a takeover; "
        "lapse 0.5 on 1 frame with a label in the 0.5 s before a takeover"
    )
    assert sentence(episodes, Weighting(lapse=0.5, lapse_s=0.1)) == (
        f"{base}; lapse 0.5 has no effect: there is no frame with a label in the 0.1 s before a takeover"
    )


def test_weights_without_a_takeover_are_said_to_have_no_effect():
    plain = [made.episode(0, 8)]
    assert sentence(plain, Weighting()) == ""
    assert sentence(plain, Weighting(recovery=3)) == (
        "recovery has no effect: no takeover in the episodes to train on"
    )
    assert sentence(plain, Weighting(recovery=3, lapse=0.5)) == (
        "recovery and lapse have no effect: no takeover in the episodes to train on"
    )


def test_a_correction_of_two_groups_at_once_is_counted_once():
    left, right = ActionGroup("left", ("a",), (0,)), ActionGroup("right", ("b",), (1,))
    expert, policy = ("policy",) * 3 + ("expert",) * 5, ("policy",) * 6 + ("expert",) * 2
    both = taken_over(
        groups=(left, right),
        authorities={"left": expert, "right": policy},
        group_takeovers_ns={"left": (1_500_000_000,), "right": (3_000_000_000,)},
    )
    assert sentence([both], Weighting()) == (
        "5 of 8 frames to train on are corrections: 2 takeovers in 1 episode"
    )


def test_each_chunk_step_has_the_weight_of_its_label():
    out = samples([taken_over()], INPUTS, 2, Weighting(recovery=3, recovery_s=1.0, lapse=0.5, lapse_s=0.6))
    expected = [[1, 1], [1, 0.5], [0.5, 3], [3, 3], [3, 1], [1, 1], [1, 1], [1, 0]]
    np.testing.assert_array_equal(out.weights[..., 0], expected)


def silent_network(loss):
    """A network with constant output 0, and unnormalised samples: the loss is that of the commands."""
    recipe = changed(Recipe(), ["hidden=[4]", f"policy.loss={loss}"])
    plain = Normaliser(Affine(np.zeros(11), np.ones(11)), Affine(np.zeros(2), np.ones(2)))
    network = make_network("bc", recipe.policy, made.CONTRACT, plain)
    torch.nn.utils.vector_to_parameters(
        torch.zeros(sum(each.numel() for each in network.parameters())), network.parameters()
    )
    return network, plain


@pytest.mark.parametrize(
    ("loss", "alike", "weighted"),
    # commands 0..7, the 3 counts thrice: absolute (28 + 2 * 3) / 10, squared (140 + 2 * 9) / 10
    [("l1", 28 / 8, 3.4), ("mse", 140 / 8, 15.8)],
)
def test_loss_and_gradient_use_the_weights(loss, alike, weighted):
    network, plain = silent_network(loss)
    for weighting, expected in ((Weighting(), alike), (Weighting(recovery=3, recovery_s=0.5), weighted)):
        training_samples = samples([taken_over()], INPUTS, 1, weighting)
        batches = Batches(training_samples, INPUTS, plain, "cpu")
        assert mean_loss(network, batches) == pytest.approx(expected)
        (batch,) = batches.in_order(8)
        flat = FlatParameters(network)
        assert gradient_of(network, flat, batch)(batch, RNG).total.item() == pytest.approx(expected)
        fast = flat.gradient.clone()
        by_autograd(network, flat, batch, RNG)
        torch.testing.assert_close(fast, flat.gradient)
        # d/db of the mean of |b - y| or (b - y)^2 at b = 0, where only the last layer's bias has one
        slope = -(np.sign(training_samples.actions) if loss == "l1" else 2 * training_samples.actions)[
            :, 0, 0
        ]
        weight = training_samples.weights[:, 0, 0]
        total = (slope * weight).sum() / weight.sum()
        assert flat.gradient.sum().item() == pytest.approx(total)


def test_default_weights_are_uniform_and_invalid_ones_rejected():
    assert Training().weighting == Weighting()
    assert changed(Recipe(), ["recovery=3", "lapse_s=2"]).training.weighting == Weighting(3, 1.0, 1.0, 2)
    for change, wrong in (
        ("lapse=0", "finite and above 0"),
        ("recovery=-1", "finite and above 0"),
        ("recovery_s=.inf", "recovery_s: must be a finite number, not inf"),
    ):
        with pytest.raises(SettingsError, match=wrong):
            changed(Recipe(), [change])
