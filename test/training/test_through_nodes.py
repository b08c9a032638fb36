"""Counting and pooling in bench/learning/through_nodes.py."""

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path

import made_versions as made
import pytest

from il_ros.episodes.catalogue import scan
from il_ros.policies import lineage

FILE = Path(__file__).resolve().parents[2] / "bench" / "learning" / "through_nodes.py"


@pytest.fixture(scope="module")
def bench():
    sys.path.insert(0, str(FILE.parent))  # as when it is run
    spec = importlib.util.spec_from_file_location("through_nodes", FILE)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.path.remove(str(FILE.parent))
    return module


def test_demonstrations_are_the_first_that_succeeded(bench, tmp_path):
    for number, outcome in enumerate(["success", "failure", "success", "success"], 1):
        made.episode(tmp_path / "all", number, outcome=outcome)
    bench.linked(tmp_path / "all", tmp_path / "two", 2)
    assert [entry.name for entry in scan(tmp_path / "two").usable] == ["episode_000001", "episode_000003"]
    with pytest.raises(RuntimeError, match="holds 3 demonstrations that succeeded; 4 are needed"):
        bench.linked(tmp_path / "all", tmp_path / "four", 4)


def test_labels_and_the_experts_ticks_are_counted_from_the_bags(bench, tmp_path):
    made.episode(tmp_path, 1)  # shown: 20 ticks
    made.episode(tmp_path, 2, taken_over_at=12)  # 8 of 20 ticks
    assert bench.effort(tmp_path, made.CONTRACT) == (28, 28, 1)
    assert bench.effort(tmp_path, made.CONTRACT, {"episode_000002"}) == (8, 8, 1)


def test_after_a_round_whose_version_was_refused_the_one_before_drives(bench, tmp_path):
    for number in (1, 2, 3):
        made.version(tmp_path, number)
    refused = tmp_path / "v3"
    lineage.write(refused, replace(lineage.read(refused), state=lineage.REFUSED, reason="slow"))
    driving = [bench.driving_after(tmp_path, stage).name for stage in (0, 1, 2)]
    assert driving == ["v1", "v2", "v2"]
    assert bench.refused(tmp_path) == 1


def test_seeds_are_pooled_with_wilsons_interval(bench):
    args = bench.arguments(["--seeds", "0,1"])
    point = {"method": "bc", "stage": 25, "labels": 100, "expert_ticks": 90, "takeovers": 0, "refused": 0}
    point |= {"successes": 10, "episodes": 10, "load": 1.0}
    (row,) = bench.summary(args, [point, point | {"labels": 200, "successes": 6}])["rows"]
    assert (row["seeds"], row["labels"], row["success"]) == (2, 150.0, 0.8)
    assert row["interval_95"] == [0.584, 0.919]  # Wilson's for 16 of 20
