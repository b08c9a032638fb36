"""`il-ros home` and `il-ros replay --on-robot` on a real graph with the MuJoCo simulator."""

import sys

import numpy as np
import pytest
from pseudo_terminal import InTerminal

from il_ros.cli import main as cli
from il_ros.cli import on_robot
from il_ros.cli.on_robot import recorded
from il_ros.core import contract, messages, share
from il_ros.core.specs import JOINT_STATE
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.catalogue import scan

pytestmark = pytest.mark.usefixtures("own_domain")

REACH = contract.find("arm_reach")


def home_of(tmp_path, home):
    """Return the file of the contract arm_reach with a home position."""
    text = share.path("config", "contracts", "arm_reach.yaml").read_text()
    path = tmp_path / "arm.yaml"
    path.write_text(text.replace("    safe: hold", f"    home: {home}\n    safe: hold", 1))
    return path


def test_the_simulated_arm_is_led_home_and_the_command_says_so(tmp_path, capfd):
    home = [0.3, 0.4, 0.1, 0.0, 0.2, 0.0]
    path = home_of(tmp_path, home)
    assert contract.load(path).hash == REACH.hash  # an old checkpoint fits
    words = ["home", "--sim", "--task", "reach", "--contract", str(path), "--speed", "1", "--yes"]
    words += ["--position", "gripper/gripper=0.03"]
    assert cli.main([*words, "--logs", str(tmp_path / "log")]) == 0
    assert "[expert] done" in capfd.readouterr().out


@pytest.fixture(scope="module")
def episode(tmp_path_factory):
    """Return an episode of the scripted expert."""
    root = tmp_path_factory.mktemp("shown")
    words = [
        "run",
        "record",
        "--task",
        "reach",
        "--no-cameras",
        "--episodes",
        "1",
        "--speed",
        "0",
        "--seed",
        "5",
    ]
    assert cli.main([*words, "--root", str(root / "episodes"), "--logs", str(root / "log")]) == 0
    (entry,) = scan(root / "episodes").usable
    return entry


def test_an_episode_is_played_again_on_the_robot(episode, tmp_path, capfd):
    series = recorded(episode, REACH)
    stamps, sent = series.times_s, series.targets
    assert stamps[0] == 0
    assert len(stamps) > 10
    reached = [
        messages.decode(JOINT_STATE, each.raw)
        for each in open_bag(episode.folder).messages({"/joint_states"})
    ]
    assert np.abs(sent[-1] - reached[-1].position).max() < 0.1  # the commands that moved it there
    words = ["replay", str(episode.folder), "--on-robot", "--sim", "--task", "reach", "--speed", "1", "--yes"]
    assert cli.main([*words, "--logs", str(tmp_path / "log")]) == 0
    said = capfd.readouterr().out
    assert "[expert] playing" in said
    distance = float(said.partition("largest distance from the target: ")[2].split()[0])
    assert 0 < distance < 0.3


def test_an_episode_is_played_in_the_simulator_of_its_own_task(episode, monkeypatch):
    played = []
    monkeypatch.setattr(
        on_robot, "playback_nodes", lambda given, *_, **__: played.append(given["task"]) or ()
    )
    monkeypatch.setattr(on_robot.domain, "isolate", lambda: None)
    monkeypatch.setattr(on_robot.runner, "run_nodes", lambda *_: 0)
    words = ["replay", str(episode.folder), "--on-robot"]
    assert cli.main(words) == 0
    assert cli.main([*words, "--task", "push"]) == 0
    assert cli.main(["home", "--episode", str(episode.folder)]) == 0
    assert played == ["reach", "push", "reach"]


def test_replay_without_the_robot_reports_the_frames(episode, capsys):
    assert cli.main(["replay", str(episode.folder)]) == 0
    assert "under contract 'arm_reach'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["home", "--sim", "--task", "reach"], "has no home position of arm/joint1, arm/joint2"),
        (["home", "--sim", "--position", "arm/joint9=1"], "--position arm/joint9=1: must be ACTION=VALUE"),
        (["home", "--sim", "--task", "reach", "--position", "arm/joint1=x"], "'x' is not a number"),
        (["replay", "nowhere", "--on-robot", "--sim", "--task", "reach"], "nowhere: there is no such episode"),
    ],
)  # fmt: skip
def test_an_invalid_request_is_one_sentence_and_starts_nothing(words, says, tmp_path, capsys):
    assert cli.main([*words, "--logs", str(tmp_path / "log")]) == 2
    told = capsys.readouterr().err
    assert says in told
    assert told.count("\n") == 1
    assert not (tmp_path / "log").exists()


def test_an_episode_of_another_robot_is_refused(episode, capsys, tmp_path):
    words = ["replay", str(episode.folder), "--on-robot", "--sim", "--task", "drive"]
    assert cli.main([*words, "--logs", str(tmp_path / "log")]) == 2
    assert "contract 'drive' has base/linear.x, base/angular.z" in capsys.readouterr().err


def test_a_home_outside_the_limits_is_refused(tmp_path):
    with pytest.raises(contract.ContractError, match=r"home: joint1 is 9; its limits are"):
        contract.load(home_of(tmp_path, [9, 0, 0, 0, 0, 0]))


def test_a_person_stops_and_ends_the_motion_by_keys(tmp_path):
    """The screen has words of the node only, no lines of its log; ctrl-D ends it, which is no failure."""
    path = home_of(tmp_path, [0.3, 0.4, 0.1, 0.0, 0.2, 0.0])
    words = [
        "home",
        "--sim",
        "--task",
        "reach",
        "--contract",
        str(path),
        "--position",
        "gripper/gripper=0.03",
    ]
    command = [sys.executable, "-m", "il_ros.cli.main", *words, "--logs", str(tmp_path / "log")]
    terminal = InTerminal(command, patience_s=120)
    try:
        terminal.shows("waiting for g")
        terminal.type("g")
        terminal.shows("leading to the start")
        terminal.type(" ")
        terminal.shows("STOPPED; ")
        terminal.type("\x04")
        assert terminal.wait(timeout_s=120) == 0
        assert "ended before the last target" in terminal.screen
        assert "[INFO]" not in terminal.screen
        assert "emergency stop pressed (/expert)" in (tmp_path / "log" / "dagger_supervisor.log").read_text()
    finally:
        terminal.close()
