"""version.json, and the choice of the newest good version."""

import json
import os
import time

import pytest

from il_ros.policies import lineage
from il_ros.policies.lineage import ACTIVE, FILE, REFUSED, ROLLED_BACK, Lineage, LineageError
from il_ros.policies.versions import (
    CHECKPOINT,
    begin_next,
    claimed,
    fault_of,
    is_claimed,
    next_version,
    publish,
    remove_unfinished,
    taken,
)


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
    "text",
    [
        "",
        '{"version": "v1", "sta',
        "[]",
        "[" * 100_000,
        '{"version": "v1", "state": "splendid"}',
        '{"version": "v1", "state": ["trained"]}',
        '{"version": "v1", "driven_s": "600"}',
        '{"version": "v1", "driven_s": 1e999}',
        '{"version": "v1", "driven_s": NaN}',
        '{"version": "v1", "interventions": -1}',
        '{"version": "v1", "labels": 1.5}',
        '{"version": "v1", "data": ["episode_000001"]}',
        '{"version": "v1", "data": {"train": "episode_000001"}}',
        '{"version": "v1", "data": {"train": [["episode_000001"]]}}',
        '{"version": "v1", "metrics": []}',
        '{"version": "v1", "reason": null}',
    ],
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


@pytest.mark.parametrize(
    "text",
    [
        '{"version": "1.2.3", "build": "important"}',
        '{"version": "1.2.3"}',
        '{"version": "v1", "data": {}, "trained_at": "", "state": "trained", "build": 7}',
        "not even JSON",
    ],
)
def test_a_version_file_of_something_else_is_never_replaced(tmp_path, text):
    (tmp_path / FILE).write_text(text)
    with pytest.raises(LineageError, match=r"version\.json: is damaged, or not a version\.json of il_ros"):
        lineage.write(tmp_path, Lineage("v1", state=REFUSED))
    assert (tmp_path / FILE).read_text() == text
    assert not lineage.is_ours(tmp_path)


def test_the_own_file_is_replaced_but_not_through_a_link(tmp_path):
    lineage.write(tmp_path, Lineage("v1"))
    assert lineage.is_ours(tmp_path)
    lineage.write(tmp_path, Lineage("v1", state=REFUSED))
    assert lineage.read(tmp_path).state == REFUSED
    other = tmp_path / "other"
    other.mkdir()
    (other / FILE).symlink_to(tmp_path / FILE)
    with pytest.raises(LineageError, match="it is not replaced"):
        lineage.write(other, Lineage("v2"))
    assert lineage.read(tmp_path).version == "v1"


def test_a_fifo_is_damaged_at_once(tmp_path):
    good = version(tmp_path, 1)
    bad = version(tmp_path, 2)
    (bad / FILE).unlink()
    os.mkfifo(bad / FILE)
    begun_s = time.monotonic()
    with pytest.raises(LineageError, match="is a FIFO, not a regular file"):
        lineage.read(bad)
    assert lineage.newest_good(tmp_path) == good
    assert not lineage.is_ours(bad)
    assert time.monotonic() - begun_s < 5.0


def test_only_v_and_digits_name_a_version(tmp_path):
    for name in (
        "v3",
        "v\N{SUPERSCRIPT TWO}",
        "v\N{ARABIC-INDIC DIGIT NINE}",
        "v",
        "v1.running",
        "v" + "9" * 200,
    ):
        (tmp_path / name / CHECKPOINT).mkdir(parents=True)
    assert lineage.newest_good(tmp_path) == tmp_path / "v3"
    assert (taken(tmp_path), next_version(tmp_path)) == (["v3"], "v4")


@pytest.mark.parametrize("name", ["a b", "a=1", "a\x1b[2J", "a" * 101, "a\u202e", "a\n"])
def test_a_version_is_one_printable_word(name):
    assert "must be one word of at most 100 characters" in fault_of(name)
    assert fault_of("bc-1a2b") == fault_of("größer") == ""


def test_an_unfinished_training_is_removed_unless_it_holds_anything_else(tmp_path):
    run = tmp_path / "v1.running"
    remove_unfinished(run)  # there is none
    (run / ".resume.4711").mkdir(parents=True)
    (run / ".checkpoint.4711.old").mkdir()
    for name in ("curves.csv", ".version.json.12", "curves.png"):
        (run / name).write_text("")
    (run / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt: no training wrote it"):
        remove_unfinished(run)
    assert len(list(run.iterdir())) == 6
    (run / "notes.txt").unlink()
    remove_unfinished(run)
    assert not run.exists()


def test_a_link_in_place_of_an_unfinished_training_is_not_followed(tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "curves.csv").write_text("")
    (tmp_path / "v1.running").symlink_to(tmp_path / "mine")
    with pytest.raises(FileExistsError, match=r"v1\.running: is not a folder"):
        remove_unfinished(tmp_path / "v1.running")
    assert (tmp_path / "mine" / "curves.csv").exists()


@pytest.mark.parametrize("state", ["refused", "rolled back"])
def test_a_pardon_makes_a_version_good_again(tmp_path, state):
    run = tmp_path / "v1"
    run.mkdir()
    lineage.write(run, Lineage("v1", state=state, reason="forged", driven_s=4.0, interventions=416))
    assert lineage.pardon(run).state == state
    told = lineage.read(run)
    assert (told.state, told.pardons) == ("trained", 1)
    assert told.reason == f"pardoned; it was {state}: forged"
    # the roll-back was decided on the driving record
    assert (told.driven_s, told.interventions) == ((0.0, 0) if state == "rolled back" else (4.0, 416))
    assert lineage.is_good(run)
    with pytest.raises(LineageError, match="v1 is trained, neither refused nor rolled back"):
        lineage.pardon(run)


def test_a_policy_of_unknown_origin_is_described_so(tmp_path):
    assert lineage.describe("bc-1", tmp_path, {}) == (
        f"bc-1 ({tmp_path}, training time unknown, whether training was complete is unknown)"
    )
    run = version(tmp_path, 3, trained_at="2026-11-29T10:00:00+00:00")
    assert lineage.describe("v3", run / CHECKPOINT, {"finished": True}) == (
        f"v3 ({run / CHECKPOINT}, trained at 2026-11-29T10:00:00+00:00, complete)"
    )


def test_two_trainings_do_not_share_a_folder(tmp_path):
    run = tmp_path / "checkpoint" / "v1"
    with claimed(run):
        assert is_claimed(run)
        assert next_version(tmp_path / "checkpoint") == "v2"
        with (
            pytest.raises(FileExistsError, match=r"checkpoint/v1: another training is at work on it"),
            claimed(run),
        ):
            pass
        assert is_claimed(run)  # the refused one took nothing away
    assert not (tmp_path / "checkpoint").exists()  # nothing was written into it


def test_an_unfinished_version_of_another_training_is_not_deleted(tmp_path):
    with claimed(tmp_path / "v1.running"):
        (tmp_path / "v1.running" / "curves.csv").write_text("")
        version, run = begin_next(tmp_path)
        assert (version, run.name) == ("v2", "v2.running")
        place = publish(tmp_path / "v1.running", "v1")
        assert is_claimed(place)  # also under its new name
    assert [path.name for path in place.iterdir()] == ["curves.csv"]
    (tmp_path / "v2.running").mkdir()
    (tmp_path / "v2.running" / ".training").touch()  # of a training that was killed
    assert begin_next(tmp_path)[0] == "v2"
    assert not (tmp_path / "v2.running").exists()
