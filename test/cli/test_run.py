"""`il-ros run`: the scenarios' arguments, and failures to start."""

import pytest

from il_ros.cli import main
from il_ros.scenarios import SCENARIOS


@pytest.mark.parametrize("name", SCENARIOS)
def test_help_lists_the_arguments_of_the_launch_file(name, capsys):
    with pytest.raises(SystemExit):
        main.main(["run", name, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for argument in SCENARIOS[name].arguments:
        assert "--" + argument.name.replace("_", "-") in shown
        assert argument.description in shown


def test_a_wrong_value_is_reported_and_nothing_starts(capsys, tmp_path):
    assert main.main(["run", "sim", "--speed", "fast", "--logs", str(tmp_path / "log")]) == 2
    assert "speed:=fast is not a number" in capsys.readouterr().err
    assert not (tmp_path / "log").exists()


def test_a_node_that_fails_to_start_is_reported_with_its_output(capsys, tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("/**: {ros__parameters: {camera_width: -5}}")
    words = ["--params-file", str(wrong), "--logs", str(tmp_path)]
    assert main.main(["run", "sim", *words]) == 1
    printed = capsys.readouterr()
    assert "sim ended (exit status 1); its output is above" in printed.err
    assert (printed.out + printed.err).count("camera_width is -5") == 1


def test_the_former_flag_says_the_new_one(capsys):
    with pytest.raises(SystemExit) as end:
        main.main(["run", "sim", "--parameters", "mine.yaml"])
    assert end.value.code == 2
    assert "--parameters is called --params-file now" in capsys.readouterr().err
