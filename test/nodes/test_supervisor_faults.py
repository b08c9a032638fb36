"""What goes wrong in a session, on a real graph: the robot is safe in time, and the session goes on."""

import numpy as np
import pytest
from std_srvs.srv import SetBool, Trigger
from supervised import CONTRACT, PATIENT_S, Session

from il_ros import messages
from il_ros.control import proposal
from il_ros.control.decision import NOBODY
from il_ros.nodes.teleop_joy import TeleopJoy

EXPERT, POLICY = (0.02, 0.0, 0.1), (-0.02, 0.0, -0.1)
JOY = "sensor_msgs/msg/Joy"
TIMEOUT_TICKS = 2  # 0.1 s at 20 Hz
SILENCE_S = 1.0  # so long a busy machine may keep a proposal from the supervisor; a silent source costs it


@pytest.fixture
def contract_file(tmp_path):
    path = tmp_path / "contract.yaml"
    path.write_text(CONTRACT)
    return path


@pytest.fixture
def session_of(graph, contract_file):
    def make(mode, **parameters):
        impatient = {"expert__timeout_s": 0.1, "policy__timeout_s": 0.1, "silence_s": SILENCE_S}
        return Session(graph, contract_file, mode=mode, **impatient | parameters)

    return make


def ticks_until(session, condition, **proposals):
    for tick in range(1, 10):
        if condition(session.tick(**proposals)):
            return tick
    raise AssertionError(f"not within 10 ticks: {session.rig.decisions[-1]}")


def test_an_expert_unplugged_while_intervening_leaves_the_policy_driving_after_its_time_out(session_of):
    session = session_of("hg_dagger")
    session.until_driven_by("policy", policy=POLICY)
    epoch = session.until_driven_by("expert", expert=EXPERT, policy=POLICY).epoch
    gone = ticks_until(session, lambda d: d.authority == "policy", policy=POLICY)
    assert gone <= TIMEOUT_TICKS + 1
    assert session.rig.decisions[-1].epoch == epoch + 1
    assert session.until_driven_by("expert", expert=EXPERT, policy=POLICY)  # plugged in again


def test_an_expert_unplugged_while_it_was_asked_for_help_leaves_the_robot_waiting(session_of):
    session = session_of("gated", gated__ask=1.0)
    session.until_driven_by("policy", policy=POLICY, doubt=0.1)
    session.until_driven_by("expert", expert=EXPERT, policy=POLICY, doubt=2.0)
    gone = ticks_until(session, lambda d: d.authority == NOBODY, policy=POLICY, doubt=0.1)
    assert gone <= TIMEOUT_TICKS + 1
    waiting = session.tick(policy=POLICY, doubt=0.1)
    assert waiting.sent[2] == 0.0
    assert waiting.reason.startswith("waiting for the expert: the expert broke off: silent for")
    assert session.until_driven_by("expert", expert=EXPERT, policy=POLICY)


def test_a_policy_server_killed_while_mixing_stops_the_robot_until_it_is_back(session_of):
    session = session_of("dagger", dagger__beta="constant:0.5")
    ticks_until(session, lambda d: d.authority != NOBODY, expert=EXPERT, policy=POLICY)
    gone = ticks_until(session, lambda d: "policy silent" in d.reason, expert=EXPERT)
    assert gone <= TIMEOUT_TICKS + 1
    assert (session.rig.decisions[-1].authority, session.rig.decisions[-1].sent[2]) == (NOBODY, 0.0)
    assert session.rig.decisions[-1].proposals["expert"] == EXPERT  # the label is there all the same
    ticks_until(session, lambda d: d.authority != NOBODY, expert=EXPERT, policy=POLICY)


def test_duplicated_and_reordered_proposals_change_nothing(session_of):
    session = session_of("policy", silence_s=PATIENT_S)
    session.until_driven_by("policy", policy=POLICY)
    rig, sent = session.rig, []
    names, period_ns = rig.contract.action_names, rig.contract.period_ns
    for tick in range(30):
        wish = (0.001 * tick, 0.0, 0.1)
        sent.append((session.tick(policy=wish).sent, wish))
        for back, value in ((0, 0.9), (1, 0.8), (3, 0.7)):  # this tick again, and older ones after it
            stamp = 1_000_000_000 + (session.number - back) * period_ns
            again = proposal.Proposal("policy", stamp, np.array([[value, 0.0, 0.1]]))
            rig.sources["policy"](proposal.to_message(again, names, period_ns))
    assert all(got == wanted for got, wanted in sent)
    stamps = [decision.stamp_ns for decision in rig.decisions]
    assert stamps == sorted(set(stamps))


def test_an_emergency_stop_in_the_middle_of_a_handover_wins(session_of):
    session = session_of("hg_dagger", silence_s=PATIENT_S)
    graph, rig = session.rig.graph, session.rig
    session.until_driven_by("policy", policy=POLICY)
    taken = session.tick(EXPERT, POLICY)
    assert graph.call("dagger_supervisor/estop", SetBool, data=True).success
    graph.until(lambda: "emergency stop" in rig.decisions[-1].reason, "the stop")
    assert rig.decisions[-1].sent[2] == 0.0
    assert session.tick(EXPERT, POLICY).authority == NOBODY
    graph.call("dagger_supervisor/estop", SetBool, data=False)
    assert graph.call("dagger_supervisor/reset_estop", Trigger).success
    assert session.until_driven_by("expert", expert=EXPERT, policy=POLICY).epoch > taken.epoch


def test_a_gamepad_takes_over_hands_back_at_once_and_lets_go_when_unplugged(graph, session_of, contract_file):
    """A real teleoperation node on the graph: its word, not a time-out, hands back."""
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
    driven_by("expert", 1)
    driven_by("policy", 0)
    graph.until(lambda: "expert let go" in str([d.reason for d in session.rig.decisions]), "its word")
    driven_by("expert", 1)
    driven_by("policy", None)
