"""The nodes of each scenario, and the files and parameters that they name."""

from pathlib import Path

import made_versions
import pytest

from il_ros.core import contract, share
from il_ros.interactive.modes.beta import UNITS
from il_ros.records.labelling import MODES
from il_ros.scenarios import SCENARIOS, graph
from il_ros.scenarios.graph import command
from il_ros.scenarios.recording import RECORDING
from il_ros.scenarios.relabel import relabel_nodes
from il_ros.sim.tasks.task import SIMULATORS, task_names


def names(scenario: str, **given: str) -> list[str]:
    return [spec.name for spec in SCENARIOS[scenario].nodes(given)]


def parameter(scenario: str, node: str, key: str, **given: str):
    (spec,) = (spec for spec in SCENARIOS[scenario].nodes(given) if spec.name == node)
    return spec.parameters[key]


def test_record_on_a_robot_starts_no_simulator():
    assert names("record", sim="false", expert="joy") == ["expert", "dagger_supervisor", "recorder"]


def test_record_in_simulation_can_run_unattended():
    wanted = ["sim", "expert", "dagger_supervisor", "recorder", "conductor"]
    assert names("record", episodes="30") == wanted


def test_every_scenario_with_a_simulator_selects_it_by_name():
    (argument,) = (each for each in SCENARIOS["sim"].arguments if each.name == "simulator")
    assert argument.choices == (*SIMULATORS, "gz")
    for scenario in ("sim", "record", "deploy", "dagger"):
        chosen = parameter(scenario, "sim", "simulator", simulator="gazebo_classic")
        assert chosen == "gazebo_classic"
        assert parameter(scenario, "sim", "simulator") == "mujoco"


def test_relabelling_runs_the_recording_nodes_and_a_console():
    where = (Path("m.json"), "drive", Path("drive.yaml"), Path("episodes"))
    specs = {spec.name: spec for spec in relabel_nodes(*where, "keyboard", "ada", 1.0)}
    assert list(specs) == ["sim", "dagger_supervisor", "recorder", "expert", "session"]
    assert specs["expert"].executable == "teleop_keyboard"
    assert specs["expert"].parameters["keys_topic"] == "session/keys"
    assert specs["session"].parameters["view"] == "camera/image_raw"
    assert specs["recorder"].parameters["operator"] == "ada"
    by_joy = {spec.name: spec for spec in relabel_nodes(*where, "joy", "", 1.0)}
    assert (by_joy["expert"].executable, len(by_joy)) == ("teleop_joy", 5)
    assert not by_joy["session"].parameters["driving_keys"]


def test_gz_runs_as_server_bridge_and_node():
    specs = SCENARIOS["sim"].nodes({"simulator": "gz", "task": "drive", "namespace": "left"})
    server, bridge, robot = specs
    assert [spec.name for spec in specs] == ["gz", "gz_bridge", "sim"]
    assert command(server)[-1] == str(share.path("worlds", "drive.sdf"))
    assert str(share.path("models")) in command(server)[1]
    assert command(bridge)[:4] == ["ros2", "run", "ros_gz_bridge", "parameter_bridge"]
    assert bridge.parameters["config_file"] == str(share.path("config", "gz", "drive.yaml"))
    assert (robot.executable, bridge.namespace, robot.namespace) == ("sim_gz", "left", "left")
    assert names("record", simulator="gz")[:3] == ["gz", "gz_bridge", "sim"]


@pytest.mark.parametrize(
    ("given", "message"),
    [({"speed": "0"}, "leave speed at 1"), ({"episodes": "3"}, "needs a simulator that waits")],
)
def test_what_gz_does_not_support_is_refused_before_the_start(given, message):
    with pytest.raises(ValueError, match=message):
        SCENARIOS["record"].nodes({"simulator": "gz", **given})


