"""The simulated human: takeovers and hand-backs, with ticks counted by hand."""

from dataclasses import replace

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, typical_motion, velocities

CALM = HumanModel(alarm=2.0, content=1.0, reaction_ticks=3, least_ticks=4, misjudged=0.0, tremor=0.0)
MOTION = np.array([0.1, 0.0])  # the second action never moved, so it does not count


def drive(human, distances):
    """Return whether the human drives at each tick, for the policy's distances in typical motions."""
    own = np.array([1.0, 5.0])
    proposals = [human.propose(own + np.array([0.1 * far, 99.0]), own) for far in distances]
    return [proposal is not None for proposal in proposals], proposals


def human(**changes):
    return SimulatedHuman(replace(CALM, **changes), MOTION, np.random.default_rng(0))


def test_takes_over_after_the_policy_was_wrong_for_the_reaction_time():
    driven, proposals = drive(human(), [3, 3, 0, 3, 3, 3, 3])
    assert driven == [False] * 5 + [True, True]
    np.testing.assert_array_equal(proposals[5], [1.0, 5.0])


def test_a_distance_below_the_alarm_causes_no_takeover():
    assert not any(drive(human(), [1.9] * 20)[0])


def test_hands_back_once_both_agree():
    driven, _ = drive(human(), [3, 3, 3, 3, 3, 3, 3, 0.5, 0.5, 0.5, 0.5])
    assert driven == [False, False] + [True] * 7 + [False, False]


def test_drives_for_at_least_least_ticks():
    driven, _ = drive(human(least_ticks=6), [3, 3, 3] + [0] * 7)
    assert driven == [False, False] + [True] * 6 + [False, False]


def test_tremor_has_the_given_standard_deviation():
    _, proposals = drive(human(tremor=0.5, reaction_ticks=1, least_ticks=10_000), [3] * 4000)
    proposed = np.array(proposals)
    # 4 standard errors of a standard deviation of 0.05 from 4000 draws: 4 * 0.05 / sqrt(8000) = 0.0022
    assert (proposed[:, 0] - 1.0).std() == pytest.approx(0.05, abs=0.0023)
    np.testing.assert_array_equal(proposed[:, 1], 5.0)


def test_a_new_episode_starts_with_the_policy():
    simulated = human()
    assert drive(simulated, [3, 3, 3])[0][-1]
    simulated.begin()
    assert not drive(simulated, [3, 3])[0][-1]


def ticks_until_it_drives(human, policies, off):
    """Return the tick of the takeover, for policy actions (T, A) and an own action that differs by `off`."""
    for tick, policy in enumerate(policies, start=1):
        if human.propose(policy, policy + off) is not None:
            return tick
    return None


OFF = np.array([0.15, 0.0])  # 1.5 typical motions: above content, below alarm


def test_without_progress_it_takes_over_after_patience_and_reaction_time():
    hovering = np.array([[0.3 + 0.05 * (-1) ** tick, 5.0] for tick in range(40)])  # within one typical motion
    assert ticks_until_it_drives(human(patience_ticks=10, progress=2.0), hovering, OFF) == 12
    assert ticks_until_it_drives(human(patience_ticks=10, progress=0.9), hovering, OFF) is None
    assert ticks_until_it_drives(human(patience_ticks=100, progress=2.0), hovering, OFF) is None


def test_a_slow_policy_that_makes_progress_causes_no_takeover():
    creeping = np.array([[0.025 * tick, 5.0] for tick in range(40)])  # 9 steps of 0.25 typical motions: 2.25
    assert ticks_until_it_drives(human(patience_ticks=10, progress=2.0), creeping, OFF) is None
    assert ticks_until_it_drives(human(patience_ticks=10, progress=2.3), creeping, OFF) == 12


def test_no_takeover_where_both_stand_still():
    resting = np.full((40, 2), 0.3)
    assert ticks_until_it_drives(human(patience_ticks=10, progress=2.0), resting, 0.5 * OFF) is None


def test_a_constant_velocity_is_progress():
    steady, standing = np.full((40, 2), 0.1), np.zeros((40, 2))
    for policies, expected in ((steady, None), (standing, 12)):
        driver = SimulatedHuman(
            replace(CALM, patience_ticks=10), MOTION, np.random.default_rng(0), np.array([True, True])
        )
        assert ticks_until_it_drives(driver, policies, OFF) == expected


def test_patience_restarts_after_a_takeover():
    simulated = human(patience_ticks=10, progress=2.0, least_ticks=1)
    hovering = np.full((12, 2), 0.3)
    assert ticks_until_it_drives(simulated, hovering, OFF) == 12
    for _ in range(3):
        simulated.propose(hovering[0], hovering[0])  # both agree, so it hands back
    assert simulated.propose(hovering[0], hovering[0]) is None
    assert (
        ticks_until_it_drives(simulated, np.repeat(hovering, 2, axis=0), OFF) == 11
    )  # one tick was counted already


@pytest.mark.parametrize("changes", [{"content": 3.0}, {"reaction_ticks": 0}, {"misjudged": -1.0}])
def test_invalid_parameters_are_refused(changes):
    with pytest.raises(ValueError, match=r"needed|must be"):
        replace(CALM, **changes)


def test_demonstrations_without_motion_are_refused():
    with pytest.raises(ValueError, match="contain no motion"):
        SimulatedHuman(CALM, np.zeros(2), np.random.default_rng(0))


def test_typical_motion_is_command_minus_measurement_for_positions_and_the_command_for_velocities():
    own = contract.parse(
        """
name: arm_on_wheels
rate_hz: 20
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1}
actions:
  arm: {topic: arm/commands, type: std_msgs/msg/Float64MultiArray, names: [a, b], unit: rad,
        reference: joints, safe: hold, limits: {speed: 1.0}}
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x], unit: m/s,
         safe: zero, limits: {lower: -1, upper: 1, speed: 1}}
""",
        "test",
    )
    commands = np.array([[1.3, 7.0, 0.6], [2.4, 7.0, 0.8]])
    episode = EpisodeArrays(
        "shown",
        {"joints": np.array([[1.0, 7.0], [2.0, 7.0]])},
        commands,
        np.zeros_like(commands),
        np.array([1, 2]) * 50_000_000,
        50_000_000,
    )
    # sqrt((0.3^2 + 0.4^2) / 2) = 0.35355; b never moved; sqrt((0.6^2 + 0.8^2) / 2) = 0.70711
    np.testing.assert_allclose(typical_motion([episode], own), [0.35355, 0.0, 0.70711], atol=1e-5)
    assert velocities(own).tolist() == [False, False, True]
