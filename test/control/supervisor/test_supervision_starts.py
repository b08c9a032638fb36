"""Which measured states start a ramp: none far outside the limits, none far from the last command.

The joint has limits of +-1 rad and 1 rad/s, so `start_tolerance` 0.1 s is 0.1 rad, `following_error` 0.5 s is 0.5 rad.
"""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import Priority
from il_ros.records.decision import NOBODY

STOPPING_BASE = "acceleration: 2.0}\n    safe: stop\n"


def glitch(bench, k, position=1e6):
    bench.measure(k, position)
    return bench.propose(k, 0.5, source="expert", generation=bench.core.generation)


@pytest.mark.parametrize("event", ["handover", "restart", "switch", "reset"])
def test_a_glitch_starts_no_ramp_and_the_last_command_stays(bench_of, event):
    bench = bench_of()
    bench.running(0.5, measured=0.5)
    if event == "restart":
        bench.core.restart()
    elif event == "switch":
        bench.core.switch(Priority())
    elif event == "reset":
        bench.core.estop.update("topic", True, bench.at(0))
        bench.core.answer_estop(bench.at(0), bench.at(0))
        bench.core.estop.update("topic", False, bench.at(0))
        assert bench.core.reset_estop(bench.at(0)) == ""
    decision = glitch(bench, 1)
    assert (decision.authority, decision.sent) == (NOBODY, (0.5,))
    assert decision.reason.endswith(
        "no ramp can start: arm/joint1 is at 1e+06, outside its limits -1 to 1 by more than 0.1"
    )
    bench.measure(2, 0.5)
    decision = bench.propose(2, 0.6, source="expert", generation=bench.core.generation)
    assert (decision.authority, decision.sent) == ("expert", pytest.approx((0.55,)))


def test_a_glitch_before_the_first_command_sends_nothing(bench_of):
    for options in ({}, {"hold_at_start": True}, {"without_measurement": "trust"}):
        bench = bench_of(**options)
        decision = glitch(bench, 0)
        assert (decision.authority, decision.sent) == (NOBODY, None)


def test_a_state_far_from_the_last_command_starts_no_ramp(bench_of):
    bench = bench_of()
    bench.running(0.0)
    decision = glitch(bench, 1, 0.51)
    assert decision.sent == (0.0,)
    assert decision.reason.endswith(
        "arm/joint1 is at 0.51, the last command is 0, and the largest difference is 0.5"
    )
    assert glitch(bench, 2, 0.49).sent == pytest.approx((0.5,))


def test_a_state_far_from_a_hold_starts_no_ramp_either(bench_of):
    bench = bench_of(hold_at_start=True)
    bench.tick(0)
    bench.measure(1, 0.4)
    assert bench.tick(1.5).sent == (0.4,)
    bench.core.restart()
    assert glitch(bench, 2, -0.9).sent == (0.4,)


def test_the_largest_distances_are_options(bench_of):
    bench = bench_of(start_tolerance=0.0, following_error=0.02)
    bench.running(0.0)
    assert glitch(bench, 1, 0.03).authority == NOBODY
    assert glitch(bench, 2, 0.01).authority == "expert"
    with pytest.raises(ValueError, match="following_error must be 0 s or more"):
        bench_of(following_error=-1.0)


def test_a_start_outside_the_limits_is_led_in_monotonically(bench_of):
    bench = bench_of(bench_of.ARM.replace("speed: 1.0}", "speed: 1.0, acceleration: 5.0}"))
    sent = [bench.running(2.0, measured=1.09).sent[0]]
    sent += [bench.propose(k, (-1) ** k * 2.0 if k > 20 else 2.0).sent[0] for k in range(1, 30)]
    # from rest at 5 rad/s^2: 0.25 rad/s for 0.05 s, then 0.5 rad/s
    np.testing.assert_allclose(sent[:2], [1.0775, 1.0525], atol=1e-12)
    until = next(k for k, position in enumerate(sent) if position <= 1.0)
    assert all(np.diff(sent[:21]) <= 0.0)
    assert until <= 6
    assert max(sent[until:]) <= 1.0


def test_a_command_that_is_kept_ignores_the_measured_state(bench_of):
    bench = bench_of(keep_command=("arm",))
    bench.running(0.0)
    assert glitch(bench, 1).sent == pytest.approx((0.05,))