def test_a_user_program_has_long_time_outs_in_lockstep_only():
    assert names("env") == ["sim", "dagger_supervisor"]
    assert parameter("env", "sim", "lockstep_timeout_s", speed="0") == 60.0
    assert parameter("env", "dagger_supervisor", "silence_s", speed="0") == 60.0
    (sim, supervisor) = SCENARIOS["env"].nodes({})
    assert "lockstep_timeout_s" not in sim.parameters
    assert "silence_s" not in supervisor.parameters


def test_deploy_has_no_expert_by_default():
    wanted = ["policy_server", "dagger_supervisor"]
    assert names("deploy", sim="false", record="false") == [*wanted, "session"]
    assert names("deploy", sim="false", record="false", session="false") == wanted
    assert "expert" in names("deploy", expert="leader")


def test_a_deployed_policy_drives_only_after_a_person_lets_it():
    on_a_robot = {"sim": "false", "expert": "joy"}
    for scenario in ("deploy", "dagger"):
        for session in ("true", "false"):
            given = {**on_a_robot, "session": session}
            assert parameter(scenario, "dagger_supervisor", "start", **given) == "rest"
            assert parameter(scenario, "dagger_supervisor", "manual", **given) == "expert"
    assert parameter("deploy", "dagger_supervisor", "manual", expert="scripted") == ""  # it always proposes
    assert parameter("deploy", "dagger_supervisor", "mode", **on_a_robot) == "expert"
    assert parameter("deploy", "session", "mode", **on_a_robot) == "priority"
    assert parameter("deploy", "session", "trainer", **on_a_robot) is False
    assert parameter("dagger", "session", "trainer", **on_a_robot) is True
    assert parameter("deploy", "session", "recorder", **on_a_robot, record="false") is False


@pytest.mark.parametrize(
    "given",
    [
        {"start": "driving"},
        {"start": "driving", "session": "false"},
        {"episodes": "3"},  # unattended
    ],
)
@pytest.mark.parametrize("scenario", ["deploy", "dagger"])
def test_for_unattended_use_the_policy_drives_at_once(scenario, given):
    (spec,) = (s for s in SCENARIOS[scenario].nodes(given) if s.name == "dagger_supervisor")
    assert "start" not in spec.parameters
    assert spec.parameters["mode"] == ("priority" if scenario == "deploy" else "hg_dagger")


def test_a_simulated_person_lets_the_policy_drive_as_a_person_does():
    given = {"episodes": "3", "person": "simulated"}
    assert parameter("dagger", "dagger_supervisor", "start", **given) == "rest"


def test_a_simulated_person_awaits_a_policy_where_there_is_one(tmp_path):
    given = {"episodes": "3", "person": "simulated"}
    assert parameter("dagger", "session", "awaits_policy", **given, checkpoint=str(tmp_path)) is False
    made_versions.version(tmp_path, 1)
    assert parameter("dagger", "session", "awaits_policy", **given, checkpoint=str(tmp_path)) is True
    assert parameter("dagger", "session", "awaits_policy", checkpoint=str(tmp_path)) is False  # a person


def test_commands_are_forwarded_to_action_servers_by_nodes_of_their_own(tmp_path):
    file = tmp_path / "my.yaml"
    file.write_text(
        "left_gripper:\n  ros__parameters: {action: left, server: left/gripper_cmd}\n"
        "right_gripper:\n  ros__parameters: {action: right, server: right/gripper_cmd, max_effort: 5.0}\n"
    )
    given = {"sim": "false", "task": "fold", "contract": "arm_push", "params_file": str(file)}
    given |= {"action_clients": "left_gripper right_gripper", "expert": "joy"}
    for scenario in (*(SCENARIOS[name] for name in ("record", "deploy", "dagger", "env")), RECORDING):
        specs = [spec for spec in scenario.nodes(given) if spec.executable == "action_client"]
        assert [spec.name for spec in specs] == ["left_gripper", "right_gripper"]
        assert [spec.parameters["server"] for spec in specs] == ["left/gripper_cmd", "right/gripper_cmd"]
        assert specs[1].parameters["contract"] == "arm_push"
    assert "left_gripper" not in names("deploy", sim="false", task="fold", contract="arm_push")


