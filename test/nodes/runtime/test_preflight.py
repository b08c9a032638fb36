"""What is wrong with files or graph ends a scenario before its nodes start, with exit code 1, said once."""

import contextlib
import json

import hand_rewards
import pytest
import rclpy
from made_versions import constant_policy

from il_ros.cli import main
from il_ros.core import contract, share
from il_ros.nodes.runtime import preflight
from il_ros.policies import checkpoint
from il_ros.rewards import checkpoint as reward_models
from il_ros.scenarios import SCENARIOS, checks, domain
from il_ros.scenarios.checks import CheckError, check_files

pytestmark = pytest.mark.usefixtures("own_domain")


def refused(graph, scenario, pushed="", **given):
    """Return what the check says about the nodes of a scenario."""
    with pytest.raises(CheckError) as error:
        # discovery may take longer than a second on a busy machine
        preflight.check(SCENARIOS[scenario].nodes(given, pushed), pushed, finished=lambda: False)
    return str(error.value)


def saved(folder, name="drive"):
    own = contract.load(share.path("config", "contracts", f"{name}.yaml"))
    checkpoint.save(folder, constant_policy(own, [0.0] * own.action_size, "v1"))
    return str(folder)


def test_a_success_model_that_cannot_judge_here_is_found_before_the_start(tmp_path):
    reward_models.save(tmp_path / "progress", hand_rewards.progress(hand_rewards.CONTRACT))
    for folder, message in (("none", "none: no such folder"), ("progress", "another contract")):
        given = {"success_model": str(tmp_path / folder), "contract": "arm_push", "task": "push"}
        with pytest.raises(CheckError, match=message):
            check_files(SCENARIOS["record"].nodes(given))
    own = tmp_path / "joint.yaml"
    own.write_text(hand_rewards.CONTRACT.text)
    given = {
        "success_model": str(tmp_path / "progress"),
        "contract": str(own),
        "task": "fold",
        "sim": "false",
    }
    with pytest.raises(CheckError, match="is a progress model, not a success model"):
        check_files(SCENARIOS["record"].nodes({**given, "expert": "none"}))


def test_a_good_scenario_on_an_empty_graph_passes(graph, tmp_path):
    given = {"task": "drive", "checkpoint": saved(tmp_path / "policy")}
    preflight.check(SCENARIOS["deploy"].nodes(given))


def test_a_wrong_contract_is_said_once_for_all_nodes_that_use_it(tmp_path):
    wrong = tmp_path / "wrong.yaml"
    wrong.write_text("name: wrong\nrate: 20\n")
    with pytest.raises(CheckError) as error:
        check_files(SCENARIOS["deploy"].nodes({"contract": str(wrong)}))
    assert str(error.value).count("wrong.yaml") == 1
    assert "rate_hz" in str(error.value)


def test_a_missing_policy_and_one_of_another_contract_are_refused(tmp_path):
    with pytest.raises(CheckError, match=r"none: no such folder; a checkpoint has model\.safetensors"):
        check_files(SCENARIOS["deploy"].nodes({"checkpoint": str(tmp_path / "none")}))
    given = {"checkpoint": saved(tmp_path / "policy"), "task": "push"}
    with pytest.raises(CheckError, match="trained under another contract"):
        check_files(SCENARIOS["deploy"].nodes(given))
    config = tmp_path / "policy" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"model_sha256": "0" * 64}))
    with pytest.raises(CheckError, match=r"model\.safetensors: its checksum"):
        check_files(SCENARIOS["deploy"].nodes({**given, "task": "drive"}))


def test_a_check_that_takes_long_says_what_is_checked(tmp_path, monkeypatch):
    given = {"checkpoint": saved(tmp_path / "policy"), "task": "drive"}
    told: list[str] = []
    monkeypatch.setattr(checks, "TOLD_S", 0.0)  # importing torch takes longer
    with contextlib.suppress(CheckError):
        check_files(SCENARIOS["deploy"].nodes(given), told.append)
    assert told == [f"checking the policy in {tmp_path / 'policy'}"]
    monkeypatch.setattr(checks, "_MOST_S", 0.0)
    with pytest.raises(CheckError, match="policy: the policy could not be loaded within 0 s"):
        check_files(SCENARIOS["deploy"].nodes(given))


def test_in_dagger_a_first_policy_may_be_missing_but_not_wrong(tmp_path):
    check_files(SCENARIOS["dagger"].nodes({"checkpoint": str(tmp_path / "v1")}))
    given = {"checkpoint": saved(tmp_path / "policy"), "task": "push"}
    with pytest.raises(CheckError, match="trained under another contract"):
        check_files(SCENARIOS["dagger"].nodes(given))


def test_a_contract_of_another_robot_than_the_simulated_one_is_refused():
    wrong = (
        "contract 'drive' commands cmd_vel; the simulated task 'push' takes arm_position_controller/commands, "
        "gripper_position_controller/commands, as contract 'arm_push' says"
    )
    for scenario in ("env", "record"):
        with pytest.raises(CheckError) as error:
            check_files(SCENARIOS[scenario].nodes({"task": "push", "contract": "drive"}))
        assert str(error.value) == wrong
        check_files(SCENARIOS[scenario].nodes({"task": "push", "contract": "arm_push_images"}))
    check_files(SCENARIOS["env"].nodes({"task": "push", "contract": "drive", "sim": "false"}))


def test_a_simulator_that_is_not_installed_is_refused(monkeypatch, tmp_path):
    monkeypatch.setenv("IL_ROS_GAZEBO", str(tmp_path))
    with pytest.raises(CheckError, match=r"^simulator gazebo_classic: there is no Gazebo at .*make gazebo"):
        check_files(SCENARIOS["sim"].nodes({"simulator": "gazebo_classic"}))
    check_files(SCENARIOS["env"].nodes({"simulator": "gazebo_classic", "sim": "false"}))


