"""`il-ros train` and `il-ros evaluate` from the command line."""

import contextlib
import json
import shlex
import shutil
from pathlib import Path

import made_episodes as made
import pytest

from il_ros.cli import next_steps
from il_ros.cli.main import main
from il_ros.core import contract
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import claimed, versions
from il_ros.training.advice import memorised

QUICK = ["--set", "inputs=[joints]", "--set", "epochs=3", "--set", "hidden=[8]"]


@pytest.fixture
def root(tmp_path):
    for number in range(3):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    return tmp_path / "episodes"


def test_training_prints_the_result_and_its_folder(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *QUICK]) == 0
    printed = capsys.readouterr().out
    assert "3 episodes, 60 frames: 2 to train, 1 to validate" in printed
    assert "epochs      3 in" in printed
    assert str(tmp_path / "out" / "checkpoint") in printed
    assert checkpoint.load(tmp_path / "out").contract.hash == made.CONTRACT.hash


def test_progress_for_programs_is_one_json_object_per_line(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), "--progress", "json", *QUICK]) == 0
    events = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    kinds = [*["reading"] * 3, "start", "fitted", "epoch", "epoch", "epoch", "done"]
    assert [event["event"] for event in events] == kinds
    assert [(event["episode"], event["episodes"]) for event in events[:3]] == [(1, 3), (2, 3), (3, 3)]
    assert (events[3]["episodes"], events[3]["device"]) == (3, "cpu")
    (warning,) = events[4]["warnings"]
    assert "never moved in the demonstrations: " in warning
    assert events[-1]["checkpoint"] == str(tmp_path / "out" / "checkpoint")


def test_folders_with_spaces_accents_and_links_are_trained_on_and_may_be_moved(tmp_path, capsys):
    place = tmp_path / "Übung 1" / "épisodes à moi"
    for number in range(2):
        made.write(place, made.recorded(20), number=number)
    (tmp_path / "link").symlink_to(place)
    out = tmp_path / "o 1"
    assert main(["train", str(tmp_path / "link"), "--out", str(out / "v1"), *QUICK]) == 0
    assert "2 episodes, 40 frames" in capsys.readouterr().out
    shutil.move(out, tmp_path / "moved here")
    shutil.copytree(place, tmp_path / "copied elsewhere")
    assert main(["policy", "versions", str(tmp_path / "moved here")]) == 0
    assert "v1       -              2      40" in capsys.readouterr().out
    words = ["train", str(tmp_path / "copied elsewhere"), "--out", str(tmp_path / "o2"), *QUICK]
    assert main(words) == 0
    assert "2 episodes, 40 frames" in capsys.readouterr().out


def test_a_folder_named_as_a_version_names_the_policy(root, tmp_path):
    for out in ("v7", "attempt"):
        assert main(["train", str(root), "--out", str(tmp_path / out), *QUICK]) == 0
    assert checkpoint.load(tmp_path / "v7").version == "v7"
    assert checkpoint.load(tmp_path / "attempt").version not in ("", "attempt")


@pytest.fixture
def here(root, monkeypatch):
    """Work in the folder of the episodes' folder."""
    monkeypatch.chdir(root.parent)
    return root.parent


