"""`il-ros run`: the scenarios' arguments, and failures to start."""

import shlex

import made_episodes as made
import made_versions
import pytest

from il_ros.cli import main, next_steps, run
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import Program, as_flags

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
    assert capsys.readouterr().err == (
        f"il-ros: the nodes were not started: {logs}: not a directory; choose another folder with --logs\n"
    )


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


def test_a_command_that_is_not_installed_is_named_before_anything_starts(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert run.run_nodes([Program("world", ("ros2", "run", "world"))], tmp_path / "log") == 1
    assert "not started: world needs the command ros2, which is not on the PATH" in capsys.readouterr().err
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("simulator", "why"),
    [
        ("gz", "there is no 'gz' on the PATH; install ros_gz (sudo apt-get install -y ros-jazzy-ros-gz)"),
        ("gazebo_classic", "there is no Gazebo at {folder}; type:  make gazebo"),
    ],
)
def test_a_simulator_that_is_not_installed_is_named_before_anything_starts(
    tmp_path, monkeypatch, capsys, simulator, why
):
    for name in ("PATH", "IL_ROS_GAZEBO"):
        monkeypatch.setenv(name, str(tmp_path))
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.chdir(tmp_path)
    assert main.main(["run", "record", "--simulator", simulator]) == 1
    assert f"not started: simulator {simulator}: {why.format(folder=tmp_path)}" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_step_after_driving_corrects_the_same_policy_on_the_same_robot():
    assert next_steps.after_driving({"task": "push"}, "checkpoint") == (
        "il-ros session run --task push --checkpoint checkpoint"
    )
    robot = {
        "sim": "false",
        "task": "fold",
        "contract": "my robot.yaml",
        "checkpoint": "p/v2",
        "start": "driving",
    }
    assert next_steps.after_driving(robot, "checkpoint") == (
        "il-ros session run --task fold --no-sim --contract 'my robot.yaml' --expert keyboard --checkpoint p/v2"
    )
    words = shlex.split(next_steps.after_driving({**robot, "expert": "joy", "namespace": "left"}, ""))[1:]
    args = main._parser("session").parse_args(words)  # it can be pasted
    assert (args.expert, args.namespace, args.sim) == ("joy", "left", "false")


def test_what_was_recorded_is_told_with_the_next_step(tmp_path, capsys):
    root = tmp_path / "my episodes"
    made.write(root, made.recorded(10), number=1, outcome="success")
    before = next_steps.names(root)
    made.write(root, made.recorded(10), number=2, outcome="failure")
    made.write(root, made.recorded(10), number=3, outcome="unmarked")
    (root / "cache").mkdir(exist_ok=True)
    new = next_steps.recorded_since(root, before | {"cache"})
    next_steps.tell_recorded(new, root)
    assert capsys.readouterr().out == (
        f"2 episodes in {root}: 1 failure, 1 unmarked\nnext: il-ros train '{root}'\n"
    )
    next_steps.tell_recorded([], root)
    assert capsys.readouterr().out == ""


def test_what_was_trained_meanwhile_is_tested_next(tmp_path, capsys):
    policies = tmp_path / "policies"
    made_versions.version(policies, 1)
    before = next_steps.names(policies)
    assert next_steps.after_correcting({}, policies, before, "push") == ""
    assert next_steps.after_correcting({}, tmp_path / "nowhere", set(), "push") == ""
    v2 = made_versions.version(policies, 2)
    command = next_steps.after_correcting({}, policies, before, "push")
    assert command == f"il-ros evaluate {v2}"
    assert next_steps.after_correcting({"sim": "false"}, policies, before, "fold") == (
        f"il-ros run deploy --sim false --task fold --contract {v2}/checkpoint/contract.yaml --checkpoint {v2}"
    )
    made.write(tmp_path / "episodes", made.recorded(10), number=1, outcome="success")
    next_steps.tell_recorded(
        next_steps.recorded_since(tmp_path / "episodes", set()), tmp_path / "episodes", command
    )
    assert capsys.readouterr().out == f"1 episode in {tmp_path}/episodes: 1 success\nnext: {command}\n"


def test_a_check_that_fails_starts_no_node_and_keeps_the_logs_of_the_last_run(capsys, tmp_path):
    (tmp_path / "wrong.yaml").write_text("name: wrong\nrate: 20\n")
    (tmp_path / "recorder.log").write_text("the last run")
    words = ["--contract", str(tmp_path / "wrong.yaml"), "--no-sim", "--expert", "none", "--task", "fold"]
    assert main.main(["run", "record", *words, "--logs", str(tmp_path)]) == 1
    told = capsys.readouterr()
    assert "not started: " in told.err
    assert "rate_hz" in told.err
    assert "[recorder]" not in told.out
    assert (tmp_path / "recorder.log").read_text() == "the last run"
