"""The supervisor on a real graph: it alone commands, at once, safely, and says why."""

import json
import subprocess
import sys

import numpy as np
import pytest
from rclpy.qos import DurabilityPolicy, QoSProfile
from std_srvs.srv import SetBool, Trigger

from il_ros import contract, messages
from il_ros.control import proposal
from il_ros.control.decision import NOBODY, from_json
from il_ros.nodes.dagger_supervisor import DaggerSupervisor

CONTRACT = """
name: arm_and_base
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [joint1, joint2], max_age_s: 1.0}
actions:
  arm:
    topic: arm/commands
    type: std_msgs/msg/Float64MultiArray
    names: [joint2, joint1]
    reference: joints
    limits: {lower: -1.0, upper: 1.0, speed: 1.0}
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/TwistStamped
    names: [linear.x]
    limits: {speed: 0.5}
"""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
STEP = 1.0 * 0.05 + 1e-9  # speed limit times one control period


class Rig:
    """A robot and two sources around a supervisor."""

    def __init__(self, graph, path, **parameters):
        self.graph = graph
        self.contract = contract.load(path)
        patient = {
            f"{name}__{what}": 1.0 for name in ("policy", "expert") for what in ("timeout_s", "max_age_s")
        }
        defaults = {"contract": str(path), "discovery_s": 0.1, **patient}
        self.node = graph.start(DaggerSupervisor, **{**defaults, **parameters})
        self.arm = graph.received("arm/commands", "std_msgs/msg/Float64MultiArray")
        self.base = graph.received("cmd_vel", "geometry_msgs/msg/TwistStamped")
        self.decision_texts = graph.received("dagger_supervisor/decision", "std_msgs/msg/String")
        self.status_texts = graph.received("dagger_supervisor/status", "std_msgs/msg/String", LATCHED)
        self.joints = graph.publisher("joint_states", "sensor_msgs/msg/JointState")
        self.estop = graph.publisher("dagger_supervisor/estop", "std_msgs/msg/Bool")
        self.sources = {
            name: graph.publisher(f"{topic}/proposal", proposal.TYPE)
            for name, topic in (("policy", "policy_server"), ("expert", "expert"))
        }

    def ready(self):
        graph = self.graph
        graph.until(lambda: all(p.count() for p in (self.joints, *self.sources.values())), "subscriptions")
        graph.until(lambda: self.estop.count() >= 2, "e-stop subscriptions")
        graph.until(lambda: self.node._commands[0][0].get_subscription_count(), "command subscriber")
        graph.until(lambda: self.decisions, "a first decision")
        graph.until(lambda: self.status_texts, "a first status")
        return self

    @property
    def decisions(self):
        return [from_json(message.data) for message in self.decision_texts]

    @property
    def statuses(self):
        return [json.loads(message.data) for message in self.status_texts]

    @property
    def now(self):
        return self.graph.outside.get_clock().now().nanoseconds

    def measure(self, joint1, joint2):
        self.joints(
            messages.make(
                "sensor_msgs/msg/JointState",
                header=messages.header(self.now),
                name=["joint1", "joint2"],
                position=np.array([joint1, joint2]),
            )
        )
        self.graph.until(lambda: self._measured() == (joint2, joint1), "the measurement")

    def _measured(self):
        return self.node._supervision.measured.at(self.now)[0].get("arm")

    def propose(self, source, *values, **words):
        """Propose (joint2, joint1, linear.x) now; return the decision that answers this very tick.

        Again after a moment, when the timer had had its say just before.
        """
        stamps = []

        def answer():
            if not stamps or self.now > stamps[-1] + 2 * self.contract.period_ns:
                stamps.append(self.now)
                proposed = proposal.Proposal(source, stamps[-1], np.array([values]), **words)
                self.sources[source](
                    proposal.to_message(proposed, self.contract.action_names, self.contract.period_ns)
                )
            return next((d for d in self.decisions if d.stamp_ns in stamps), None)

        return self.graph.until(answer, f"the answer to {source}")

    def answered(self, source, *values, **words):
        """Propose until it is accepted: the timer may have had its say just before."""
        return self.graph.until(
            lambda: (d := self.propose(source, *values, **words)).authority == source and d, "authority"
        )


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return path


@pytest.fixture
def rig(graph, contract_file):
    return Rig(graph, contract_file).ready()


