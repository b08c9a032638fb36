"""Faults in a session on a real graph: the robot is safe in time, and the session continues.

A recorder runs along: `recorded.stop()` fails when a published message or decision is not in the bag.
"""

import numpy as np
import pytest
from std_srvs.srv import SetBool, Trigger
from supervised import PATIENT_S, Session

from il_ros.core import messages
from il_ros.nodes.teleop.joy_node import TeleopJoy
from il_ros.records import proposal
from il_ros.records.decision import NOBODY

EXPERT, POLICY = (0.02, 0.0, 0.1), (-0.02, 0.0, -0.1)
POLICY_SAYS = {"policy": POLICY, "version": "v1", "uncertainty": 0.25}
JOY = "sensor_msgs/msg/Joy"
TIMEOUT_TICKS = 2  # 0.1 s at 20 Hz
SILENCE_S = 1.0  # longest delay of a proposal on a busy machine; a silent source takes that long to detect


@pytest.fixture
def session_of(graph, contract_file, recorded):
    def make(mode, **parameters):
        impatient = {"expert__timeout_s": 0.1, "policy__timeout_s": 0.1, "silence_s": SILENCE_S}
        return Session(graph, contract_file, mode=mode, **impatient | parameters)

    return make


def ticks_until(session, condition, **proposals):
    for tick in range(1, 10):
        if condition(session.tick(**proposals)):
            return tick
    raise AssertionError(f"not within 10 ticks: {session.rig.decisions[-1]}")


def test_an_expert_unplugged_while_intervening_leaves_the_policy_driving_after_its_time_out(
    session_of, recorded
):
    session = session_of("hg_dagger")
    session.until_driven_by("policy", **POLICY_SAYS)
    recorded.start()
    session.tick(**POLICY_SAYS)
    assert session.tick(EXPERT, **POLICY_SAYS).authority == "expert"
    gone = ticks_until(session, lambda d: d.authority == "policy", **POLICY_SAYS)
    assert gone <= TIMEOUT_TICKS + 1
    assert session.tick(EXPERT, **POLICY_SAYS).authority == "expert"  # plugged in again
    assert recorded.stop().account == [
        ("policy", POLICY, None, POLICY, "v1", 0.25, 0),
        ("expert", POLICY, EXPERT, EXPERT, "", 0.25, 1),
        *[("expert", POLICY, None, EXPERT, "", 0.25, 1)] * (gone - 1),  # its last target until the time-out
        ("policy", POLICY, None, POLICY, "v1", 0.25, 2),
        ("expert", POLICY, EXPERT, EXPERT, "", 0.25, 3),
    ]


def test_an_expert_unplugged_during_a_request_leaves_the_robot_waiting(session_of, recorded):
    session = session_of("gated", gated__ask=1.0)
    sure, unsure = {**POLICY_SAYS, "uncertainty": 0.1}, {**POLICY_SAYS, "uncertainty": 2.0}
    session.until_driven_by("policy", **sure)
    recorded.start()
    session.tick(**sure)
    assert session.tick(**unsure).reason.startswith("waiting for the expert")
    assert session.tick(EXPERT, **unsure).authority == "expert"
    gone = ticks_until(session, lambda d: d.authority == NOBODY, **sure)
    assert gone <= TIMEOUT_TICKS + 1
    waiting = session.tick(**sure)
    assert waiting.reason.startswith("waiting for the expert: the expert stopped proposing: silent for")
    assert session.tick(EXPERT, **sure).authority == "expert"
    assert recorded.stop().account == [
        ("policy", POLICY, None, POLICY, "v1", 0.1, 0),
        (NOBODY, POLICY, None, (-0.02, 0.0, 0.0), "", 2.0, 1),  # the arm holds, the base stops
        ("expert", POLICY, EXPERT, EXPERT, "", 2.0, 2),
        *[("expert", POLICY, None, EXPERT, "", 0.1, 2)] * (gone - 1),
        *[(NOBODY, POLICY, None, (0.02, 0.0, 0.0), "", 0.1, 3)] * 2,
        ("expert", POLICY, EXPERT, EXPERT, "", 0.1, 4),
    ]


def test_a_policy_server_killed_in_mode_dagger_stops_the_robot_until_it_is_back(session_of, recorded):
    session = session_of("dagger", dagger__beta="constant:0.5")
    ticks_until(session, lambda d: d.authority != NOBODY, expert=EXPERT, **POLICY_SAYS)
    recorded.start()
    session.tick(EXPERT, **POLICY_SAYS)
    gone = ticks_until(session, lambda d: "policy silent" in d.reason, expert=EXPERT)
    assert gone <= TIMEOUT_TICKS + 1
    back = ticks_until(session, lambda d: d.authority != NOBODY, expert=EXPERT, **POLICY_SAYS)
    kept = recorded.stop()
    authorities, policy, expert, sent, _, uncertainties, generations = zip(*kept.account, strict=True)
    assert policy == (POLICY, *[None] * gone, *[POLICY] * back)
    assert set(expert) == {EXPERT}  # the labels are complete
    assert [each == NOBODY for each in authorities] == [*[False] * gone, *[True] * back, False]
    targets = {"policy": POLICY, "expert": EXPERT}  # the source is drawn
    driven = zip(authorities, sent, strict=True)
    assert all(each[2] == 0.0 if source == NOBODY else each == targets[source] for source, each in driven)
    assert generations == (*[0] * gone, *[1] * back, 2)
    assert {each.beta for each in kept.decisions} == {0.5}
    assert set(uncertainties) == {0.25}


