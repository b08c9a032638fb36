"""config/security: the SROS2 policies allow each node what it does on a real graph, and only one node the commands."""

from xml.etree import ElementTree

import pytest
from made_versions import constant_policy

from il_ros.core import contract, share
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.session.node import Session
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.nodes.trainer.node import Trainer
from il_ros.policies import checkpoint

POLICY = ElementTree.parse(share.path("config", "security", "drive.policy.xml")).getroot()
SIMULATOR = {"/sim/pause", "/sim/reset", "/sim/set_parameters"}
"""Services that a session asks for only beside the simulator."""


def allowed(node, kind, right):
    """Return the full names that the policy allows the node, as `topics` or `services` with a `right`."""
    (profile,) = [each for each in POLICY.iter("profile") if each.get("node") == node]
    expressions = [
        item.text for group in profile.findall(kind) if group.get(right) == "ALLOW" for item in group
    ]
    return {
        f"/{node}{text[1:]}" if text[0] == "~" else text if text[0] == "/" else f"/{text}"
        for text in expressions
    }


def publishers_of(topic):
    nodes = {profile.get("node") for profile in POLICY.iter("profile")}
    return {node for node in nodes if topic in allowed(node, "topics", "publish")}


@pytest.fixture
def started(graph, tmp_path):
    def start(name):
        drive = {"contract": "drive"}
        saved = tmp_path / "policy"
        if name == "policy_server":
            own = contract.load(share.path("config", "contracts", "drive.yaml"))
            checkpoint.save(saved, constant_policy(own, (0.0, 0.0), "v1"))
        return {
            "dagger_supervisor": lambda: graph.start(DaggerSupervisor, **drive, discovery_s=0.0),
            "policy_server": lambda: graph.start(
                PolicyServer, **drive, checkpoint=str(saved), candidates="trainer/checkpoint"
            ),
            "recorder": lambda: graph.start(
                Recorder, **drive, root=str(tmp_path / "episodes"), discovery_s=0.0
            ),
            "trainer": lambda: graph.start(
                Trainer, root=str(tmp_path), checkpoint=str(tmp_path / "versions")
            ),
            "session": lambda: graph.start(lambda **given: Session(None, **given), **drive),
            "expert": lambda: graph.start(ScriptedExpert, **drive, task="drive"),
            "teleop_joy": lambda: graph.start(TeleopJoy, **drive, axes=["base/linear.x 1 0.4"]),
        }[name]()

    return start


@pytest.mark.parametrize(
    "name", ["dagger_supervisor", "policy_server", "recorder", "trainer", "session", "expert", "teleop_joy"]
)
def test_a_node_is_allowed_all_that_it_does(graph, started, name):
    node = started(name)
    own, space = node.get_name(), node.get_namespace()
    graph.until(lambda: graph.outside.get_publisher_names_and_types_by_node(own, space), "the node is seen")
    does = {
        ("topics", "publish"): node.get_publisher_names_and_types_by_node,
        ("topics", "subscribe"): node.get_subscriber_names_and_types_by_node,
        ("services", "reply"): node.get_service_names_and_types_by_node,
        ("services", "request"): node.get_client_names_and_types_by_node,
    }
    for (kind, right), look in does.items():
        found = {topic for topic, _ in look(own, space)} - SIMULATOR
        assert found or right == "request"
        assert found - allowed(own, kind, right) == set(), (kind, right)


def test_only_one_node_commands_decides_announces_and_proposes():
    assert publishers_of("/cmd_vel") == {"dagger_supervisor"}
    assert publishers_of("/dagger_supervisor/decision") == {"dagger_supervisor"}
    assert publishers_of("/trainer/checkpoint") == {"trainer"}
    assert publishers_of("/policy_server/proposal") == {"policy_server"}
    assert publishers_of("/expert/proposal") == {"expert"}
