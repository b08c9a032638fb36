"""The emergency stop by consoles, and under floods of messages, on a real graph."""

import subprocess
import sys

import pytest
from std_srvs.srv import SetBool, Trigger
from supervised import Rig

from il_ros.control.supervisor.estop import ConsoleState, console_text
from il_ros.core import messages
from il_ros.core.specs import STRING
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records.decision import NOBODY, from_json


@pytest.fixture
def rig(graph, contract_file):
    return Rig(graph, contract_file, console_timeout_s=0.6).ready()


@pytest.fixture
def console(rig):
    publish = rig.graph.publisher("dagger_supervisor/console", STRING)
    rig.graph.until(publish.count, "the supervisor's subscription")
    return lambda state: publish(messages.make(STRING, data=console_text("/session", state)))


def driving(rig):
    rig.measure(0.0, 0.0)
    assert rig.answered("policy", 0.02, 0.0, 0.3).sent[2] == 0.3


def stopped(rig, reason):
    rig.graph.until(lambda: reason in rig.decisions[-1].reason, f"a stop: {reason}")
    assert (rig.decisions[-1].authority, rig.decisions[-1].sent[2]) == (NOBODY, 0.0)
    rig.graph.until(lambda: rig.base[-1].twist.linear.x == 0.0, "the base's zero velocity")


@pytest.mark.parametrize(
    ("state", "reason"),
    [
        (ConsoleState.STOP, "emergency stop pressed (/session)"),
        (ConsoleState.SUSPENDED, "console /session suspended"),
        (ConsoleState.CLOSED, "console /session closed"),
    ],
)
def test_a_console_stops_the_robot_at_once_and_a_person_releases_it(rig, console, state, reason):
    console(ConsoleState.HERE)
    driving(rig)
    console(state)
    stopped(rig, reason)
    assert rig.graph.call("dagger_supervisor/reset_estop", Trigger).success


def test_a_console_that_falls_silent_is_lost_and_the_robot_stops(rig, console):
    driving(rig)
    console(ConsoleState.HERE)
    stopped(rig, "console /session lost, silent for")


def test_a_console_that_a_person_left_stops_nothing(rig, console):
    console(ConsoleState.HERE)
    console(ConsoleState.LEFT)
    driving(rig)
    rig.graph.spin(1.0)
    assert rig.node._supervision.estop.latched == ""


def test_an_unreadable_console_message_is_named_and_stops_nothing(rig):
    publish = rig.graph.publisher("dagger_supervisor/console", STRING)
    rig.graph.until(publish.count, "the supervisor's subscription")
    publish(messages.make(STRING, data="/session gone"))
    rig.graph.until(lambda: rig.node._last_error, "the error")
    assert "not a console's message, 'NAME STATE'" in rig.node._last_error[1]
    driving(rig)


def test_a_supervisor_at_rest_drives_only_after_the_service(graph, contract_file):
    rig = Rig(graph, contract_file, start="rest").ready()
    rig.measure(0.0, 0.0)
    resting = rig.propose("policy", 0.02, 0.0, 0.3)
    assert (resting.authority, resting.sent) == (NOBODY, None)
    assert rig.statuses[-1]["at_rest"] is True
    assert graph.call("dagger_supervisor/drive", SetBool, data=True).message == "the sources may drive"
    assert rig.answered("policy", 0.02, 0.0, 0.3).sent[2] == 0.3
    graph.until(lambda: rig.statuses[-1]["at_rest"] is False, "the status")
    assert graph.call("dagger_supervisor/estop", SetBool, data=True).success
    stopped(rig, "emergency stop pressed (service)")
    refused = graph.call("dagger_supervisor/drive", SetBool, data=True)
    assert not refused.success
    assert refused.message == "emergency stop pressed (service); release the emergency stop first"
    graph.call("dagger_supervisor/estop", SetBool, data=False)
    assert graph.call("dagger_supervisor/reset_estop", Trigger).success
    assert rig.propose("policy", 0.02, 0.0, 0.3).authority == NOBODY  # a release moves nothing
    graph.until(lambda: rig.statuses[-1]["at_rest"] is True, "rest again")


def test_each_stop_is_logged_also_with_the_reason_of_the_one_before(graph, contract_file, capfd):
    supervisor = graph.start(DaggerSupervisor, contract=str(contract_file), autostart=False)
    for _ in range(2):
        for pressed in (True, False):
            assert graph.call("dagger_supervisor/estop", SetBool, data=pressed).success
        assert graph.call("dagger_supervisor/reset_estop", Trigger).success
    assert supervisor.state == "unconfigured"
    assert capfd.readouterr().err.count("emergency stop pressed (service)") == 2


FLOOD = """
import sys, time
import numpy as np, rclpy
from rclpy.qos import QoSProfile
from il_ros.core import contract, messages
from il_ros.nodes.runtime import process
from il_ros.nodes.runtime.streams import message_class
from il_ros.records import proposal
what, file = sys.argv[1:]
process.set_dds_profile()
rclpy.init()
own, stamp = contract.load(file), time.time_ns()
chunk = proposal.Proposal("policy", stamp, np.zeros((1, 3)))
topic, kind, raw = {
    "proposals": ("policy_server/proposal", proposal.TYPE,
                  proposal.encode(chunk, own.action_names, own.period_ns)),
    "garbage": ("policy_server/proposal", proposal.TYPE, messages.encode(proposal.TYPE,
                messages.make(proposal.TYPE, header=messages.header(stamp)))),
    "releases of the stop": ("dagger_supervisor/estop", "std_msgs/msg/Bool",
                             messages.encode("std_msgs/msg/Bool", messages.make("std_msgs/msg/Bool", data=False))),
    "consoles": ("dagger_supervisor/console", "std_msgs/msg/String",
                 messages.encode("std_msgs/msg/String", messages.make("std_msgs/msg/String", data="/x gone"))),
}[what]
publisher = rclpy.create_node("flood").create_publisher(message_class(kind), topic, QoSProfile(depth=100))
while True:
    publisher.publish(raw)
"""


@pytest.mark.parametrize("flood", ["proposals", "garbage", "releases of the stop", "consoles"])
def test_the_service_stops_the_robot_without_any_console_also_in_a_flood(graph, contract_file, flood):
    words = [sys.executable, "-m", "il_ros.nodes.supervisor.node", "--ros-args"]
    words += ["-p", f"contract:={contract_file}", "-p", "discovery_s:=0.1"]
    supervisor = subprocess.Popen(words, stderr=subprocess.DEVNULL)
    flooding = subprocess.Popen([sys.executable, "-c", FLOOD, flood, str(contract_file)])
    try:
        client = graph.outside.create_client(SetBool, "dagger_supervisor/estop")
        graph.until(client.service_is_ready, "the supervisor")
        graph.until(lambda: graph.outside.get_node_names().count("flood"), "the flood")
        graph.spin(3.0)  # a queue that grows needs time to grow
        answer = client.call_async(SetBool.Request(data=True))
        # usually 10 ms; the discovery of the client and a busy machine may add seconds, a growing queue adds more
        graph.until(answer.done, "the answer of the service", timeout_s=8.0)
        assert answer.result().message.startswith("emergency stop pressed (service)")
        texts = graph.received("dagger_supervisor/decision", STRING, 10)
        graph.until(lambda: texts and from_json(texts[-1].data).reason, "a decision", timeout_s=8.0)
        assert from_json(texts[-1].data).reason.startswith("emergency stop pressed (service)")
        assert flooding.poll() is None
    finally:
        for each in (flooding, supervisor):
            each.kill()
            each.wait(10)
