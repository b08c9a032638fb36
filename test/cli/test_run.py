"""`il-ros run`: the scenarios' arguments, and failures to start."""

import pytest

from il_ros.cli import main
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import as_flags

pytestmark = pytest.mark.usefixtures("own_domain")


@pytest.mark.parametrize("name", SCENARIOS)
def test_help_lists_the_arguments_of_the_launch_file(name, capsys):
    with pytest.raises(SystemExit):
        main.main(["run", name, "--help"])
    shown = " ".join(capsys.readouterr().out.split())
    for argument in SCENARIOS[name].arguments:
        assert "--" + argument.name.replace("_", "-") in shown
        assert as_flags(argument.description, SCENARIOS[name].arguments) in shown
    assert ":=" not in shown


def test_a_wrong_value_is_reported_and_nothing_starts(capsys, tmp_path):
    assert main.main(["run", "sim", "--speed", "fast", "--logs", str(tmp_path / "log")]) == 2
    assert "il-ros run sim: --speed fast is not a number" in capsys.readouterr().err
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


def test_a_folder_of_logs_that_cannot_be_written_is_one_line(capsys, tmp_path):
    (tmp_path / "file").touch()
    logs = tmp_path / "file" / "log"  # root may write into a read-only folder, but not into a file
    assert main.main(["run", "sim", "--logs", str(logs)]) == 1
    told = capsys.readouterr().err
    assert told.startswith("il-ros: the nodes were not started: ")
    assert told.endswith(f"{str(logs)!r}, or choose --logs\n")
    assert told.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "sim"),
    [((), "true"), (("--sim",), "true"), (("--sim", "false"), "false"), (("--no-sim",), "false")],
)
def test_a_switch_needs_no_word(words, sim):
    args = main._parser("run").parse_args(["run", "record", *words])
    assert (args.sim or "true") == sim


def test_the_former_name_of_an_argument_says_the_new_one(capsys):
    with pytest.raises(SystemExit):
        main.main(["run", "train", "--checkpoint", "mine"])
    assert "--checkpoint is called --policies now" in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"^checkpoint:= is called policies:= now$"):
        SCENARIOS["train"].nodes({"checkpoint": "mine"})