def test_before_anybody_proposed_nothing_is_sent_and_that_is_said(rig):
    rig.measure(0.1, 0.2)
    rig.graph.until(lambda: len(rig.decisions) >= 3, "decisions")
    assert rig.arm == rig.base == []
    assert rig.decisions[-1].sent is None
    assert rig.decisions[-1].reason == "expert has not proposed; policy has not proposed"
    assert rig.statuses[-1]["authority"] == NOBODY


def test_a_proposal_becomes_a_command_of_every_action_and_then_a_record(rig):
    rig.measure(0.1, 0.2)
    decision = rig.graph.until(
        lambda: (d := rig.answered("policy", 0.22, 0.11, 0.3, version="v3")).sent == (0.22, 0.11, 0.3) and d,
        "the proposal sent",
    )
    rig.graph.until(lambda: rig.arm and list(rig.arm[-1].data) == [0.22, 0.11], "the arm's command")
    rig.graph.until(lambda: rig.base and rig.base[-1].twist.linear.x == 0.3, "the base's command")
    assert decision.sent == (0.22, 0.11, 0.3)
    assert decision.proposals == {"policy": (0.22, 0.11, 0.3), "expert": None}
    assert decision.version == "v3"
    assert "policy" in [status["authority"] for status in rig.statuses]
    assert rig.statuses[-1]["contract_hash"] == rig.contract.hash


def test_without_a_measurement_nothing_moves(rig):
    decision = rig.propose("policy", 0.5, 0.5, 0.1)
    assert decision.sent is None
    assert "no ramp can start: joints (joint_states): nothing received" in decision.reason
    assert rig.arm == rig.base == []


def test_the_first_command_and_the_handover_ramp_from_the_measured_state(rig):
    rig.measure(0.0, 0.0)
    first = rig.answered("policy", 0.9, -0.9, 0.0)
    np.testing.assert_allclose(first.sent[:2], [0.05, -0.05], atol=1e-9)
    rig.measure(0.5, 0.4)
    taken = rig.answered("expert", -0.9, -0.9, 0.0)
    assert taken.epoch > first.epoch
    assert abs(taken.sent[0] - 0.4) <= STEP
    assert abs(taken.sent[1] - 0.5) <= STEP
    assert set(taken.limited) == {"arm/joint2 speed", "arm/joint1 speed"}


def test_a_silent_source_is_dropped_and_the_base_stands_within_the_declared_time(rig):
    rig.measure(0.0, 0.0)
    last = rig.answered("policy", 0.0, 0.0, 0.3)
    dropped = rig.graph.until(
        lambda: next(
            (d for d in rig.decisions if d.stamp_ns > last.stamp_ns and d.authority == NOBODY), None
        ),
        "the safe behaviour",
    )
    assert dropped.sent == (0.0, 0.0, 0.0)
    assert "policy silent for" in dropped.reason
    # time-out 1 s, one period of the timer, and what a busy machine adds
    assert (dropped.sent_ns - last.sent_ns) / 1e9 < 1.0 + 0.05 + 0.5
    rig.graph.until(lambda: rig.base[-1].twist.linear.x == 0.0, "the base's zero")


def test_a_number_that_is_not_finite_is_never_sent_and_takes_authority_away(rig):
    rig.measure(0.0, 0.0)
    rig.answered("policy", 0.01, 0.0, 0.3)
    refused = rig.propose("policy", float("nan"), 0.0, 0.3)
    assert refused.authority == NOBODY
    assert refused.sent == (0.01, 0.0, 0.0)
    assert refused.rejected == {"policy": "arm/joint2 is nan"}
    assert all(np.isfinite(command.data).all() for command in rig.arm)


def test_an_unreadable_proposal_is_named_in_the_diagnostics(rig):
    wrong = proposal.Proposal("policy", rig.now, np.zeros((1, 2)))
    rig.sources["policy"](proposal.to_message(wrong, ("arm/joint2", "wrist"), rig.contract.period_ns))
    rig.graph.until(
        lambda: "joint 'arm/joint1' is missing" in str(rig.node.status().values.get("policy last rejection")),
        "the rejection",
    )