def test_dagger_runs_everything_at_once():
    wanted = ["sim", "policy_server", "expert", "dagger_supervisor", "recorder", "trainer"]
    assert names("dagger") == [*wanted, "session"]
    assert names("dagger", session="false") == wanted
    assert names("dagger", episodes="3") == [*wanted, "conductor"]
    assert names("dagger", episodes="3", person="simulated") == [*wanted, "session"]
    on_a_robot = {"sim": "false", "expert": "none", "session": "false"}
    assert names("dagger", **on_a_robot) == ["policy_server", "dagger_supervisor", "recorder", "trainer"]


def test_in_rounds_only_the_conductor_requests_training(tmp_path):
    given = {"episodes": "6", "session": "false", "per_round": "3", "speed": "0"}
    assert parameter("dagger", "conductor", "per_round", **given) == 3
    assert parameter("dagger", "trainer", "train_after", **given) == 0
    both = "policy_server/proposal expert/advice"
    for node, name in (("sim", "lockstep_answers"), ("conductor", "answers")):
        assert parameter("dagger", node, name, **given, checkpoint=str(tmp_path)) == both
        assert parameter("dagger", node, name, **given, checkpoint="not there") == "expert/advice"
    (trainer,) = (spec for spec in SCENARIOS["dagger"].nodes({"episodes": "6"}) if spec.name == "trainer")
    assert "train_after" not in trainer.parameters
    (sim,) = (spec for spec in SCENARIOS["record"].nodes({"speed": "0"}) if spec.name == "sim")
    assert "lockstep_answers" not in sim.parameters


def test_without_a_session_a_simulated_person_takes_over_only_in_hg_dagger():
    given = {"episodes": "6", "session": "false", "person": "simulated", "root": "mine"}
    assert parameter("dagger", "expert", "demonstrations", **given) == "mine"
    for other in ({"mode": "dagger"}, {"person": "you"}, {"episodes": "0"}, {"session": "true"}):
        (expert,) = (s for s in SCENARIOS["dagger"].nodes({**given, **other}) if s.name == "expert")
        assert "demonstrations" not in expert.parameters


def test_in_a_session_the_robot_rests_and_the_expert_waits_for_a_key():
    assert parameter("dagger", "dagger_supervisor", "mode") == "expert"
    assert parameter("dagger", "session", "mode", mode="gated") == "gated"
    assert parameter("dagger", "expert", "engaged") is False  # in hg_dagger it takes over by key
    assert parameter("dagger", "expert", "engaged", mode="gated") is True
    assert parameter("dagger", "expert", "engaged", session="false") is True
    assert parameter("dagger", "expert", "keys_topic", expert="keyboard") == "session/keys"
    with pytest.raises(ValueError, match="person:=simulated"):
        names("dagger", person="simulated", expert="joy")


def test_only_in_dagger_the_trainer_watches_and_its_policies_need_promotion():
    assert parameter("dagger", "trainer", "watch") is True
    assert parameter("train", "trainer", "watch") is False
    assert parameter("dagger", "policy_server", "candidates") == "trainer/checkpoint"
    assert parameter("dagger", "policy_server", "promotion.root", root="mine") == "mine"
    assert parameter("dagger", "policy_server", "versions", policies="mine") == "mine"
    assert parameter("dagger", "trainer", "checkpoint", policies="mine") == "mine"
    (deployed,) = (spec for spec in SCENARIOS["deploy"].nodes({}) if spec.name == "policy_server")
    assert "candidates" not in deployed.parameters


def test_devices_that_packages_register_can_be_chosen_and_run_in_the_node_for_every_device(monkeypatch):
    monkeypatch.setattr(graph.plugins, "names", lambda group: ("joy", "keyboard", "wheel"))
    (allowed,) = (each.allowed for each in SCENARIOS["record"].arguments if each.name == "expert")
    assert allowed == ("joy", "wheel", "scripted", "none")  # the keyboard needs a terminal
    given = {"sim": "false", "contract": "drive", "expert": "wheel"}
    (spec,) = (spec for spec in SCENARIOS["record"].nodes(given) if spec.name == "expert")
    assert (spec.executable, spec.parameters["device"]) == ("teleop", "wheel")
    with pytest.raises(ValueError, match="expert:=spacemouse is unknown; one of: joy, wheel, scripted, none"):
        SCENARIOS["record"].nodes({"expert": "spacemouse"})


