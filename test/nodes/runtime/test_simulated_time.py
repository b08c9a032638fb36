"""Simulated time without /clock is said by every node, and a second /clock is refused."""

import importlib

import numpy as np
import pytest
from rosgraph_msgs.msg import Clock
from sim_node import started
from std_srvs.srv import Trigger

from il_ros.core import contract, messages
from il_ros.core.processes.executables import NODES
from il_ros.core.specs import JOINT_STATE
from il_ros.nodes.env.link import Link, RosEnvError
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.recorder.node import Recorder
from il_ros.nodes.runtime import managed, publishers, shell
from il_ros.nodes.runtime.diagnostics import ERROR, WARN
from il_ros.nodes.sim.expert_node import ScriptedExpert
from il_ros.nodes.sim.node import Sim
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.nodes.trainer.node import Trainer

STATUS = "diagnostic_msgs/msg/DiagnosticArray"
NO_CLOCK = (
    "use_sim_time is set, but nothing publishes /clock: time stands still. Start the simulator, or set "
    "use_sim_time to false"
)


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    monkeypatch.setattr(publishers, "CLOCK_DISCOVERY_S", 0.05)
    monkeypatch.setattr(publishers, "FIRST_TIME_S", 0.1)


@pytest.mark.parametrize("name", sorted(NODES.keys() - {"teleop"}))  # any Teleop
def test_every_node_has_the_check(name):
    module = importlib.import_module(NODES[name])
    classes = [kind for kind in vars(module).values() if isinstance(kind, type)]
    assert [kind for kind in classes if issubclass(kind, shell.Shell) and kind.__module__ == module.__name__]


@pytest.mark.parametrize(
    ("kind", "given"),
    [
        (Recorder, {"contract": "", "root": ""}),
        (DaggerSupervisor, {"contract": ""}),
        (PolicyServer, {"contract": ""}),
        (Trainer, {"root": ""}),
        (ScriptedExpert, {"task": "drive", "contract": "drive"}),
    ],
)
def test_without_a_clock_the_node_says_so_on_diagnostics(graph, contract_file, kind, given, tmp_path):
    paths = {"contract": str(contract_file), "root": str(tmp_path)}
    node = graph.start(
        kind, use_sim_time=True, **{name: value or paths[name] for name, value in given.items()}
    )
    found = graph.received("/diagnostics", STATUS)

    def reported():
        return any(status.message == NO_CLOCK for array in found for status in array.status)

    graph.until(reported, f"what {node.get_name()} says about /clock")
    (level,) = {status.level for array in found for status in array.status if status.message == NO_CLOCK}
    assert bytes([level]) == ERROR
    clock = graph.outside.create_publisher(Clock, "/clock", 1)

    def silent():
        message = Clock()
        message.clock.sec = 5
        clock.publish(message)
        return found and found[-1].status[0].message != NO_CLOCK

    graph.until(silent, "the end of the complaint")


def test_a_simulator_that_is_still_starting_is_no_error(graph, contract_file, monkeypatch):
    monkeypatch.setattr(publishers, "FIRST_TIME_S", 1000.0)
    node = graph.start(DaggerSupervisor, contract=str(contract_file), use_sim_time=True)
    yet = "no time on /clock yet: is the simulator still starting?"
    graph.until(lambda: node._status_with_errors().message == yet, "what the node says about /clock")
    assert node._status_with_errors().level == WARN
    assert node._last_error is None


def test_without_simulated_time_there_is_nothing_to_say(graph, contract_file):
    node = graph.start(DaggerSupervisor, contract=str(contract_file))
    graph.spin(0.2)
    assert (node.simulated_time.missing(), node.simulated_time.twice()) == ("", "")


def test_the_environment_says_so_when_it_waits_in_vain(contract_file):
    link = Link(contract.load(contract_file), "env", "", clock="/clock", lockstep=False, source="policy")
    try:
        with pytest.raises(RosEnvError) as caught:
            link.until(lambda: False, 0.5, "the first frame")
    finally:
        link.close()
    assert str(caught.value) == f"the first frame: not within 0.5 s; {NO_CLOCK}"


def test_a_second_simulator_is_refused(graph):
    sim = started(graph)
    with pytest.raises(managed.Refusal, match=r"publishes on /clock; only one node may publish it: stop one"):
        graph.start(Sim, task="drive", cameras=False)
    assert graph.outside.count_publishers("/clock") == 1
    before_ns = sim.task.time_ns
    graph.until(lambda: sim.task.time_ns > before_ns, "the first one's next step")


def test_a_second_clock_that_appears_during_a_take_is_named_in_its_fault(graph, contract_file, tmp_path):
    recorder = graph.start(
        Recorder, contract=str(contract_file), root=str(tmp_path), use_sim_time=True, discovery_s=0.0
    )
    first = graph.outside.create_publisher(Clock, "/clock", 1)
    joints = graph.publisher("joint_states", JOINT_STATE)
    graph.in_line(joints)

    def at(publisher, sec):
        message = Clock()
        message.clock.sec = sec
        publisher.publish(message)
        graph.until(lambda: recorder.get_clock().now().nanoseconds == sec * 10**9, f"{sec} s")

    graph.until(first.get_subscription_count, "the recorder's subscription")
    at(first, 500)
    head = messages.header(500 * 10**9)
    joints(messages.make(JOINT_STATE, header=head, name=["joint1", "joint2"], position=np.zeros(2)))
    graph.settle()
    started = graph.call("recorder/start", Trigger)
    assert started.success, started.message
    second = graph.outside.create_publisher(Clock, "/clock", 1)
    graph.until(lambda: recorder.simulated_time.twice(), "both clocks")
    graph.until(second.get_subscription_count, "the recorder's subscription")
    at(second, 37)
    graph.until(lambda: recorder.status().level == ERROR, "the fault")
    both = "/outside and /outside both publish /clock, so time jumps between the two: stop one of them"
    assert f"the recorder's clock was set back by 463.000 s: {both}" in recorder.status().message


def test_with_two_clocks_nothing_is_activated_or_recorded(graph, contract_file, tmp_path):
    recorder = graph.start(
        Recorder, contract=str(contract_file), root=str(tmp_path), use_sim_time=True, discovery_s=0.0
    )
    clocks = [graph.outside.create_publisher(Clock, "/clock", 1) for _ in range(2)]
    graph.until(lambda: recorder.simulated_time.twice(), "both clocks")
    message = Clock()
    message.clock.sec = 5
    clocks[0].publish(message)
    graph.until(lambda: recorder.get_clock().now().nanoseconds, "the time")
    answer = graph.call("recorder/start", Trigger)
    both = "/outside and /outside both publish /clock, so time jumps between the two: stop one of them"
    assert (answer.success, answer.message) == (False, f"not started, {both}")
    recorder.trigger_deactivate()
    recorder.trigger_activate()
    assert recorder.state == "inactive"
    graph.outside.destroy_publisher(clocks[1])
    graph.until(lambda: not recorder.simulated_time.twice(), "one clock alone")
    recorder.trigger_activate()
    assert recorder.state == "active"
