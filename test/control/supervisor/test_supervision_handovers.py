"""Handovers: the source in authority, its first proposal, and the start of the next ramp."""

import pytest

from il_ros.control.supervisor.arbitration import Arbitration, Priority
from il_ros.records.decision import NOBODY


def test_the_expert_takes_over_with_its_first_proposal_in_a_new_generation(bench_of):
    bench = bench_of()
    before = bench.running()
    bench.measure(1)
    decision = bench.propose(1, 0.01, source="expert", generation=before.generation)
    assert decision.authority == "expert"
    assert decision.generation == before.generation + 1
    assert decision.reason == "expert takes over from policy"


def test_a_handover_ramps_from_the_measured_state_within_the_speed_limit(bench_of):
    bench = bench_of()
    bench.running(0.0)
    bench.measure(1, 0.3)  # pushed away from the 0.0 that was sent
    # 1 rad/s for one period of 0.05 s, from 0.3
    assert bench.propose(1, 0.9, source="expert").sent == pytest.approx((0.35,))


def test_a_gripper_may_ramp_from_its_command_instead(bench_of):
    bench = bench_of(keep_command=("arm",))
    bench.running(0.0)
    bench.measure(1, 0.3)
    assert bench.propose(1, 0.9, source="expert").sent == pytest.approx((0.05,))


def test_the_first_command_ramps_from_the_measured_state(bench_of):
    bench = bench_of()
    bench.measure(0, -0.5)
    decision = bench.propose(0, 0.5)
    assert decision.sent == pytest.approx((-0.45,))
    assert decision.limited == ["arm/joint1 speed"]


def test_the_first_command_has_a_whole_period_even_right_after_a_timer_tick(bench_of):
    bench = bench_of()
    bench.tick(0)
    assert bench.tick(1.5).sent is None
    bench.measure(1.6, 0.0)
    assert bench.propose(1.6, 0.5).sent == pytest.approx((0.05,))


def test_without_a_measurement_nothing_is_sent(bench_of):
    bench = bench_of()
    decision = bench.propose(0, 0.5)
    assert decision.sent is None
    assert decision.authority == NOBODY
    assert decision.reason == (
        "policy has authority; no ramp can start: joints (joint_states): nothing received"
    )
    bench.measure(1, 0.5)
    assert bench.propose(1, 0.5).sent == (0.5,)


def test_with_trust_the_first_target_is_the_start(bench_of):
    bench = bench_of(without_measurement="trust")
    assert bench.propose(0, 0.5).sent == (0.5,)
    assert bench.propose(1, 0.9, source="expert").sent == pytest.approx((0.55,))


def test_a_source_that_gains_authority_by_time_out_must_propose_in_the_new_generation(bench_of):
    bench = bench_of()
    generation = bench.running(source="expert").generation
    for k in range(1, 6):
        bench.measure(k)
        assert bench.propose(k, 0.01, generation=generation) is None
    gains = bench.propose(6, 0.01, generation=generation)  # the expert's last proposal is 0.3 s old
    assert (gains.authority, gains.generation, gains.sent) == (NOBODY, generation + 1, (0.0,))
    assert gains.reason == (
        "policy has authority: expert silent for 0.30 s; "
        f"waiting for its first proposal of generation {generation + 1}"
    )
    bench.measure(7)
    assert bench.propose(7, 0.01, generation=generation + 1).authority == "policy"


def test_after_a_restart_only_proposals_of_the_new_generation_are_used(bench_of):
    bench = bench_of()
    generation = bench.running(0.1, measured=0.1).generation
    bench.core.restart()
    bench.measure(1, 0.4)
    late = bench.propose(1, 0.1, generation=generation)
    assert late.authority == NOBODY
    assert late.sent == (0.4,)  # held where it was measured
    bench.measure(2, 0.41)
    fresh = bench.propose(2, 0.41, generation=bench.core.generation)
    assert (fresh.authority, fresh.sent) == ("policy", (0.41,))


def test_a_mode_may_ignore_the_priorities(bench_of):
    class PolicyOnly(Priority):
        def choose(self, inputs):
            return Arbitration(NOBODY if inputs.absences["policy"] else "policy")

    bench = bench_of(mode=PolicyOnly())
    bench.running()
    assert bench.propose(1, 0.01, source="expert") is None
    assert bench.propose(1, 0.02).authority == "policy"
