"""The `il-ros` command: help, exit statuses, fast start."""

import ast
import contextlib
import io
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

import il_ros
from il_ros import __main__ as entry
from il_ros.cli import main as cli


def test_help_lists_every_command_and_imports_none(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    for name, (_, text) in cli.COMMANDS.items():
        assert name in out
        assert text in out
    assert "examples:" in out


def test_without_a_command_it_prints_the_help(capsys):
    assert cli.main([]) == 0
    assert capsys.readouterr().out.startswith("usage: il-ros")


def test_the_version_is_that_of_the_package(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == "il_ros 0.1.0\n"


def test_an_unknown_command_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(["trian"])
    assert ended.value.code == 2
    assert "'trian'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["session", "run", "--set", "1"], "usage: il-ros session run "),
        (["run", "record", "--what"], "usage: il-ros run record "),
        (["policy", "versions", "a", "b"], "usage: il-ros policy versions "),
    ],
)
def test_unknown_words_print_the_usage_of_their_own_command(words, usage, capsys):
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(usage)
    assert "unrecognized arguments: " in told


def test_python_dash_m_works_and_help_needs_neither_numpy_nor_ros():
    code = (
        "import runpy, sys; sys.argv = ['il-ros', '--help']\n"
        "try: runpy.run_module('il_ros', run_name='__main__')\n"
        "except SystemExit: pass\n"
        "assert not {'numpy', 'rclpy', 'torch'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=200, check=True
    )
    assert done.stdout.startswith("usage: il-ros")


def command(monkeypatch, act):
    """Replace the module of `il-ros run`."""
    module = types.ModuleType("il_ros.cli.run")
    module.add_parser = lambda subparsers: subparsers.add_parser("run").set_defaults(run=act)
    monkeypatch.setitem(sys.modules, "il_ros.cli.run", module)


def test_the_exit_status_is_the_commands(monkeypatch):
    command(monkeypatch, lambda args: 3)
    assert cli.main(["run"]) == 3


def test_ctrl_c_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(args):
        raise KeyboardInterrupt

    command(monkeypatch, interrupted)
    assert cli.main(["run"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_no_command_prints_texts_of_files_and_messages_unescaped():
    """`say` shows control characters as their escapes; `print` would send them to the terminal."""
    found = []
    for folder in ("cli", "session", "nodes"):
        for file in (Path(il_ros.__file__).parent / folder).rglob("*.py"):
            calls = (
                node.func for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Call)
            )
            if any(isinstance(call, ast.Name) and call.id == "print" for call in calls):
                found.append(file.name)
    assert found == []


def test_an_error_with_control_characters_is_shown_as_its_escapes(tmp_path, capsys):
    assert cli.main(["train", str(tmp_path / "\x1b[2J"), "--out", str(tmp_path / "out")]) == 2
    printed = capsys.readouterr().err
    assert "\x1b" not in printed
    assert "\\x1b[2J" in printed


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("il-ros ses", {"session"}),
        ("il-ros run record --expe", {"--expert"}),
        ("il-ros run record --expert s", {"scripted"}),
        ("il-ros episodes recov", {"recover"}),
    ],
)
def test_the_tab_key_completes_commands_options_and_values(typed, offered, tmp_path):
    answer = tmp_path / "words"
    env = os.environ | {
        "_ARGCOMPLETE": "1", "_ARGCOMPLETE_IFS": "\n", "_ARGCOMPLETE_STDOUT_FILENAME": str(answer),
        "_ARGCOMPLETE_SUPPRESS_SPACE": "1", "COMP_LINE": typed, "COMP_POINT": str(len(typed)),
    }  # fmt: skip
    words = [sys.executable, "-m", "il_ros"]
    subprocess.run(words, env=env, check=True, timeout=60, capture_output=True)
    assert set(answer.read_text().split()) == offered


def test_the_script_of_each_shell_names_the_command(capsys):
    for shell in ("bash", "zsh", "fish"):
        assert cli.main(["completion", shell]) == 0
        assert "il-ros" in capsys.readouterr().out


