"""The workspace box: the tool does not leave it, whatever is asked."""

import math

import numpy as np
import pytest

from il_ros.control.limiter.actuation import Actuation
from il_ros.control.limiter.starts import StartTolerance
from il_ros.control.limiter.urdf import parse_chain
from il_ros.control.limiter.workspace import Workspace
from il_ros.core import contract
from il_ros.core.safety import WorkspaceSpec

PERIOD_S = 0.05
# two links of 0.5 m in the plane z = 0.3, as far as the fingertip; the gripper is not part of the chain
URDF = """
<robot name="planar">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="tip"/>
  <joint name="a" type="continuous">
    <parent link="base"/><child link="upper"/><origin xyz="0 0 0.3"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="b" type="continuous">
    <parent link="upper"/><child link="lower"/><origin xyz="0.5 0 0"/><axis xyz="0 0 1"/>
  </joint>
  <joint name="c" type="fixed"><parent link="lower"/><child link="tip"/><origin xyz="0.5 0 0"/></joint>
</robot>
"""
TEXT = """
name: planar
rate_hz: 20
observations:
  joints: {{topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b, grip], max_age_s: 0.2}}
actions:
  arm:
    {{topic: arm, type: std_msgs/msg/Float64MultiArray, names: [b, a], reference: joints, safe: {safe},
     limits: {{lower: -3.0, upper: 3.0, speed: 2.0{acceleration}}}}}
  grip:
    {{topic: grip, type: std_msgs/msg/Float64MultiArray, names: [grip], reference: joints,
     limits: {{lower: 0.0, upper: 0.08, speed: 0.1}}}}
"""
BOX = WorkspaceSpec("planar.urdf", "tip", (-0.2, -0.4, 0.0), (0.8, 0.6, 0.5))


def tip(arm):
    """Return the fingertip of the joints (b, a), by hand."""
    b, a = arm
    return 0.5 * math.cos(a) + 0.5 * math.cos(a + b), 0.5 * math.sin(a) + 0.5 * math.sin(a + b)


def outside(arm):
    x, y = tip(arm)
    return max(0.0, -0.2 - x, x - 0.8, -0.4 - y, y - 0.6)


class Planar:
    def __init__(self, acceleration=", acceleration: 8.0", safe="hold", start=(2.0, -1.0)):
        own = contract.parse(TEXT.format(acceleration=acceleration, safe=safe), "test")
        chain = parse_chain(URDF, "planar.urdf", "", "tip")
        self.space = Workspace(own, BOX, chain)
        self.actuation = Actuation(own, (), StartTolerance(), self.space)
        assert self.actuation.anchor({"arm": start, "grip": (0.02,)}, from_rest=True) == {}

    def follow(self, b, a, grip=0.02, dt_s=PERIOD_S):
        limited = self.actuation.follow((b, a, grip), dt_s)
        return self.actuation.sent, limited


def test_the_tool_position_is_that_of_the_chain():
    planar = Planar(start=(1.0, 0.4))
    motions = planar.actuation._motions
    np.testing.assert_allclose(planar.space.tool(motions), (*tip((1.0, 0.4)), 0.3), atol=1e-12)


def test_the_tool_stops_inside_the_box_and_the_limit_is_named_while_other_keys_move_on():
    planar = Planar()
    for _ in range(60):
        sent, limited = planar.follow(0.0, 0.0, grip=0.08)  # a stretched arm would reach x = 1 m
        assert outside(sent[:2]) <= 2e-6
    assert "arm/workspace" in limited
    assert sent[2] == 0.08
    assert tip(sent[:2])[0] > 0.7  # it went as far as it could stop
    back, limited = planar.follow(2.0, -1.0)
    assert back != sent  # the way back is free
    assert "arm/workspace" not in limited


@pytest.mark.parametrize("acceleration", [", acceleration: 8.0", ", acceleration: 2.0", ""])
@pytest.mark.parametrize("seed", range(5))
def test_no_sequence_of_targets_leads_out_of_the_box(acceleration, seed):
    rng = np.random.default_rng(seed)
    planar = Planar(acceleration)
    blocked = 0
    for _ in range(150):
        target = rng.uniform(-3, 3, 2)
        for _ in range(int(rng.integers(1, 12))):
            sent, limited = planar.follow(*target)
            blocked += "arm/workspace" in limited
            assert outside(sent[:2]) <= 2e-6
        if rng.random() < 0.2:
            for _ in range(5):
                planar.actuation.apply_safe(PERIOD_S)
                assert outside(planar.actuation.sent[:2]) <= 2e-6
    assert blocked > 20


def test_a_tool_that_starts_outside_comes_nearer_and_never_goes_farther():
    planar = Planar(start=(0.0, 0.0))  # x = 1 m: 0.2 m outside
    before = outside(planar.actuation.sent[:2])
    assert before == pytest.approx(0.2)
    for _ in range(60):
        sent, _ = planar.follow(2.0, -1.0)
        now = outside(sent[:2])
        assert now <= before + 1e-6
        before = max(now, 0.0)
    assert before == 0.0
    stuck = Planar(start=(0.5, 0.0))
    farther = outside(stuck.actuation.sent[:2])
    for _ in range(20):
        sent, _ = stuck.follow(0.0, 0.0)
        assert outside(sent[:2]) <= farther + 1e-6


def test_without_the_box_the_same_targets_lead_out_of_it():
    own = contract.parse(TEXT.format(acceleration="", safe="hold"), "test")
    actuation = Actuation(own)
    actuation.anchor({"arm": (2.0, -1.0), "grip": (0.02,)}, from_rest=True)
    for _ in range(60):
        actuation.follow((0.0, 0.0, 0.02), PERIOD_S)
    assert outside(actuation.sent[:2]) == pytest.approx(0.2)


def test_a_joint_of_the_chain_that_is_not_commanded_is_named():
    own = contract.parse(TEXT.format(acceleration="", safe="hold"), "test")
    chain = parse_chain(URDF.replace('"b"', '"elbow"'), "planar.urdf", "", "tip")
    message = "no position action commands joint 'elbow' between the base and 'tip'; the actions command: b, a, grip"
    with pytest.raises(ValueError, match=message):
        Workspace(own, BOX, chain)
    with pytest.raises(ValueError, match="no joint moves 'tip'"):
        Workspace(own, BOX, parse_chain(URDF, "planar.urdf", "lower", "tip"))


def test_a_tool_that_two_groups_move_is_refused():
    """Where one of them has no command yet, the place of the tool is not known."""
    text = TEXT.format(acceleration="", safe="hold")
    joint = "{topic: %s, type: std_msgs/msg/Float64MultiArray, names: [%s], reference: joints, limits: {speed: 1.0}}"
    apart = text[: text.index("  arm:")] + f"  upper: {joint % ('u', 'a')}\n  lower: {joint % ('l', 'b')}\n"
    chain = parse_chain(URDF, "planar.urdf", "", "tip")
    Workspace(contract.parse(apart, "test"), BOX, chain)
    grouped = contract.parse(apart + "groups: {one: [upper], other: [lower]}\n", "test")
    with pytest.raises(ValueError, match="the joints that move 'tip' are in the groups one and other"):
        Workspace(grouped, BOX, chain)
