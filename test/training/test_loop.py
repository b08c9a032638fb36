"""The training loop: losses, determinism and resumption."""

import math

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.training import loop as fitting
from il_ros.training.augmentation.draws import augmented
from il_ros.training.batches import Batches
from il_ros.training.fitting import fit_normaliser
from il_ros.training.loop import TrainingError, TrainingLoop, learning_rate, mean_loss, progress
from il_ros.training.recipe import Recipe, Training, changed
from il_ros.training.samples import samples

SMALL = ["hidden=[16]", "epochs=6", "batch_size=16"]


def prepared(changes=(), own=made.CONTRACT, family="bc"):
    """A TrainingLoop with its training and validation batches."""
    recipe = changed(Recipe(family), [*SMALL, *changes])
    data = made.dataset(own=own)
    inputs = Inputs.of(own)
    training_samples = samples(data.train, inputs, recipe.policy.horizon)
    normaliser = fit_normaliser(training_samples, inputs, own, recipe)
    validation = samples(data.validation, inputs, recipe.policy.horizon)
    torch.manual_seed(recipe.training.seed)
    loop = TrainingLoop(make_network(family, recipe.policy, own, normaliser), recipe.training)
    return (
        loop,
        Batches(training_samples, inputs, normaliser, "cpu"),
        Batches(validation, inputs, normaliser, "cpu"),
    )


def ticking():
    times = iter(range(1000))
    return lambda: float(next(times))


def finish(loop, train, validation):
    return list(loop.epochs(train, validation, ticking()))


def test_the_loss_of_a_learnable_task_decreases():
    loop, train, validation = prepared(["epochs=40", "learning_rate=0.01"])
    history = finish(loop, train, validation)
    assert history[-1].validation_loss < 0.1 * history[0].validation_loss
    assert history[-1].step == 40 * 8  # 120 samples by 16


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
    loops = [prepared(changes, family=family) for _ in range(2)]
    for one in loops:
        finish(*one)
    assert torch.equal(loops[0][0].flat.values, loops[1][0].flat.values)


def test_another_seed_gives_other_weights():
    loops = [prepared([f"seed={seed}"]) for seed in (0, 1)]
    for one in loops:
        finish(*one)
    assert not torch.equal(loops[0][0].flat.values, loops[1][0].flat.values)


@pytest.mark.parametrize("own", [made.CONTRACT, made.WITH_CAMERA], ids=["state", "camera"])
@pytest.mark.parametrize("epochs_before", [1, 4])
def test_a_resumed_run_equals_an_uninterrupted_one(own, epochs_before):
    changes = ["epochs=5", "state_noise=0.05", "shift_px=1", "channels=[4]", "loss=huber"]
    whole, train, validation = prepared(changes, own)
    finish(whole, train, validation)
    first, train, validation = prepared(changes, own)
    for metrics in first.epochs(train, validation, ticking()):
        if metrics.epoch == epochs_before:
            break
    tensors = {name: tensor.clone() for name, tensor in first.tensors().items()}
    second, train, validation = prepared(changes, own)
    second.restore(tensors, first.curves_plain())
    finish(second, train, validation)
    assert torch.equal(second.flat.values, whole.flat.values)
    assert torch.equal(second.best, whole.best)
    assert [p.validation_loss for p in second.curves] == [p.validation_loss for p in whole.curves]