@pytest.mark.parametrize("way", ["topic", "service"])
def test_the_emergency_stop_stops_latches_and_is_reset_deliberately(rig, way):
    def press(pressed):
        if way == "topic":
            rig.estop(messages.make("std_msgs/msg/Bool", data=pressed))
        else:
            assert rig.graph.call("dagger_supervisor/estop", SetBool, data=pressed).success

    rig.measure(0.0, 0.0)
    epoch = rig.answered("policy", 0.02, 0.0, 0.3).epoch
    press(True)
    rig.graph.until(lambda: rig.decisions[-1].reason == f"emergency stop pressed ({way})", "the stop")
    assert rig.decisions[-1].sent[2] == 0.0
    assert rig.propose("policy", 0.02, 0.0, 0.3).authority == NOBODY
    refused = rig.graph.call("dagger_supervisor/reset_estop", Trigger)
    assert not refused.success
    assert refused.message == f"still pressed: {way}"
    press(False)
    rig.graph.until(lambda: rig.graph.call("dagger_supervisor/reset_estop", Trigger).success, "the reset")
    rig.measure(0.0, 0.01)
    assert rig.propose("policy", 0.02, 0.0, 0.3, epoch=epoch).authority == NOBODY
    fresh = rig.graph.until(lambda: rig.statuses[-1]["epoch"] > epoch and rig.statuses[-1]["epoch"], "status")
    assert rig.answered("policy", 0.02, 0.0, 0.3, epoch=fresh).sent[2] == 0.3


def test_restart_begins_an_epoch_at_the_measured_state(rig):
    rig.measure(0.0, 0.0)
    epoch = rig.answered("policy", 0.02, 0.0, 0.3).epoch
    rig.measure(0.3, 0.4)
    answer = rig.graph.call("dagger_supervisor/restart", Trigger)
    assert answer.message == f"epoch {epoch + 1}"
    rig.graph.until(lambda: rig.decisions[-1].sent == (0.4, 0.3, 0.0), "the measured state, base at rest")
    assert rig.propose("policy", 0.0, 0.0, 0.3, epoch=epoch).authority == NOBODY


def test_a_second_supervisor_is_refused_and_the_first_goes_on(rig, contract_file):
    class Second(DaggerSupervisor):
        def __init__(self, **kwargs):
            super().__init__(cli_args=["--ros-args", "-r", "__node:=second"], **kwargs)

    second = rig.graph.start(Second, contract=str(contract_file), discovery_s=5.0)
    assert second.state == "inactive"
    assert "/dagger_supervisor publishes on /arm/commands" in second.status().message
    rig.measure(0.0, 0.0)
    assert rig.answered("policy", 0.0, 0.0, 0.0)
    assert rig.node.state == "active"


def test_whoever_else_commands_silences_the_supervisor_and_is_named(rig):
    rig.measure(0.0, 0.0)
    rig.answered("policy", 0.0, 0.0, 0.3)
    rig.graph.publisher("cmd_vel", "geometry_msgs/msg/TwistStamped")
    rig.graph.until(lambda: rig.node.state == "inactive", "the supervisor's silence")
    assert "/outside publishes on /cmd_vel" in rig.node.status().message
    assert rig.node.status().level == b"\x02"
    rig.graph.until(lambda: rig.base[-1].twist.linear.x == 0.0, "the base's last command")


def test_a_stop_pressed_before_the_start_holds(graph, contract_file):
    rig = Rig(graph, contract_file, autostart=False)
    graph.call("dagger_supervisor/estop", SetBool, data=True)
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    rig.ready().measure(0.0, 0.0)
    assert rig.propose("policy", 0.0, 0.0, 0.3).reason == "emergency stop pressed (service)"
    assert rig.arm == []


