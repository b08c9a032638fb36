"""`il-ros session` in a pseudo-terminal: keys, Ctrl-C, and the final report."""

import sys
import termios

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