def test_the_best_weights_are_those_of_the_least_validation_loss(monkeypatch):
    loop, train, validation = prepared(["keep=best"])
    losses = iter([3.0, 1.0, 2.0, 1.5, 4.0, 1.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    weights = [loop.flat.values.clone() for _ in loop.epochs(train, validation, ticking())]
    assert loop.best_metrics.epoch == 2
    assert torch.equal(loop.best, weights[1])
    assert torch.equal(loop.best_weights()["head.linear.bias"], weights[1][-2:])


def test_keep_last_keeps_the_last(monkeypatch):
    loop, train, validation = prepared(["keep=last"])
    losses = iter([1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    finish(loop, train, validation)
    assert loop.best_metrics.epoch == 6
    assert torch.equal(loop.best, loop.flat.values)


@pytest.mark.parametrize("keep", ["best", "last"])
def test_training_stops_when_patience_runs_out(monkeypatch, keep):
    loop, train, validation = prepared(["epochs=50", "patience=2", f"keep={keep}"])
    losses = iter([5.0, 3.0, 4.0, 3.5, 1.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    assert len(finish(loop, train, validation)) == 4


def test_without_validation_all_epochs_are_run_and_the_last_is_kept():
    loop, train, _ = prepared(["patience=1"])
    history = finish(loop, train, None)
    assert len(history) == 6
    assert all(math.isnan(metrics.validation_loss) for metrics in history)
    assert torch.equal(loop.best, loop.flat.values)


def test_validation_may_be_rarer_than_epochs():
    loop, train, validation = prepared(["validate_every=4"])
    measured = [
        epoch.epoch for epoch in finish(loop, train, validation) if not math.isnan(epoch.validation_loss)
    ]
    assert measured == [4, 6]  # and always after the last


def test_the_validation_loss_is_that_of_all_samples_at_once(monkeypatch):
    loop, _, validation = prepared(["horizon=3"])
    (whole,) = validation.in_order(1000)
    wanted = loop.network.loss(whole, torch.Generator()).total.item()
    monkeypatch.setattr(fitting, "VALIDATION_BATCH", 7)
    assert mean_loss(loop.network, validation) == pytest.approx(wanted, rel=1e-5)


def test_a_non_finite_loss_raises_with_advice():
    loop, train, validation = prepared()
    with torch.no_grad():
        loop.flat.values.mul_(1e30)
    with pytest.raises(TrainingError, match=r"the loss became (inf|nan) in epoch 1: lower learning_rate"):
        finish(loop, train, validation)


def test_a_large_gradient_is_clipped():
    loop, train, validation = prepared(["gradient_clip=0.001", "epochs=1", "batch_size=1000"])
    finish(loop, train, validation)
    assert loop.flat.gradient.norm().item() == pytest.approx(0.001, rel=1e-5)


def test_a_small_gradient_is_not_clipped():
    loops = [prepared([f"gradient_clip={longest}"]) for longest in (0, 1000)]
    for one in loops:
        finish(*one)
    assert torch.equal(loops[0][0].flat.values, loops[1][0].flat.values)


def test_the_rate_rises_then_falls_along_half_a_cosine():
    training = Training(learning_rate=0.1, warmup_steps=2, schedule="cosine")
    rates = [learning_rate(training, step, progress(training, step, 6)) for step in range(7)]
    np.testing.assert_allclose(rates, [0.05, 0.1, 0.1, 0.0853553, 0.05, 0.0146447, 0.0], atol=1e-6)
    constant = Training(learning_rate=0.1, schedule="constant")
    assert learning_rate(constant, 5, progress(constant, 5, 6)) == 0.1
    late, early = (progress(training, 3, 6, spent=spent) for spent in (0.75, 0.1))
    assert learning_rate(training, 3, late) < learning_rate(training, 3, early) == rates[3]


TESTED = ["epochs=7", "test_every=2", "keep=success"]


def finish_with(results, loop, train, validation):
    """Train with tests whose results are given; return the history and the weights that were tested."""
    left, tried = iter(results), []

    def test(weights):
        tried.append({name: values.clone() for name, values in weights.items()})
        return next(left)

    return list(loop.epochs(train, validation, ticking(), test)), tried


def test_the_weights_of_the_best_success_are_kept_and_among_equals_those_of_the_least_validation_loss(
    monkeypatch,
):
    loop, train, validation = prepared(TESTED)
    losses = iter([1.0, 4.0, 1.0, 3.0, 1.0, 5.0, 6.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    history, tried = finish_with([(0.2, 9.0), (0.6, 1.0), (0.6, 2.0), (0.4, 3.0)], loop, train, validation)
    assert [each.success for each in history if each.success == each.success] == [0.2, 0.6, 0.6, 0.4]
    assert [each.epoch for each in history if each.best] == [1, 2, 4]  # until the first test, the newest
    assert loop.best_metrics.epoch == 4
    for name, values in loop.best_weights().items():
        assert torch.equal(values, tried[1][name])


def test_where_success_is_not_defined_the_return_decides_and_the_last_epoch_is_tested():
    loop, train, _ = prepared(TESTED)
    history, _ = finish_with(
        [(math.nan, each) for each in (-300.0, -200.0, -250.0, -200.0)], loop, train, None
    )
    assert [each.epoch for each in history if not math.isnan(each.mean_return)] == [2, 4, 6, 7]
    assert loop.best_metrics.epoch == 7  # without a validation loss, the later one of equals


def test_what_is_tested_is_the_moving_average():
    loop, train, _ = prepared(["epochs=1", "test_every=1", "ema=0.9"])
    _, tried = finish_with([(1.0, 1.0)], loop, train, None)
    named = loop.flat.named(loop.average)
    assert torch.equal(tried[0]["head.linear.bias"], named["head.linear.bias"])
    assert not torch.equal(loop.average, loop.flat.values)


def test_tests_change_nothing_in_the_training_and_do_not_use_up_its_time():
    now_s = [0.0]

    def test(_weights):
        now_s[0] += 1000
        return 0.0, 0.0

    loops = [prepared(["epochs=4", "seconds=20", *changes]) for changes in ([], ["test_every=1"])]
    for (loop, train, validation), tests in zip(loops, (None, test), strict=True):
        assert len(list(loop.epochs(train, validation, lambda: now_s[0], tests))) == 4
    assert now_s == [4000.0]
    assert (loops[1][0].curves[-1].seconds, loops[1][0].curves[-1].tests_s) == (0, 4000)
    assert torch.equal(loops[0][0].flat.values, loops[1][0].flat.values)


def test_a_training_that_ends_for_lack_of_patience_is_tested_at_its_end(monkeypatch):
    loop, train, validation = prepared(["epochs=50", "patience=2", "test_every=10"])
    losses = iter([5.0, 3.0, 4.0, 3.5])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    history, _ = finish_with([(0.5, 0.5)], loop, train, validation)
    assert [each.success for each in history][3:] == [0.5]


def test_a_training_stopped_before_its_first_validation_keeps_what_it_has(monkeypatch):
    loop, train, validation = prepared(["validate_every=3", "keep=best"])
    losses = iter([2.0, 1.0])
    monkeypatch.setattr(fitting, "mean_loss", lambda *_: next(losses))
    kept = [(loop.best_metrics.epoch, loop.best.clone()) for _ in loop.epochs(train, validation, ticking())]
    assert [epoch for epoch, _ in kept] == [1, 2, 3, 3, 3, 6]
    assert torch.equal(kept[-1][1], loop.flat.values)


def test_without_a_simulator_no_tests_are_asked_for():
    loop, train, _ = prepared(["test_every=2"])
    with pytest.raises(ValueError, match="test_every: nothing tests this model in a simulator; set it to 0"):
        finish(loop, train, None)
    with pytest.raises(ValueError, match="keep is 'success', but test_every is 0"):
        prepared(["keep=success"])


def test_training_ends_at_the_time_limit_and_validates():
    loop, train, validation = prepared(["epochs=100", "seconds=20", "validate_every=50"])
    history = finish(loop, train, validation)  # the clock ticks once a step, and once an epoch
    assert [metrics.step for metrics in history] == [8, 16, 17]
    assert history[-1].validation_loss == mean_loss(loop.network, validation)
    assert history[-1].best
    assert 0 < history[-1].learning_rate < 0.01 * loop.training.learning_rate


def test_a_tiny_time_limit_allows_one_step():
    loop, train, validation = prepared(["seconds=0.5"])
    assert [metrics.step for metrics in finish(loop, train, validation)] == [1]


def test_noise_and_shifts_are_drawn_for_every_batch_and_leave_it_as_it_was():
    _, train, _ = prepared(own=made.WITH_CAMERA, changes=["channels=[4]"])
    (batch,) = train.in_order(1000)
    seen = batch.observation
    state, picture = seen.state.clone(), seen["camera"].clone()
    rng = torch.Generator().manual_seed(0)
    out = [augmented(batch, Training(state_noise=0.1, shift_px=2), rng) for _ in range(2)]
    first, second = (each.observation for each in out)
    assert not torch.equal(first.state, second.state)
    assert not torch.equal(first["camera"], second["camera"])
    assert (first.state - state).std().item() == pytest.approx(0.1, rel=0.1)
    assert torch.equal(seen.state, state)
    assert torch.equal(seen["camera"], picture)
