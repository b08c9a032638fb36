"""A promoted version that needs interventions is rolled back, on a real graph."""

import json
from dataclasses import replace

import made_versions as made
import numpy as np
from rclpy.parameter import Parameter
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.nodes.policy_server.node import PolicyServer
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.policies import lineage
from il_ros.records import proposal
from il_ros.records.decision import from_json

STRING, CLOCK = "std_msgs/msg/String", "rosgraph_msgs/msg/Clock"
LATCHED = QoSProfile(depth=10, durability=DurabilityPolicy.TRANSIENT_LOCAL)
LONG_S = 60.0
WRONG = (0.75, -0.5)
HELD_TICKS = 4


class RollbackSession:
    """Simulated time; an expert holds the deadman for a while after each wrong command."""

    def __init__(self, graph, tmp_path):
        self.graph, self.folder = graph, tmp_path / "policies"
        (tmp_path / "contract.yaml").write_text(made.TEXT)
        self._verdicts = graph.received("policy_server/version", STRING, LATCHED)
        patient = {
            f"{name}__{what}": 5.0 for name in ("policy", "expert") for what in ("timeout_s", "max_age_s")
        }
        graph.start(
            DaggerSupervisor, contract=str(tmp_path / "contract.yaml"), mode="hg_dagger", use_sim_time=True,
            discovery_s=0.1, **patient,
        )  # fmt: skip
        topic = f"{tmp_path.name}/checkpoint"
        first = made.version(self.folder, 1)
        self._server = graph.start(
            PolicyServer,
            candidates=topic,
            versions=str(self.folder),
            checkpoint=str(first),
            use_sim_time=True,
        )
        self._announce = graph.publisher(topic, STRING, LATCHED)
        self._clock = graph.publisher("/clock", CLOCK)
        self._joints = graph.publisher("joint_states", made.JOINT_STATE)
        self._hand = graph.publisher("expert/proposal", proposal.TYPE)
        self._texts = graph.received("dagger_supervisor/decision", STRING, 100)
        self._stamp_ns, self._held = 1_000_000_000, 0
        graph.until(lambda: self._clock.count() == 2, "subscriptions of /clock")
        graph.until(self._hand.count, "the supervisor's subscription")
        graph.until(self._begun, "the policy drives", LONG_S)
        graph.in_line(self._joints)

    def _begun(self):
        self._tick()
        self.graph.spin(0.05)
        return self._texts and self._last().authority == "policy"

    def _last(self):
        return from_json(self._texts[-1].data)

    def _tick(self):
        self._stamp_ns += made.CONTRACT.period_ns
        sec, nanosec = divmod(self._stamp_ns, 10**9)
        time = messages.make("builtin_interfaces/msg/Time", sec=sec, nanosec=nanosec)
        self._clock(messages.make(CLOCK, clock=time))
        if self._held:
            self._held -= 1
            if self._held:
                proposed = proposal.Proposal("expert", self._stamp_ns, np.array([made.RIGHT]))
            else:
                proposed = proposal.releasing("expert", self._stamp_ns, 2)
            names, period_ns = made.CONTRACT.action_names, made.CONTRACT.period_ns
            self._hand(proposal.to_message(proposed, names, period_ns))
        head = messages.header(self._stamp_ns)
        seen = {"name": ["a", "b"], "position": np.array([0.1, 0.1])}
        self._joints(messages.make(made.JOINT_STATE, header=head, **seen))

    def step(self):
        """Publish a tick, let the expert react to its decision, and return it."""
        self._tick()
        self.graph.until(lambda: self._last().stamp_ns >= self._stamp_ns, "the tick's decision")
        decision = self._last()
        if decision.authority == "policy" and abs(decision.sent[0] - made.RIGHT[0]) > 0.1:
            self._held = HELD_TICKS
        return decision

    def announce(self, number, answer):
        run = made.version(self.folder, number, answer)
        self._announce(messages.make(STRING, data=str(run)))
        self.verdict(run.name, "active")

    def order(self, number, answer, **changes):
        """Reload a version with these changes of its lineage; return its folder."""
        run = made.version(self.folder, number, answer)
        lineage.write(run, replace(lineage.read(run), **changes))
        self._server.set_parameters([Parameter("checkpoint", value=str(run))])
        assert self.graph.call("policy_server/reload", Trigger).success
        self.verdict(run.name, "active")
        return run

    def verdict(self, name, state):
        """Tick until a version has this state; return the verdict."""

        def found():
            self.step()
            verdicts = [json.loads(message.data) for message in self._verdicts]
            wanted = (name, state)
            return next(
                (e for e in verdicts if (e["verdict"]["version"], e["verdict"]["state"]) == wanted), None
            )

        return self.graph.until(found, f"{name} {state}", LONG_S)


def test_a_version_that_needs_interventions_is_rolled_back_and_a_good_one_stays(graph, tmp_path):
    session = RollbackSession(graph, tmp_path)
    assert {session.step().authority for _ in range(200)} == {"policy"}  # ten seconds
    session.announce(2, WRONG)
    verdict = session.verdict("v2", "rolled back")
    assert (verdict["version"], verdict["before"]) == ("v1", [])
    assert "interventions a minute (" in verdict["verdict"]["reason"]
    bad = lineage.read(session.folder / "v2")
    assert bad.state == "rolled back"
    assert bad.interventions >= 3
    assert bad.driven_s < 60.0  # checked once a second, while ticks run as fast as the machine allows
    assert lineage.newest_good(session.folder) == session.folder / "v1"
    for _ in range(2 * HELD_TICKS):  # the expert releases
        session.step()
    after = [session.step() for _ in range(20)]
    assert {(each.authority, each.version, each.sent) for each in after} == {("policy", "v1", made.RIGHT)}
    session.announce(3, made.RIGHT)
    assert {session.step().version for _ in range(100)} == {"v3"}


def test_a_reloaded_version_is_judged_by_its_driving_since_the_reload(graph, tmp_path):
    session = RollbackSession(graph, tmp_path)
    assert {session.step().authority for _ in range(200)} == {"policy"}  # ten seconds
    poor = session.order(2, made.RIGHT, driven_s=10.0, interventions=30)
    looks = {10.0}
    while len(looks) < 4:  # checked when the driving record is written, once a second
        session.graph.until(
            lambda: session.step() and lineage.read(poor).driven_s not in looks, "a look", LONG_S
        )
        looks.add(lineage.read(poor).driven_s)
    assert session.step().version == "v2"
    assert lineage.read(poor).interventions == 30
    session.order(3, WRONG, driven_s=6000.0, interventions=0)
    assert session.verdict("v3", "rolled back")["version"] == "v2"
