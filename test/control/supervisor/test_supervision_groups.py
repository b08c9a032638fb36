"""Authority per action group: one source drives the left arm while another drives the right one."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.control.supervisor.arbitration import Source
from il_ros.control.supervisor.supervision import Supervision, SupervisorOptions
from il_ros.core import contract, messages
from il_ros.core.specs import WHOLE
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.decision import NOBODY, from_json, to_json
from il_ros.records.labelling import label
from il_ros.records.proposal import Proposal, releasing

PERIOD = 50_000_000
START = 1_000 * PERIOD
STEP = 0.05  # 1 rad/s for one period of 50 ms
TWO_ARMS = """
name: two_arms
rate_hz: 20
observations:
  left_joint: {topic: left/joint_states, type: sensor_msgs/msg/JointState, names: [l], max_age_s: 0.2}
  right_joint: {topic: right/joint_states, type: sensor_msgs/msg/JointState, names: [r], max_age_s: 0.2}
actions:
  left_arm: {topic: left/commands, type: std_msgs/msg/Float64MultiArray, names: [l], reference: left_joint,
             limits: {lower: -1.0, upper: 1.0, speed: 1.0}}
  right_arm: {topic: right/commands, type: std_msgs/msg/Float64MultiArray, names: [r], reference: right_joint,
              limits: {lower: -1.0, upper: 1.0, speed: 1.0}}
