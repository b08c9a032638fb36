"""The gradient of a batch, computed in parts, is that of the whole batch."""

import made_arrays as made
import numpy as np
import pytest
import torch
from torch import nn

from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.networks import together
from il_ros.policies.networks.together import BatchPart, PartialGenerator
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.protocol import Batch, Loss, Model, Window, noise, weighted_mean
from il_ros.training.batches import WHOLE
from il_ros.training.loop import TrainingError
from il_ros.training.optimiser.accumulation import AccumulatedGradient
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.gradients import by_autograd
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train


class Constant(Model):
    """Predicts one number for all samples."""

    def __init__(self):
        super().__init__()
        self.answer = nn.Parameter(torch.zeros(1))
        self.register_buffer("seen", torch.zeros(1))

    def loss(self, batch, rng):
        error = weighted_mean((self.answer - batch.action).square(), batch.weight)
        self.seen.lerp_(together.mean_row(batch.action[:, 0]), 0.5)
        # an amount that depends on another one, as in the family moe: the mean distance to the mean
        centre = together.mean_row(batch.action[:, 0])
        spread = together.mean_row((batch.action[:, 0] - centre).abs())
        return Loss(
            error + 0 * noise((len(batch), 1), rng, "cpu").sum() + 0.0 * spread.sum(),
            {"error": error, "spread": spread.sum()},
        )


def batch():
    """Three samples: targets 1, 2 and 3, of which the last one counts twice."""
    action = torch.tensor([1.0, 2.0, 3.0]).view(3, 1, 1)
    return Batch(Window(torch.zeros(3, 1, 1)), action, torch.tensor([1.0, 1.0, 2.0]).view(3, 1, 1))


def begun(count, part=WHOLE):
    rng = PartialGenerator()
    rng.manual_seed(3)
    rng.begin(part, count)
    return rng


def test_two_parts_give_the_gradient_of_the_batch_whatever_weights_fall_to_them():
    """(1 + 4 + 2 * 9) / 4 = 5.75, and -2 (1 + 2 + 2 * 3) / 4 = -4.5; the mean of both parts' own means is -11 / 3."""
    model = Constant()
    flat, rng = FlatParameters(model), begun(3)
    loss = AccumulatedGradient(model, flat, 2, "float32")(batch(), rng)
    assert (loss.total.item(), flat.gradient.item()) == pytest.approx((5.75, -4.5), rel=1e-6)
    assert model.seen.item() == pytest.approx(1.0)  # half of the mean, once, not once for each part
    assert loss.parts["error"].item() == pytest.approx(5.75, rel=1e-6)
    assert loss.parts["spread"].item() == pytest.approx(2 / 3, rel=1e-6)  # distances 1, 0, 1 to the mean 2
    assert (rng.part, rng.count) == (BatchPart(), 3)


def test_the_parts_draw_what_the_batch_draws():
    model, rng, alone = Constant(), begun(3), begun(3)
    AccumulatedGradient(model, FlatParameters(model), 3, "float32")(batch(), rng)
    noise((3, 1), alone, "cpu")
    assert torch.equal(rng.get_state(), alone.get_state())


def test_parts_of_a_process_are_parts_of_its_part():
    """The second of two processes has samples 1 and 2 of three; here the first one reports its own weights, 1."""
    model = Constant()
    flat, shared = FlatParameters(model), batch()
    rows = slice(1, 3)
    own = Batch(Window(shared.observation.state[rows]), shared.action[rows], shared.weight[rows])
    with together.averaging(lambda amount: amount.clone()):  # as if the other process had the same amounts
        loss = AccumulatedGradient(model, flat, 2, "float32")(own, begun(3, BatchPart(1, 2)))
    assert (loss.total.item(), flat.gradient.item()) == pytest.approx((22 / 3, -16 / 3), rel=1e-6)


@pytest.mark.parametrize("name", ["bc", "ensemble", "act"])
def test_a_training_in_parts_is_that_of_whole_batches(name, tmp_path):
    """Also where the whole batch's gradient is written out, with noise, uneven batches and a moving average."""
    small = {"act": ["width=8", "blocks=1", "decoder_blocks=1"], "ensemble": ["hidden=[8]", "members=2"]}
    common = ["epochs=3", "batch_size=16", "state_noise=0.1", "ema=0.9", "horizon=3", "gradient_clip=1.0"]
    whole, parts = (
        train(
            made.dataset(),
            changed(Recipe(name), [*common, *small.get(name, ["hidden=[8]"]), f"accumulate={count}"]),
            tmp_path / str(count),
        )
        for count in (1, 3)
    )
    for one, other in zip(whole.curves, parts.curves, strict=True):
        assert other.train_loss == pytest.approx(one.train_loss, rel=1e-5)
        assert other.validation_loss == pytest.approx(one.validation_loss, rel=1e-5)
    before, after = (run.policy.network.state_dict() for run in (whole, parts))
    for name, values in before.items():
        torch.testing.assert_close(after[name], values, rtol=1e-3, atol=1e-4)


def test_one_batch_of_a_deterministic_network_differs_by_rounding_only():
    torch.manual_seed(0)
    settings = family("bc").settings(hidden=(16,), horizon=3)
    size = len(Inputs.of(made.CONTRACT).groups)
    one = Affine(np.zeros(size), np.ones(size)), Affine(np.zeros(2), np.ones(2))
    network = make_network("bc", settings, made.CONTRACT, Normaliser(*one))
    flat, rng = FlatParameters(network), torch.Generator().manual_seed(1)
    drawn = torch.randn((60, 1, size), generator=rng), torch.randn((60, 3, 2), generator=rng)
    whole = Batch(Window(drawn[0]), drawn[1], torch.rand((60, 3, 1), generator=rng))
    wanted = by_autograd(network, flat, whole, rng).total.item()
    slope = flat.gradient.clone()
    found = AccumulatedGradient(network, flat, 7, "float32")(whole, begun(60)).total.item()
    assert found == pytest.approx(wanted, rel=1e-6)
    torch.testing.assert_close(flat.gradient, slope, rtol=0, atol=1e-6 * slope.abs().max().item())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (["accumulate=0"], "accumulate is 0; at least 1 is needed"),
        (
            ["batch_size=4", "accumulate=5"],
            "a batch of batch_size 4 cannot be divided into more than 4 parts",
        ),
        (
            ["accumulate=2", "compile=true"],
            "compile is for whole batches; set compile to false, or accumulate to 1",
        ),
    ],
)
def test_what_cannot_be_divided_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        changed(Recipe(), change)


def test_fewer_frames_than_parts_are_refused(tmp_path):
    with pytest.raises(
        TrainingError, match="accumulate: 50 parts cannot share a batch of 30 frames: set it lower"
    ):
        train(made.dataset(train=1), changed(Recipe(), ["accumulate=50"]), tmp_path)
