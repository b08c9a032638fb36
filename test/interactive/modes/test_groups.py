"""The modes under a contract with several action groups: who gets authority over each."""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import (
    NOT_YET,
    PRESENT,
    RELEASED,
    Absence,
    AbsenceKind,
    ArbitrationInput,
    anywhere,
)
from il_ros.core import contract
from il_ros.core.specs import ActionGroup
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

S = 1_000_000_000
SILENT = Absence(AbsenceKind.SILENT, "silent for 0.3 s")
FAULTY = Absence(AbsenceKind.FAULTY, "rejected: nan")
OWN = contract.parse(
    """
name: two_arms
rate_hz: 1
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [l, r], max_age_s: 2.0}
actions:
  left_arm: {topic: left, type: std_msgs/msg/Float64MultiArray, names: [l], reference: joints, limits: {speed: 1.0}}
  right_arm: {topic: right, type: std_msgs/msg/Float64MultiArray, names: [r], reference: joints, limits: {speed: 1.0}}
groups: {left: [left_arm], right: [right_arm]}
""",
    "two_arms.yaml",
)


class Arms:
    """Two groups under one mode; the policy is present unless said otherwise."""

    def __init__(self, mode, gated=None, **options):
        self.memory = ModeMemory(OWN.period_ns, groups=OWN.groups)
        given = ModeOptions(mode, gated=gated or GatedOptions(), **options)
        self.mode = make_mode(given, OWN, ("policy", "expert"), self.memory)
        self.authority = {"left": NOBODY, "right": NOBODY}
        self.at = 0

    def tick(self, left, right, uncertainty=None, policy=PRESENT, each=None, version="v1"):
        """Decide on both groups with the expert's absence from each; return the sources in authority."""
        self.at += 1
        chunk = np.zeros((1, 2))
        known = None if each is None else dict(zip(("left", "right"), each, strict=True))
        proposed = Proposal("policy", self.at * S, chunk, version, None, uncertainty, uncertainties=known)
        self.mode.observe("policy", proposed)
        absences = {
            group: {"expert": absent, "policy": policy}
            for group, absent in (("left", left), ("right", right))
        }
        robot = anywhere(absences.values())
        chosen = {}
        for group, absent in absences.items():
            given = ArbitrationInput(self.at * S, self.authority[group], absent, group, robot)
            chosen[group] = self.mode.choose(given)
        self.reasons = {group: arbitration.reason for group, arbitration in chosen.items()}
        self.authority = {group: arbitration.authority for group, arbitration in chosen.items()}
        return tuple(self.authority.values())


# ---- absence from the whole robot ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (PRESENT, NOT_YET, PRESENT),
        (RELEASED, NOT_YET, RELEASED),
        (RELEASED, SILENT, SILENT),
        (SILENT, FAULTY, FAULTY),
        (NOT_YET, NOT_YET, NOT_YET),
    ],
)
def test_a_source_is_absent_that_is_absent_from_every_group(left, right, expected):
    assert anywhere([{"expert": left}, {"expert": right}]) == {"expert": expected}
    assert anywhere([{"expert": right}, {"expert": left}]) == {"expert": expected}


# ---- hg_dagger ----------------------------------------------------------------------------------------------


def test_in_hg_dagger_the_expert_drives_the_groups_that_it_proposes_for():
    arms = Arms("hg_dagger")
    assert arms.tick(NOT_YET, NOT_YET) == ("policy", "policy")
    assert arms.tick(PRESENT, NOT_YET) == ("expert", "policy")
    assert arms.tick(PRESENT, PRESENT) == ("expert", "expert")
    assert arms.tick(RELEASED, PRESENT) == ("policy", "expert")
    assert arms.tick(RELEASED, SILENT) == ("policy", "policy")


