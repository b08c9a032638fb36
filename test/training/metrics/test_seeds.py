"""Several seeds: mean and interval, the best one, and the table and plot of all."""

import csv
import math
from types import SimpleNamespace

import pytest

from il_ros.cli.train.seeds_report import reporter_of, results_table
from il_ros.core import progress
from il_ros.training.loop import EpochMetrics
from il_ros.training.metrics import curves
from il_ros.training.metrics.seeds import (
    PICTURE,
    TABLE,
    SeedResult,
    best_of,
    interval,
    require_writable,
    write_picture,
    write_table,
)

NAN = math.nan


def result(seed, loss=0.5, success=NAN, mean_return=NAN):
    return SeedResult(seed, f"out/seed{seed}", "bc-1", 3, 0.1, loss, success, mean_return, 2.5)


def test_a_mean_over_seeds_has_students_interval():
    # mean 2, deviation 1, three seeds: 2 +- 4.303 / sqrt(3)
    assert interval([1.0, 2.0, 3.0]) == pytest.approx((2.0, 2.0 - 2.4843, 2.0 + 2.4843), abs=1e-3)
    assert interval([5.0])[0] == 5.0


def test_an_interval_of_success_rates_ends_at_0_and_1():
    # mean 0.6, deviation 0.2, three seeds: 0.6 +- 4.303 * 0.2 / sqrt(3) = 0.6 +- 0.497
    assert interval([0.4, 0.6, 0.8]) == pytest.approx((0.6, 0.1031, 1.0969), abs=1e-3)
    assert interval([0.4, 0.6, 0.8], share=True) == pytest.approx((0.6, 0.1031, 1.0), abs=1e-3)
    assert interval([0.0, 0.0, 0.3], share=True)[1] == 0.0


def test_the_best_seed_has_the_most_success_and_among_equals_the_least_validation_loss():
    results = [result(0, 0.3, 0.5, 9.0), result(1, 0.4, 0.7, 1.0), result(2, 0.2, 0.7, 1.0)]
    assert best_of(results, "success").seed == 2
    assert best_of([result(0, 0.4), result(1, 0.3), result(2, 0.5)], "validation").seed == 1
    assert best_of([result(0, mean_return=-200.0), result(1, mean_return=-150.0)], "success").seed == 1
    with pytest.raises(ValueError, match="--choose success: it was not measured"):
        best_of([result(0, 0.3, 0.5), result(1, 0.3)], "success")


def test_what_a_training_says_at_its_end_is_its_result():
    done = {"version": "bc-1", "epochs": 3, "train_loss": 0.1, "validation_loss": None, "duration_s": 2.5}
    tests = {"success": None, "mean_return": -150.0}
    assert SeedResult.of(4, "out/seed4", {**done, "tests": tests}).score == -150.0
    assert math.isnan(SeedResult.of(4, "out/seed4", done).score)


def test_the_table_on_the_screen_has_successes_in_per_cent():
    results = [result(seed, success=share) for seed, share in enumerate((0.4, 0.6, 0.8))]
    lines = [" ".join(line.split()) for line in results_table(results).splitlines()]
    assert lines[0] == "seed training loss validation loss success time"
    assert lines[4:] == ["2 0.1 0.5 80 % 2.5 s", "mean 0.1 0.5 60 %", "95 % 0.1 to 0.1 0.5 to 0.5 10–100 %"]


def test_the_table_has_a_row_for_each_seed_and_marks_the_best(tmp_path):
    results = [result(3, success=0.75, mean_return=0.75), result(1, NAN)]
    require_writable(tmp_path / "new")
    write_table(tmp_path, results, results[0])
    rows = list(csv.DictReader((tmp_path / TABLE).open()))
    assert [(row["seed"], row["validation_loss"], row["success"], row["best"]) for row in rows] == [
        ("3", "0.5", "0.75", "1"),
        ("1", "", "", "0"),
    ]
    require_writable(tmp_path)  # it may be replaced by the next one
    (tmp_path / TABLE).write_text("mine")
    with pytest.raises(FileExistsError, match=r"seeds\.csv: exists, and il-ros did not write it"):
        require_writable(tmp_path)


@pytest.mark.parametrize("tested", [{}, {"success": 0.5, "mean_return": 0.5}, {"mean_return": -9.0}])
@pytest.mark.parametrize("seeds", [(0,), (0, 7)])
def test_curves_of_unequal_length_are_drawn(tmp_path, tested, seeds):
    runs = {seed: tmp_path / f"seed{seed}" for seed in seeds}
    for seed, run in runs.items():
        run.mkdir()
        epochs = [
            EpochMetrics(n, n, 0.5 / n, NAN if n == 1 else 0.6, 1e-3, 1.0, True) for n in range(1, 4 + seed)
        ]
        last = EpochMetrics(9, 90, 0.1, -0.2, 1e-3, 1.0, True, {"kl": 0.1}, **tested)
        curves.write_table(run, [*epochs, last])
        assert curves.read_table(run)[-1]["loss_kl"] == 0.1
    write_picture(tmp_path, runs, seeds[-1])
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")


def started(monkeypatch, at_once):
    """Return the report of two seeds of 10 epochs each, which prints a line for every event."""
    monkeypatch.setattr(progress, "FIRST_S", 0.0)
    monkeypatch.setattr(progress, "SHARE", 0.0)
    bar = reporter_of(2, for_programs=False)
    recipe = SimpleNamespace(reason="", training=SimpleNamespace(epochs=10))
    bar.start(SimpleNamespace(lines=lambda: ["5 episodes"]), recipe, at_once)
    return bar


def test_a_failed_seed_is_not_counted_in_the_time_that_is_left(capsys, monkeypatch):
    bar = started(monkeypatch, 2)
    for seed, left_s in ((0, 20.0), (1, 90.0)):
        bar.event(seed, {"event": "start"})
        bar.event(seed, {"event": "epoch", "epoch": 1, "left_s": left_s})
    assert capsys.readouterr().err.splitlines()[-1] == "training: 2 of 20 epochs, 01:30 left"
    bar.failed(1, "it ran out of memory")
    said = capsys.readouterr()
    assert said.out == "seed 1: failed: it ran out of memory\n"
    assert said.err == "training: 11 of 20 epochs, 00:20 left\n"
    bar.end()


def test_a_seed_that_fails_before_it_starts_is_not_waited_for(capsys, monkeypatch):
    bar = started(monkeypatch, 1)
    bar.failed(0, "no memory")
    bar.event(1, {"event": "start"})
    bar.event(1, {"event": "epoch", "epoch": 5, "left_s": 7.0})
    assert capsys.readouterr().err.splitlines()[-1] == "training: 15 of 20 epochs, 00:07 left"
