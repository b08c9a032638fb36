"""`il-ros episodes prune | trash | undo`: what goes, what stays and why, and the way back."""

import json
from datetime import datetime, timedelta, timezone
from pathlib import Path

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.episodes.arrays import cache
from il_ros.episodes.catalogue import look, scan
from il_ros.episodes.layout import Grade, discard
from il_ros.episodes.retention import RetentionError, RetentionRules, copies_in, select, trained_on
from il_ros.policies import lineage
from il_ros.policies.lineage import Lineage
from il_ros.policies.versions import CHECKPOINT, claimed

DAYS_OLD = {1: 90, 2: 60, 3: 30, 4: 10, 5: 1}


@pytest.fixture
def root(tmp_path):
    """Five episodes: 1 and 2 poor, 2 and 4 failures, 90 to 1 day old."""
    now = datetime.now(timezone.utc)
    for number, days in DAYS_OLD.items():
        made.write(
            tmp_path / "episodes",
            made.recorded(4),
            number=number,
            outcome="failure" if number in (2, 4) else "success",
            grade=Grade("poor", ("too short",)) if number < 3 else Grade("good"),
            recorded_at=(now - timedelta(days=days, hours=1)).isoformat(timespec="seconds"),
        )
    return tmp_path / "episodes"


@pytest.fixture
def prune(root, capsys, monkeypatch):
    """Run a verb on the five episodes; return its exit status, output and errors."""

    def run(*words, verb="prune", answer=None):
        asked = []

        def answered():
            asked.append(answer)
            if answer is None:
                raise EOFError
            return answer

        monkeypatch.setattr("builtins.input", answered)
        status = main(["episodes", verb, "--root", str(root), *map(str, words)])
        printed = capsys.readouterr()
        return status, printed.out, printed.err

    return run


def there(root):
    return sorted(int(entry.name[-6:]) for entry in scan(root).entries)


def trashed(root):
    return sorted(int(path.name[-6:]) for path in (root / ".trash").iterdir())


def log(root):
    return [json.loads(line) for line in (root / "pruned.jsonl").read_text().splitlines()]


def test_a_dry_run_shows_reasons_and_sizes_and_changes_nothing(root, prune):
    status, shown, _ = prune("--grade", "poor", "--older-than", "70d", "--no-policies", "--dry-run")
    assert status == 0
    (row,) = [line for line in shown.splitlines() if line.startswith("episode_")]
    assert row.split()[:3] == ["episode_000001", "90", "d"]
    assert row.endswith("poor   success  90 d old, graded poor")
    assert "1 episode to go: " in shown
    assert there(root) == [1, 2, 3, 4, 5]
    assert not (root / ".trash").exists()


@pytest.mark.parametrize(
    ("rules", "going"),
    [
        (["--grade", "poor"], [1, 2]),
        (["--outcome", "failure"], [2, 4]),
        (["--grade", "poor", "--outcome", "failure"], [2]),
        (["--older-than", "20d"], [1, 2, 3]),
        (["--older-than", "20d", "--keep-last", "3"], [1, 2]),
        (["--older-than", "3w", "--grade", "good", "--grade", "fair"], [3]),
        (["--down-to", "0MB"], [1, 2, 3, 4, 5]),
        (["--down-to", "1GB"], []),
    ],
)
def test_an_episode_goes_if_it_fits_every_rule(root, prune, rules, going):
    assert prune(*rules, "--no-policies", "--yes")[0] == 0
    assert there(root) == [number for number in DAYS_OLD if number not in going]


def test_the_oldest_go_until_the_folder_is_small_enough(root):
    entries = scan(root).entries
    one = sum(file.stat().st_size for file in entries[0].folder.rglob("*"))
    total = sum(file.stat().st_size for entry in entries for file in entry.folder.rglob("*"))
    rules = RetentionRules(down_to_bytes=total - one - 1)  # a byte more than the oldest must go
    chosen = select(entries, rules, {}, datetime.now(timezone.utc))
    assert [each.entry.name[-1] for each in chosen.going] == ["1", "2"]
    assert [each.kept for each in chosen.kept] == ["the folder is small enough"] * 3
    assert chosen.total_bytes == total


