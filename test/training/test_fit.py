"""The training loop: what it computes, that it is the same every time, and that it can be taken up."""

import math

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.training import loop as fitting
from il_ros.training.batches import Batches
from il_ros.training.loop import TrainingError, TrainingLoop, learning_rate, mean_loss
from il_ros.training.recipe import Recipe, Training, changed
from il_ros.training.run import fit_normaliser
from il_ros.training.samples import samples

SMALL = ["hidden=[16]", "epochs=6", "batch_size=16"]


def prepared(changes=(), own=made.CONTRACT, family="bc"):
    """A Fit with its batches to train and to validate on."""
    recipe = changed(Recipe(family), [*SMALL, *changes])
    data = made.dataset(own=own)
    inputs = Inputs.of(own)
    taught = samples(data.train, inputs, recipe.policy.horizon)
    normaliser = fit_normaliser(taught, inputs, own, recipe)
    validation = samples(data.validation, inputs, recipe.policy.horizon)
    torch.manual_seed(recipe.training.seed)
    fit = TrainingLoop(make_network(family, recipe.policy, own, normaliser), recipe.training)
    return fit, Batches(taught, inputs, normaliser, "cpu"), Batches(validation, inputs, normaliser, "cpu")


def ticking():
    times = iter(range(1000))
    return lambda: float(next(times))


def finish(fit, train, validation):
    return list(fit.epochs(train, validation, ticking()))


def test_what_can_be_learnt_is_learnt():
    fit, train, validation = prepared(["epochs=40", "learning_rate=0.01"])
    points = finish(fit, train, validation)
    assert points[-1].validation_loss < 0.1 * points[0].validation_loss
    assert points[-1].step == 40 * 8  # 120 samples by 16


@pytest.mark.parametrize(
    ("family", "changes"),
    [
        ("bc", []),
        ("bc", ["loss=l1", "state_noise=0.1"]),
        ("bc", ["horizon=3", "gradient_clip=0.5"]),
        ("ensemble", ["loss=l1", "bootstrap=false"]),
        ("ensemble", ["loss=huber", "horizon=3"]),
    ],
    ids=str,
)
def test_the_same_seed_gives_the_same_weights_bit_by_bit(family, changes):
    fits = [prepared(changes, family=family) for _ in range(2)]
    for one in fits:
        finish(*one)
    assert torch.equal(fits[0][0].flat.values, fits[1][0].flat.values)


def test_another_seed_gives_other_weights():
    fits = [prepared([f"seed={seed}"]) for seed in (0, 1)]
    for one in fits:
        finish(*one)
    assert not torch.equal(fits[0][0].flat.values, fits[1][0].flat.values)


@pytest.mark.parametrize("own", [made.CONTRACT, made.WITH_CAMERA], ids=["state", "camera"])
@pytest.mark.parametrize("epochs_before", [1, 4])
def test_a_run_taken_up_ends_like_one_never_interrupted(own, epochs_before):
    changes = ["epochs=5", "state_noise=0.05", "shift_px=1", "channels=[4]", "loss=huber"]
    whole, train, validation = prepared(changes, own)
    finish(whole, train, validation)
    first, train, validation = prepared(changes, own)
    for point in first.epochs(train, validation, ticking()):
        if point.epoch == epochs_before:
            break
    tensors = {name: tensor.clone() for name, tensor in first.tensors().items()}
    second, train, validation = prepared(changes, own)
    second.restore(tensors, first.curves_plain())
    finish(second, train, validation)
    assert torch.equal(second.flat.values, whole.flat.values)
    assert torch.equal(second.best, whole.best)
    assert [p.validation_loss for p in second.curves] == [p.validation_loss for p in whole.curves]


