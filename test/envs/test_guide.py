"""docs/gymnasium.md: its programs and commands work as they stand, in fewer than 25 lines of the user's."""

import guide
import pytest

from il_ros.cli import main as cli
from il_ros.episodes.catalogue import scan
from il_ros.policies.versions import versions

SMALLER = {
    "record": ["--episodes", "2"],
    "train": ["--recipe", "bc_mlp", "--set", "epochs=2"],
    "evaluate": ["--episodes", "1"],
    "dagger": ["--rounds", "1", "--steps", "5", "--tests", "1", "--recipe", "bc_mlp"],
}
LEAST_RETURN = {"Pendulum": -450, "Lunar lander": 200, "A MuJoCo environment": 950}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    return tmp_path


@pytest.mark.parametrize("title", guide.SECTIONS)
def test_a_sections_lines_record_train_evaluate_and_correct(folder, title, capsys):
    if title == "Lunar lander":
        pytest.importorskip("Box2D")
    (program,) = guide.programs(title)
    lines = guide.commands(title)
    assert len(program.splitlines()) + len(lines) < 25
    (folder / guide.file_of(title)).write_text(program)
    assert [words[0] if words[0] != "env" else words[1] for words in lines] == list(SMALLER)
    for words, (verb, fewer) in zip(lines, SMALLER.items(), strict=True):
        assert cli.main([*words, *fewer]) == 0
        out = capsys.readouterr().out
        if verb == "record":
            shown = [float(line.rpartition(" ")[2]) for line in out.splitlines() if line.startswith("seed")]
            assert len(shown) == 2
            assert min(shown) > LEAST_RETURN[title]  # the expert is one
    assert len(scan(folder / "episodes").usable) == 3
    assert [run.name for run in versions(folder / "checkpoint")] == ["v1", "v2"]


def test_the_programs_of_your_own_loop_write_episodes(folder):
    (folder / "pendulum.py").write_text(guide.programs("Pendulum")[0])
    for program in guide.programs("In your own loop"):
        exec(program.replace("range(10)", "range(2)"), {})
    found = scan(folder / "episodes").usable
    assert [entry.outcome for entry in found] == ["unmarked", "unmarked", "success"]