def test_duplicated_and_reordered_proposals_change_nothing(session_of, recorded):
    session = session_of("policy", silence_s=PATIENT_S)
    session.until_driven_by("policy", **POLICY_SAYS)
    rig = session.rig
    names, period_ns = rig.contract.action_names, rig.contract.period_ns
    recorded.start()
    targets, stamps = [(0.001 * tick, 0.0, 0.1) for tick in range(30)], []
    for target in targets:
        session.tick(policy=target)
        for back, value in ((0, 0.9), (1, 0.8), (3, 0.7)):  # this tick again, then older ones
            stamp = 1_000_000_000 + (session.number - back) * period_ns
            again = proposal.Proposal("policy", stamp, np.array([[value, 0.0, 0.1]]))
            rig.sources["policy"](proposal.to_message(again, names, period_ns))
        stamps.append(1_000_000_000 + session.number * period_ns)
    kept = recorded.stop()
    assert [(each.stamp_ns, each.sent) for each in kept.decisions] == list(zip(stamps, targets, strict=True))
    assert len(kept.messages["/policy_server/proposal"]) == 4 * 30


def test_an_emergency_stop_during_a_handover_takes_precedence(session_of, recorded):
    session = session_of("hg_dagger", silence_s=PATIENT_S)
    graph, rig, far = session.rig.graph, session.rig, (0.9, 0.0, 0.1)
    session.until_driven_by("policy", **POLICY_SAYS)
    recorded.start()
    session.tick(**POLICY_SAYS)
    session.tick(far, **POLICY_SAYS)  # a step of 0.05 of the way to 0.9
    assert graph.call("dagger_supervisor/estop", SetBool, data=True).success
    graph.until(lambda: rig.decisions[-1].reason == "emergency stop pressed (service)", "the stop")
    assert session.tick(far, **POLICY_SAYS).authority == NOBODY
    graph.call("dagger_supervisor/estop", SetBool, data=False)
    assert graph.call("dagger_supervisor/reset_estop", Trigger).success
    assert session.tick(EXPERT, **POLICY_SAYS).authority == "expert"
    kept = recorded.stop()
    assert kept.account == [
        ("policy", POLICY, None, POLICY, "v1", 0.25, 0),
        ("expert", POLICY, far, (0.05, 0.0, 0.1), "", 0.25, 1),
        (NOBODY, None, None, (0.05, 0.0, 0.0), "", 0.25, 2),  # at once, between two ticks
        (NOBODY, POLICY, far, (0.05, 0.0, 0.0), "", 0.25, 2),
        ("expert", POLICY, EXPERT, EXPERT, "", 0.25, 4),  # the reset also began a generation
    ]
    assert kept.decisions[2].sent_ns == kept.decisions[1].sent_ns  # the clock was stopped until it was sent


def test_a_gamepad_takes_over_hands_back_at_once_and_releases_when_unplugged(
    graph, session_of, contract_file, recorded
):
    """With a real teleoperation node: a releasing proposal, not a time-out, hands back."""
    session = session_of("hg_dagger", silence_s=0.1, expert__timeout_s=PATIENT_S)
    node = graph.start(
        TeleopJoy, contract=str(contract_file), axes=["base/linear.x 0 0.5"], deadman_button=0,
        timeout=0.3, use_sim_time=True, tick="timer",
    )  # fmt: skip
    publish = graph.publisher("joy", JOY)
    graph.until(publish.count, "the gamepad's subscription")

    def gamepad(held):
        axes, buttons = np.array([1], np.float32), np.array([held], np.int32)
        publish(messages.make(JOY, axes=axes, buttons=buttons))

    def driven_by(name, held):
        def one():
            if held is not None:
                gamepad(held)
            return session.tick(policy=POLICY).authority == name

        graph.until(one, f"{name} drives; the gamepad's node: {node.status().message}")

    driven_by("policy", 0)
    recorded.start()
    driven_by("expert", 1)
    driven_by("policy", 0)
    graph.until(
        lambda: "expert released control" in str([d.reason for d in session.rig.decisions]), "its word"
    )
    driven_by("expert", 1)
    driven_by("policy", None)
    driven_by("expert", 1)  # plugged in again
    kept = recorded.stop()
    assert "expert released control" in str([each.reason for each in kept.decisions])
    driven = [each for each in kept.decisions if each.authority == "expert"]
    assert {each.sent[2] for each in driven} == {0.5}
    assert kept.decisions[-1] == driven[-1]
