"""Node specifications and their command lines."""

import sys

import pytest

from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import Argument, NodeSpec, Scenario, as_flags, command

RATE = Argument("rate", "ticks a second", "20", ("10", "20"))
ONE = Scenario("one", "One node.", (RATE,), lambda given: (NodeSpec("sim", "sim", {"rate": given["rate"]}),))


def test_omitted_arguments_have_their_defaults():
    assert ONE.nodes({})[0].parameters == {"rate": "20"}
    assert ONE.nodes({"rate": "10"})[0].parameters == {"rate": "10"}


def test_an_unknown_argument_is_refused_naming_the_known_ones():
    with pytest.raises(ValueError, match="one has no argument 'speed'; it has: rate"):
        ONE.nodes({"speed": "1"})


def test_a_value_outside_the_choices_is_refused_naming_the_choices():
    with pytest.raises(ValueError, match="rate:=30 is unknown; one of: 10, 20"):
        ONE.nodes({"rate": "30"})


def test_a_default_outside_the_choices_is_refused_at_construction():
    with pytest.raises(ValueError, match="default '30'"):
        Argument("rate", "ticks a second", "30", ("10", "20"))


@pytest.mark.parametrize(("executable", "name"), [("a node", "sim"), ("sim", "a/b"), ("", "sim")])
def test_names_invalid_in_ros_are_refused(executable, name):
    with pytest.raises(ValueError, match="letters, digits and underscores"):
        NodeSpec(executable, name)


def test_the_command_has_name_namespace_remappings_files_and_parameters():
    spec = NodeSpec("sim", "world", {"speed": 0.5}, ("a.yaml",), (("scan", "lidar"),), "robot1")
    assert command(spec) == [
        *(sys.executable, "-m", "il_ros.nodes.start", "sim", "--ros-args"),
        *("-r", "__node:=world", "-r", "__ns:=/robot1", "-r", "scan:=lidar"),
        *("--params-file", "a.yaml", "-p", "speed:=0.5"),
    ]


@pytest.mark.parametrize(
    ("value", "written"),
    [(True, "true"), (3, "3"), (3.0, "3.0"), ("12", '"12"'), ("", '""'), ("a: b", '"a: b"')],
)
def test_a_parameter_keeps_its_type_on_the_command_line(value, written):
    assert command(NodeSpec("sim", "sim", {"x": value}))[-1] == f"x:={written}"


@pytest.mark.parametrize(
    ("launch", "flags"),
    [
        ("a robot's own task needs sim:=false", "a robot's own task needs --no-sim"),
        ("with sim:=true: use_sim_time:=true, too", "with --sim: --use-sim-time, too"),
        ("speed:=fast is not a number", "--speed fast is not a number"),
        ("contract:= is needed (task:=fold)", "--contract is needed (--task fold)"),
        ("time:=3 is no argument", "time:=3 is no argument"),
    ],
)
def test_a_text_about_arguments_is_spelt_as_the_command_line_does(launch, flags):
    assert as_flags(launch, SCENARIOS["record"].arguments) == flags


def test_with_security_each_node_has_the_enclave_of_its_name(monkeypatch):
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    words = command(NodeSpec("recorder", "recorder", namespace="left"))
    assert words[words.index("--enclave") + 1] == "/left/recorder"
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "false")
    assert "--enclave" not in command(NodeSpec("recorder", "recorder"))
