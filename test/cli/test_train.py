"""`il-ros train` and `il-ros evaluate` from the command line."""

import json

import made_episodes as made
import pytest

from il_ros.cli.main import main
from il_ros.policies import checkpoint

QUICK = ["--set", "inputs=[joints]", "--set", "epochs=3", "--set", "hidden=[8]"]


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    return tmp_path / "episodes"


def test_training_prints_the_result_and_its_folder(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *QUICK]) == 0
    said = capsys.readouterr().out
    assert "3 episodes, 60 frames: 2 to train, 1 to validate" in said
    assert "epochs      3 in" in said
    assert str(tmp_path / "out" / "checkpoint") in said
    assert checkpoint.load(tmp_path / "out").contract.hash == made.CONTRACT.hash


def test_progress_for_programs_is_one_json_object_per_line(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), "--progress", "json", *QUICK]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [event["event"] for event in events] == ["start", "epoch", "epoch", "epoch", "done"]
    assert events[0]["episodes"] == 3
    assert events[-1]["checkpoint"] == str(tmp_path / "out" / "checkpoint")


def test_a_folder_named_as_a_version_names_the_policy(root, tmp_path):
    for out in ("v7", "attempt"):
        assert main(["train", str(root), "--out", str(tmp_path / out), *QUICK]) == 0
    assert checkpoint.load(tmp_path / "v7").version == "v7"
    assert checkpoint.load(tmp_path / "attempt").version not in ("", "attempt")


def test_an_interrupted_training_is_resumed(root, tmp_path, capsys):
    words = ["train", str(root), "--out", str(tmp_path / "out"), *QUICK]
    assert main(words) == 0
    assert main([*words, "--resume"]) == 0  # a finished run has nothing left to do
    assert "epochs      3 in" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--set", "epcohs=2"], "--set epcohs: unknown key; did you mean 'epochs'"),
        (["--recipe", "bc_mpl"], "recipe 'bc_mpl' is neither"),
        (["--contract", "nothing.yaml"], "nothing.yaml: cannot read the contract"),
        (["--task", "push"], "no episode to train on"),
        (["--set", "inputs=[hand]"], "'hand'; it has: joints, camera"),
        (["--resume", *QUICK], "cannot resume"),
    ],
)
def test_an_invalid_request_is_one_clear_line(root, tmp_path, capsys, words, message):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *words]) in (1, 2)
    said = capsys.readouterr().err
    assert message in said
    assert "Traceback" not in said


def test_an_empty_and_a_missing_folder_are_reported(tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["train", str(tmp_path / "empty")]) == 2
    assert "no episode records its contract (or there are no episodes)" in capsys.readouterr().err
    assert main(["train", str(tmp_path / "absent")]) == 2
    assert "no such folder of episodes" in capsys.readouterr().err


def test_episodes_of_two_contracts_need_a_choice(root, capsys):
    made.write(root, made.recorded(20), number=7, text=made.TEXT.replace("rate_hz: 20", "rate_hz: 10"))
    assert main(["train", str(root)]) == 2
    assert "episodes of several contracts" in capsys.readouterr().err


def test_a_trained_policy_is_not_replaced_without_overwrite(root, tmp_path, capsys):
    words = ["train", str(root), "--out", str(tmp_path / "out"), *QUICK]
    assert main([*words, "--version", "first"]) == 0
    weights = (tmp_path / "out" / "checkpoint" / "model.safetensors").read_bytes()
    assert main([*words, "--set", "seed=1", "--version", "second"]) == 2
    assert "out already holds policy first: --resume continues" in capsys.readouterr().err
    assert (tmp_path / "out" / "checkpoint" / "model.safetensors").read_bytes() == weights
    assert main([*words, "--set", "seed=1", "--version", "second", "--overwrite"]) == 0
    assert "second" in capsys.readouterr().out


def test_an_evaluation_without_a_simulated_task_is_refused(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *QUICK]) == 0
    assert main(["evaluate", str(tmp_path / "out")]) == 2
    assert "choose with --task: reach, push, pick_place, drive" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "out"), "--task", "reach"]) == 2
    assert "there is no 'camera'; the task has: overhead, wrist" in capsys.readouterr().err
    assert main(["evaluate", str(tmp_path / "nothing")]) == 2
    assert "no such folder" in capsys.readouterr().err


def test_an_evaluation_in_a_missing_simulator_is_refused(root, tmp_path, monkeypatch, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *QUICK]) == 0
    words = ["evaluate", str(tmp_path / "out"), "--task", "drive", "--simulator"]
    assert main([*words, "stage"]) == 2
    assert "unknown simulator 'stage'; there are: mujoco, gazebo_classic" in capsys.readouterr().err
    monkeypatch.setenv("IL_ROS_GAZEBO", str(tmp_path))
    assert main([*words, "gazebo_classic"]) == 2
    assert "type:  make gazebo" in capsys.readouterr().err