class Lockstep:
    """Simulated time: /clock and a proposal for each tick, waiting for its decision as a simulator does."""

    def __init__(self, graph, path, **parameters):
        self.rig = Rig(graph, path, use_sim_time=True, **parameters)
        self.clock = graph.publisher("/clock", "rosgraph_msgs/msg/Clock")
        graph.until(self.clock.count, "the /clock subscription")
        graph.until(lambda: all(p.count() for p in (self.rig.joints, *self.rig.sources.values())), "topics")
        graph.until(lambda: self.rig.node._commands[0][0].get_subscription_count(), "command subscriber")

    def begin(self, tick):
        """Publish the clock and the joints of a tick; return its time."""
        stamp = 1_000_000_000 + tick * self.rig.contract.period_ns
        time = messages.make("builtin_interfaces/msg/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
        self.clock(messages.make("rosgraph_msgs/msg/Clock", clock=time))
        self.rig.joints(
            messages.make(
                "sensor_msgs/msg/JointState",
                header=messages.header(stamp),
                name=["joint1", "joint2"],
                position=np.zeros(2),
            )
        )
        return stamp

    def step(self, tick, *values):
        """Begin a tick, propose for it, and wait for a decision for it or a later one."""
        stamp = self.begin(tick)
        proposed = proposal.Proposal("policy", stamp, np.array([values]))
        names, period_ns = self.rig.contract.action_names, self.rig.contract.period_ns
        self.rig.sources["policy"](proposal.to_message(proposed, names, period_ns))
        self.rig.graph.until(lambda: self.answered(stamp), f"the decision for tick {tick}")
        return self.rig.decisions[-1]

    def run(self, *values):
        """Step until the values are sent; return the next tick."""
        for tick in range(100):
            if self.step(tick, *values).sent == values:
                return tick + 1
        raise AssertionError(f"{values} was never sent: {self.rig.decisions[-1]}")

    def answered(self, stamp):
        return self.rig.decision_texts and self.rig.decisions[-1].stamp_ns >= stamp


def test_in_lockstep_every_tick_has_exactly_one_decision_with_its_stamp(graph, contract_file):
    lockstep = Lockstep(graph, contract_file)
    for tick in range(100):
        lockstep.step(tick, 0.001 * tick, 0.0, 0.1)
    answered = [d for d in lockstep.rig.decisions if d.authority == "policy"]
    assert [d.stamp_ns for d in answered[-99:]] == [10**9 + tick * 50_000_000 for tick in range(1, 100)]
    assert [d.sent[0] for d in answered[-99:]] == [0.001 * tick for tick in range(1, 100)]
    assert not any(d.limited for d in answered)


def test_in_lockstep_a_silent_tick_is_answered_after_the_declared_silence(graph, contract_file):
    lockstep = Lockstep(graph, contract_file, silence_s=0.3)
    stamp = lockstep.begin(lockstep.run(0.0, 0.0, 0.1))
    graph.until(lambda: lockstep.answered(stamp), "the timer's decision")
    silent = lockstep.rig.decisions[-1]
    assert silent.stamp_ns == stamp
    assert "silent this tick, its last wish again" in silent.reason


def test_a_clock_that_stops_does_not_keep_the_base_moving(graph, contract_file):
    lockstep = Lockstep(graph, contract_file, silence_s=0.1)
    lockstep.run(0.0, 0.0, 0.1)
    graph.until(lambda: lockstep.rig.base[-1].twist.linear.x == 0.0, "the base's stop")
    graph.until(lambda: lockstep.rig.decisions[-1].authority == NOBODY, "its record")


def test_killed_and_started_again_it_comes_up_silent_and_safe(graph, contract_file):
    command = [sys.executable, "-m", "il_ros.nodes.dagger_supervisor", "--ros-args", "-p",
               f"contract:={contract_file}", "-p", "policy.max_age_s:=1.0"]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rig = Rig(graph, contract_file, autostart=False)
    try:
        graph.until(lambda: rig.decisions, "the first life", timeout_s=30)
    finally:
        first.kill()
        first.wait(timeout=10)
    rig.decision_texts.clear()
    second = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        graph.until(lambda: len(rig.decisions) > 3, "the second life", timeout_s=30)
        assert all(d.sent is None for d in rig.decisions)
        assert rig.arm == rig.base == []
    finally:
        second.terminate()
        assert second.wait(timeout=20) == 0


def test_parameters_that_contradict_each_other_leave_it_unconfigured_with_the_reason(graph, contract_file):
    node = graph.start(DaggerSupervisor, contract=str(contract_file), discovery_s=0.0, policy__priority=20)
    assert node.state == "unconfigured"
    assert "two sources have the priority '20'" in graph.until(lambda: node._last_error, "the error")[1]


def test_it_runs_as_a_process_and_refuses_a_missing_contract_clearly():
    done = subprocess.run(
        [sys.executable, "-m", "il_ros.nodes.dagger_supervisor", "--ros-args", "-p", "contract:=nowhere.yaml",
         "-p", "policy.timeout_s:=-1.0"],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "policy.timeout_s is -1.0, expected at least 0.001" in done.stderr
