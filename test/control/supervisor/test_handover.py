"""Handovers by release, by time-out and by draw: when they take effect, and which proposals they discard."""

import numpy as np
import pytest

from il_ros.core import contract
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import releasing


def mode(bench_of, name, **options):
    return make_mode(
        ModeOptions(name, **options),
        contract.parse(bench_of.ARM, "test"),
        ("expert", "policy"),
        ModeMemory(),
    )


def release(bench, k, source="expert", stamp=None):
    proposal = releasing(source, bench.at(k if stamp is None else stamp), bench.contract.action_size)
    return bench.core.propose(source, proposal, bench.at(k), bench.at(k))


# ---- release


def test_after_the_experts_release_the_policys_next_proposal_drives(bench_of):
    bench = bench_of()
    generation = bench.running(source="expert").generation
    assert bench.propose(1, 0.01) is None
    bench.propose(1, 0.0, source="expert")
    assert release(bench, 1.5) is None  # no proposal since: the last command stays
    assert (bench.core.authority, bench.core.generation) == ("policy", generation + 1)
    assert bench.core.reason == "policy has authority: expert released control"
    bench.measure(2)
    back = bench.propose(2, 0.01, generation=generation + 1)  # half a period after the release
    assert (back.authority, back.sent) == ("policy", (0.01,))
    assert back.reason == "policy has authority: expert released control"
    assert bench.propose(3, 0.01, generation=generation + 1).reason == "proposed"


def test_after_a_takeover_a_slow_policy_drives_with_what_it_has_observed_since(bench_of):
    """Its chunk is for a tick after the hand-back, but was computed from an observation before it."""
    bench = bench_of()
    first = bench.propose(0, 0.0, observed_ns=bench.at(-3))
    bench.measure(0)
    assert first.sent is None  # no measurement
    assert bench.propose(1, 0.0, observed_ns=bench.at(-2)).authority == "policy"  # a new source: accepted
    assert bench.propose(2, 0.0, source="expert").authority == "expert"
    release(bench, 3)
    bench.measure(4)
    waits = bench.propose(4, 0.01, observed_ns=bench.at(1))
    assert waits.authority == NOBODY
    assert waits.reason.endswith("waiting for its first proposal of generation 4")
    bench.measure(6)
    assert bench.propose(6, 0.01, observed_ns=bench.at(3)).authority == "policy"


def test_in_lockstep_a_release_answers_the_tick_that_the_policy_has_proposed_for(bench_of):
    bench = bench_of()
    bench.running(source="expert")
    bench.measure(1)
    assert bench.propose(1, 0.02) is None  # waits for the expert
    back = release(bench, 1)
    assert (back.stamp_ns, back.authority, back.sent) == (bench.at(1), "policy", (0.02,))


def test_a_policy_with_memory_restarts_one_tick_after_the_experts_release(bench_of):
    bench = bench_of()
    generation = bench.running(source="expert").generation
    bench.propose(0.5, 0.02, stamp=0, generation=generation)
    bench.propose(1, 0.02, generation=generation)
    waits = release(bench, 1)
    assert (waits.authority, waits.sent) == (NOBODY, (0.0,))
    assert waits.reason.endswith(f"waiting for its first proposal of generation {generation + 1}")
    bench.measure(2)
    assert bench.propose(2, 0.02, generation=generation + 1).authority == "policy"


