"""A supervisor that starts at rest: nothing moves until a person lets it."""

import pytest

from il_ros.control.supervisor.rest import AT_REST
from il_ros.records.decision import NOBODY


def test_at_rest_a_policy_moves_nothing_and_the_reason_is_given(bench_of):
    bench = bench_of(start_at_rest=True)
    bench.measure(0)
    for k in range(3):
        decision = bench.propose(k, 0.5)
        assert (decision.authority, decision.sent, decision.reason) == (NOBODY, None, AT_REST)
    assert bench.core.at_rest


def test_after_a_person_lets_it_drive_the_ramp_starts_at_the_measured_state(bench_of):
    bench = bench_of(start_at_rest=True)
    bench.measure(0, 0.3)
    bench.propose(0, 0.5)
    generation = bench.core.generation
    assert bench.core.drive(True) == ""
    bench.measure(1, 0.3)
    waiting = bench.propose(1, 0.5, generation=generation)  # a chunk from before is not used
    assert (waiting.authority, waiting.sent, waiting.generation) == (NOBODY, None, generation + 1)
    decision = bench.propose(2, 0.5, generation=generation + 1)
    assert decision.authority == "policy"
    assert decision.sent[0] == pytest.approx(0.35)  # 1 rad/s in a period of 0.05 s
    assert bench.core.drive(True) == ""  # again: nothing changes
    assert bench.propose(3, 0.5, generation=generation + 1).sent[0] == pytest.approx(0.4)


def test_a_robot_that_goes_to_rest_while_driving_applies_the_safe_behaviour(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    assert bench.propose(0, 0.0, 0.1).sent == (0.0, 0.1)
    bench.core.drive(False)
    decision = bench.propose(1, 0.0, 0.1)
    assert (decision.authority, decision.sent) == (NOBODY, (0.0, 0.0))


def test_a_persons_device_drives_at_rest_and_the_policy_does_not_follow_it(bench_of):
    bench = bench_of(start_at_rest=True, manual=("expert",))
    bench.measure(0)
    bench.propose(0, 0.5)
    assert bench.propose(1, 0.02, source="expert").authority == "expert"
    bench.measure(12)
    decision = bench.propose(12, 0.5)  # the expert is silent
    assert (decision.authority, decision.reason) == (NOBODY, AT_REST)


def test_after_an_emergency_stop_and_a_new_activation_it_is_at_rest_again(bench_of):
    bench = bench_of(start_at_rest=True)
    bench.core.drive(True)
    bench.core.estop.update("topic", True, bench.at(0))
    refused = "emergency stop pressed (topic); release the emergency stop first"
    assert bench.core.drive(True) == refused
    bench.core.estop.update("topic", False, bench.at(1))
    assert bench.core.reset_estop(bench.at(1)) == ""
    assert bench.core.at_rest
    bench.core.drive(True)
    bench.core.activate()
    assert bench.core.at_rest


def test_without_the_option_it_drives_at_once_and_after_a_reset(bench_of):
    bench = bench_of()
    bench.core.estop.update("topic", True, bench.at(0))
    bench.core.estop.update("topic", False, bench.at(0))
    bench.core.reset_estop(bench.at(0))
    assert not bench.core.at_rest


def test_an_unknown_manual_source_is_named(bench_of):
    with pytest.raises(ValueError, match="manual: 'joy' is not a source; there are: expert, policy"):
        bench_of(manual=("joy",))
