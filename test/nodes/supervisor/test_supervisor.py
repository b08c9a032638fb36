"""The supervisor on a real graph: commands, decisions, safe behaviour, emergency stop."""

import re
import subprocess
import sys

import numpy as np
import pytest
from std_srvs.srv import SetBool, Trigger
from supervised import STEP, Lockstep, Rig

from il_ros.control.supervisor.arbitration import Priority
from il_ros.core import messages
from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import NOBODY


@pytest.fixture
def rig(graph, contract_file):
    return Rig(graph, contract_file).ready()


def test_before_the_first_proposal_nothing_is_sent_and_the_reason_is_given(rig):
    rig.measure(0.1, 0.2)
    rig.graph.until(lambda: len(rig.decisions) >= 3, "decisions")
    assert rig.arm == rig.base == []
    assert rig.decisions[-1].sent is None
    assert rig.decisions[-1].reason == "expert has not proposed; policy has not proposed"
    assert rig.statuses[-1]["authority"] == NOBODY


def test_a_proposal_becomes_a_command_of_every_action_and_a_decision_record(rig):
    rig.measure(0.1, 0.2)
    decision = rig.graph.until(
        lambda: (d := rig.answered("policy", 0.22, 0.11, 0.3, version="v3")).sent == (0.22, 0.11, 0.3) and d,
        "the proposal sent",
    )
    rig.graph.until(lambda: rig.arm and list(rig.arm[-1].data) == [0.22, 0.11], "the arm's command")
    rig.graph.until(lambda: rig.base and rig.base[-1].twist.linear.x == 0.3, "the base's command")
    rig.graph.until(lambda: "policy" in [status["authority"] for status in rig.statuses], "the status")
    assert decision.sent == (0.22, 0.11, 0.3)
    assert decision.proposals == {"policy": (0.22, 0.11, 0.3), "expert": None}
    assert decision.version == "v3"
    assert rig.statuses[-1]["contract_hash"] == rig.contract.hash


def test_a_command_is_recorded_also_if_the_rest_of_its_record_cannot_be_written(rig, monkeypatch):
    rig.measure(0.1, 0.2)
    rig.answered("policy", 0.22, 0.11, 0.3)
    monkeypatch.setattr(Priority, "disagreement", lambda self, stamp_ns: float("inf"))  # JSON has no infinity
    decision = rig.answered("policy", 0.23, 0.12, 0.3, version="v3")
    rig.graph.until(lambda: list(rig.arm[-1].data) == list(decision.sent[:2]), "the command")
    assert (decision.authority, decision.version, decision.proposals) == ("policy", "v3", {})
    assert "the rest of its record cannot be written: Out of range float values" in decision.reason
    assert "record of a decision" in rig.node._last_error[1]


def test_a_command_is_recorded_also_if_the_status_cannot_be_published(rig, monkeypatch):
    rig.measure(0.1, 0.2)
    rig.answered("policy", 0.22, 0.11, 0.3)
    monkeypatch.setattr(rig.node, "_announce_change", lambda: 1 / 0)
    decision = rig.answered("policy", 0.23, 0.12, 0.3)
    rig.graph.until(lambda: list(rig.arm[-1].data) == list(decision.sent[:2]), "the command")


def test_without_a_measurement_nothing_moves(rig):
    decision = rig.propose("policy", 0.5, 0.5, 0.1)
    assert decision.sent is None
    assert "no ramp can start: joints (joint_states): nothing received" in decision.reason
    assert rig.arm == rig.base == []


def test_the_first_command_and_the_handover_ramp_from_the_measured_state(graph, contract_file):
    rig = Rig(graph, contract_file, following_error=10.0).ready()  # the joints stay while commands move on
    rig.measure(0.0, 0.0)
    first = rig.answered("policy", 0.9, -0.9, 0.0)
    np.testing.assert_allclose(first.sent[:2], [0.05, -0.05], atol=1e-9)
    rig.measure(0.5, 0.4)
    taken = rig.answered("expert", -0.9, -0.9, 0.0)
    assert taken.generation > first.generation
    assert abs(taken.sent[0] - 0.4) <= STEP
    assert abs(taken.sent[1] - 0.5) <= STEP
    assert set(taken.limited) == {"arm/joint2 speed", "arm/joint1 speed"}


def test_a_silent_source_loses_authority_and_the_base_stops_within_the_declared_time(graph, contract_file):
    rig = Rig(graph, contract_file, policy__timeout_s=1.0).ready()
    rig.measure(0.0, 0.0)
    last = rig.answered("policy", 0.0, 0.0, 0.3)
    dropped = rig.graph.until(
        lambda: next(
            (d for d in rig.decisions if d.stamp_ns > last.stamp_ns and d.authority == NOBODY), None
        ),
        "the safe behaviour",
    )
    assert dropped.sent == (0.0, 0.0, 0.0)
    silent_s = float(re.search(r"policy silent for ([\d.]+) s", dropped.reason)[1])
    # a busy machine may delay the timer, but no motion is commanded after the declared time
    moved = [d.sent_ns for d in rig.decisions if d.sent is not None and d.sent[2] != 0.0]
    assert silent_s - (dropped.sent_ns - moved[-1]) / 1e9 < 1.0 + 0.01
    rig.graph.until(lambda: rig.base[-1].twist.linear.x == 0.0, "the base's zero velocity")