def test_a_release_without_another_source_gives_the_safe_behaviour_at_once(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    assert bench.propose(0, 0.0, 0.1, source="expert").sent == (0.0, 0.1)
    decision = release(bench, 1)
    assert (decision.authority, decision.sent) == (NOBODY, (0.0, 0.0))
    assert decision.reason == "expert released control; policy has not proposed"


def test_a_release_without_authority_changes_nothing(bench_of):
    bench = bench_of()
    generation = bench.running().generation
    release(bench, 0.5)
    assert bench.propose(1, 0.01).generation == generation


def test_a_delayed_or_repeated_release_is_used_once_and_in_the_order_of_stamps(bench_of):
    bench = bench_of()
    bench.running()
    bench.measure(1)
    bench.propose(1, 0.0, source="expert")
    release(bench, 2)
    assert bench.core.authority == "policy"
    assert bench.propose(2.1, 0.5, source="expert", stamp=1.9) is None  # delayed: stamped before the release
    assert bench.core.authority == "policy"
    bench.measure(3)
    assert bench.propose(3, 0.0, source="expert").authority == "expert"
    release(bench, 3.2, stamp=2)  # the old release again
    release(bench, 3.2, stamp=2.5)
    assert bench.core.authority == "expert"
    assert (
        bench.core.proposal_buffer.states["expert"].rejection
        == "release is older than the newest proposal or release"
    )


def test_a_release_from_the_future_or_with_another_name_is_rejected(bench_of):
    bench = bench_of()
    bench.running(source="expert")
    release(bench, 1, stamp=50)
    assert "ahead of the clock" in bench.core.proposal_buffer.states["expert"].rejection
    bench.core.propose("expert", releasing("policy", bench.at(1), 1), bench.at(1), bench.at(1))
    assert (
        bench.core.proposal_buffer.states["expert"].rejection
        == "carries the name of another source: 'policy'"
    )
    assert bench.core.authority == "expert"


# ---- generations


def test_a_chunk_from_before_a_handover_is_not_continued_after_it(bench_of):
    bench = bench_of()
    generation = bench.running(0.0).generation
    bench.propose(1, 0.0, steps=20, generation=generation)
    bench.measure(2)
    bench.propose(2, 0.0, source="expert")
    release(bench, 3)
    for k in (4.5, 5.5):  # the policy's chunk would reach tick 20, and its time-out is 0.25 s
        decision = bench.tick(k)
        assert (decision.authority, decision.sent) == (NOBODY, (0.0,))
    assert "waiting for its first proposal of generation" in decision.reason


def test_a_proposal_for_a_tick_before_the_handover_is_not_used(bench_of):
    bench = bench_of()
    bench.running(source="expert")
    bench.propose(1, 0.0, source="expert")
    release(bench, 1.5)
    bench.measure(1.6)
    assert bench.propose(1.6, 0.5, stamp=1.4) is None or bench.core.authority != "policy"
    assert bench.tick(3.5).sent == (0.0,)


# ---- draws


def test_consecutive_draws_are_not_a_handover(bench_of):
    bench = bench_of(mode=mode(bench_of, "dagger", beta="constant:0.5"))
    bench.measure(0)
    made = []
    for k in range(60):
        bench.measure(k, 0.5)  # a ramp would begin here
        made += filter(
            None, (bench.propose(k, 0.002, version="v1"), bench.propose(k, -0.002, source="expert"))
        )
    drove = [decision for decision in made if decision.authority != NOBODY][1:]
    assert {decision.authority for decision in drove} == {"expert", "policy"}
    assert len({decision.generation for decision in drove}) == 1
    assert len({decision.stamp_ns for decision in drove}) == len(drove) >= 58
    targets = {"expert": -0.002, "policy": 0.002}
    last = drove[20:]  # the first ticks ramp down from the measured state
    assert [d.sent for d in last] == [(targets[d.authority],) for d in last]
    assert {decision.beta for decision in drove} == {0.5}
    assert drove[-1].mode == "dagger"


@pytest.mark.parametrize(("beta", "driver"), [(1, "expert"), (0, "policy")])
def test_at_beta_0_and_1_exactly_the_drivers_commands_are_sent(bench_of, beta, driver):
    bench = bench_of(mode=mode(bench_of, "dagger", beta=f"constant:{beta}"))
    bench.measure(0)
    rng = np.random.default_rng(0)
    drove = []
    for k in range(200):
        targets = {"expert": 0.01 * rng.random(), "policy": -0.01 * rng.random()}
        for name in rng.permutation(["expert", "policy"]).tolist():
            decision = bench.propose(k, targets[name], source=name)
            if decision is not None and decision.stamp_ns == bench.at(k):
                drove.append((decision.authority, decision.sent, (targets[driver],)))
    assert len(drove) == 200
    # at the first tick the other source may propose before the driver
    assert all(authority == driver and sent == wanted for authority, sent, wanted in drove[1:])


def test_the_safety_limits_hold_for_drawn_commands_too(bench_of):
    bench = bench_of(mode=mode(bench_of, "dagger", beta="constant:0.5"))
    bench.measure(0)
    sent = []
    for k in range(100):
        for name, target in (("policy", 0.9), ("expert", -0.9)):
            decision = bench.propose(k, target, source=name)
            sent += [decision.sent[0]] if decision is not None and decision.sent else []
    assert max(abs(step) for step in np.diff(sent)) <= 1.0 * 0.05 + 1e-9  # 1 rad/s for 0.05 s


@pytest.mark.parametrize(("name", "needed"), [("dagger", "both"), ("expert", "expert")])
def test_the_first_tick_waits_for_the_proposal_of_the_selected_source(bench_of, name, needed):
    bench = bench_of(mode=mode(bench_of, name, beta="constant:0.5"))
    for start in (0, 10):  # again after a restart, as at each episode's paused first frame
        bench.measure(start)
        assert bench.propose(start, 0.01, stamp=start) is None
        decision = bench.propose(start + 0.1, 0.02, source="expert", stamp=start)
        assert decision.stamp_ns == bench.at(start)
        assert decision.authority in (("expert", "policy") if needed == "both" else ("expert",))
        bench.core.restart()


def test_a_change_of_mode_to_an_absent_source_stops_the_base_at_once(bench_of):
    bench = bench_of(bench_of.BASE, mode=mode(bench_of, "policy"))
    bench.measure(0)
    assert bench.propose(0, 0.0, 0.1).sent == (0.0, 0.1)
    bench.core.switch(mode(bench_of, "expert"))
    assert bench.propose(1, 0.0, 0.1).sent == (0.0, 0.0)


def test_a_release_without_another_source_stops_the_base_at_once_in_any_mode(bench_of):
    bench = bench_of(bench_of.BASE, mode=mode(bench_of, "hg_dagger"))
    bench.measure(0)
    assert bench.propose(0, 0.0, 0.1, source="expert").sent == (0.0, 0.1)
    assert release(bench, 1).sent == (0.0, 0.0)


# ---- change of mode


def test_a_change_of_mode_starts_a_new_generation_with_a_ramp_from_the_measured_state(bench_of):
    bench = bench_of(mode=mode(bench_of, "policy"))
    generation = bench.running(0.0).generation
    bench.measure(1, 0.3)
    bench.core.switch(mode(bench_of, "hg_dagger"))
    late = bench.propose(1, 0.3, generation=generation)
    assert late.authority == NOBODY
    assert (late.mode, late.generation) == ("hg_dagger", generation + 1)
    decision = bench.propose(2, 0.9, generation=generation + 1)
    assert (decision.authority, decision.sent) == ("policy", pytest.approx((0.35,)))


def test_the_policys_uncertainty_is_recorded_also_when_the_expert_drives(bench_of):
    bench = bench_of(mode=mode(bench_of, "hg_dagger"))
    bench.running(0.0)
    bench.propose(1, 0.0, uncertainty=0.25)
    bench.measure(2)
    decision = bench.propose(2, 0.0, source="expert")
    assert (decision.authority, decision.uncertainty) == ("expert", 0.25)
