"""Service ~/reload of the policy server: another checkpoint is loaded in a thread."""

import json
import threading

import made_versions as made
import pytest
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import contract, files
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.policies import checkpoint, lineage

STRING = "std_msgs/msg/String"
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
OTHER = (1.0, 1.0)
LONG_S = 60.0


class Server:
    """A policy server with v1, and a robot that ticks at 20 Hz."""

    def __init__(self, graph, folder):
        self.graph, self.folder = graph, folder
        self._verdicts = graph.received("policy_server/version", STRING, LATCHED)
        self.node = graph.start(PolicyServer, checkpoint=self.write("v1", made.RIGHT))
        self.robot = made.Robot(graph).ready()
        self.robot.run()
        self.until_version("v1")

    def write(self, name, answer, own=made.CONTRACT, hidden=(4,)):
        policy = made.constant_policy(own, answer, name, hidden=hidden)
        checkpoint.save(self.folder / name, policy)
        return str(self.folder / name)

    def reload(self, path):
        self.node.set_parameters([Parameter("checkpoint", value=str(path))])
        return self.graph.call("policy_server/reload", Trigger)

    def verdict(self, name):
        def found():
            verdicts = [json.loads(message.data)["verdict"] for message in self._verdicts]
            return next((each for each in verdicts if each["version"] == name), None)

        return self.graph.until(found, f"the verdict on {name}", LONG_S)

    def until_version(self, name):
        def proposed():
            return self.robot.proposals and self.robot.proposals[-1].version == name

        self.graph.until(proposed, f"{name} proposes", LONG_S)


@pytest.fixture
def server(graph, tmp_path):
    return Server(graph, tmp_path)


def test_a_reload_swaps_the_policy_between_two_ticks_and_reports_it(server):
    response = server.reload(server.write("v2", OTHER))
    assert response.success
    assert response.message.endswith("v2; ~/version reports when it is in control")
    assert server.verdict("v2") == {"version": "v2", "state": "active", "reason": "reloaded", "checks": {}}
    server.until_version("v2")
    assert server.robot.proposals[-1].chunk[0].tolist() == list(OTHER)


def test_every_tick_is_answered_while_a_large_checkpoint_loads_slowly(server, monkeypatch):
    """Reading the weights takes until `read` is set, as from a slow disk."""
    folder = server.write("v2", OTHER, hidden=(1500, 1500))  # 9 MB
    read, read_bytes = threading.Event(), files.read_bytes

    def slowly(path, most):
        assert path.name != checkpoint.MODEL or read.wait(LONG_S)
        return read_bytes(path, most)

    monkeypatch.setattr(files, "read_bytes", slowly)
    assert server.reload(folder).success
    count = len(server.robot.proposals)
    server.graph.until(lambda: len(server.robot.proposals) > count + 10, "ticks answered meanwhile", LONG_S)
    assert server.node.status().values["examining"] == "v2"
    read.set()
    server.until_version("v2")
    server.robot.rest()
    proposals = server.robot.proposals
    begun = [stamp for stamp in server.robot.stamps if stamp >= proposals[0].stamp_ns]
    assert [each.stamp_ns for each in proposals] == begun  # one for each tick
    versions = [each.version for each in proposals]
    assert versions == sorted(versions)
    answers = {"v1": list(made.RIGHT), "v2": list(OTHER)}
    assert all(each.chunk[0].tolist() == answers[each.version] for each in proposals)


def test_a_failed_reload_keeps_the_old_policy_with_the_reason(server):
    response = server.reload("/nowhere")
    assert not response.success
    assert "no such folder" in response.message
    faster = contract.parse(made.TEXT.replace("rate_hz: 20", "rate_hz: 40"), "faster")
    assert server.reload(server.write("v2", OTHER, faster)).success
    verdict = server.verdict("v2")
    assert verdict["state"] == "refused"
    assert "rate_hz: 20.0 here, 40.0 there" in verdict["reason"]
    count = len(server.robot.proposals)
    server.graph.until(lambda: len(server.robot.proposals) > count + 2, "ticks", LONG_S)
    assert server.robot.proposals[-1].version == "v1"


def test_a_failed_reload_is_no_verdict_on_the_version(server):
    """For example half copied: a second reload finds it complete."""
    run = made.version(server.folder / "policies", 2, OTHER)
    weights = run / "checkpoint" / checkpoint.MODEL
    raw = weights.read_bytes()
    weights.write_bytes(raw[:-8])
    assert server.reload(run).success
    assert "checksum" in server.verdict("v2")["reason"]
    assert lineage.read(run).state != "refused"
    weights.write_bytes(raw)
    assert server.reload(run).success
    server.until_version("v2")