def test_the_threshold_is_learnt_once_from_groups_that_are_taken_at_one_tick():
    both, one_by_one = Arms("hg_dagger"), Arms("hg_dagger")
    for arms in (both, one_by_one):
        arms.tick(NOT_YET, NOT_YET, 0.1)
    both.tick(PRESENT, PRESENT, 0.5)
    assert both.memory.threshold.count == 1
    one_by_one.tick(PRESENT, NOT_YET, 0.5)
    one_by_one.tick(PRESENT, PRESENT, 0.7)
    assert one_by_one.memory.threshold.count == 2


# ---- gated --------------------------------------------------------------------------------------------------

ASK = GatedOptions(ask=1.0, least_s=0.0)


def test_in_gated_a_person_takes_one_arm_at_any_time():
    arms = Arms("gated", ASK)
    assert arms.tick(NOT_YET, NOT_YET, 0.1) == ("policy", "policy")
    assert arms.tick(PRESENT, NOT_YET, 0.1) == ("expert", "policy")
    assert arms.tick(RELEASED, NOT_YET, 0.1) == ("policy", "policy")


def test_a_request_stops_the_robot_until_the_expert_answers_in_one_group():
    arms = Arms("gated", ASK)
    arms.tick(NOT_YET, NOT_YET, 0.1)
    assert arms.tick(NOT_YET, NOT_YET, 2.0) == (NOBODY, NOBODY)
    assert arms.mode.request.number == 1
    assert arms.tick(NOT_YET, PRESENT, 2.0) == ("policy", "expert")
    assert arms.mode.request is None
    assert arms.tick(NOT_YET, RELEASED, 2.0) == ("policy", "policy")  # no new request before it was low


def test_an_expert_that_falls_silent_in_the_arm_that_it_helps_is_awaited():
    arms = Arms("gated", ASK)
    arms.tick(NOT_YET, NOT_YET, 0.1)
    arms.tick(PRESENT, PRESENT, 0.1)
    assert arms.tick(PRESENT, SILENT, 0.1) == ("expert", NOBODY)
    assert arms.reasons["right"] == "expert silent for 0.3 s"
    assert arms.tick(SILENT, SILENT, 0.1) == (NOBODY, NOBODY)
    assert "the expert stopped proposing" in arms.mode.request.why


# ---- gated, with an uncertainty of each group ---------------------------------------------------------------


def test_help_is_requested_for_the_group_that_needs_it_and_the_policy_drives_the_other():
    arms = Arms("gated", ASK)
    assert arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1)) == ("policy", "policy")
    assert arms.tick(NOT_YET, NOT_YET, each=(2.0, 0.1)) == (NOBODY, "policy")
    request = arms.mode.request
    assert (request.number, request.groups) == (1, ("left",))
    assert request.why == "left: uncertainty 2 above 1"
    assert arms.reasons["left"] == "waiting for the expert: uncertainty 2 above 1"
    assert arms.tick(PRESENT, NOT_YET, each=(2.0, 0.1)) == ("expert", "policy")
    assert arms.mode.request is None
    assert arms.tick(RELEASED, NOT_YET, each=(2.0, 0.1)) == ("policy", "policy")  # none before it was low
    assert arms.tick(RELEASED, NOT_YET, each=(0.1, 2.0)) == ("policy", NOBODY)
    assert (arms.mode.request.number, arms.mode.request.groups) == (2, ("right",))
    assert arms.tick(RELEASED, NOT_YET, each=(0.1, 0.1)) == ("policy", "policy")  # withdrawn


def test_an_answer_for_another_group_answers_no_request():
    arms = Arms("gated", ASK)
    arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1))
    assert arms.tick(NOT_YET, PRESENT, each=(2.0, 0.1)) == (NOBODY, "expert")
    assert arms.mode.request.groups == ("left",)


def test_what_both_groups_request_at_one_tick_is_one_request():
    arms = Arms("gated", GatedOptions(ask=1.0, least_s=0.0, per_hour=1, at_once=1))
    arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1))
    assert arms.tick(NOT_YET, NOT_YET, each=(2.0, 3.0)) == (NOBODY, NOBODY)
    request = arms.mode.request
    assert (request.number, request.groups) == (1, ("left", "right"))
    assert request.why == "left: uncertainty 2 above 1; right: uncertainty 3 above 1"