def test_a_wrong_recipe_is_refused():
    with pytest.raises(
        CheckError, match=r"recipe 'bc_mpl' is neither a \.yaml file nor one of config/training"
    ):
        check_files(SCENARIOS["train"].nodes({"recipe": "bc_mpl"}))


def test_a_folder_that_no_node_could_write_into_is_refused_before_the_start(tmp_path):
    file = tmp_path / "notes.txt"
    file.write_text("mine")
    below = file / "new"
    for scenario in ("record", "deploy", "dagger", "env"):
        with pytest.raises(
            CheckError, match=f"new: {file} is not a folder; choose another folder for the ep"
        ):
            check_files(
                SCENARIOS[scenario].nodes(
                    {"root": str(below), "record": "true"}
                    if scenario in ("deploy", "env")
                    else {"root": str(below)}
                )
            )
    for scenario in ("dagger", "train"):
        with pytest.raises(
            CheckError, match=r"notes\.txt: is not a folder; choose another folder for the pol"
        ):
            check_files(SCENARIOS[scenario].nodes({"policies": str(file), "root": str(tmp_path)}))
    with pytest.raises(CheckError, match=r"result: .*notes\.txt: exists, and il-ros did not write it"):
        check_files(SCENARIOS["record"].nodes({"episodes": "2", "result": str(file)}))
    parameters = tmp_path / "mine.yaml"
    parameters.write_text(f"/recorder: {{ros__parameters: {{root: {below}}}}}")
    with pytest.raises(CheckError, match="choose another folder for the episodes"):
        check_files(SCENARIOS["record"].nodes({"params_file": str(parameters)}))
    assert sorted(each.name for each in tmp_path.iterdir()) == ["mine.yaml", "notes.txt"]


def test_a_contract_of_the_parameter_file_is_checked(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**: {ros__parameters: {contract: none.yaml}}")
    with pytest.raises(CheckError, match=r"none\.yaml: there is no such contract file"):
        check_files(SCENARIOS["record"].nodes({"params_file": str(file)}))


def test_a_running_node_of_the_same_name_is_named(graph):
    graph.outside.get_logger()  # the graph's node is /outside
    given = {"sim": "false", "expert": "none", "task": "drive"}
    specs = SCENARIOS["record"].nodes(given)
    preflight.check(specs)
    other = graph._add(rclpy.create_node("recorder", namespace="left"))
    preflight.check(specs)
    refusal = refused(graph, "record", **given, namespace="left")
    assert refusal.startswith("a node /left/recorder is already running in ROS domain ")
    assert "\n" not in refusal
    assert "a node /left/recorder is" in refused(graph, "record", "/left", **given)
    graph.executor.remove_node(other)


def test_another_commanding_node_and_another_clock_are_named(graph):
    graph.publisher("cmd_vel", "geometry_msgs/msg/TwistStamped")
    given = {"sim": "false", "expert": "none", "task": "drive"}
    assert "/outside already commands the robot on /cmd_vel" in refused(graph, "record", **given)
    preflight.check(SCENARIOS["record"].nodes({**given, "namespace": "left"}))
    graph.publisher("right/clock", "rosgraph_msgs/msg/Clock")
    refusal = refused(graph, "sim", namespace="right")
    assert "/outside already publishes simulated time on /right/clock" in refusal


def test_a_topic_of_another_type_is_named(graph):
    graph.publisher("scan", "geometry_msgs/msg/TwistStamped")
    given = {"sim": "false", "expert": "none", "task": "drive"}
    refusal = refused(graph, "record", **given)
    assert (
        refusal
        == "/scan has type geometry_msgs/msg/TwistStamped on the graph; drive says sensor_msgs/msg/LaserScan"
    )


def test_the_command_ends_with_1_and_starts_nothing(capsys, tmp_path):
    words = ["run", "deploy", "--checkpoint", str(tmp_path / "none"), "--logs", str(tmp_path / "log")]
    assert main.main(words) == 1
    printed = capsys.readouterr()
    assert (printed.out + printed.err).count("no such folder") == 1
    assert "not started: " in printed.err
    assert not (tmp_path / "log").exists()


@pytest.mark.parametrize(
    ("environment", "limited"),
    [
        ({}, True),
        ({"ROS_AUTOMATIC_DISCOVERY_RANGE": "SUBNET"}, False),
        ({"ROS_DISCOVERY_SERVER": "10.0.0.1:11811"}, False),
        ({"ROS_LOCALHOST_ONLY": "0"}, False),
    ],
)
def test_discovery_stays_on_this_computer_unless_told_otherwise(monkeypatch, environment, limited):
    for name in ("ROS_AUTOMATIC_DISCOVERY_RANGE", "ROS_DISCOVERY_SERVER", "ROS_LOCALHOST_ONLY"):
        monkeypatch.setenv(name, environment.get(name, ""))
    assert domain.keep_local() is limited
    wanted = "LOCALHOST" if limited else environment.get("ROS_AUTOMATIC_DISCOVERY_RANGE", "")
    assert domain.os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == wanted


def test_security_without_a_keystore_is_said(monkeypatch):
    monkeypatch.setenv("ROS_SECURITY_ENABLE", "true")
    monkeypatch.setenv("ROS_SECURITY_STRATEGY", "Enforce")
    monkeypatch.delenv("ROS_SECURITY_KEYSTORE", raising=False)
    with pytest.raises(CheckError, match="with SROS2, the enclave /session is needed"):
        preflight.check(SCENARIOS["record"].nodes({"sim": "false", "expert": "none", "task": "drive"}))