def test_ctrl_c_while_a_subcommand_is_imported_ends_without_a_traceback(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(cli.importlib, "import_module", interrupted)
    assert cli.main(["train", "episodes"]) == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_ctrl_c_that_a_library_turned_into_another_error_is_still_an_interruption(monkeypatch, capsys):
    def interrupted(argv=None):
        try:
            raise KeyboardInterrupt
        except KeyboardInterrupt as error:
            raise RuntimeError("Error calling __set_name__") from error  # as in Python 3.11's classes

    monkeypatch.setattr(cli, "main", interrupted)
    assert entry.main() == 130
    assert capsys.readouterr().err == "interrupted\n"


def test_another_error_is_not_taken_for_an_interruption(monkeypatch):
    def broken(argv=None):
        raise RuntimeError("broken")

    monkeypatch.setattr(cli, "main", broken)
    with pytest.raises(RuntimeError, match="broken"):
        entry.main()


_MISSPELT = """
import json, sys
from il_ros.cli.main import main

told = []
for words in json.loads(sys.argv[1]):
    told.append(main(words))
print(json.dumps([told, "torch" in sys.modules]))
"""


def test_a_misspelt_word_is_named_before_torch_is_imported(tmp_path):
    (tmp_path / "shown" / "episode_000001").mkdir(parents=True)
    (tmp_path / "file").touch()
    commands = [
        "train nowhere",
        "train shown --from nowhere",
        "train shown --out file/v1",
        "train shown --recipe nowhere",
        "train shown --set nowhere=1",
        "train shown --recipe flow --set nowhere=1",
        "train shown --recipe gail --set nowhere=1",
        "train shown --recipe gail --environment nowhere",
        "evaluate nowhere",
        "evaluate shown --task nowhere",
        "evaluate shown --task nowhere-v1",
        "evaluate shown --simulator nowhere",
        "evaluate nowhere shown",
        "suggest nowhere --policy nowhere",
        "suggest shown --policy nowhere",
        "reward train nowhere",
        "reward train shown --out file/v1",
        "reward train shown --set nowhere=1",
        "reward train shown --family cells --set nowhere=1",
        "reward rank shown --reward nowhere",
        "reward mark shown --sure 2",
        "env record push --root file/episodes",
        "env record nowhere",
        "env dagger push --set nowhere=1",
        "env record push --expert nowhere.py:act",
        "env dagger push --from nowhere",
        "policy export onnx nowhere",
        "episodes list nowhere",
    ]
    done = subprocess.run(
        [sys.executable, "-c", _MISSPELT, json.dumps([command.split() for command in commands])],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    statuses, imported = json.loads(done.stdout)
    assert set(statuses[:-1]) == {2}
    assert statuses[-1] == 1
    assert not imported
    lines = done.stderr.splitlines()
    assert len(lines) == len(commands)  # one sentence each
    assert all(any(word in line for word in ("nowhere", "file/", "--sure is 2")) for line in lines), (
        done.stderr
    )


@pytest.mark.parametrize(
    "words", [["plugins"], ["episodes", "list", "none"], ["contract", "from-env", "Pendulum-v1"]]
)
def test_a_reader_that_has_ended_is_no_failure(words, tmp_path, monkeypatch):
    (tmp_path / "none").mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    with contextlib.suppress(BrokenPipeError), os.fdopen(writer, "w") as pipe:
        told = io.StringIO()
        monkeypatch.chdir(tmp_path)
        monkeypatch.setattr(sys, "stdout", pipe)
        monkeypatch.setattr(sys, "stderr", told)
        monkeypatch.setattr(told, "close", lambda: None)
        assert cli.main(words) == 0
    assert told.getvalue() == ""


@pytest.mark.parametrize(
    "words",
    [
        ["train", ""],
        ["evaluate", "checkpoint", "--json", ""],
        ["episodes", "list", "--root", ""],
        ["demo", "-o", ""],
    ],
)
def test_an_empty_file_name_is_refused(words, capsys):  # such as that of an unset variable of the shell
    with pytest.raises(SystemExit) as ended:
        cli.main(words)
    assert ended.value.code == 2
    assert "the name of a file or folder is empty" in capsys.readouterr().err


def test_results_appear_in_a_pipe_before_the_command_ends(monkeypatch):
    reader, writer = os.pipe()
    os.set_blocking(reader, False)  # reading what is not there yet is an error
    with os.fdopen(writer, "w") as pipe, os.fdopen(reader, "rb"):
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["completion", "bash"]) == 0
        assert os.read(reader, 1000)
