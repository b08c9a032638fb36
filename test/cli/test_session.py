"""`il-ros session` in a pseudo-terminal: keys, Ctrl-C, and the final report."""

import sys
import termios

import made_episodes as made
import pytest
from pseudo_terminal import InTerminal

from il_ros.cli.main import main
from il_ros.episodes.catalogue import scan

pytestmark = pytest.mark.usefixtures("own_domain")

CTRL_C = "\x03"


@pytest.fixture
def session(tmp_path):
    words = ["session", "run", "--task", "reach", "--cameras", "false", "--speed", "1"]
    for name in ("root", "policies", "logs"):
        words += [f"--{name}", str(tmp_path / name)]
    words += ["--checkpoint", str(tmp_path / "policies" / "v1")]
    session = InTerminal([sys.executable, "-m", "il_ros.cli.main", *words], patience_s=120)
    yield session
    session.close()


def test_a_session_in_the_terminal_ends_with_a_report(session, tmp_path):
    session.shows("no episode yet")
    assert not termios.tcgetattr(session.terminal)[3] & termios.ECHO
    session.begins("episode_000001")
    session.type("l")
    session.shows("to be labelled later")
    session.type("t")
    session.shows("the scripted expert drives")
    session.shows("episode_000001: success")  # the expert reaches the goal
    session.type(CTRL_C)
    assert session.wait(timeout_s=120) == 0, session.screen[-1500:]
    assert "Traceback" not in session.screen
    assert "episodes kept: " in session.screen
    assert termios.tcgetattr(session.terminal) == session.before
    assert (tmp_path / "root_report" / "index.html").exists()
    assert scan(tmp_path / "root").usable[0].outcome == "success"
    show_what_was_right(tmp_path)


def show_what_was_right(tmp_path):
    """Restore the marked moment, and demonstrate from there."""
    words = ["session", "relabel", "--speed", "2"]
    for name in ("root", "logs"):
        words += [f"--{name}", str(tmp_path / name)]
    relabel = InTerminal([sys.executable, "-m", "il_ros.cli.main", *words], patience_s=120)
    try:
        relabel.shows("no episode yet")
        relabel.begins("moment 1 of 1")
        relabel.shows("time is paused until you drive")
        relabel.shows("you drive", press="k")
        relabel.type("g")
        relabel.shows("episode_000002: success")
        relabel.type(CTRL_C)
        assert relabel.wait(timeout_s=120) == 0
        assert "Traceback" not in relabel.screen
        assert "episode_000002  episode_000001 at" in relabel.screen
    finally:
        relabel.close()
    made = scan(tmp_path / "root").usable[1].info
    assert made.made_from.startswith("episode_000001 at")


@pytest.mark.parametrize("command", ["session", "episodes"])
def test_what_cannot_be_relabelled_names_the_option(tmp_path, capsys, command):
    (tmp_path / "empty").mkdir()
    words = [command, "relabel", "--root", str(tmp_path / "empty")]
    for wrong, says in (
        ([], f"{tmp_path}/empty: no episodes"),
        (["--before", "-1"], "--before is -1; it must be 0 or more"),
        (["--uncertain", "-2"], "--uncertain is -2; it must be 0 or more"),
        (["--speed" if command == "session" else "--seconds", "0"], "is 0; it must be above 0"),
    ):
        assert main([*words, *wrong]) == 1
        assert says in capsys.readouterr().err


@pytest.mark.parametrize("command", ["session", "episodes"])
def test_episodes_without_states_or_marks_are_told_once(tmp_path, capsys, command):
    for number in (1, 2):
        made.write(tmp_path / "episodes", made.recorded(20), number=number)
    assert main([command, "relabel", "--root", str(tmp_path / "episodes")]) == 1
    said = capsys.readouterr().out
    assert said.count("holds no message of task/state") == 1
    assert said.startswith("episode_000001, episode_000002: holds no message of task/state")


def test_a_report_without_episodes_is_refused(tmp_path, capsys):
    assert main(["session", "report", str(tmp_path)]) == 1
    assert "nothing to report" in capsys.readouterr().err


def test_a_simulated_person_without_a_scripted_expert_is_refused(tmp_path, capsys):
    given = ["--person", "simulated", "--expert", "joy", "--root", str(tmp_path)]
    assert main(["session", "run", *given]) == 2
    assert (
        "--person simulated acts by the scripted expert: --expert scripted is needed"
        in capsys.readouterr().err
    )
