"""Stopping the robot: the emergency stop, its reset, and the final command."""

import numpy as np
import pytest

from il_ros.control.supervisor.estop import EmergencyStop
from il_ros.records.decision import NOBODY


def press(bench, name, pressed, at):
    bench.core.estop.update(name, pressed, at)
    return bench.core.answer_estop(at, at)


def test_the_emergency_stop_acts_at_once_and_latches(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    bench.propose(0, 0.0, 0.1)
    decision = press(bench, "topic", True, bench.at(0.1))
    assert decision.sent == (0.0, 0.0)
    assert decision.reason == "emergency stop pressed (topic)"
    press(bench, "topic", False, bench.at(0.2))
    for k in (1, 2, 3):
        assert bench.propose(k, 0.5, 0.5).sent == (0.0, 0.0)


def test_the_reset_is_refused_while_any_input_is_pressed(bench_of):
    bench = bench_of()
    bench.running()
    press(bench, "topic", True, bench.at(1))
    press(bench, "service", True, bench.at(1))
    press(bench, "topic", False, bench.at(2))
    assert bench.core.reset_estop(bench.at(2)) == "still pressed: service"
    press(bench, "service", False, bench.at(3))
    assert bench.core.reset_estop(bench.at(3)) == ""


def test_after_the_reset_proposals_need_the_new_generation(bench_of):
    bench = bench_of()
    generation = bench.running().generation
    press(bench, "topic", True, bench.at(1))
    press(bench, "topic", False, bench.at(1))
    bench.core.reset_estop(bench.at(1))
    bench.measure(2)
    assert bench.propose(2, 0.02, generation=generation).authority == NOBODY
    assert bench.propose(3, 0.02, generation=bench.core.generation).authority == "policy"


def test_a_stopped_joint_decelerates_at_its_acceleration_limit(bench_of):
    bench = bench_of(bench_of.ARM.replace("speed: 1.0}", "speed: 1.0, acceleration: 4.0}"))
    bench.measure(0)
    for k, target in enumerate((0.01, 0.03, 0.06)):  # 0.2, 0.4, 0.6 rad/s
        moving = bench.propose(k, target)
    assert moving.sent == pytest.approx((0.06,))
    stops = [press(bench, "topic", True, bench.at(3)), bench.tick(4.5), bench.tick(5.5)]
    # 0.4, 0.2, 0 rad/s
    np.testing.assert_allclose([d.sent[0] for d in stops], [0.08, 0.09, 0.09], atol=1e-12)


def test_a_silent_heartbeat_stops_the_robot(bench_of):
    bench = bench_of(estop=EmergencyStop(timeout_s=0.2))
    press(bench, "topic", False, bench.at(0))
    bench.running()
    assert bench.propose(4, 0.01).authority == "policy"
    assert bench.tick(4.2).reason == "emergency stop: heartbeat (topic) silent for 0.21 s"


def test_the_final_command_stops_a_base(bench_of):
    bench = bench_of(bench_of.BASE)
    bench.measure(0)
    bench.propose(0, 0.0, 0.1)
    assert bench.core.finish(bench.at(1), bench.at(1)).sent == (0.0, 0.0)


def test_without_any_command_there_is_no_final_decision(bench_of):
    assert bench_of().core.finish(1, 1) is None
