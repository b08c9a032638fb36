"""Two commanding nodes: a second supervisor is refused, and another publisher silences the first."""

import pytest
from std_msgs.msg import Float64MultiArray
from supervised import PATIENT_S, Session

from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records.decision import NOBODY

POLICY = (-0.02, 0.0, -0.1)
POLICY_SAYS = {"policy": POLICY, "version": "v1", "uncertainty": 0.25}


class Second(DaggerSupervisor):
    """A second supervisor with another name."""

    def __init__(self, **kwargs):
        super().__init__(cli_args=["--ros-args", "-r", "__node:=second"], **kwargs)


@pytest.fixture
def session(graph, contract_file, recorded):
    """A recorded session in which the policy drives."""
    session = Session(graph, contract_file, mode="policy", silence_s=PATIENT_S)
    session.until_driven_by("policy", **POLICY_SAYS)
    recorded.start()
    return session


def test_a_second_supervisor_is_refused_and_the_first_continues(graph, session, contract_file, recorded):
    session.tick(**POLICY_SAYS)
    second = graph.start(Second, contract=str(contract_file), mode="policy", discovery_s=1.0)
    assert second.state == "inactive"
    assert "/dagger_supervisor publishes on /arm/commands" in second.status().message
    for _ in range(10):
        session.tick(**POLICY_SAYS)
    assert session.rig.node.state == "active"
    # `Recorded` checks that every command in the bag is a decision of the first supervisor
    assert recorded.stop().account == [("policy", POLICY, None, POLICY, "v1", 0.25, 0)] * 11
    session.rig.node.trigger_deactivate()
    second.trigger_activate()
    assert second.state == "active"  # the first one is gone


def test_another_commanding_node_silences_the_supervisor_which_can_be_activated_again(
    graph, session, recorded
):
    rig = session.rig
    session.tick(**POLICY_SAYS)
    other = graph.outside.create_publisher(Float64MultiArray, "arm/commands", 1)
    graph.until(lambda: rig.node.state == "inactive", "the supervisor's silence")
    assert "/outside publishes on /arm/commands" in rig.node.status().message
    assert rig.node.status().level == b"\x02"
    graph.until(lambda: rig.base[-1].twist.linear.x == 0.0, "the base's last command")
    graph.outside.destroy_publisher(other)
    graph.until(lambda: not graph.outside.count_publishers("arm/commands"), "its end")
    rig.node.trigger_activate()
    assert rig.node.state == "active"
    session.ready()
    session.until_driven_by("policy", **POLICY_SAYS)
    kept = recorded.stop()
    driving = ("policy", POLICY, None, POLICY, "v1", 0.25)
    assert [row[:6] for row in (kept.account[0], kept.account[-1])] == [driving] * 2
    stop = kept.decisions[1]
    assert (stop.authority, stop.sent, stop.reason) == (NOBODY, (-0.02, 0.0, 0.0), "deactivated")
    assert stop.stamp_ns == kept.decisions[0].stamp_ns + 1  # the clock had stopped