def test_the_budget_of_requests_is_shared():
    arms = Arms("gated", GatedOptions(ask=1.0, least_s=0.0, per_hour=1, at_once=1))
    arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1))
    arms.tick(NOT_YET, NOT_YET, each=(2.0, 0.1))
    assert arms.mode.state(arms.at * S)["budget_left"] == 0
    assert arms.tick(PRESENT, NOT_YET, each=(2.0, 3.0)) == ("expert", "policy")


def test_the_threshold_of_a_group_is_learnt_from_its_own_takeovers():
    arms = Arms("gated", GatedOptions(least_s=0.0, warm_up_s=1e6))
    arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1))
    arms.tick(PRESENT, NOT_YET, each=(0.5, 0.1))
    arms.tick(RELEASED, NOT_YET, each=(0.1, 0.1))
    gates = arms.mode.state(arms.at * S)["gates"]
    assert gates == {
        "left": {"state": "driving", "uncertainty": 0.1, "threshold": 0.5},
        "right": {"state": "driving", "uncertainty": 0.1, "threshold": None},
    }
    assert arms.tick(RELEASED, NOT_YET, each=(0.6, 0.6)) == (NOBODY, "policy")


def test_a_tick_without_uncertainties_of_groups_changes_no_gate_but_another_policy_does():
    arms = Arms("gated", ASK)
    arms.tick(NOT_YET, NOT_YET, each=(0.1, 0.1))
    arms.tick(NOT_YET, NOT_YET, each=(2.0, 0.1))
    assert arms.tick(NOT_YET, NOT_YET, 2.0) == (NOBODY, NOBODY)  # of the whole: of both
    assert arms.mode.request.groups == ("left", "right")
    arms.tick(NOT_YET, NOT_YET, 0.1, version="v2")
    assert arms.tick(NOT_YET, NOT_YET, 2.0, version="v2") == (NOBODY, NOBODY)
    assert arms.mode.request.groups == ()


# ---- dagger -------------------------------------------------------------------------------------------------


def test_in_dagger_one_draw_is_for_the_whole_robot():
    arms = Arms("dagger", beta="constant:0.5", seed=3)
    drawn = [arms.tick(PRESENT, PRESENT) for _ in range(30)]
    assert set(drawn) == {("expert", "expert"), ("policy", "policy")}
    assert arms.tick(PRESENT, NOT_YET)[1] == NOBODY  # both must propose


# ---- disagreement -------------------------------------------------------------------------------------------


def test_the_disagreement_of_a_group_is_of_its_numbers():
    """Left 0.3 apart, right 0.4: together the root of (0.09 + 0.16) / 2."""
    arms = Arms("hg_dagger")
    arms.mode.observe("policy", Proposal("policy", S, np.array([[0.0, 0.0]])))
    arms.mode.observe("expert", Proposal("expert", S, np.array([[0.3, 0.4]])))
    assert arms.mode.disagreement(S, "left") == pytest.approx(0.3)
    assert arms.mode.disagreement(S, "right") == pytest.approx(0.4)
    assert arms.mode.disagreement(S) == pytest.approx(np.sqrt(0.125))


def test_a_proposal_of_one_group_is_compared_there():
    arms = Arms("hg_dagger")
    arms.mode.observe("policy", Proposal("policy", S, np.array([[0.0, 0.0]])))
    arms.mode.observe("expert", Proposal("expert", S, np.array([[0.3, np.nan]]), groups=("left",)))
    assert arms.mode.disagreement(S, "left") == pytest.approx(0.3)
    assert arms.mode.disagreement(S, "right") is None
    assert arms.mode.disagreement(S) == pytest.approx(0.3)


def test_one_group_is_compared_as_a_whole():
    memory = ModeMemory(S, groups=[ActionGroup("all", ("arm",), (0, 1))])
    assert memory.disagreements == {}
