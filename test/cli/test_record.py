"""`il-ros record` in a pseudo-terminal: countdown, takes, verdicts, reset phase, end."""

import subprocess
import sys
import termios

import pytest
from pseudo_terminal import InTerminal

from il_ros.cli.main import main
from il_ros.episodes.catalogue import scan
from il_ros.scenarios.recording import RECORDING

pytestmark = pytest.mark.usefixtures("own_domain")


@pytest.fixture
def record(tmp_path):
    """Return a function that starts `il-ros record` on the task reach with further words."""
    started = []

    def start(*words):
        common = ["record", "--task", "reach", "--no-cameras", "--root", str(tmp_path / "my episodes")]
        words = [*common, "--logs", str(tmp_path / "log"), *words]
        started.append(InTerminal([sys.executable, "-m", "il_ros.cli.main", *words]))
        return started[-1]

    yield start
    for terminal in started:
        terminal.close()


def test_a_person_records_takes_by_keys_and_learns_the_next_step(record, tmp_path):
    terminal = record("--expert", "keyboard", "--countdown", "2")
    terminal.shows("task reach: move the tip of the tool to the ball; success: ")
    help_lines = terminal.text
    assert "next take: countdown, then recording" in help_lines
    assert "start a training" not in help_lines
    assert "policy" not in help_lines
    terminal.begins("recording starts in 2 s (u cancels)")
    terminal.shows("episode_000001 is being recorded")
    assert "\a" in terminal.screen  # test_takes.py counts them
    terminal.shows("you drive", press="k")
    terminal.type("g")
    terminal.shows("take 1; reset the scene: n starts the next")
    terminal.shows("episode_000001: success")
    terminal.screen = ""
    terminal.type("n")
    terminal.shows("episode_000002 is being recorded")
    terminal.screen = ""
    terminal.type("u")
    terminal.shows("il-ros episodes undo '")
    terminal.shows("take 1; reset the scene")
    terminal.type("n")
    terminal.shows("recording starts in")
    terminal.type("u")
    terminal.shows("the countdown is cancelled")
    terminal.type("\x04")
    assert terminal.wait(timeout_s=120) == 0
    assert "Traceback" not in terminal.screen
    assert termios.tcgetattr(terminal.terminal) == terminal.before
    assert f"next: il-ros train '{tmp_path}/my episodes'" in terminal.screen
    kept, discarded = scan(tmp_path / "my episodes").entries
    assert (kept.outcome, kept.task, discarded.state) == ("success", "reach", "discarded")
    assert "episode_000002: discarded" in terminal.screen


def test_unattended_takes_follow_each_other_and_end_by_themselves(record, tmp_path):
    terminal = record(
        *("--expert", "scripted", "--takes", "2", "--countdown", "1", "--reset", "1", "--no-beeps"),
    )
    terminal.shows("no episode yet")
    terminal.begins("episode_000001 is being recorded")
    terminal.shows("1 of 2 takes; reset the scene: next in 1 s (n: now)")
    assert terminal.wait(timeout_s=120) == 0
    assert "\a" not in terminal.screen
    assert "all 2 takes are recorded" in terminal.screen
    entries = scan(tmp_path / "my episodes").usable
    assert [entry.outcome for entry in entries] == ["success", "success"]
    assert entries[1].info.seed == entries[0].info.seed + 1


def test_attached_only_the_console_starts():
    nodes = RECORDING.nodes({"attach": "true", "sim": "false", "contract": "arm_reach", "task": "fold"})
    assert [(spec.executable, spec.terminal) for spec in nodes] == [("session", True)]
    assert nodes[0].parameters["simulator"] is False
    every = RECORDING.nodes({"sim": "false", "contract": "arm_reach", "task": "fold", "expert": "joy"})
    assert [spec.name for spec in every] == ["expert", "dagger_supervisor", "recorder", "session"]


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["--expert", "scripted", "--task", "reach"],
            "key n begins a take; `il-ros run record --task reach --expert scripted --episodes 20 --speed 0` records "
            "unattended",
        ),
        ([], "--expert keyboard drives by its keys"),
    ],
)
def test_without_a_terminal_nobody_could_begin_a_take(tmp_path, words, reason):
    command = [sys.executable, "-m", "il_ros.cli.main", "record", "--logs", str(tmp_path), *words]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"il-ros record: no terminal, and {reason}\n"


def test_a_number_that_cannot_be_is_refused_before_a_node_starts(capsys):
    assert main(["record", "--takes", "-2"]) == 2
    assert capsys.readouterr().err == "il-ros record: --takes -2: a number of 0 or more is needed\n"


def test_a_contradiction_is_spelt_as_it_was_typed(capsys):
    assert main(["record", "--task", "fold"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("il-ros record: --task fold is none of reach, push")
    assert told.endswith("a robot's own task needs --no-sim\n")
