"""When the supervisor decides, which proposals it accepts, and the properties of every sequence of events."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from il_ros.records.decision import NOBODY

# ---- one decision per tick, immediately --------------------------------------------------------------------


def test_a_proposal_is_answered_on_arrival(bench_of):
    bench = bench_of()
    bench.measure(0, 0.2)
    decision = bench.propose(0.3, 0.21, stamp=0, version="v3", uncertainty=0.5, way=1)
    assert decision.authority == "policy"
    assert decision.stamp_ns == bench.at(0)
    assert decision.sent_ns == bench.at(0.3)
    assert decision.sent == (0.21,)
    assert decision.proposals == {"policy": (0.21,), "expert": None}
    assert (decision.version, decision.uncertainty, decision.way) == ("v3", 0.5, 1)


def test_each_tick_in_lockstep_is_decided_once_with_its_own_stamp(bench_of):
    bench = bench_of(silence_s=1.0, simulated=True)
    bench.measure(0)
    # /clock of tick k may come after the proposal for it
    stamps = [
        bench.core.propose("policy", bench.proposal(k, 0.0), bench.at(k - 1), bench.at(0.001 * k)).stamp_ns
        for k in range(20)
    ]
    assert stamps == [bench.at(k) for k in range(20)]


def test_a_tick_is_not_answered_twice(bench_of):
    bench = bench_of()
    bench.running()
    assert bench.propose(0.1, 0.0, stamp=0) is None
    assert "not after that of its newest proposal" in bench.core.proposal_buffer.states["policy"].rejection


def test_a_burst_of_proposals_gives_one_command_per_period(bench_of):
    bench = bench_of()
    bench.running()
    decided = [k for k in range(1, 101) if bench.propose(k / 20, 0.0)]
    assert len(decided) <= 5 * 2  # five periods; a command may come half a period early, never more often


def test_the_second_proposal_for_a_tick_is_recorded_if_it_arrives_in_time(bench_of):
    bench = bench_of()
    bench.running(source="expert")
    assert bench.propose(1, 0.3) is None  # the expert has authority: wait for its proposal
    assert bench.propose(1.1, 0.02, source="expert", stamp=1).proposals == {
        "policy": (0.3,),
        "expert": (0.02,),
    }


# ---- silence -----------------------------------------------------------------------------------------------


def test_before_the_first_proposal_nothing_is_sent(bench_of):
    bench = bench_of()
    assert bench.tick(0) is None
    decision = bench.tick(1.5)
    assert decision.sent is None
    assert decision.authority == NOBODY
    assert decision.reason == "expert has not proposed; policy has not proposed"


def test_a_measured_robot_is_not_moved_before_the_first_proposal(bench_of):
    bench = bench_of()
    bench.tick(0)
    bench.measure(1, 0.4)
    assert bench.tick(1.5).sent is None


def test_hold_at_start_holds_the_measured_state(bench_of):
    bench = bench_of(hold_at_start=True)
    bench.tick(0)
    bench.measure(1, 0.4)
    assert bench.tick(1.5).sent == (0.4,)
    bench.measure(2, 0.3)  # sags: the hold doesn't follow
    assert bench.tick(2.6).sent == (0.4,)


def test_silence_continues_the_chunk_then_repeats_the_last_target_then_applies_the_safe_behaviour(bench_of):
    bench = bench_of()
    bench.measure(0)
    bench.propose(0, 0.0, steps=3)  # 0.00 0.01 0.02
    assert bench.tick(1) is None
    decisions = {k: bench.tick(k) for k in (1.5, 2.5, 3.5, 4.5, 5.5)}
    np.testing.assert_allclose([d.sent[0] for d in decisions.values()], [0.01, 0.02, 0.02, 0.02, 0.02])
    assert [d.authority for d in decisions.values()] == ["policy"] * 4 + [NOBODY]  # 0.25 s are five periods
    assert decisions[1.5].proposals["policy"] == pytest.approx((0.01,))
    assert decisions[3.5].proposals["policy"] is None
    assert decisions[5.5].reason == "expert has not proposed; policy silent for 0.28 s"
    assert decisions[5.5].stamp_ns == bench.at(5.5)


@pytest.mark.parametrize("lag", [0.2, 0.8, 2.4])  # periods from observation to proposal
def test_after_a_lost_tick_the_next_proposals_decide_again_at_any_lag(bench_of, lag):
    bench = bench_of()
    bench.measure(0)
    arrivals = {round(20 * (k + lag)): k for k in range(20) if k != 4}  # in twentieths of a period; 4 is lost
    answered, by_timer = [], []
    for now in range(round(20 * lag), 20 * 20):
        k = arrivals.get(now)
        if k is not None and bench.propose(now / 20, 0.01 * k, stamp=k):
            answered.append(k)
        decision = bench.tick(now / 20)
        if decision and decision.authority == "policy":
            by_timer.append(decision.stamp_ns)
    assert answered == [k for k in range(20) if k != 4 and k + lag < 20]
    assert by_timer == [bench.at(4.5)]


def test_a_slow_source_after_a_fast_one_soon_decides_its_own_ticks(bench_of):
    bench = bench_of()
    bench.running(source="expert")  # without lag
    bench.tick(5.5)  # the expert has timed out
    answered = []
    for now in range(20 * 6, 20 * 20):
        bench.measure(now / 20)
        if now % 20 == 8 and bench.propose(now / 20, 0.01, stamp=now / 20 - 2.4):
            answered.append(round(now / 20 - 2.4))
        bench.tick(now / 20)
    assert answered == list(range(answered[0], 18))
    assert answered[0] <= 8


def test_a_silent_base_is_stopped_at_its_time_out(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    assert bench.propose(0, 0.0, 0.1).sent == (0.0, 0.1)
    assert bench.tick(1.5).sent == (0.0, 0.1)
    assert bench.tick(5.5).sent == (0.0, 0.0)


def test_a_velocity_that_has_expired_is_not_repeated_and_its_source_drives_on_with_the_next(bench_of):
    bench = bench_of(bench_of.BASE + "    expires_s: 0.1\n")
    bench.measure(0)
    bench.propose(0, 0.0, 0.1)
    assert bench.tick(1.5).sent == (0.0, 0.1)  # 0.075 s old
    expired = bench.tick(2.5)
    assert (expired.authority, expired.sent) == (NOBODY, (0.0, 0.0))
    assert expired.reason.endswith("its last command has expired, 0.125 s old; expires_s is 0.1")
    again = bench.propose(4, 0.0, 0.1)
    assert (again.authority, again.sent) == ("policy", (0.0, 0.1))


def test_a_stopped_clock_is_detected_by_the_steady_clock(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    bench.propose(0, 0.0, 0.1)
    stopped = [bench.tick(k, clock=0) for k in np.arange(1, 20, 0.25)]
    decisions = [d for d in stopped if d]
    assert [d.sent for d in decisions] == [(0.0, 0.0)]  # once: an unchanged command is not repeated
    assert decisions[0].stamp_ns > bench.at(0)


def test_a_clock_that_goes_back_is_a_restart(bench_of):
    bench = bench_of()
    bench.running()
    generation = bench.core.generation
    assert bench.tick(1, clock=-100) is None
    assert bench.core.generation == generation + 1
    bench.measure(-99, 0.5)
    assert bench.propose(-99, 0.5).sent == (0.5,)


# ---- rejected proposals ------------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_removes_authority_at_once_and_gives_the_safe_behaviour(bench_of, bad):
    bench = bench_of()
    bench.running(0.01)
    decision = bench.propose(1, bad)
    assert decision.stamp_ns == bench.at(1)
    assert decision.authority == NOBODY
    assert decision.sent == (0.01,)
    assert decision.proposals["policy"] is None
    assert decision.rejected == {"policy": f"arm/joint1 is {bad}"}
    assert f"policy rejected: arm/joint1 is {bad}" in decision.reason


def test_a_faulty_expert_leaves_authority_to_the_policy(bench_of):
    bench = bench_of()
    bench.running(source="expert")
    assert bench.propose(1, 0.02) is None
    decision = bench.propose(1.1, math.nan, source="expert", stamp=1)
    assert decision.authority == "policy"
    assert decision.sent == (0.02,)


def test_a_proposal_with_the_name_of_another_source_is_rejected(bench_of):
    bench = bench_of()
    bench.measure(0)
    decision = bench.core.propose(
        "policy", bench.proposal(0, 0.0, source="intruder"), bench.at(0), bench.at(0)
    )
    assert decision.sent is None
    assert decision.rejected == {"policy": "carries the name of another source: 'intruder'"}


def test_a_stale_proposal_is_rejected_with_its_age(bench_of):
    bench = bench_of()
    bench.running()
    assert bench.propose(6, 0.0, stamp=1) is None
    assert bench.core.proposal_buffer.states["policy"].rejection == "0.25 s old, at most 0.2 s is accepted"


def test_a_chunk_from_an_old_observation_is_rejected_when_it_has_gone_on_for_too_long(bench_of):
    bench = bench_of()
    bench.running()
    allowed = bench.propose(1, 0.0, observed_ns=bench.at(1 - 20))  # a second: 20 periods
    assert (allowed.authority, allowed.age_s) == ("policy", 1.0)
    assert bench.propose(2, 0.0, observed_ns=bench.at(2 - 21)) is None
    rejection = bench.core.proposal_buffer.states["policy"].rejection
    assert rejection == "from an observation 1.05 s before its tick, at most 1 s is accepted"


def test_a_decision_has_the_age_of_what_the_source_in_authority_observed(bench_of):
    bench = bench_of()
    bench.running()
    assert bench.propose(1, 0.0).age_s == 0.0
    assert bench.propose(2.4, 0.0, stamp=2).age_s == pytest.approx(0.02)  # 0.4 periods on the way
    slow = bench.propose(3.2, 0.0, stamp=3, observed_ns=bench.at(0), steps=2)
    assert slow.age_s == pytest.approx(0.16)
    assert bench.tick(4.7).age_s == pytest.approx(0.235)  # the timer goes on with its chunk
    assert bench.tick(9).age_s is None  # silent, so no source has authority


def test_a_proposal_from_the_future_is_rejected(bench_of):
    bench = bench_of()
    bench.running()
    assert bench.propose(1, 0.0, stamp=7) is None
    assert "0.30 s ahead" in bench.core.proposal_buffer.states["policy"].rejection


# ---- properties --------------------------------------------------------------------------------------------

EVENT = st.tuples(
    st.sampled_from(["policy", "expert", "tick", "tick", "measure", "press", "release", "restart"]),
    st.floats(-3.0, 3.0) | st.just(math.nan),
    st.sampled_from([0.0, 0.01, 0.2, 0.5, 1.0, 1.0, 3.0]),
)


@settings(max_examples=150, deadline=None)
@given(st.lists(EVENT, max_size=60))
def test_all_commands_obey_the_limits_from_the_last_command_or_the_measured_state(bench_of, events):
    bench = bench_of()
    k, measured, last, stamps = 0.0, None, None, []
    for kind, value, wait in events:
        k += max(wait, 1e-3)
        decision = None
        if kind in ("policy", "expert"):
            decision = bench.propose(k, value, source=kind)
        elif kind == "tick":
            decision = bench.tick(k)
        elif kind == "measure":
            measured = 0.0 if math.isnan(value) else value
            bench.measure(k, measured)
        elif kind == "restart":
            bench.core.restart()
        elif kind == "press":
            bench.core.estop.update("topic", True, bench.at(k))
            decision = bench.core.answer_estop(bench.at(k), bench.at(k))
        else:
            bench.core.estop.update("topic", False, bench.at(k))
            bench.core.reset_estop(bench.at(k))
        if decision is None or decision.sent is None:
            continue
        stamps.append(decision.stamp_ns)
        sent = decision.sent[0]
        starts = [start for start in (last, measured) if start is not None]
        step = 1.0 * 0.05 + 1e-9  # speed limit times one period
        assert any(abs(sent - start) <= step for start in starts), (sent, starts)
        assert any(abs(sent) <= max(1.0, abs(start)) + 1e-12 for start in starts)
        last = sent
    assert stamps == sorted(set(stamps))
