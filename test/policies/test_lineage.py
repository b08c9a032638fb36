"""version.json, and the choice of the newest good version."""

import json

import pytest

from il_ros.policies import lineage
from il_ros.policies.lineage import ACTIVE, FILE, REFUSED, ROLLED_BACK, Lineage, LineageError
from il_ros.policies.versions import CHECKPOINT


def version(folder, number, **changes):
    run = folder / f"v{number}"
    (run / CHECKPOINT).mkdir(parents=True)
    lineage.write(run, Lineage(run.name, **changes))
    return run


def test_read_returns_what_was_written(tmp_path):
    data = {"train": ["episode_000001"], "validation": ["episode_000002"]}
    written = Lineage("v2", "v1", data, 120, {"family": "bc"}, {"validation_loss": 0.5}, "abc", "today")
    lineage.write(tmp_path, written)
    assert lineage.read(tmp_path) == written
    assert written.episodes == {"episode_000001", "episode_000002"}


def test_interventions_per_minute_need_time_in_control():
    assert Lineage("v1").interventions_per_minute is None
    assert Lineage("v1", driven_s=90.0, interventions=3).interventions_per_minute == 2.0


def test_a_version_without_a_file_has_its_name_and_may_be_used(tmp_path):
    (tmp_path / "v3" / CHECKPOINT).mkdir(parents=True)
    assert lineage.read(tmp_path / "v3") == Lineage("v3")
    assert lineage.newest_good(tmp_path) == tmp_path / "v3"


@pytest.mark.parametrize(
    "text", ["", '{"version": "v1", "sta', "[]", '{"version": "v1", "state": "splendid"}']
)
def test_a_damaged_file_is_named_and_its_version_not_used(tmp_path, text):
    good = version(tmp_path, 1)
    damaged = version(tmp_path, 2)
    (damaged / FILE).write_text(text)
    with pytest.raises(LineageError, match=r"version\.json"):
        lineage.read(damaged)
    assert lineage.newest_good(tmp_path) == good


def test_refused_and_rolled_back_versions_are_skipped(tmp_path):
    good = version(tmp_path, 1, state=ACTIVE)
    version(tmp_path, 2, state=REFUSED)
    version(tmp_path, 10, state=ROLLED_BACK)
    assert lineage.newest_good(tmp_path) == good
    assert lineage.newest_good(tmp_path / "nothing") is None


def test_a_version_trained_on_a_discarded_episode_is_skipped(tmp_path):
    before = version(tmp_path, 1, data={"train": ["a"], "validation": ["b"]})
    version(tmp_path, 2, data={"train": ["a"], "validation": ["b", "c"]})
    assert lineage.newest_good(tmp_path, without={"c"}) == before
    assert lineage.newest_good(tmp_path, without={"b"}) is None


def test_unknown_keys_are_ignored(tmp_path):
    (tmp_path / FILE).write_text(json.dumps({"version": "v1", "colour": "blue"}))
    assert lineage.read(tmp_path) == Lineage("v1")


def test_a_version_in_training_is_not_listed(tmp_path):
    (tmp_path / "v2.running" / CHECKPOINT).mkdir(parents=True)
    assert lineage.newest_good(tmp_path) is None