def test_the_choices_of_mode_and_unit_are_complete():
    choices = {argument.name: argument.choices for argument in SCENARIOS["dagger"].arguments}
    assert (choices["mode"], choices["unit"]) == (MODES, UNITS)


def test_the_mode_and_its_parameters_reach_the_supervisor():
    given = {"mode": "gated", "beta": "step:2", "unit": "episode", "ask": "0.5", "per_hour": "12"}
    given |= {"session": "false", "at_once": "2", "warm_up_s": "20", "least_s": "1.5"}
    wanted = {"mode": "gated", "dagger.beta": "step:2", "dagger.unit": "episode", "gated.ask": 0.5}
    (spec,) = (s for s in SCENARIOS["dagger"].nodes(given) if s.name == "dagger_supervisor")
    assert wanted.items() <= spec.parameters.items()
    assert (spec.parameters["gated.per_hour"], spec.parameters["gated.at_once"]) == (12, 2)
    assert (spec.parameters["gated.warm_up_s"], spec.parameters["gated.least_s"]) == (20.0, 1.5)
    assert spec.parameters["gated.takeover"] == "asked"  # the scripted expert always proposes
    assert parameter("dagger", "dagger_supervisor", "gated.takeover", expert="joy") == "anytime"
    assert parameter("dagger", "trainer", "checkpoint", policies="all") == "all"
    assert parameter("dagger", "policy_server", "checkpoint", checkpoint="all/v1") == "all/v1"


def test_train_and_sim_are_single_nodes():
    assert names("train") == ["trainer"]
    assert names("sim") == ["sim"]


def test_every_node_but_the_simulator_uses_simulated_time():
    assert parameter("record", "recorder", "use_sim_time") is True
    assert parameter("record", "sim", "use_sim_time") is False
    assert parameter("record", "recorder", "use_sim_time", sim="false") is False
    assert parameter("record", "recorder", "use_sim_time", sim="false", use_sim_time="true") is True


def test_lockstep_is_used_at_speed_0_with_an_expert():
    assert parameter("record", "sim", "lockstep", speed="0") is True
    assert parameter("record", "sim", "lockstep", speed="1") is False
    assert parameter("sim", "sim", "lockstep", speed="0") is False


@pytest.mark.parametrize("task", task_names())
def test_each_task_has_its_contract(task):
    name = parameter("record", "recorder", "contract", task=task)
    assert contract.load(share.path("config", "contracts", f"{name}.yaml")).name == name


@pytest.mark.parametrize("simulator", ["gazebo_classic", "gz"])
def test_a_simulator_that_a_task_does_not_run_in_is_refused_before_the_start(simulator):
    with pytest.raises(ValueError, match=f"task 'carry': unknown simulator '{simulator}'; there are: mujoco"):
        SCENARIOS["record"].nodes({"task": "carry", "simulator": simulator})


def test_one_contract_serves_every_node_of_a_scenario():
    given = {"contract": "mine.yaml", "expert": "scripted", "session": "false"}
    specs = SCENARIOS["deploy"].nodes(given)
    given = {spec.name: spec.parameters.get("contract") for spec in specs}
    assert given.pop("sim") is None
    assert given.pop("expert") == "arm_push"  # the scripted expert observes the task's state
    assert set(given.values()) == {"mine.yaml"}