"""
GROUPS = "groups: {left: [left_arm], right: [right_arm]}\n"
SOURCES = (
    Source("policy", "policy_server/proposal", 10, timeout_s=0.25, max_age_s=0.2),
    Source("expert", "expert/proposal", 20, timeout_s=0.12, max_age_s=0.2),
)
LEFT, RIGHT = 0, 1
NAN = math.nan


class Arms:
    """Two arms that go a `share` of the way to each command, under one supervision; periods count from START."""

    def __init__(self, mode="hg_dagger", text=TWO_ARMS + GROUPS, share=1.0, **options):
        self.share = share
        self.contract = own = contract.parse(text, "test")
        memory = ModeMemory(own.period_ns, groups=own.groups)
        made = make_mode(ModeOptions(mode), own, ("policy", "expert"), memory)
        self.core = Supervision(own, SOURCES, SupervisorOptions(**{"silence_s": 0.075, **options}), mode=made)
        self.at_rad = [0.0, 0.0]
        self.decisions = []

    def at(self, k):
        return START + round(k * PERIOD)

    def measure(self, k, *arms):
        for arm in arms or (LEFT, RIGHT):
            topic, name = ("left/joint_states", "l") if arm == LEFT else ("right/joint_states", "r")
            state = messages.make(
                "sensor_msgs/msg/JointState",
                header=messages.header(self.at(k)),
                name=[name],
                position=np.array([self.at_rad[arm]]),
            )
            raw = messages.encode("sensor_msgs/msg/JointState", state)
            self.core.measure(topic, raw, self.at(k), self.at(k))

    def keep(self, decision):
        if decision is not None:
            self.decisions.append(decision)
            for arm, value in enumerate(decision.sent or ()):
                if not math.isnan(value):
                    self.at_rad[arm] += self.share * (value - self.at_rad[arm])
        return decision

    def propose(self, k, source, left, right, **words):
        """Propose for the groups whose value is a number; return the decision that this triggered."""
        values = (left, right)
        covered = tuple(name for name, v in zip(("left", "right"), values, strict=True) if v is not None)
        chunk = np.array([[NAN if value is None else value for value in values]])
        groups = () if len(covered) == 2 else covered
        proposal = Proposal(source, self.at(k), chunk, groups=groups, **words)
        return self.keep(self.core.propose(source, proposal, self.at(k), self.at(k)))

    def release(self, k, *groups):
        released = releasing("expert", self.at(k), 2, groups)
        return self.keep(self.core.propose("expert", released, self.at(k), self.at(k)))

    def tick(self, k):
        return self.keep(self.core.tick(self.at(k), self.at(k)))

    def policy_drives(self, k=0, left=0.0, right=0.0):
        self.measure(k)
        return self.propose(k, "policy", left, right)


def authorities(decision):
    return tuple(part.authority for part in decision.groups.values())


# ---- a takeover of one arm ----------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["hg_dagger", "priority", "gated"])
def test_the_expert_takes_the_arm_that_it_proposes_for(mode):
    arms = Arms(mode)
    arms.policy_drives(0, 0.01, 0.01)
    arms.measure(1)
    assert arms.propose(1, "expert", -0.02, None) is None  # the right arm's policy is awaited
    decision = arms.propose(1, "policy", 0.02, 0.02)
    assert authorities(decision) == ("expert", "policy")
    assert decision.authority == "expert+policy"
    assert decision.sent == (-0.02, 0.02)
    assert decision.groups["left"].reason.startswith("expert takes over from policy")
    assert decision.groups["right"].reason == "proposed"
    assert decision.proposals["policy"] == (0.02, 0.02)
    expert = decision.proposals["expert"]
    assert expert[LEFT] == -0.02
    assert math.isnan(expert[RIGHT])


def test_the_generation_of_all_arms_began_where_both_were_handed_over():
    arms = Arms()
    arms.policy_drives(0)
    assert arms.core.generation_ns == arms.at(0)
    arms.measure(1)
    arms.propose(1, "expert", -0.02, None)
    generation = arms.propose(1, "policy", 0.02, 0.02).generation
    assert arms.core.generation_ns == arms.at(0)  # the other arm's chunk is still played
    arms.measure(2)
    arms.propose(2, "expert", -0.02, 0.02)
    assert arms.core.generation == generation + 1
    arms.core.restart()
    assert arms.core.generation_ns > arms.at(1)


def test_only_the_corrected_arm_is_labelled():
    arms = Arms()
    arms.policy_drives()
    arms.measure(1)
    arms.propose(1, "expert", -0.02, None)
    decision = arms.propose(1, "policy", 0.02, 0.02)
    left, right = label("hg_dagger", decision)
    assert left == -0.02
    assert math.isnan(right)


def test_the_ramp_of_one_arm_leaves_the_other_alone():
    """The left arm is measured at 0.1, so its ramp starts there; the right command goes on from the last one."""
    arms = Arms(start_tolerance=1.0)
    arms.policy_drives(0, 0.0, 0.0)
    arms.measure(1)
    arms.propose(1, "policy", 0.04, 0.04)
    arms.at_rad = [0.1, 0.1]  # both measured elsewhere than commanded
    arms.measure(2)
    arms.propose(2, "expert", 0.5, None)
    decision = arms.propose(2, "policy", 0.04, -0.5)
    assert decision.sent == pytest.approx((0.1 + STEP, 0.04 - STEP))
    assert decision.limited == ["left_arm/l speed", "right_arm/r speed"]


def test_a_handback_is_a_release_of_that_arm():
    arms = Arms()
    arms.policy_drives()
    arms.measure(1)
    arms.propose(1, "expert", 0.01, 0.01)
    arms.propose(1, "policy", 0.0, 0.0)
    assert authorities(arms.decisions[-1]) == ("expert", "expert")
    arms.measure(2)
    assert arms.release(2, "left") is None  # the policy's proposal for the tick is awaited
    assert arms.core.authorities == {"left": "policy", "right": "expert"}
    arms.propose(2, "expert", None, 0.02)
    decision = arms.propose(2, "policy", 0.0, 0.0)
    assert authorities(decision) == ("policy", "expert")
    assert decision.groups["left"].reason == "policy has authority: expert released control"


def test_an_expert_that_falls_silent_in_one_arm_loses_that_arm():
    arms = Arms()
    arms.policy_drives()
    arms.measure(1)
    arms.propose(1, "expert", 0.01, 0.01)
    for k in range(2, 7):
        arms.measure(k)
        arms.propose(k, "policy", 0.0, 0.0)
        arms.propose(k, "expert", None, 0.01)
        arms.tick(k + 0.9)
    assert authorities(arms.decisions[-1]) == ("policy", "expert")
    assert any("expert silent for" in d.groups["left"].reason for d in arms.decisions)
    assert all(d.groups["right"].authority == "expert" for d in arms.decisions[1:])


def test_a_policy_whose_clock_is_a_second_behind_is_absent_from_each_arm_with_the_reason():
    arms = Arms()
    arms.policy_drives()
    for k in range(1, 8):
        arms.measure(k)
        old = Proposal("policy", arms.at(k - 20), np.zeros((1, 2)))
        assert arms.core.propose("policy", old, arms.at(k), arms.at(k)) is None
        arms.tick(k + 0.9)
    for part in arms.decisions[-1].groups.values():
        assert part.reason.endswith("; what it sends is refused: 1.00 s old, at most 0.2 s is accepted")
        assert "policy silent for" in part.reason


# ---- generations --------------------------------------------------------------------------------------------


def test_a_takeover_of_one_arm_does_not_interrupt_the_policy_in_the_other():
    """The policy has not heard of the new generation: the right arm goes on, the left one waits for it."""
    arms = Arms()
    arms.measure(0)
    arms.propose(0, "policy", 0.0, 0.0, generation=1)
    arms.measure(1)
    arms.propose(1, "expert", 0.01, None)
    decision = arms.propose(1, "policy", 0.02, 0.02, generation=1)
    assert (decision.generation, decision.sent) == (3, (0.01, 0.02))
    arms.measure(2)
    arms.release(2, "left")
    decision = arms.propose(2, "policy", 0.02, 0.03, generation=1)
    assert authorities(decision) == (NOBODY, "policy")
    assert "waiting for its first proposal of generation 4" in decision.groups["left"].reason
    assert decision.sent == (0.01, 0.03)  # the left arm holds
    arms.measure(3)
    decision = arms.propose(3, "policy", 0.02, 0.04, generation=4)
    assert (authorities(decision), decision.sent) == (("policy", "policy"), (0.02, 0.04))


# ---- what stays the whole robot's ---------------------------------------------------------------------------


def test_the_emergency_stop_stops_both_arms():
    arms = Arms()
    arms.policy_drives()
    arms.measure(1)
    arms.propose(1, "expert", 0.04, None)
    arms.propose(1, "policy", 0.04, 0.04)
    arms.core.estop.trip("a test")
    decision = arms.keep(arms.core.answer_estop(arms.at(1.2), arms.at(1.2)))
    assert (decision.authority, authorities(decision)) == (NOBODY, (NOBODY, NOBODY))
    assert decision.sent == (0.04, 0.04)
    assert decision.reason.count("a test") == 1


def test_at_rest_a_manual_source_drives_its_arm_alone():
    arms = Arms(start_at_rest=True, manual=("expert",))
    arms.measure(0)
    arms.propose(0, "policy", 0.02, 0.02)
    arms.measure(1)
    decision = arms.propose(1, "expert", 0.01, None)
    assert authorities(decision) == ("expert", NOBODY)
    assert decision.sent[LEFT] == 0.01
    assert math.isnan(decision.sent[RIGHT])  # never commanded


def test_an_arm_whose_state_is_not_measured_does_not_keep_the_other_from_moving():
    arms = Arms()
    arms.measure(0, LEFT)
    decision = arms.propose(0, "policy", 0.01, 0.01)
    assert decision.sent[LEFT] == 0.01
    assert math.isnan(decision.sent[RIGHT])
    assert "no ramp can start" in decision.groups["right"].reason
    assert "left" not in decision.groups["right"].reason
    assert from_json(to_json(decision)).groups == decision.groups


def test_an_arm_whose_source_missed_a_tick_does_not_hold_up_the_other():
    """The policy is three ticks late, as one that computes for 150 ms: its chunk is continued meanwhile."""
    arms = Arms()
    arms.measure(0)
    chunk = np.array([[0.01 * step, 0.01 * step] for step in range(6)])
    arms.keep(arms.core.propose("policy", Proposal("policy", arms.at(0), chunk), arms.at(0), arms.at(0)))
    arms.measure(1)
    assert arms.propose(1, "expert", 0.01, None) is None  # it may still propose for this tick
    arms.tick(1.5)
    for k in (2, 3):
        arms.measure(k)
        decision = arms.propose(k, "expert", 0.01, None)
        assert decision.stamp_ns == arms.at(k)
        assert decision.sent == pytest.approx((0.01, 0.01 * k))
        assert decision.groups["right"].reason == f"proposed; step {k} of its last chunk"


# ---- what is refused ----------------------------------------------------------------------------------------


def test_a_proposal_with_nan_in_its_arm_makes_the_source_faulty_there():
    arms = Arms()
    arms.policy_drives()
    arms.measure(1)
    arms.propose(1, "expert", 0.01, 0.01)
    arms.measure(2)
    bad = Proposal("expert", arms.at(2), np.array([[NAN, NAN]]), groups=("left",))
    arms.keep(arms.core.propose("expert", bad, arms.at(2), arms.at(2)))
    absences = arms.core.proposal_buffer.absences(arms.at(2), arms.at(2))
    assert str(absences["left"]["expert"]) == "rejected: left_arm/l is nan"
    assert not absences["right"]["expert"]


def test_a_proposal_for_one_arm_is_not_late_because_of_the_other():
    arms = Arms("priority")
    arms.measure(0)
    assert arms.propose(0, "expert", 0.01, None) is not None
    assert arms.propose(0.1, "expert", None, 0.01) is None  # the tick is another: accepted, not decided yet
    assert arms.core.proposal_buffer.states["expert"].accepted == 2
    late = Proposal("expert", arms.at(0), np.array([[0.02, NAN]]), groups=("left",))
    arms.core.propose("expert", late, arms.at(0.2), arms.at(0.2))
    assert "not after that of its newest proposal" in arms.core.proposal_buffer.states["expert"].rejection


# ---- the property -------------------------------------------------------------------------------------------

ENGAGED = st.lists(st.booleans(), min_size=8, max_size=8)
TARGETS = st.lists(st.floats(-1.0, 1.0), min_size=8, max_size=8)


def drive(mode, engaged, targets):
    """Run eight ticks in which the expert drives the arms where it is `engaged`; return what concerns the left arm."""
    arms = Arms(mode, share=0.5)
    arms.policy_drives()
    out = []
    for k in range(1, 9):
        arms.measure(k)
        for name, plan in engaged.items():
            if plan[k - 1]:
                value = targets[name][k - 1]
                arms.propose(k, "expert", *((value, None) if name == "left" else (None, value)))
            elif k > 1 and plan[k - 2]:
                arms.release(k, name)
        arms.propose(k, "policy", 0.3 * math.sin(k), 0.2 * math.cos(k))
        (decision,) = [each for each in arms.decisions if each.stamp_ns == arms.at(k)]
        left = decision.groups["left"]
        assert left.authority == ("expert" if engaged["left"][k - 1] else "policy")
        labelled = label(mode, decision)
        labelled = None if labelled is None or math.isnan(labelled[LEFT]) else labelled[LEFT]
        assert (labelled is not None) == engaged["left"][k - 1]
        out.append((left.authority, left.reason, decision.sent[LEFT], labelled))
    return out


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(["hg_dagger", "priority"]), ENGAGED, ENGAGED, ENGAGED, TARGETS, TARGETS)
def test_an_arms_command_and_label_do_not_depend_on_who_drives_the_other(
    mode, left, right, other_right, left_targets, right_targets
):
    targets = {"left": left_targets, "right": right_targets}
    first = drive(mode, {"left": left, "right": right}, targets)
    assert first == drive(mode, {"left": left, "right": other_right}, targets)


# ---- one group ----------------------------------------------------------------------------------------------


def test_one_group_of_all_actions_is_decided_as_without_groups():
    """The record has no field `groups`, and every other field is the same."""
    texts = []
    for text in (TWO_ARMS, TWO_ARMS + "groups: {both: [right_arm, left_arm]}\n"):
        arms = Arms(text=text)
        arms.policy_drives(0, 0.01, 0.01)
        arms.measure(1)
        arms.propose(1, "expert", -0.02, 0.03)
        arms.tick(3)
        texts.append([to_json(decision) for decision in arms.decisions])
    assert texts[0] == texts[1]
    assert "groups" not in texts[0][0]
    assert arms.decisions[0].authorities == {WHOLE: "policy"}
