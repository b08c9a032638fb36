"""config/nodes: each node's file lists exactly its declared parameters, at their defaults."""

import re

import pytest
import yaml

from il_ros.core import share
from il_ros.nodes.action_client.node import ActionClientNode
from il_ros.nodes.conductor.node import Conductor
from il_ros.nodes.judge.node import JudgeNode
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.session.node import Session
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.gz_node import SimGz
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.nodes.teleop.keyboard_node import TeleopKeyboard
from il_ros.nodes.teleop.leader_node import TeleopLeader
from il_ros.nodes.teleop.targets import Teleop
from il_ros.nodes.trainer.node import Trainer

EVERYWHERE = {"use_sim_time", "start_type_description_service", "realtime_priority"}
LATER = {"supervisor_status", "device"}
"""Declared at activation of the policy server, which has no policy here; read before the node exists."""
CHOSEN = {"deadzone", "alignment", "joy_buttons"}
"""Parameters for which the files differ from the node's defaults."""


def flat(values, before=""):
    """Return nested parameters by dotted name."""
    found = {}
    for name, item in values.items():
        found |= flat(item, f"{before}{name}.") if isinstance(item, dict) else {before + name: item}
    return found


@pytest.mark.parametrize(
    ("name", "node_class", "needed"),
    [
        ("action_client", ActionClientNode, ()),
        ("conductor", Conductor, ()),
        ("dagger_supervisor", DaggerSupervisor, ("contract",)),
        ("judge", JudgeNode, ()),
        ("policy_server", PolicyServer, ("candidates",)),
        ("recorder", Recorder, ()),
        ("scripted_expert", ScriptedExpert, ("contract", "task")),
        ("session", lambda **kwargs: Session(None, **kwargs), ()),
        ("sim", Sim, ("seed",)),  # each reset counts it up
        ("sim_gz", SimGz, ()),
        ("teleop", Teleop, ("contract",)),
        ("teleop_joy", TeleopJoy, ("contract", "axes")),
        ("teleop_keyboard", lambda **kwargs: TeleopKeyboard(None, **kwargs), ("contract", "keys_topic")),
        ("teleop_leader", TeleopLeader, ("contract", "joints")),
        ("trainer", Trainer, ()),
    ],
)
def test_the_shipped_file_holds_every_parameter_at_its_default(
    graph, tmp_path, monkeypatch, name, node_class, needed
):
    monkeypatch.chdir(tmp_path)
    text = share.path("config", "nodes", f"{name}.yaml").read_text(encoding="utf-8")
    written = flat(yaml.safe_load(text)["/**"]["ros__parameters"])
    commented = set(re.findall(r"^    # (\w+):", text, re.MULTILINE))  # ROS cannot write an empty list
    given = {"contract": "arm_push", "keys_topic": "keys", "candidates": "trainer/checkpoint", "seed": 0}
    node = graph.start(node_class, **{key: written.get(key) or given[key] for key in needed})
    declared = {key: parameter.value for key, parameter in node._parameters.items() if key not in EVERYWHERE}
    assert set(written) | commented >= set(declared)
    assert set(written) - EVERYWHERE - LATER <= set(declared)
    alike = declared.keys() & written.keys() - CHOSEN - set(needed)
    assert {key: declared[key] for key in alike} == {key: written[key] for key in alike}
