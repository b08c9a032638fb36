"""A leader arm."""

import numpy as np
import pytest

from il_ros.teleop.leader import Alignment, Leader, LeaderJoint, MisalignedError, parse_joints

ACTIONS = ("arm/a", "arm/b")
JOINTS = (LeaderJoint("arm/a", "l1", scale=-1.0, offset=0.5), LeaderJoint("arm/b", "l2", scale=2.0))
POSITIONS = {"l2": 0.25, "l1": 0.1}  # mapped: 0.5 - 0.1 = 0.4; 2 * 0.25 = 0.5


def test_joints_are_mapped_by_name_with_sign_scale_and_offset():
    np.testing.assert_allclose(Leader(JOINTS, Alignment()).mapped(POSITIONS), [0.4, 0.5])


def test_a_follower_too_far_away_is_refused_naming_the_joint():
    leader = Leader(JOINTS, Alignment("refuse", max_difference=0.2))
    with pytest.raises(
        MisalignedError, match=r"arm/b: the follower is -0\.300 from the leader's l2, 0\.2 is"
    ):
        leader.engage(POSITIONS, np.array([0.4, 0.2]), now_s=0.0)
    assert not leader.engaged


def test_refuse_engages_when_near_and_then_follows_the_leader():
    leader = Leader(JOINTS, Alignment("refuse", max_difference=0.2))
    leader.engage(POSITIONS, np.array([0.3, 0.5]), now_s=0.0)
    np.testing.assert_allclose(leader.target(POSITIONS, 0.0), [0.4, 0.5])


def test_blend_fades_the_difference_out():
    leader = Leader(JOINTS, Alignment("blend", max_difference=0.5, blend_s=2.0))
    leader.engage(POSITIONS, np.array([0.8, 0.5]), now_s=10.0)  # 0.4 off
    np.testing.assert_allclose(leader.target(POSITIONS, 10.0), [0.8, 0.5])
    np.testing.assert_allclose(leader.target(POSITIONS, 11.0), [0.6, 0.5])
    np.testing.assert_allclose(leader.target(POSITIONS, 12.0), [0.4, 0.5])
    np.testing.assert_allclose(leader.target(POSITIONS, 99.0), [0.4, 0.5])


def test_relative_keeps_any_difference():
    leader = Leader(JOINTS, Alignment("relative", max_difference=0.01))
    leader.engage(POSITIONS, np.array([-1.0, 1.0]), now_s=0.0)
    np.testing.assert_allclose(leader.target({"l1": 0.0, "l2": 0.25}, 50.0), [-0.9, 1.0])


def test_a_nan_follower_position_prevents_engaging():
    leader = Leader(JOINTS, Alignment("blend"))
    with pytest.raises(MisalignedError, match="nan"):
        leader.engage(POSITIONS, np.array([np.nan, 0.5]), now_s=0.0)


def test_a_joint_that_the_leader_does_not_report_is_named():
    with pytest.raises(ValueError, match="the leader reports no 'l2'; it has: l1"):
        Leader(JOINTS, Alignment()).mapped({"l1": 0.0})


def test_a_leader_joint_that_is_not_finite_is_named():
    with pytest.raises(ValueError, match="the leader's 'l1' is nan"):
        Leader(JOINTS, Alignment()).mapped({"l1": float("nan"), "l2": 0.0})


def test_after_release_there_is_no_target():
    leader = Leader(JOINTS, Alignment("relative"))
    leader.engage(POSITIONS, np.zeros(2), now_s=0.0)
    leader.release()
    with pytest.raises(ValueError, match="not engaged"):
        leader.target(POSITIONS, 0.0)


def test_lines_are_sorted_into_the_order_of_the_contract():
    assert parse_joints(["arm/b l2 2", "arm/a l1 -1 0.5"], ACTIONS) == JOINTS


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["arm/a l1"], "no line for 'arm/b'"),
        (["arm/a l1", "arm/a l2"], "'arm/a' is assigned twice"),
        (["arm/c l1"], "'arm/c' is not an action"),
        (["arm/a"], "must be 'ACTION JOINT"),
        (["arm/a l1 0"], "must be finite, the scale not 0"),
        (["arm/a l1 x"], "could not convert"),
    ],
)
def test_wrong_lines_are_refused(lines, message):
    with pytest.raises(ValueError, match=message):
        parse_joints(lines, ACTIONS)


@pytest.mark.parametrize("wrong", [{"how": "jump"}, {"max_difference": 0.0}, {"blend_s": -1.0}])
def test_a_wrong_alignment_is_refused(wrong):
    with pytest.raises(ValueError, match=r"must be"):
        Alignment(**wrong)


# ---- joints without end ----------------------------------------------------------------------------------

TURN = 2 * np.pi


def turning(how, scale=1.0, **options):
    return Leader([LeaderJoint("arm/a", "l1", scale)], Alignment(how, **options), np.array([TURN]))


def test_a_continuous_joint_engages_over_the_end_of_a_turn():
    leader = turning("refuse", max_difference=0.2)
    leader.engage({"l1": -3.1}, np.array([3.1]), 0.0)  # 0.083 rad apart
    np.testing.assert_allclose(leader.target({"l1": -3.1}, 0.0), [-3.1])
    with pytest.raises(MisalignedError, match=r"the follower is -0\.283 from"):
        leader.engage({"l1": -3.0}, np.array([3.0]), 0.0)


def test_a_blend_takes_the_shortest_way():
    leader = turning("blend", max_difference=0.5, blend_s=2.0)
    leader.engage({"l1": -3.1}, np.array([3.1]), 10.0)
    np.testing.assert_allclose(leader.target({"l1": -3.1}, 11.0), [-3.1 - (TURN - 6.2) / 2])


@pytest.mark.parametrize("scale", [1.0, 0.5, -2.0])
def test_a_leader_is_followed_over_the_end_of_its_turn(scale):
    leader = turning("relative", scale)
    for _ in range(2):
        leader.engage({"l1": 3.0}, np.array([0.0]), 0.0)
        (first,) = leader.target({"l1": 3.0}, 0.0)
        np.testing.assert_allclose(
            first / TURN, round(first / TURN), atol=1e-12
        )  # at the follower, in any turn
        for step in range(1, 30):  # 0.5 rad a step, reported from -pi to pi
            target = leader.target({"l1": np.remainder(3.0 + 0.5 * step + np.pi, TURN) - np.pi}, 0.0)
            np.testing.assert_allclose(target - first, [scale * 0.5 * step])
        leader.release()