def test_a_non_finite_value_is_never_sent_and_costs_authority(rig):
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
def test_the_emergency_stop_latches_until_reset(rig, way):
    def press(pressed):
        if way == "topic":
            rig.estop(messages.make("std_msgs/msg/Bool", data=pressed))
        else:
            assert rig.graph.call("dagger_supervisor/estop", SetBool, data=pressed).success

    rig.measure(0.0, 0.0)
    generation = rig.answered("policy", 0.02, 0.0, 0.3).generation
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
    assert rig.propose("policy", 0.02, 0.0, 0.3, generation=generation).authority == NOBODY
    fresh = rig.graph.until(
        lambda: rig.statuses[-1]["generation"] > generation and rig.statuses[-1]["generation"], "status"
    )
    assert rig.answered("policy", 0.02, 0.0, 0.3, generation=fresh).sent[2] == 0.3


def test_restart_begins_a_generation_at_the_measured_state(rig):
    rig.measure(0.0, 0.0)
    generation = rig.answered("policy", 0.02, 0.0, 0.3).generation
    rig.measure(0.3, 0.4)
    answer = rig.graph.call("dagger_supervisor/restart", Trigger)
    assert answer.message == f"generation {generation + 1}"
    rig.graph.until(lambda: rig.decisions[-1].sent == (0.4, 0.3, 0.0), "the measured state, base at rest")
    assert rig.propose("policy", 0.0, 0.0, 0.3, generation=generation).authority == NOBODY


def test_an_emergency_stop_before_activation_holds(graph, contract_file):
    rig = Rig(graph, contract_file, autostart=False)
    graph.call("dagger_supervisor/estop", SetBool, data=True)
    rig.node.trigger_configure()
    rig.node.trigger_activate()
    rig.ready().measure(0.0, 0.0)
    assert rig.propose("policy", 0.0, 0.0, 0.3).reason == "emergency stop pressed (service)"
    assert rig.arm == []


def test_in_lockstep_every_tick_has_exactly_one_decision_with_its_stamp(graph, contract_file):
    lockstep = Lockstep(graph, contract_file)
    for tick in range(100):
        lockstep.step(tick, 0.001 * tick, 0.0, 0.1)
    answered = [d for d in lockstep.rig.decisions if d.authority == "policy"]
    assert [d.stamp_ns for d in answered[-99:]] == [10**9 + tick * 50_000_000 for tick in range(1, 100)]
    assert [d.sent[0] for d in answered[-99:]] == [0.001 * tick for tick in range(1, 100)]
    assert not any(d.limited for d in answered)


def test_in_lockstep_a_tick_without_proposal_is_decided_after_the_declared_silence(graph, contract_file):
    lockstep = Lockstep(graph, contract_file, silence_s=0.3)
    stamp = lockstep.begin(lockstep.run(0.0, 0.0, 0.1))
    graph.until(lambda: lockstep.answered(stamp), "the timer's decision")
    silent = lockstep.rig.decisions[-1]
    assert silent.stamp_ns == stamp
    assert "silent this tick, last target repeated" in silent.reason


def test_a_stopped_clock_stops_the_base(graph, contract_file):
    lockstep = Lockstep(graph, contract_file, silence_s=0.1, policy__timeout_s=1.0)
    lockstep.run(0.0, 0.0, 0.1)
    graph.until(lambda: lockstep.rig.base and lockstep.rig.base[-1].twist.linear.x == 0.0, "the base's stop")
    graph.until(lambda: lockstep.rig.decisions[-1].authority == NOBODY, "the decision record")


def test_after_a_kill_and_restart_it_is_silent_and_safe(graph, contract_file):
    command = [sys.executable, "-m", "il_ros.nodes.supervisor.node", "--ros-args", "-p",
               f"contract:={contract_file}", "-p", "policy.max_age_s:=1.0"]  # fmt: skip
    first = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    rig = Rig(graph, contract_file, autostart=False)
    try:
        graph.until(lambda: rig.decisions, "decisions before the kill")
    finally:
        first.kill()
        first.wait(timeout=60)
    rig.decision_texts.clear()
    second = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        graph.until(lambda: len(rig.decisions) > 3, "decisions after the restart")
        assert all(d.sent is None for d in rig.decisions)
        assert rig.arm == rig.base == []
    finally:
        second.terminate()
        assert second.wait(timeout=60) == 0


def test_contradictory_parameters_leave_it_unconfigured_with_the_reason(graph, contract_file):
    node = graph.start(DaggerSupervisor, contract=str(contract_file), discovery_s=0.0, policy__priority=20)
    assert node.state == "unconfigured"
    assert "two sources have the priority '20'" in graph.until(lambda: node._last_error, "the error")[1]


def test_the_executable_refuses_a_missing_contract():
    done = subprocess.run(
        [sys.executable, "-m", "il_ros.nodes.supervisor.node", "--ros-args", "-p", "contract:=nowhere.yaml",
         "-p", "policy.timeout_s:=-1.0"],
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "policy.timeout_s is -1.0, expected at least 0.001" in done.stderr
