"""`il-ros compare`: tables that a person writes, and result files."""

import json
from pathlib import Path

import pytest

from il_ros.cli.main import main
from il_ros.records.trials import Trial, Trials


@pytest.fixture
def table(tmp_path):
    def write(text):
        (tmp_path / "trials.csv").write_text(text)
        return str(tmp_path / "trials.csv")

    return write


def result(path, version, successes):
    episodes = [
        {"seed": seed, "success": good, "judged": True, "total_reward": 0.0}
        for seed, good in successes.items()
    ]
    path.write_text(json.dumps({"version": version, "episodes": episodes}))
    return str(path)


def test_a_table_of_trials_on_a_robot(table, capsys):
    rows = ["failure,success"] * 8 + ["success,success", "", "success,failure"]
    assert main(["compare", table("v1,v2\n" + "\n".join(rows) + "\n")]) == 0
    # 2 * 9 / 511 after eight; eight of nine that differ: 2 * (9 + 1) / 512
    assert capsys.readouterr().out == (
        "v2 is better than v1, p = 0.035, after 8 pairs (v2 better in 8, v1 better in 1; with the number of pairs "
        "fixed beforehand: p = 0.039)\n"
    )


def test_three_policies_are_compared_with_the_first_and_corrected(table, capsys):
    assert main(["compare", "--json", table("a,b,c\n" + "0.5,1,0.5\n" * 6)]) == 0
    first, second = json.loads(capsys.readouterr().out)["comparisons"]
    assert (first["second"], first["second_better"], first["p_value"]) == ("b", 6, 2 / 64)
    assert first["p_value_corrected"] == 4 / 64
    assert (second["second"], second["second_better"], second["first_better"]) == ("c", 0, 0)
    assert second["p_value_corrected"] == 1.0


def test_result_files_are_paired_by_their_seeds(tmp_path, capsys):
    first = result(tmp_path / "one.json", "v1", {1: False, 2: False, 3: True})
    second = result(tmp_path / "two.json", "v2", {3: False, 2: True, 4: True})
    assert main(["compare", first, second, "--json"]) == 0
    (compared,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (compared["pairs"], compared["second_better"], compared["first_better"]) == (2, 1, 1)


def test_one_result_file_of_several_policies_is_compared(tmp_path, capsys):
    """As `il-ros evaluate V1 V2 --json FILE` writes it: names, where versions may be alike."""
    policies = []
    for name, successes in (("a/v1", (False,) * 6), ("b/v1", (True,) * 6)):
        alone = result(tmp_path / "alone.json", "v1", dict(enumerate(successes)))
        policies.append({"name": name, **json.loads(Path(alone).read_text())})
    (tmp_path / "both.json").write_text(json.dumps({"policies": policies}))
    assert main(["compare", str(tmp_path / "both.json"), "--json"]) == 0
    (compared,) = json.loads(capsys.readouterr().out)["comparisons"]
    assert (compared["first"], compared["second"], compared["second_better"]) == ("a/v1", "b/v1", 6)
    assert compared["p_value"] == 2 / 64  # 2 * 0.5 ** 6
    other = result(tmp_path / "other.json", "a/v1", {0: True, 1: False})
    assert main(["compare", str(tmp_path / "both.json"), other, "--json"]) == 0
    _, third = json.loads(capsys.readouterr().out)["comparisons"]
    assert (third["first"], third["second"]) == (f"{tmp_path / 'both.json'}: a/v1", other)
    assert (third["pairs"], third["second_better"]) == (2, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            '{"version": "v1", "episodes": [{"seed": 1, "judged": false, "total_reward": NaN}]}',
            "seed 1 is nan",
        ),
        (
            '{"version": "v1", "episodes": [{"seed": 1e999, "judged": true, "success": true}]}',
            "neither a result",
        ),
        (
            json.dumps({"version": "v", "episodes": [{"seed": 4, "judged": True, "success": True}] * 2}),
            "seed 4 occurs twice",
        ),
        ('{"trials": 5}', "trials"),
    ],
)
def test_a_score_that_cannot_be_compared_is_named(text, message, tmp_path, capsys):
    first = result(tmp_path / "one.json", "v1", {1: True})
    (tmp_path / "two.json").write_text(text)
    assert main(["compare", first, str(tmp_path / "two.json")]) == 2
    said = capsys.readouterr().err
    assert f"il-ros compare: {tmp_path / 'two.json'}: " in said
    assert message in said


