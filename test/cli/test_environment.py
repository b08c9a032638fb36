"""`il-ros env`, and what `il-ros train` and `il-ros evaluate` do with its episodes."""

import json

import point_env
import pytest

from il_ros.cli import main as cli
from il_ros.policies import lineage
from il_ros.policies.versions import versions

SMALL = ["--recipe", "bc_mlp", "--set", "policy.hidden=[8]"]


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_record_train_evaluate_and_correct_by_commands_alone(folder, capsys):
    point = [point_env.NAME, "--expert", "point_env:expert"]
    assert cli.main(["env", "record", *point, "--episodes", "4"]) == 0
    out = capsys.readouterr().out
    assert "seed 3: success, 8 steps, return -0." in out
    assert "4 episodes in episodes" in out
    assert "next: il-ros train episodes" in out
    assert cli.main(["train", "episodes", "--out", "checkpoint/v1", *SMALL, "--set", "epochs=2"]) == 0
    assert "next: il-ros evaluate checkpoint/v1" in capsys.readouterr().out
    assert cli.main(["evaluate", "checkpoint/v1", "--episodes", "3", "--json", "score.json"]) == 0
    out = capsys.readouterr().out
    assert "mean return" in out
    assert "next: il-ros env dagger Point-v0" in out
    score = json.loads((folder / "score.json").read_text())
    assert (score["task"], score["count"]) == ("Point-v0", 3)
    assert score["return_interval_95"][0] <= score["mean_return"] <= score["return_interval_95"][1]
    assert cli.main(["env", "dagger", *point, "--rounds", "2", "--steps", "200", "--tests", "5", *SMALL]) == 0
    out = capsys.readouterr().out
    assert "begins with 4 episodes of episodes" in out
    assert "begins with policy v1 of checkpoint/v1" in out
    assert lineage.read(folder / "checkpoint" / "v3").parent == "v2"
    assert "round 1: checkpoint/v3, 48 labels" in out  # four demonstrations and two rounds of one episode
    assert "% success, return -" in out
    assert [run.name for run in versions(folder / "checkpoint")] == ["v1", "v2", "v3"]
    assert cli.main(["episodes", "verify"]) == 0


def test_a_policy_can_be_the_expert(folder, capsys):
    assert cli.main(["env", "record", point_env.NAME, "--expert", "point_env:expert", "--episodes", "2"]) == 0
    assert cli.main(["train", "episodes", "--out", "checkpoint/v1", *SMALL, "--set", "epochs=2"]) == 0
    command = [
        "env",
        "record",
        point_env.NAME,
        "--expert",
        "checkpoint/v1",
        "--episodes",
        "1",
        "--root",
        "more",
    ]
    assert cli.main(command) == 0
    assert "1 episode in more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["record", "Point-v0"], "'Point-v0' has no scripted expert"),
        (["record", "puhs"], "unknown task 'puhs'"),
        (["record", "reach", "--episodes", "0"], "--episodes is 0; it must be 1 or more"),
        (["dagger", "reach", "--rounds", "0"], "--rounds is 0; it must be 1 or more"),
        (["dagger", "reach", "--mode", "gated"], "mode gated needs a first policy"),
        (["dagger", "reach", "--tests", "-1"], "--tests is -1; it must be 0 or more"),
        (["dagger", "reach", "--from", "none"], "--from none: none: no such folder"),
        (
            ["record", "Point-v0", "--success-return", "nan"],
            "the return of a success is nan; it must be a finite",
        ),
        (["record", "Point-v0", "--expert", "point_env:wrong"], "point_env:wrong: the action space is Box"),
        (
            ["record", "Point-v0", "--expert", "point_env:expert", "--contract", "drive"],
            "contract drive observes scan; Point-v0 publishes",
        ),
    ],
)
def test_an_invalid_request_is_refused_with_the_reason(words, message, capsys):
    assert cli.main(["env", *words]) == 2
    assert f"il-ros env {words[0]}: " in (err := capsys.readouterr().err)
    assert message in err


def test_a_contract_that_reads_other_numbers_is_refused(folder, capsys):
    assert cli.main(["contract", "from-env", "Pendulum-v1", "-o", "other.yaml"]) == 0
    words = ["record", point_env.NAME, "--expert", "point_env:expert", "--contract", "other.yaml"]
    assert cli.main(["env", *words]) == 2
    assert "; the contract says 3" in capsys.readouterr().err


def test_a_policy_is_not_evaluated_in_an_environment_with_other_numbers(folder, capsys):
    assert cli.main(["env", "record", point_env.NAME, "--expert", "point_env:expert", "--episodes", "1"]) == 0
    quick = ["--set", "epochs=1", "--set", "validation=0"]
    assert cli.main(["train", "episodes", "--out", "checkpoint/v1", *SMALL, *quick]) == 0
    capsys.readouterr()
    for name, message in (
        ("CartPole-v1", "action has 1 number; CartPole-v1 takes 2"),
        ("Pendulum-v1", "data has 3 numbers; the contract says"),
    ):
        assert cli.main(["evaluate", "checkpoint/v1", "--task", name, "--episodes", "1"]) == 2
        assert message in capsys.readouterr().err


def test_an_expert_that_gives_up_at_once_records_nothing_and_that_is_a_failure(folder, capsys):
    (folder / "idle.py").write_text("def act(observation):\n    return None\n")
    assert cli.main(["env", "record", point_env.NAME, "--expert", "idle.py:act", "--episodes", "1"]) == 1
    assert "no episode was recorded" in capsys.readouterr().err


def test_a_task_of_the_simulator_is_recorded_by_its_script(capsys):
    assert cli.main(["env", "record", "reach", "--episodes", "1"]) == 0
    assert "seed 0: success" in capsys.readouterr().out
