"""Metrics for other programs: what is written, also by a resumed training, and what is missing."""

import sys

import made_arrays as made
import pytest

from il_ros.cli.main import main
from il_ros.training.metrics import writers
from il_ros.training.metrics.writers import WriterError, opened, require_installed
from il_ros.training.recipe import Recipe, changed
from il_ros.training.run import train

RECIPE = changed(Recipe(), ["hidden=[8]", "epochs=4", "batch_size=64", "validate_every=2"])


def scalars(folder):
    """Return what TensorBoard shows: by name, the value of each step."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder))
    events.Reload()
    return {
        name: {event.step: event.value for event in events.Scalars(name)} for name in events.Tags()["scalars"]
    }


def test_tensorboard_shows_the_numbers_of_the_curves(tmp_path):
    pytest.importorskip("tensorboard")
    outcome = train(made.dataset(), RECIPE, tmp_path, log=("tensorboard",))
    shown = scalars(tmp_path / "tensorboard")
    assert shown["train_loss"] == pytest.approx(
        {each.step: each.train_loss for each in outcome.curves}, rel=1e-6
    )
    assert list(shown["validation_loss"]) == [4, 8]  # two steps an epoch, validation after every second one
    assert {"learning_rate", "seconds", "epoch", "best"} < set(shown)
    assert "success" not in shown


def test_a_resumed_training_goes_on_in_tensorboard_and_a_new_one_begins_anew(tmp_path):
    pytest.importorskip("tensorboard")
    train(made.dataset(), RECIPE, tmp_path, log=("tensorboard",), on_epoch=lambda point: point.epoch < 3)
    first = scalars(tmp_path / "tensorboard")["train_loss"]
    assert list(first) == [2, 4, 6]
    train(made.dataset(), RECIPE, tmp_path, log=("tensorboard",), resume=True)
    whole = scalars(tmp_path / "tensorboard")["train_loss"]
    assert list(whole) == [2, 4, 6, 8]
    assert {step: whole[step] for step in first} == first
    other = train(made.dataset(), changed(RECIPE, ["epochs=1"]), tmp_path, log=("tensorboard",))
    assert scalars(tmp_path / "tensorboard")["train_loss"] == pytest.approx(
        {2: other.curves[0].train_loss}, rel=1e-6
    )


def test_steps_after_the_saved_state_are_replaced(tmp_path):
    """A training is killed after step 6; its state was saved at step 4."""
    pytest.importorskip("tensorboard")
    with opened(("tensorboard",), tmp_path, {}, 0) as write:
        for step in (2, 4, 6):
            write(step, {"loss": float(step)})
    with opened(("tensorboard",), tmp_path, {}, 4) as write:
        write(6, {"loss": 60.0})
    assert scalars(tmp_path / "tensorboard") == {"loss": {2: 2.0, 4: 4.0, 6: 60.0}}


def test_each_program_gets_what_was_measured_and_is_closed_also_after_an_error(tmp_path, monkeypatch):
    got = []

    class Program:
        def __init__(self, out, settings, begun):
            got.append((out, settings, begun))

        def write(self, step, values):
            got.append((step, dict(values)))

        def close(self):
            got.append("closed")

    monkeypatch.setitem(writers.WRITERS, "json", Program)  # a package that is there

    def write_and_fail():
        with opened(("json", "json"), tmp_path, {"family": "bc"}, 7) as write:
            write(8, {"loss": 0.5, "validation": float("nan"), "best": True})
            raise OSError("disk is full")

    with pytest.raises(OSError, match="disk is full"):
        write_and_fail()
    assert got == [(tmp_path, {"family": "bc"}, 7), (8, {"loss": 0.5, "best": 1.0}), "closed"]


@pytest.mark.parametrize("name", writers.PROGRAMS)
def test_a_package_that_is_not_installed_is_named_before_anything_is_read(
    name, tmp_path, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.setattr(writers.importlib.util, "find_spec", lambda _: None)
    with pytest.raises(
        WriterError, match=f"--log {name}: the package {name} is not installed; type:  pip install"
    ):
        require_installed([name])
    assert main(["train", str(tmp_path / "nowhere"), "--log", name]) == 2
    assert f"il-ros train: --log {name}: the package {name} is not installed" in capsys.readouterr().err


def test_recipes_with_own_steps_say_that_they_do_not_log(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(writers.importlib.util, "find_spec", lambda name: name)
    assert main(["train", str(tmp_path), "--recipe", "gail", "--log", "tensorboard"]) == 2
    assert "--log has no meaning for a recipe with own steps" in capsys.readouterr().err