def test_the_best_weights_are_those_of_the_least_validation_loss(monkeypatch):
    fit, train, validation = prepared(["keep=best"])
    losses = iter([3.0, 1.0, 2.0, 1.5, 4.0, 1.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    weights = [fit.flat.values.clone() for _ in fit.epochs(train, validation, ticking())]
    assert fit.best_metrics.epoch == 2
    assert torch.equal(fit.best, weights[1])
    assert torch.equal(fit.best_weights()["head.linear.bias"], weights[1][-2:])


def test_keep_last_keeps_the_last(monkeypatch):
    fit, train, validation = prepared(["keep=last"])
    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    finish(fit, train, validation)
    assert fit.best_metrics.epoch == 6
    assert torch.equal(fit.best, fit.flat.values)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_training_stops_when_validation_has_not_improved_for_as_long_as_patience_lasts(monkeypatch, keep):
    fit, train, validation = prepared(["epochs=50", "patience=2", f"keep={keep}"])
    losses = iter([5.0, 3.0, 4.0, 3.5, 1.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    assert len(finish(fit, train, validation)) == 4


def test_without_validation_all_epochs_are_run_and_the_last_is_kept():
    fit, train, _ = prepared(["patience=1"])
    points = finish(fit, train, None)
    assert len(points) == 6
    assert all(math.isnan(point.validation_loss) for point in points)
    assert torch.equal(fit.best, fit.flat.values)


def test_validation_may_be_rarer_than_epochs():
    fit, train, validation = prepared(["validate_every=4"])
    measured = [
        point.epoch for point in finish(fit, train, validation) if not math.isnan(point.validation_loss)
    ]
    assert measured == [4, 6]  # and always after the last


def test_the_validation_loss_is_that_of_all_samples_at_once(monkeypatch):
    fit, _, validation = prepared(["horizon=3"])
    (whole,) = validation.in_order(1000)
    wanted = fit.network.loss(whole.state, {}, whole.target, whole.weight).item()
    monkeypatch.setattr(fitting, "VALIDATION_BATCH", 7)
    assert mean_loss(fit.network, validation) == pytest.approx(wanted, rel=1e-5)


def test_a_loss_that_is_no_number_ends_training_with_advice():
    fit, train, validation = prepared()
    with torch.no_grad():
        fit.flat.values.mul_(1e30)
    with pytest.raises(TrainingError, match=r"the loss became (inf|nan) in epoch 1: lower learning_rate"):
        finish(fit, train, validation)


def test_a_long_gradient_is_cut_to_the_length_allowed():
    fit, train, validation = prepared(["gradient_clip=0.001", "epochs=1", "batch_size=1000"])
    finish(fit, train, validation)
    assert fit.flat.gradient.norm().item() == pytest.approx(0.001, rel=1e-5)


def test_a_gradient_short_enough_stays_as_it_is():
    fits = [prepared([f"gradient_clip={longest}"]) for longest in (0, 1000)]
    for one in fits:
        finish(*one)
    assert torch.equal(fits[0][0].flat.values, fits[1][0].flat.values)


def test_the_rate_rises_then_falls_along_half_a_cosine():
    training = Training(learning_rate=0.1, warmup_steps=2, schedule="cosine")
    rates = [learning_rate(training, step, 6) for step in range(7)]
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.1, 0.0853553, 0.05, 0.0146447, 0.0], atol=1e-6)
    constant = Training(learning_rate=0.1, schedule="constant")
    assert learning_rate(constant, 5, 6) == 0.1
    assert learning_rate(training, 3, 6, spent=0.75) < learning_rate(training, 3, 6, spent=0.1) == rates[3]


def test_training_ends_in_time_and_judges_what_it_has():
    fit, train, validation = prepared(["epochs=100", "seconds=20", "validate_every=50"])
    points = finish(fit, train, validation)  # the clock ticks once a step, and once an epoch
    assert [point.step for point in points] == [8, 16, 17]
    assert points[-1].validation_loss == mean_loss(fit.network, validation)
    assert points[-1].best
    assert 0 < points[-1].learning_rate < 0.01 * fit.training.learning_rate


def test_a_time_that_is_too_short_allows_one_step():
    fit, train, validation = prepared(["seconds=0.5"])
    assert [point.step for point in finish(fit, train, validation)] == [1]


def test_noise_and_shifts_are_drawn_for_every_batch_and_leave_it_as_it_was():
    _, train, _ = prepared(own=made.WITH_CAMERA, changes=["channels=[4]"])
    (batch,) = train.in_order(1000)
    state, picture = batch.state.clone(), batch.images["camera"].clone()
    rng = torch.Generator().manual_seed(0)
    out = [fitting.augmented(batch, Training(state_noise=0.1, shift_px=2), rng) for _ in range(2)]
    assert not torch.equal(out[0].state, out[1].state)
    assert not torch.equal(out[0].images["camera"], out[1].images["camera"])
    assert (out[0].state - state).std().item() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(batch.state, state)
    assert torch.equal(batch.images["camera"], picture)