def test_with_trust_the_first_target_must_be_within_the_limits(bench_of):
    bench = bench_of(without_measurement="trust")
    decision = bench.propose(0, 500.0)
    assert (decision.authority, decision.sent) == (NOBODY, None)
    assert "arm/joint1 is at 500, outside its limits -1 to 1" in decision.reason
    assert bench.propose(1, 1.09).sent == (1.0,)  # within the tolerance: at the limit


def test_with_trust_a_glitch_starts_no_ramp_either(bench_of):
    bench = bench_of(without_measurement="trust")
    assert bench.propose(0, 0.5).sent == (0.5,)
    assert glitch(bench, 1).sent == (0.5,)


def test_a_clock_step_starts_no_ramp_far_away(bench_of):
    bench = bench_of()
    bench.running(0.5, measured=0.5)
    bench.core.tick(bench.at(-100), bench.at(1))  # 5 s back
    bench.measure(-99, -0.9)
    proposal = bench.proposal(-99, -0.9)
    decision = bench.core.propose("policy", proposal, bench.at(-99), bench.at(2))
    assert (decision.authority, decision.sent) == (NOBODY, (0.5,))


def test_in_simulation_a_restart_accepts_a_robot_that_was_placed_elsewhere(bench_of):
    bench = bench_of(simulated=True)
    bench.running(0.5, measured=0.5)
    bench.core.restart()
    assert glitch(bench, 1, 1e6).sent == (0.5,)
    bench.measure(2, -0.9)
    assert bench.propose(2, -0.9, source="expert", generation=bench.core.generation).sent == (-0.9,)


def test_after_an_activation_a_robot_that_was_moved_is_accepted_and_the_old_command_is_not_sent(bench_of):
    bench = bench_of()
    bench.running(0.5, measured=0.5)
    bench.core.finish(bench.at(1), bench.at(1))
    bench.core.activate()
    assert bench.tick(3).sent is None
    bench.measure(4, -0.9)
    assert bench.propose(4, -0.9, generation=bench.core.generation).sent == (-0.9,)


# ---- a base that stops within its acceleration, 2 m/s^2: 0.1 m/s per period ---------------------------------


def stopping_base(bench_of, **options):
    bench = bench_of(bench_of.BASE.replace("acceleration: 2.0}\n", STOPPING_BASE), **options)
    for k in range(11):
        bench.measure(k)
        decision = bench.propose(k, 0.0, 1.0)
    assert decision.sent == (0.0, pytest.approx(1.0))
    return bench


@pytest.mark.parametrize("simulated", [False, True])
def test_a_restart_does_not_stop_a_moving_base_at_once(bench_of, simulated):
    bench = stopping_base(bench_of, simulated=simulated)
    bench.core.restart()
    bench.measure(11)
    velocities = [bench.tick(12 + k).sent[1] for k in range(11)]
    np.testing.assert_allclose(velocities, np.arange(9, -2, -1).clip(0) / 10, atol=1e-9)


def test_after_a_restart_a_target_continues_from_the_last_velocity(bench_of):
    bench = stopping_base(bench_of)
    bench.core.restart()
    bench.measure(11)
    assert bench.propose(11, 0.0, 1.0, generation=bench.core.generation).sent[1] == pytest.approx(1.0)


def test_a_clock_step_does_not_stop_a_moving_base_at_once(bench_of):
    bench = stopping_base(bench_of)
    decision = bench.core.tick(bench.at(-100), bench.at(12))
    assert decision.sent[1] == pytest.approx(0.9)


def test_a_joint_keeps_its_speed_over_a_restart(bench_of):
    bench = bench_of(bench_of.ARM.replace("speed: 1.0}", "speed: 1.0, acceleration: 4.0}"))
    bench.measure(0)
    for k, target in enumerate((0.01, 0.03, 0.06)):  # 0.2, 0.4, 0.6 rad/s
        bench.propose(k, target)
    bench.core.restart()
    bench.measure(3, 0.06)
    # 0.6 rad/s decrease by 0.2 rad/s per period: 0.4 rad/s for 0.05 s
    assert bench.tick(4).sent == pytest.approx((0.08,))