def test_a_user_defined_task_is_recorded_by_name():
    own = {"sim": "false", "task": "fold a towel", "contract": "mine.yaml", "expert": "joy"}
    for scenario in ("record", "deploy", "dagger"):
        assert parameter(scenario, "recorder", "task", **own) == "fold a towel"
        assert parameter(scenario, "expert", "contract", **own) == "mine.yaml"
    assert parameter("dagger", "session", "contract", **own) == "mine.yaml"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"sim": "true"}, "a robot's own task needs sim:=false"),
        ({"sim": "true", "simulator": "gz"}, "a robot's own task needs sim:=false"),
        ({"contract": ""}, "contract:= is needed"),
        ({"expert": "scripted"}, "has no scripted expert; choose another with expert:="),
    ],
)
def test_what_a_user_defined_task_lacks_is_refused_before_the_start(given, message):
    own = {"sim": "false", "task": "fold", "contract": "mine.yaml", "expert": "joy", **given}
    for scenario in ("record", "deploy", "dagger"):
        with pytest.raises(
            ValueError,
            match=f"fold is none of reach, push, pick_place, drive, carry, touch, press: .*{message}",
        ):
            SCENARIOS[scenario].nodes(own)


def test_a_missing_parameter_file_is_refused():
    with pytest.raises(ValueError, match="no_such\\.yaml: there is no such file"):
        SCENARIOS["sim"].nodes({"params_file": "no_such.yaml"})


def test_unattended_episodes_need_the_simulator():
    with pytest.raises(ValueError, match="sim"):
        SCENARIOS["record"].nodes({"episodes": "3", "sim": "false"})


def test_an_argument_that_is_not_a_number_is_refused_by_name():
    with pytest.raises(ValueError, match="speed:=fast is not a number"):
        SCENARIOS["sim"].nodes({"speed": "fast"})
    for text in ("-1", "nan"):
        with pytest.raises(ValueError, match=f"speed:={text}: a number of 0 or more is needed"):
            SCENARIOS["sim"].nodes({"speed": text})
    with pytest.raises(ValueError, match=r"seed:=2\.5: a whole number is needed"):
        SCENARIOS["sim"].nodes({"seed": "2.5"})


def test_an_argument_that_a_node_would_refuse_is_refused_before_the_start():
    with pytest.raises(ValueError, match=r"beta:=3: beta schedule '3' is not known; examples: constant:0\.3"):
        SCENARIOS["dagger"].nodes({"beta": "3"})
    with pytest.raises(ValueError, match="end_at:=7: a number from 0 to 1 is needed"):
        SCENARIOS["dagger"].nodes({"success_model": "reward", "end_at": "7"})


@pytest.mark.parametrize("namespace", ["a//b", "a b", "1st", "left/", "//", "a-b"])
def test_a_namespace_that_ros_does_not_take_is_refused_by_name(namespace):
    with pytest.raises(
        ValueError, match=rf"namespace:={namespace} must be names of letters, digits and under"
    ):
        SCENARIOS["sim"].nodes({"namespace": namespace})
    for right in ("", "/", "left", "/fleet/left_2"):
        SCENARIOS["sim"].nodes({"namespace": right})


def test_the_simulator_publishes_a_camera_on_request_if_the_contract_observes_it(tmp_path):
    text = share.path("config", "contracts", "arm_push_images.yaml").read_text()
    own = tmp_path / "side.yaml"
    own.write_text(text.replace("wrist_camera/", "side_camera/"))
    for named, wanted in ((str(own), "side"), ("arm_push_images", None), ("", None), ("no.yaml", None)):
        nodes = SCENARIOS["record"].nodes({"task": "push", "contract": named})
        (sim,) = (spec for spec in nodes if spec.name == "sim")
        assert sim.parameters.get("more_cameras") == wanted


def test_a_persons_session_records_the_simulators_cameras():
    both = "overhead_camera/image_raw wrist_camera/image_raw"
    assert parameter("dagger", "recorder", "camera_topics") == both
    assert parameter("dagger", "recorder", "camera_topics", task="drive") == "camera/image_raw"
    for scenario, given in (("dagger", {"cameras": "false"}), ("record", {"episodes": "3"})):
        nodes = SCENARIOS[scenario].nodes(given)
        (recorder,) = (spec for spec in nodes if spec.name == "recorder")
        assert "camera_topics" not in recorder.parameters
