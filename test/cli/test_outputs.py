"""What a person names for output is replaced only if il_ros wrote it; that is looked at before anything is computed."""

import pytest

from il_ros.cli.main import main


@pytest.mark.parametrize(
    ("words", "name"),
    [
        (["evaluate", "nowhere", "--json"], "mine.json"),
        (["evaluate", "nowhere", "nowhere", "--json"], "mine.json"),
        (["evaluate", "nowhere", "nowhere", "--plot"], "mine.png"),
        (["suggest", "nowhere", "--policy", "nowhere", "-o"], "mine.json"),
        (["reward", "plot", "1", "-o"], "mine.png"),
    ],
)
def test_a_file_of_somebody_else_is_refused_at_once(tmp_path, monkeypatch, capsys, words, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "episodes" / "episode_000001").mkdir(parents=True)
    mine = tmp_path / name
    mine.write_text('{"task": "by hand"}')
    assert main([*words, str(mine)]) == 2
    assert f"il-ros {words[0]}" in (said := capsys.readouterr().err)
    assert f"{mine}: exists, and il-ros did not write it" in said
    assert mine.read_text() == '{"task": "by hand"}'
