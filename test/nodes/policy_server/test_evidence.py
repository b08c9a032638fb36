"""Which decisions count against a version, and the pardon of one, on a real graph."""

import made_versions as made
import pytest
from announced_versions import LONG_S, STRING, PromotionRig

from il_ros.cli.main import main
from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.policy_server.versions import LOOK_S
from il_ros.nodes.runtime.diagnostics import ERROR
from il_ros.policies import lineage
from il_ros.records.decision import Decision, to_json

DECISIONS = "dagger_supervisor/decision"
MS = 1_000_000


class Supervisor:
    """Publishes decisions as a supervisor would, with an intervention in every second."""

    def __init__(self, rig, name):
        self.rig = rig
        self.node = rig.graph.outside
        self._publish = rig.graph.publisher(DECISIONS, STRING, 50)
        self.version = name
        rig.graph.until(lambda: self._publish.count() == 1, "the policy server's subscription")

    def say(self, *authorities, ahead_ns=0):
        for authority in authorities:
            stamp_ns = self.node.get_clock().now().nanoseconds + ahead_ns
            version = self.version if authority == "policy" else ""
            made_one = Decision(stamp_ns, stamp_ns, authority, "why", version=version, mode="hg_dagger")
            self._publish(messages.make(STRING, data=to_json(made_one)))
            self.rig.graph.spin(0.005)


@pytest.fixture
def rig(graph, tmp_path):
    """v1 has driven for a minute without an intervention, and v2 drives."""
    first = made.version(tmp_path / "policies", 1, held_out=["episode_000002"])
    told = lineage.read(first)
    lineage.write(first, lineage.Lineage(told.version, "", told.data, driven_s=60.0))
    rig = PromotionRig(graph, tmp_path, first=None, checkpoint=str(first))
    rig.judged(2)
    return rig


def looked(rig, times=2):
    """Spin until the server has looked at the decisions."""
    rig.graph.spin(times * LOOK_S + 0.3)


FOUR = ("policy", "policy", "expert") * 4


def test_interventions_told_by_the_only_supervisor_roll_a_version_back(rig):
    supervisor = Supervisor(rig, "v2")
    supervisor.say(*FOUR)
    rig.graph.until(lambda: lineage.read(rig.folder / "v2").state == "rolled back", "the roll-back", LONG_S)


def test_forged_decisions_beside_the_supervisors_roll_nothing_back(rig):
    supervisor = Supervisor(rig, "v2")
    looked(rig)
    forger = rig.graph.outside.create_publisher(supervisor_type(), DECISIONS, 50)
    rig.graph.until(lambda: rig.graph.outside.count_publishers(DECISIONS) == 2, "the forger")
    supervisor.say(*FOUR * 3)
    looked(rig)
    values = rig.node.status().values
    assert (values["version"], values["interventions per minute"]) == ("v2", 0)
    assert values["not counted because"] == "2 nodes publish them"
    rig.graph.outside.destroy_publisher(forger)
    looked(rig)
    assert rig.node.status().values["not counted because"] == ""
    assert lineage.read(rig.folder / "v2").interventions == 0


def test_before_simulated_time_arrives_no_decision_is_judged(graph, tmp_path):
    """As after a restart of the server: the first decisions may overtake the first /clock."""
    first = made.version(tmp_path / "policies", 1, held_out=["episode_000002"])
    rig = PromotionRig(graph, tmp_path, first=None, checkpoint=str(first), use_sim_time=True)
    supervisor = Supervisor(rig, "v1")
    doubts = set()
    for _ in range(20):
        supervisor.say(*FOUR)
        looked(rig, 0.1)
        doubts.add(rig.node.status().values["not counted because"])
    assert doubts == {""}
    assert rig.node.status().values["driven [s]"] == 0.0


def test_a_forger_that_comes_and_goes_between_two_looks_is_found(rig):
    supervisor = Supervisor(rig, "v2")
    looked(rig)
    forger = rig.graph.outside.create_publisher(supervisor_type(), DECISIONS, 50)
    rig.graph.until(lambda: forger.get_subscription_count() == 1, "the forger's match")
    supervisor.say(*FOUR)
    rig.graph.outside.destroy_publisher(forger)
    looked(rig)
    assert lineage.read(rig.folder / "v2").interventions == 0


def test_decisions_stamped_an_hour_ahead_roll_nothing_back(rig):
    supervisor = Supervisor(rig, "v2")
    looked(rig)
    supervisor.say(*FOUR, ahead_ns=3600 * 1000 * MS)
    rig.graph.until(lambda: rig.node.status().values["not counted because"], "the doubt", LONG_S)
    assert "3600 s ahead of this node's clock" in rig.node.status().values["not counted because"]
    looked(rig)
    assert lineage.read(rig.folder / "v2").state == "active"


def test_a_pardoned_version_may_drive_again(rig, capsys):
    run = rig.folder / "v2"
    rig.roll_back()
    assert lineage.read(run).state == "rolled back"
    rig.announce(run)
    looked(rig)
    assert rig.node.status().values["version"] == "v1"
    assert main(["policy", "pardon", "v2", str(rig.folder)]) == 0
    assert "v2 was rolled back (requested); now it counts as trained." in capsys.readouterr().out
    looked(rig)
    rig.announce(run)
    rig.graph.until(lambda: rig.node.status().values["version"] == "v2", "v2 in control", LONG_S)
    told = lineage.read(run)
    assert (told.state, told.pardons, told.interventions) == ("active", 1, 0)


def test_a_second_policy_server_is_told_by_both(graph, tmp_path):
    run = made.version(tmp_path / "policies", 1)
    both = [
        graph.start(PolicyServer, checkpoint=str(run), versions=str(tmp_path / "policies")) for _ in range(2)
    ]
    for node in both:
        found = graph.until(
            lambda node=node: (lambda s: s if s.level == ERROR else None)(node.status()), "it", LONG_S
        )
        assert found.message == (
            "another node of this name (or one that was just killed) publishes on /policy_server/version, "
            "too; two policy servers contradict each other, stop one of them"
        )


def supervisor_type():
    from std_msgs.msg import String

    return String