def tree(folder):
    """Return every file's content by its path."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def versions_with_notes(folder):
    for name in ("v1", "v2"):
        (folder / name / "checkpoint").mkdir(parents=True)
        (folder / name / "checkpoint" / "model.safetensors").write_text(name)
    (folder / "notes.txt").write_text("mine")


def test_by_default_each_training_is_the_next_version(here, capsys):
    for version in ("v1", "v2"):
        assert main(["train", "episodes", *QUICK]) == 0
        assert checkpoint.load(here / "checkpoint").version == version
    assert sorted(run.name for run in (here / "checkpoint").iterdir()) == ["v1", "v2"]
    assert main(["train", "episodes", "--resume", *QUICK]) == 0  # v2, the newest
    assert "checkpoint/v2/checkpoint" in capsys.readouterr().out


def test_two_trainings_at_once_write_two_versions_and_never_one_folder(here, capsys):
    with claimed(Path("checkpoint/v1")):
        assert main(["train", "episodes", "--out", "checkpoint/v1", *QUICK]) == 2
        assert (
            "checkpoint/v1: another training is at work on it; choose another folder"
            in capsys.readouterr().err
        )
        assert main(["train", "episodes", *QUICK]) == 0
    assert [run.name for run in versions(Path("checkpoint"))] == ["v2"]
    assert sorted(path.name for path in Path("checkpoint").iterdir()) == ["v2"]
    assert main(["train", "nowhere"]) == 2
    assert sorted(path.name for path in Path("checkpoint").iterdir()) == ["v2"]


def test_without_an_interrupted_training_nothing_is_resumed(here, capsys):
    versions_with_notes(here / "checkpoint")
    assert main(["train", "episodes", "--resume", *QUICK]) == 2
    assert "checkpoint holds no training to resume; give its folder with --out" in capsys.readouterr().err


def test_overwrite_needs_a_folder(here, capsys):
    versions_with_notes(here / "checkpoint")
    before = tree(here)
    assert main(["train", "episodes", "--overwrite", *QUICK]) == 2
    assert "--overwrite needs --out" in capsys.readouterr().err
    assert tree(here) == before


def test_a_policy_in_the_former_default_folder_stays_and_the_next_version_is_used(here):
    assert main(["train", "episodes", "--out", "checkpoint", *QUICK]) == 0
    before = tree(here)
    assert main(["train", "episodes", *QUICK]) == 0
    assert {name: tree(here)[name] for name in before} == before
    assert checkpoint.load(here / "checkpoint").version == "v1"


def test_a_policy_whose_training_was_stopped_early_says_so_everywhere(here, capsys, monkeypatch):
    from il_ros.cli.train import imitation

    monkeypatch.setattr(
        imitation, "stop_signals", lambda: contextlib.nullcontext(lambda: True)
    )  # Ctrl-C at once
    assert main(["train", "episodes", *QUICK, "--set", "epochs=5"]) == 130
    said = capsys.readouterr().out
    assert "stopped early: policy v1 is not fully trained, and `deploy` would run it" in said
    found = checkpoint.load(here / "checkpoint")
    named = lineage.describe(found.version, here / "checkpoint" / "v1", found.metrics)
    assert named.startswith(f"v1 ({here / 'checkpoint' / 'v1'}, trained at 20")
    assert named.endswith("training was STOPPED EARLY, after 1 of 5 epochs)")
    assert main(["policy", "versions", "checkpoint"]) == 0
    assert "trained, stopped early" in capsys.readouterr().out
    monkeypatch.undo()
    monkeypatch.chdir(here)
    assert main(["train", "episodes", "--resume", *QUICK, "--set", "epochs=5"]) == 0
    found = checkpoint.load(here / "checkpoint")
    assert lineage.describe(found.version, Path("v1"), found.metrics).endswith("complete)")


@pytest.mark.parametrize("out", [".", "checkpoint"])
@pytest.mark.parametrize("words", [["--overwrite"], ["--resume"], []])
def test_a_folder_that_holds_versions_is_refused_with_the_right_command(here, capsys, out, words):
    versions_with_notes(here / "checkpoint")
    before = tree(here)
    assert main(["train", "episodes", "--out", out, *words, *QUICK]) == 2
    printed = capsys.readouterr().err
    assert "checkpoint holds versions (v1, v2), and a training writes one" in printed
    assert "Type:  il-ros train episodes --out checkpoint/v3" in printed
    assert tree(here) == before
    assert main(["train", "episodes", "--out", "checkpoint/v3", *QUICK]) == 0
    assert {name: tree(here)[name] for name in before} == before


FOREIGN = {
    "checkpoint/notes.txt": "checkpoint: also holds 'notes.txt'",
    "checkpoint/model.safetensors/a": "checkpoint: also holds 'model.safetensors'",
    "checkpoint": "checkpoint: is not a folder",
    "resume/my.cv": "resume: also holds 'my.cv'",
    "version.json": "version.json: is damaged, or not a version.json of il_ros",
    "curves.csv": "curves.csv: no training wrote it",
    "curves.png": "curves.png: no training wrote it",
    "config.json": "out: is a checkpoint",
}


@pytest.mark.parametrize(("name", "message"), FOREIGN.items())
def test_nothing_that_no_training_wrote_is_overwritten(root, tmp_path, capsys, name, message):
    file = tmp_path / "out" / name
    file.parent.mkdir(parents=True)
    file.write_text('{"version": "1.2.3"}')
    before = tree(tmp_path)
    words = ["train", str(root), "--out", str(tmp_path / "out"), "--overwrite", *QUICK]
    assert main(words) == 2
    assert message in capsys.readouterr().err
    assert tree(tmp_path) == before


def test_what_a_training_wrote_is_overwritten_and_other_files_beside_it_remain(root, tmp_path):
    words = ["train", str(root), "--out", str(tmp_path / "out"), *QUICK]
    assert main(words) == 0
    (tmp_path / "out" / "notes.txt").write_text("mine")
    shutil.copytree(tmp_path / "out" / "checkpoint", tmp_path / "out" / "best")
    kept = tree(tmp_path / "out" / "best")
    assert main([*words, "--set", "seed=1", "--overwrite"]) == 0
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"
    assert tree(tmp_path / "out" / "best") == kept
    assert tree(tmp_path / "out" / "checkpoint") != kept


def test_a_file_that_appears_during_the_training_is_not_overwritten(root, tmp_path, monkeypatch, capsys):
    from il_ros.cli.train import report

    out = tmp_path / "out"

    def appear(*_):
        (out / "checkpoint").mkdir(exist_ok=True)
        (out / "checkpoint" / "notes.txt").write_text("mine")

    monkeypatch.setattr(report.BarReporter, "epoch", appear)
    assert main(["train", str(root), "--out", str(out), *QUICK]) == 2
    assert "checkpoint: also holds 'notes.txt'" in capsys.readouterr().err
    assert (out / "checkpoint" / "notes.txt").read_text() == "mine"
    assert sorted(file.name for file in Path(out).iterdir()) == ["checkpoint", "resume"]


def test_a_version_of_two_words_is_refused_before_training(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), "--version", "a b", *QUICK]) == 2
    assert "il-ros train: --version 'a b' must be one word" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


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
        (["--contract", "nothing.yaml"], "nothing.yaml: there is no such contract file"),
        (["--task", "push"], "no episode can be used"),
        (["--set", "inputs=[hand]"], "'hand'; it has: joints, camera"),
        (["--resume", *QUICK], "holds no training that --resume could continue"),
        (["--from", "nowhere", *QUICK], "nowhere: no such folder; a checkpoint has model.safetensors"),
        (["--race", "-1"], "il-ros train: --race is -1; it must be a finite number of seconds above 0"),
        (["--race", "0"], "il-ros train: --race is 0; it must be a finite number of seconds above 0"),
        (["--race", "nan"], "il-ros train: --race is nan; it must be a finite number of seconds above 0"),
        (["--set", "inputs=[joints,joints]"], "--set: policy: inputs has 'joints' twice; once is enough"),
        (
            ["--set", "lapse=-1"],
            "il-ros train: --set: training: lapse is -1.0; it must be finite and above 0",
        ),
        (
            ["--warm-epochs", "3"],
            "il-ros train: --warm-epochs has a meaning with --from only; `--set epochs=N`",
        ),
        (
            ["--warm-seconds", "9"],
            "il-ros train: --warm-seconds has a meaning with --from only; `--set seconds=S`",
        ),
        (["--warm-epochs", "-1"], "il-ros train: --warm-epochs is -1; it must be a whole number from 0"),
        (["--warm-seconds", "nan"], "il-ros train: --warm-seconds is nan; it must be a finite number"),
    ],
)
def test_an_invalid_request_is_one_clear_line(root, tmp_path, capsys, words, message):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *words]) in (1, 2)
    printed = capsys.readouterr().err
    assert message in printed
    assert "Traceback" not in printed


def test_a_damaged_policy_to_start_from_is_refused(root, tmp_path, capsys):
    folder, words = tmp_path / "v1", ["train", str(root), *QUICK]
    assert main([*words, "--out", str(folder)]) == 0
    weights = folder / "checkpoint" / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    capsys.readouterr()
    assert main([*words, "--out", str(tmp_path / "v2"), "--from", str(folder)]) == 2
    assert capsys.readouterr().err == (
        f"il-ros train: {weights}: its checksum differs from the one in config.json: damaged, or from another "
        "checkpoint\n"
    )
    assert not (tmp_path / "v2").exists()


def test_an_empty_and_a_missing_folder_are_reported(root, tmp_path, capsys):
    (tmp_path / "empty").mkdir()
    assert main(["train", str(tmp_path / "empty")]) == 2
    assert (
        f"{tmp_path}/empty: no episodes; `il-ros record --root {tmp_path}/empty`" in capsys.readouterr().err
    )
    discarded = Path(shutil.copytree(root, tmp_path / "discarded"))
    for episode in discarded.iterdir():
        assert main(["episodes", "discard", str(episode)]) == 0
    assert main(["train", str(discarded)]) == 2
    assert "discarded: no usable episode; `il-ros episodes list" in capsys.readouterr().err
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


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--hold", "-1"], "il-ros evaluate: --hold is -1.0; it must be a finite number of at least 0"),
        (["--episodes", "0"], "il-ros evaluate: --episodes is 0; it must be a whole number from 1"),
        (["--success-return", "nan"], "il-ros evaluate: --success-return is nan; it must be a finite number"),
        (["--threads", "0"], "il-ros evaluate: --threads is 0; it must be a whole number from 1 to 1024"),
        (["--execute", "0"], "il-ros evaluate: --execute is 0; it must be a whole number from 1"),
    ],
)
def test_an_invalid_evaluation_names_the_option(tmp_path, capsys, words, message):
    assert main(["evaluate", str(tmp_path), *words]) == 2
    assert message in capsys.readouterr().err


def test_an_evaluation_without_a_simulated_task_is_refused(root, tmp_path, capsys):
    assert main(["train", str(root), "--out", str(tmp_path / "out"), *QUICK]) == 0
    assert main(["evaluate", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert (
        "'made_up' has no simulator (there is one for reach, push, pick_place, drive, carry, touch, press)"
        in told
    )
    assert "il-ros session report" in told
    assert main(["evaluate", str(tmp_path / "out"), "--task", "reach"]) == 2
    assert (
        "contract 'made_up', observations.camera: camera/image_raw is of a camera 'camera', which the task 'reach' "
        "lacks; the task has: overhead, wrist"
    ) in capsys.readouterr().err
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


def test_a_finished_training_names_the_next_command(root, tmp_path, capsys):
    out = tmp_path / "my policies" / "v1"
    assert main(["train", str(root), "--out", str(out), *QUICK]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if line.startswith("next: ")]
    words = shlex.split(line.removeprefix("next: "))
    assert words[:6] == ["il-ros", "run", "deploy", "--sim", "false", "--task"]
    assert contract.load(words[words.index("--contract") + 1]).hash == made.CONTRACT.hash
    assert Path(words[words.index("--checkpoint") + 1]) == out


def test_after_a_simulated_task_an_evaluation_is_next(tmp_path):
    line = next_steps.after_training(tmp_path / "v1", tmp_path / "v1" / "checkpoint", ["push"])
    assert line == f"il-ros evaluate {tmp_path}/v1"


@pytest.mark.parametrize(
    ("loss", "trained", "validated", "sentence"),
    [
        ("l1", 0.003, 0.30, "memorised: training loss 0.003, validation loss 0.3; show more demonstrations"),
        ("l1", 0.003, 0.02, ""),  # ten times as high, but small
        ("", 0.1, 0.5, ""),
        ("", 0.1, 1.5, "memorised: training loss 0.1, validation loss 1.5"),
        # log likelihoods: errors of ten stated deviations cost (100 - 1) / 2 = 49.5 more than those of one
        (
            "gaussian",
            -0.06,
            114.0,
            "memorised: training loss -0.06, validation loss 1.1e+02; show more demonstrations",
        ),
        ("gaussian", -0.1, 5.5, ""),
        ("mixture", 0.0, 49.4, ""),
        ("mixture", -5.0, 44.6, "memorised: training loss -5, validation loss 45"),
        ("mixture", -5.0, -3.0, ""),
        ("l1", 0.003, None, ""),
    ],
)
def test_memorised_demonstrations_are_named(loss, trained, validated, sentence):
    metrics = {"train_loss": trained, "validation_loss": validated, "data": {"train": ["a", "b"]}}
    assert memorised(metrics, loss).startswith(sentence)
    assert bool(memorised(metrics, loss)) == bool(sentence)


def test_one_episode_instead_of_their_folder_is_named(root, capsys):
    assert main(["train", str(root / "episode_000001"), "--out", "nowhere"]) == 2
    told = capsys.readouterr().err
    assert f"episode_000001: is one episode; give the folder that holds it: {root}\n" in told


def test_the_same_reason_is_printed_once(root, tmp_path, capsys):
    assert main(["train", str(root), "--contract", "drive", "--out", str(tmp_path / "out")]) == 2
    told = capsys.readouterr().err
    assert told.count("doesn't fit contract 'drive'") == 1
    assert "episode_000000, episode_000001, episode_000002: " in told


def test_a_gpu_that_is_not_there_is_one_sentence(root, tmp_path, capsys):
    words = ["train", str(root), "--out", str(tmp_path / "out"), "--set", "device=cuda:77", *QUICK]
    assert main(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("il-ros train: device: cuda:77 is not available: ")
    assert told.endswith("'device: auto' takes what is there\n")
    assert told.count("\n") == 1
    assert main([*words[:-6], "--set", "device=gpu", *QUICK]) == 2
    assert "device is 'gpu'; it must be auto, cpu, cuda" in capsys.readouterr().err


def test_a_training_on_another_device_may_be_resumed(root, tmp_path):
    words = ["train", str(root), "--out", str(tmp_path / "out"), *QUICK]
    assert main([*words, "--set", "device=cpu"]) == 0
    assert main([*words, "--resume", "--set", "device=auto"]) == 0
