"""config/security: the SROS2 policies allow each node what it does on a real graph, and only one node the commands."""

import hand_rewards
import pytest
from made_versions import constant_policy
from security_policy import callers_of, forbidden, publishers_of

from il_ros.core import contract, share
from il_ros.nodes.judge.node import JudgeNode
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.session.node import Session
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.nodes.trainer.node import Trainer
from il_ros.policies import checkpoint
from il_ros.rewards import checkpoint as rewards

SIMULATOR = {"/sim/pause", "/sim/reset", "/sim/set_parameters"}
"""Services that a session asks for only beside the simulator."""


@pytest.fixture
def started(graph, tmp_path):
    def start(name):
        drive = {"contract": "drive"}
        saved = tmp_path / "policy"
        own = contract.load(share.path("config", "contracts", "drive.yaml"))
        if name == "policy_server":
            checkpoint.save(saved, constant_policy(own, (0.0, 0.0), "v1"))
        if name == "judge":
            rewards.save(tmp_path / "reward", hand_rewards.success(own, key="scan"))
        return {
            "dagger_supervisor": lambda: graph.start(
                DaggerSupervisor, **drive, discovery_s=0.0, judge_topic="judge/rating"
            ),
            "policy_server": lambda: graph.start(
                PolicyServer, **drive, checkpoint=str(saved), candidates="trainer/checkpoint"
            ),
            "recorder": lambda: graph.start(
                Recorder,
                **drive,
                root=str(tmp_path / "episodes"),
                discovery_s=0.0,
                judge_topic="judge/rating",
            ),
            "judge": lambda: graph.start(JudgeNode, **drive, success=str(tmp_path / "reward")),
            "trainer": lambda: graph.start(
                Trainer, root=str(tmp_path), checkpoint=str(tmp_path / "versions")
            ),
            "session": lambda: graph.start(
                lambda **given: Session(None, **given), **drive, judge_topic="judge/rating"
            ),
            "expert": lambda: graph.start(ScriptedExpert, **drive, task="drive"),
            "teleop_joy": lambda: graph.start(TeleopJoy, **drive, axes=["base/linear.x 1 0.4"]),
        }[name]()

    return start


@pytest.mark.parametrize(
    "name",
    ["dagger_supervisor", "policy_server", "recorder", "judge", "trainer", "session", "expert", "teleop_joy"],
)
def test_a_node_is_allowed_all_that_it_does(graph, started, name):
    assert forbidden(graph, started(name), SIMULATOR) == {}


def test_only_one_node_commands_decides_announces_and_proposes():
    assert publishers_of("/cmd_vel") == {"dagger_supervisor"}
    assert publishers_of("/dagger_supervisor/decision") == {"dagger_supervisor"}
    assert publishers_of("/trainer/checkpoint") == {"trainer"}
    assert publishers_of("/policy_server/proposal") == {"policy_server"}
    assert publishers_of("/expert/proposal") == {"expert"}
    assert publishers_of("/judge/rating") == {"judge"}
    assert callers_of("/gripper_controller/gripper_cmd") == {"gripper_client"}
