"""Modes and handovers on a real graph: switched at run time, effective within a control period."""

import json

import numpy as np
import pytest
from std_srvs.srv import Trigger
from supervised import LATCHED, Rig, Session

from il_ros.nodes.supervisor.node import DaggerSupervisor
from il_ros.records import proposal
from il_ros.records.decision import NOBODY

STRING = "std_msgs/msg/String"


EXPERT, POLICY, RELEASED = (0.02, 0.0, 0.1), (-0.02, 0.0, -0.1), ()


@pytest.fixture
def session(graph, contract_file):
    return Session(graph, contract_file)


def test_the_mode_switches_at_run_time_and_begins_a_new_generation(session):
    before = session.until_driven_by("expert", expert=EXPERT, policy=POLICY)
    assert (before.mode, session.rig.statuses[-1]["mode"]) == ("priority", "priority")
    assert session.set(mode="policy").successful
    after = session.until_driven_by("policy", expert=EXPERT, policy=POLICY)
    assert after.mode == "policy"
    assert after.generation > before.generation
    session.rig.graph.until(lambda: session.rig.statuses[-1]["mode"] == "policy", "the status")


def test_an_invalid_mode_is_refused_with_the_reason_and_nothing_changes(session):
    for given, message in (
        ({"mode": "auto"}, "one of priority, expert"),
        ({"dagger__beta": "cosine:1"}, "beta schedule 'cosine:1' is not known"),
        ({"gated__timed_out": "explode"}, "one of hold, resume, stop"),
    ):
        refused = session.set(**given)
        assert not refused.successful
        assert message in refused.reason
    assert session.rig.node.get_parameter("mode").value == "priority"


def test_a_mode_without_its_sources_leaves_the_node_unconfigured(graph, contract_file):
    node = graph.start(
        DaggerSupervisor, contract=str(contract_file), discovery_s=0.0, sources=["left"], mode="dagger"
    )
    assert node.state == "unconfigured"
    assert "mode dagger needs the sources policy and expert; the sources are: left" in node._last_error[1]


@pytest.mark.parametrize(("beta", "driver", "target"), [(1, "expert", EXPERT), (0, "policy", POLICY)])
def test_at_the_extremes_of_beta_the_robot_receives_exactly_the_drivers_commands(
    graph, contract_file, beta, driver, target
):
    session = Session(graph, contract_file, mode="dagger", dagger__beta=f"constant:{beta}")
    session.until_driven_by(driver, expert=EXPERT, policy=POLICY)
    session.rig.arm.clear()
    scaled = [np.array(target) * share for share in (0.5, 0.25, 0.75)]
    for share in (0.5, 0.25, 0.75):
        session.tick(np.array(EXPERT) * share, np.array(POLICY) * share)
    graph.until(lambda: len(session.rig.arm) >= 3, "the commands")
    np.testing.assert_array_equal([list(c.data) for c in session.rig.arm[-3:]], [s[:2] for s in scaled])
    assert session.rig.decisions[-1].beta == beta
    assert session.rig.statuses[-1]["beta"] == beta


def test_the_expert_takes_over_at_its_first_proposal_and_hands_back_by_releasing(session):
    assert session.set(mode="hg_dagger").successful
    generation = session.until_driven_by("policy", policy=POLICY).generation
    session.tick(policy=POLICY, uncertainty=0.25)
    taken = session.tick(EXPERT, POLICY, uncertainty=0.5, generation=generation)
    assert (taken.authority, taken.generation) == ("expert", generation + 1)
    # a policy with memory sends its generation: after the release it must reset
    held = session.tick(RELEASED, POLICY, generation=generation)
    assert (held.authority, held.generation) == (NOBODY, generation + 2)
    session.rig.graph.until(
        lambda: session.rig.statuses[-1]["generation"] == generation + 2, "the status with the generation"
    )
    assert session.tick(policy=POLICY, generation=generation + 2).authority == "policy"
    assert session.rig.statuses[-1]["threshold"] == 0.25


def test_a_request_is_published_rings_the_terminal_and_ends_when_answered(session, capfd):
    requests = session.rig.graph.received("dagger_supervisor/request", STRING, LATCHED)
    assert session.set(mode="gated", gated__ask=1.0, gated__at_once=5).successful
    session.until_driven_by("policy", policy=POLICY, uncertainty=0.1)
    waiting = session.tick(policy=POLICY, uncertainty=2.0)
    assert (waiting.authority, waiting.sent[2]) == (NOBODY, 0.0)  # the base stops, the arm holds
    assert waiting.reason == "waiting for the expert: uncertainty 2 above 1"
    session.rig.graph.until(lambda: requests, "the request")
    requested = json.loads(requests[-1].data)
    assert (requested["wanted"], requested["number"], requested["why"]) == (True, 1, "uncertainty 2 above 1")
    assert "\a" in capfd.readouterr().err
    status = session.rig.graph.until(
        lambda: session.rig.statuses[-1]["request"] and session.rig.statuses[-1], "the status"
    )
    assert (status["budget_left"], status["threshold"], status["uncertainty"]) == (4, 1.0, 2.0)
    assert session.tick(EXPERT, POLICY, uncertainty=2.0).authority == "expert"
    session.rig.graph.until(lambda: not json.loads(requests[-1].data)["wanted"], "its end")


def test_a_restart_is_an_episode_boundary(graph, contract_file):
    session = Session(
        graph,
        contract_file,
        mode="dagger",
        dagger__beta="constant:0.5",
        dagger__unit="episode",
    )
    drivers = []
    for _ in range(8):
        session.tick(EXPERT, POLICY)
        drivers.append({session.tick(EXPERT, POLICY).authority for _ in range(4)} - {NOBODY})
        assert graph.call("dagger_supervisor/restart", Trigger).success
    assert all(len(each) == 1 for each in drivers)
    assert set().union(*drivers) == {"expert", "policy"}


def test_in_real_time_takeover_and_hand_back_take_one_control_period(graph, contract_file):
    """From the first proposal of the new source to its first command, by the decision records."""
    rig = Rig(graph, contract_file, mode="hg_dagger").ready()
    rig.measure(0.0, 0.0)
    period_ns, names = rig.contract.period_ns, rig.contract.action_names
    rig.answered("policy", 0.0, 0.0, 0.1)

    def quick(decision, name):
        return decision.authority == name and decision.sent_ns - decision.stamp_ns < period_ns

    def there_and_back():
        taken = rig.answered("expert", 0.0, 0.0, 0.2)
        word = proposal.releasing("expert", rig.now, 3)
        rig.sources["expert"](proposal.to_message(word, names, period_ns))
        generation = graph.until(
            lambda: rig.statuses[-1]["generation"] > taken.generation and rig.statuses[-1]["generation"],
            "the hand-back",
        )
        back = rig.propose("policy", 0.0, 0.0, 0.1, generation=generation)
        return quick(taken, "expert") and quick(back, "policy")

    graph.until(there_and_back, "both within a period")  # the machine may be busy
