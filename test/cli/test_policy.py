"""`il-ros policy versions`."""

import shutil

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.policies import lineage
from il_ros.policies.lineage import FILE, Lineage
from il_ros.policies.versions import CHECKPOINT


def write(folder, name, **fields):
    (folder / name / CHECKPOINT).mkdir(parents=True)
    lineage.write(folder / name, Lineage(name, **fields))


def test_the_table_has_one_line_per_version_with_lineage_and_state(tmp_path, capsys):
    data = {"train": ["a", "b"], "validation": ["c"]}
    write(tmp_path, "v1", data=data, labels=60, metrics={"validation_loss": 0.25}, state="replaced")
    write(tmp_path, "v2", parent="v1", state="refused", reason="its error is nan")
    write(tmp_path, "v10", parent="v1", state="active", driven_s=120.0, interventions=1)
    assert main(["policy", "versions", str(tmp_path)]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()[2:]]
    assert rows[0] == ["v1", "-", "3", "60", "0.25000", "replaced", "-", "-", "-"]
    assert rows[1] == ["v2", "v1", "-", "-", "-", "refused", "-", "-", "-", "its", "error", "is", "nan"]
    assert rows[2] == ["v10", "v1", "-", "-", "-", "active", "2.00", "0.50", "-"]


def test_successes_count_for_the_driving_version(tmp_path, capsys):
    write(tmp_path / "policies", "v1")
    for number, outcome in ((1, "success"), (2, "failure"), (3, "success")):
        items = made.recorded(10, decisions=False)
        items += [made.decision(t, authority="policy", version="v1", mode="policy") for t in range(10)]
        made.write(tmp_path / "episodes", items, number=number, outcome=outcome)
    made.write(tmp_path / "episodes", made.recorded(10), number=4)  # driven by the expert
    made.write(
        tmp_path / "episodes", items, number=5, outcome="unmarked"
    )  # v1 drives, and nobody says how it went
    words = ["policy", "versions", str(tmp_path / "policies"), "--root", str(tmp_path / "episodes")]
    assert main(words) == 0
    printed = capsys.readouterr().out
    assert "2/3" in printed
    assert "success: of the marked episodes; not counted, because unmarked: 1 of v1" in printed


def test_a_damaged_file_is_listed_and_named(tmp_path, capsys):
    write(tmp_path, "v1")
    (tmp_path / "v1" / FILE).write_text("{")
    assert main(["policy", "versions", str(tmp_path)]) == 1
    printed = capsys.readouterr()
    assert "damaged" in printed.out
    assert str(tmp_path / "v1" / FILE) in printed.err


def test_an_empty_folder_is_reported(tmp_path, capsys):
    assert main(["policy", "versions", str(tmp_path)]) == 1
    assert f"{tmp_path} holds no versions" in capsys.readouterr().err


def test_a_pardon_names_what_there_is(tmp_path, capsys):
    write(tmp_path, "v1")
    assert main(["policy", "pardon", "v7", str(tmp_path)]) == 1
    assert f"{tmp_path} has no version 'v7'; there are: v1" in capsys.readouterr().err
    assert main(["policy", "pardon", "v1", str(tmp_path)]) == 1
    assert "v1 is trained, neither refused nor rolled back" in capsys.readouterr().err


def test_a_rollback_makes_the_version_before_the_newest_good_one_and_says_the_lineage(tmp_path, capsys):
    data = {"train": ["a", "b"], "validation": ["c"]}
    write(tmp_path, "v1", data=data, labels=60, trained_at="2026-11-28T10:00:00+00:00", state="replaced")
    write(tmp_path, "v2", parent="v1", state="refused", reason="its error is nan")
    write(tmp_path, "v3", parent="v1", state="active")
    assert main(["policy", "rollback", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "v3 was active; now it is rolled back.",
        "v1: trained at 2026-11-28T10:00:00+00:00 from scratch, 3 episodes, 60 labels; "
        "v3 descends from it: v1 <- v3.",
        f"No running policy server has a version of {tmp_path}; the next start drives with v1.",
        "The next training starts from v1. `il-ros policy pardon VERSION` takes a roll-back back.",
    ]
    assert lineage.newest_good(tmp_path) == tmp_path / "v1"
    assert [lineage.read(tmp_path / name).state for name in ("v1", "v2", "v3")] == [
        "replaced", "refused", "rolled back",
    ]  # fmt: skip
    assert lineage.read(tmp_path / "v2").reason == "its error is nan"
    assert lineage.read(tmp_path / "v3").reason.endswith(", to go back to v1")


def test_a_rollback_to_a_version_takes_all_later_good_ones_back(tmp_path, capsys):
    for number in (1, 2, 3, 10):
        write(tmp_path, f"v{number}", parent="" if number == 3 else "v1")
    assert main(["policy", "rollback", "--to", "v2", str(tmp_path)]) == 0
    assert "v2: trained from v1; v10 does not descend from it." in capsys.readouterr().out
    assert [lineage.is_good(tmp_path / f"v{number}") for number in (1, 2, 3, 10)] == [
        True,
        True,
        False,
        False,
    ]


def test_a_copied_version_is_told_by_its_folder(tmp_path, capsys):
    write(tmp_path, "v1")
    shutil.copytree(tmp_path / "v1", tmp_path / "v2")
    assert main(["policy", "versions", str(tmp_path)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[2:4]] == ["v1", "v2"]
    assert printed[-1] == "v2: its version.json is of v1; is the folder a copy?"
    assert main(["policy", "rollback", str(tmp_path)]) == 0
    printed = capsys.readouterr().out
    assert "v2 was trained; now it is rolled back." in printed
    assert "the next start drives with v1." in printed
    assert lineage.is_good(tmp_path / "v1")
    assert not lineage.is_good(tmp_path / "v2")


def test_a_rollback_that_cannot_be_changes_nothing_and_says_why(tmp_path, capsys):
    write(tmp_path, "v1", state="rolled back", reason="requested")
    write(tmp_path, "v2")
    for words, told in (
        ([], f"{tmp_path} has no good version before v2"),
        (["--to", "v1"], "--to v1: it was rolled back: requested; `il-ros policy pardon v1"),
        (["--to", "v2"], "--to v2: must be a version before v2"),
        (["--to", "v7"], f"{tmp_path} has no version 'v7'; there are: v1, v2"),
    ):
        assert main(["policy", "rollback", *words, str(tmp_path)]) == 1
        assert told in capsys.readouterr().err
    assert lineage.read(tmp_path / "v2").state == "trained"
    (tmp_path / "none").mkdir()
    assert main(["policy", "rollback", str(tmp_path / "none")]) == 1
    assert "none holds no good version v1, v2, ..." in capsys.readouterr().err


@pytest.mark.parametrize(
    "words", [["rollback", "nosuch"], ["pardon", "v1", "nosuch"], ["versions", "nosuch"]]
)
def test_a_folder_that_does_not_exist_is_named(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["policy", *words]) == 1
    assert "nosuch: there is no such folder" in capsys.readouterr().err