def test_an_unreadable_file_is_named(tmp_path, table, capsys):
    assert main(["compare", str(tmp_path)]) == 2
    told = capsys.readouterr().err
    assert (
        f"{tmp_path}: is a folder, not a file of results; `il-ros evaluate V1 V2` compares checkpoints"
        in told
    )
    assert main(["compare", table("v1,v2\n1," + "2" * 200_000)]) == 2
    assert "trials.csv: no table of comma-separated values: field larger than" in capsys.readouterr().err


def test_a_result_is_not_compared_with_itself(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "v1.json", "./v1.json"]) == 2
    assert capsys.readouterr().err == (
        f"il-ros compare: {tmp_path / 'v1.json'}: is given twice; a result says nothing beside itself\n"
    )


def test_unattended_episodes_are_results_too(tmp_path, capsys):
    for name, outcomes in (("old", ("failure", "failure")), ("new", ("success", "failure"))):
        done = tuple(Trial(seed, outcome, "", 1.0, 1.0) for seed, outcome in enumerate(outcomes))
        (tmp_path / f"{name}.json").write_text(Trials(2, 0, done).to_json())
    assert main(["compare", str(tmp_path / "old.json"), str(tmp_path / "new.json")]) == 0
    assert "new better in 1, old better in 0" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "its first row must name two policies or more"),
        ("v1\nsuccess\n", "its first row must name two policies or more"),
        ("v1,v1\n1,0\n", "its first row must name two policies or more"),
        ("v1,v2\n", "has no trials below the names"),
        ("v1,v2\nsuccess\n", "trials.csv:2: has 1 value; the first row has 2"),
        ("v1,v2\n1,0\nsuccess,maybe\n", "trials.csv:3: 'maybe' must be success, failure, or a number"),
        ("v1,v2\nnan,1\n", "trials.csv:2: 'nan' must be"),
    ],
)
def test_a_table_that_cannot_be_read_names_the_row(table, text, problem, capsys):
    assert main(["compare", table(text)]) == 2
    assert problem in capsys.readouterr().err


def test_other_files_are_refused_by_name(tmp_path, capsys):
    good = result(tmp_path / "one.json", "v1", {1: False})
    other = result(tmp_path / "two.json", "v2", {2: False})
    (tmp_path / "no.json").write_text("[1, 2]")
    (tmp_path / "bad.json").write_text("{")
    (tmp_path / "none.json").write_text('{"policies": []}')
    (tmp_path / "odd.json").write_text('{"policies": [3, {"name": "v1"}]}')
    for files, problem in (
        ([good], "one result has nothing to be compared with"),
        ([str(tmp_path / "none.json")], "one result has nothing to be compared with"),
        ([str(tmp_path / "odd.json")], "odd.json: neither a result of"),
        ([good, other], "no seed is in all of them"),
        ([good, str(tmp_path / "no.json")], "no.json: neither a result of"),
        ([good, str(tmp_path / "bad.json")], "bad.json: is no result file, which is JSON"),
        ([good, str(tmp_path / "missing.json")], "missing.json"),
    ):
        assert main(["compare", *files]) == 2
        assert problem in capsys.readouterr().err


def test_a_table_that_is_no_csv_and_one_that_is_no_text_are_refused_by_name(tmp_path, capsys):
    for raw, why in (
        (
            b"v1,v2\n1,0\r\r,2\n",
            "no table of comma-separated values: new-line character seen in unquoted field\n",
        ),
        (b"v1,\xff", "is no text in UTF-8: "),
    ):
        (tmp_path / "trials.csv").write_bytes(raw)
        assert main(["compare", str(tmp_path / "trials.csv")]) == 2
        assert f"trials.csv: {why}" in capsys.readouterr().err


def test_a_seed_that_is_no_whole_number_is_refused_by_its_file(tmp_path, capsys):
    first = result(tmp_path / "one.json", "v1", {1: True})
    (tmp_path / "two.json").write_text(
        (tmp_path / "one.json").read_text().replace('"seed": 1', '"seed": Infinity')
    )
    assert main(["compare", first, str(tmp_path / "two.json")]) == 2
    assert "two.json: neither a result of `il-ros evaluate --json`" in capsys.readouterr().err