def test_it_asks_and_no_answer_is_a_no(root, prune):
    for answer in (None, "", "n", "what"):
        status, shown, _ = prune("--grade", "poor", "--no-policies", answer=answer)
        assert status == 1
        assert f"Move 2 episodes to {root / '.trash'}? [y/N]" in shown
        assert there(root) == [1, 2, 3, 4, 5]
    assert prune("--grade", "poor", "--no-policies", answer="y")[0] == 0
    assert there(root) == [3, 4, 5]


def test_what_was_moved_comes_back_as_it_was(root, prune):
    before = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert prune("--grade", "poor", "--no-policies", "--yes")[0] == 0
    assert trashed(root) == [1, 2]
    status, shown, _ = prune("1", root / "episode_000002", verb="undo")
    assert (status, shown) == (0, "episode_000001: is back\nepisode_000002: is back\n")
    after = {path.relative_to(root): path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert after.pop(Path("pruned.jsonl"))
    assert after == before
    assert [line["action"] for line in log(root)] == ["moved", "moved", "restored", "restored"]


def test_a_number_is_not_used_again(root, prune):
    made.write(root, made.recorded(4), number=6)
    prune("--older-than", "0h", "--no-policies", "--yes", "--delete")
    assert there(root) == []
    from il_ros.episodes.layout import claim_next

    (root / ".last_episode").write_text("6\n")  # as the recorder leaves it
    assert claim_next(root).name == "episode_000007"


def test_the_trash_is_listed_and_emptied_with_a_log(root, prune):
    prune("--grade", "poor", "--no-policies", "--yes")
    status, shown, _ = prune(verb="trash")
    assert status == 0
    assert "2 episodes, " in shown
    assert prune("--empty", verb="trash", answer="n")[0] == 1
    assert trashed(root) == [1, 2]
    assert prune("--empty", "--yes", verb="trash")[0] == 0
    assert trashed(root) == []
    deleted = [line for line in log(root) if line["action"] == "deleted"]
    assert [line["episode"] for line in deleted] == ["episode_000001", "episode_000002"]
    assert all(line["bytes"] > 0 and line["recorded_at"] for line in deleted)
    assert prune(verb="trash")[1] == f"{root / '.trash'}: nothing is there\n"


def test_a_folder_with_other_files_is_not_deleted(root, prune):
    (root / "episode_000001" / "notes.txt").write_text("mine")
    status, _, errors = prune("--grade", "poor", "--no-policies", "--yes", "--delete")
    assert status == 1
    assert "episode_000001: also holds 'notes.txt', which no recorder wrote" in errors
    assert there(root) == [1, 3, 4, 5]
    assert (root / "episode_000001" / "notes.txt").read_text() == "mine"
    assert [line["episode"] for line in log(root)] == ["episode_000002"]


def test_what_our_commands_leave_beside_a_bag_goes_with_it(root, prune):
    for name in ("amendments.json", "inferred_labels.json", "discarded.json", "episode_000001_0.mcap.orig"):
        (root / "episode_000001" / name).write_text("{}")
    assert prune("--discarded", "--no-policies", "--yes", "--delete")[0] == 0
    assert there(root) == [2, 3, 4, 5]


def version(folder, name, **data):
    (folder / name / CHECKPOINT).mkdir(parents=True)
    lineage.write(folder / name, Lineage(name, data=data))


def test_what_a_version_was_trained_on_stays_unless_told(root, prune, tmp_path):
    policies = tmp_path / "policies"
    version(policies, "v1", train=["episode_000001"], validation=["episode_000004"])
    version(policies / "older", "v7", train=["episode_000001"])
    interrupted = policies / "v2.training" / "resume"
    interrupted.mkdir(parents=True)
    names = {"train": ["episode_000002"], "validation": []}
    (interrupted / "state.json").write_text(json.dumps({"run": {"data": names}}))
    status, shown, _ = prune("--older-than", "1h", "--policies", policies, "--yes")
    assert status == 0
    assert there(root) == [1, 2, 4]
    assert f"episode_000001: trained on it: {policies / 'older' / 'v7'}, {policies / 'v1'}" in shown
    assert f"episode_000002: trained on it: {policies / 'v2.training'} (interrupted)" in shown
    assert prune("--older-than", "1h", "--policies", policies, "--trained", "--yes")[0] == 0
    assert there(root) == []


def test_without_knowing_the_versions_nothing_goes(root, prune, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, _, errors = prune("--grade", "poor", "--yes")
    assert status == 1
    assert (
        "there is no folder 'checkpoint' of versions, so what was trained on these episodes is unknown"
        in errors
    )
    version(tmp_path / "checkpoint", "v1", train=["episode_000001"])
    assert prune("--grade", "poor", "--yes")[0] == 0  # the default folder
    assert there(root) == [1, 3, 4, 5]
    (tmp_path / "checkpoint" / "v1" / lineage.FILE).write_text("{")
    status, _, errors = prune("--grade", "poor", "--yes")
    assert status == 1
    assert "what it was trained on is unknown" in errors
    with pytest.raises(RetentionError, match="there is no such folder of versions"):
        trained_on([tmp_path / "none"])


def test_beside_a_running_training_nothing_goes(tmp_path):
    at_work = pytest.raises(RetentionError, match="a training is at work there")
    with claimed(tmp_path / "policies" / "v1.training"), at_work:
        trained_on([tmp_path / "policies"])


def test_discarded_episodes_go_and_unfinished_ones_stay(root, prune):
    discard(root / "episode_000003", "slipped", "2026-11-29")
    (root / "episode_000004" / "metadata.yaml").unlink()
    bag = root / "episode_000004" / "episode_000004_0.mcap"
    bag.write_bytes(bag.read_bytes()[:-40])
    assert look(root / "episode_000004").state in ("incomplete", "broken")
    status, shown, _ = prune("--older-than", "1h", "--discarded", "--no-policies", "--yes")
    assert status == 0
    assert trashed(root) == [3]
    status, shown, _ = prune("--older-than", "1h", "--no-policies", "--yes")
    assert status == 0
    assert there(root) == [4]
    assert "episode_000004: it is " in shown


def test_only_what_a_data_set_has_copies_of_goes(root, prune, tmp_path):
    data_set = tmp_path / "data"
    (data_set / "meta").mkdir(parents=True)
    start_ns = look(root / "episode_000002").info.started_ns
    copies = [
        {"source": "episode_000002", "first_tick_ns": start_ns},
        {"source": "episode_000003", "first_tick_ns": start_ns - 10**15},  # of another folder
    ]
    (data_set / "meta" / "il_ros.json").write_text(json.dumps({"episodes": copies}))
    status, shown, _ = prune("--exported-to", data_set, "--no-policies", "--yes")
    assert status == 0
    assert f"its labelled frames are in {data_set}" in shown
    assert trashed(root) == [2]
    with pytest.raises(RetentionError, match=r"none.meta.il_ros\.json: does not say which episodes"):
        copies_in(tmp_path / "none")


def test_the_cached_arrays_of_a_pruned_episode_go(root, prune):
    entry = look(root / "episode_000001")
    cache.Conversion(made.CONTRACT, cache.cache_folder(root)).load(entry)
    cache.Conversion(made.CONTRACT, cache.cache_folder(root)).load(look(root / "episode_000003"))

    def cached():
        return {path.name for path in (root / ".cache").glob("*/episode_*")}

    assert cached() == {"episode_000001", "episode_000003"}
    prune("--grade", "poor", "--no-policies", "--yes")
    assert {"episode_000001", "episode_000003"} & cached() == {"episode_000003"}


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        (["--no-policies"], 1, "no rule is given, so every episode would go"),
        (["--keep-last", "2", "--no-policies"], 1, "no rule is given"),
        (["--grade", "bad", "--no-policies"], 1, "grade is 'bad'; it must be one of: good, fair, poor"),
        (
            ["--grade", "poor", "--keep-last", "-1", "--no-policies"],
            1,
            "--keep-last is -1; it must be 0 or more",
        ),
        (["--older-than", "30"], 2, "'30' is no age; write a number and h, d, w, such as 30d"),
        (["--down-to", "5GiB"], 2, "'5GiB' is no size; write a number and MB, GB, TB, such as 200GB"),
    ],
)
def test_wrong_rules_are_refused(root, prune, capsys, words, status, error):
    if status == 2:
        with pytest.raises(SystemExit):
            prune(*words)
        assert error in capsys.readouterr().err
    else:
        found, _, errors = prune(*words)
        assert found == status
        assert error in errors
    assert there(root) == [1, 2, 3, 4, 5]
