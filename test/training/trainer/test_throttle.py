"""Throttling of training by the control loop's lateness. Ticks come every 50 ms."""

import os
import signal
import subprocess
import sys
import time

import pytest

from il_ros.training.trainer.throttle import Throttle, ThrottleLimits

MS = 1_000_000
PERIOD_NS = 50 * MS


class Loop:
    """A source of decisions for a throttle; `late_ms` is added to the robot's latency of 10 ms."""

    def __init__(self, **limits):
        self.throttle = Throttle(ThrottleLimits(**limits))
        self.stamp_ns, self.now_s = 1_000_000 * MS, 100.0

    def decide(self, *late_ms, wait_s=0.05):
        for late in late_ms:
            self.stamp_ns += PERIOD_NS
            self.now_s += wait_s
            self.throttle.observe(self.stamp_ns, self.stamp_ns + 10 * MS + round(late * MS), self.now_s)
        return self.throttle.paused


def test_a_timely_loop_never_pauses_training():
    loop = Loop()
    assert not loop.decide(*[0, 2, 5, 12] * 50)
    assert loop.throttle.pauses == 0


def test_three_decisions_later_than_half_a_period_pause_it():
    loop = Loop()
    loop.decide(*[0] * 10)
    assert not loop.decide(30, 0, 30)
    assert loop.decide(30)


def test_constant_latency_is_not_lateness():
    """Every decision comes 40 ms after its tick because of the camera latency."""
    assert not Loop().decide(*[30] * 100)


def test_exactly_half_a_period_is_not_above():
    loop = Loop()
    loop.decide(*[0] * 10)
    assert not loop.decide(*[25] * 20)


def test_missed_ticks_count_as_late():
    loop = Loop()
    loop.decide(*[0] * 10)
    for _ in range(3):
        loop.stamp_ns += PERIOD_NS  # a tick without a decision
        paused = loop.decide(0)
    assert paused


def test_it_resumes_after_twenty_decisions_in_time_and_not_one_earlier():
    loop = Loop(longest_s=1000)
    loop.decide(*[0] * 10)
    assert loop.decide(30, 30, 30)
    assert loop.decide(*[0] * 19)
    assert not loop.decide(0)


def test_a_decision_between_the_thresholds_keeps_it_paused():
    loop = Loop(longest_s=1000)
    loop.decide(*[0] * 10, 30, 30, 30)
    assert loop.decide(*[0] * 19, 15, *[0] * 19)  # 15 of 50 ms is above 0.25, below 0.5
    assert not loop.decide(0)


def test_an_ineffective_pause_ends():
    loop = Loop(longest_s=2.0, least_s=1.0)
    loop.decide(*[0] * 10)
    states = [loop.decide(late) for late in [0, 30] * 200]  # always late
    assert states.count(True) == pytest.approx(2 * states.count(False), rel=0.2)


def test_it_resumes_by_the_clock_when_no_decision_comes_any_more():
    loop = Loop(longest_s=2.0)
    loop.decide(*[0] * 10, 30, 30, 30)
    assert loop.throttle.update(loop.now_s + 1.9)
    assert not loop.throttle.update(loop.now_s + 2.1)


def test_with_a_simulated_clock_waits_count_as_late():
    """Every stamp is in time, but some decisions arrive 30 ms later than usual."""
    loop = Loop()
    loop.decide(*[0] * 10)
    for _ in range(3):
        paused = loop.decide(0, wait_s=0.08)
    assert paused


def test_a_simulation_at_half_speed_is_in_time():
    assert not Loop().decide(*[0] * 100, wait_s=0.1)


def test_a_faster_than_real_time_simulation_is_never_late():
    loop = Loop()
    for wait_s in [0.002, 0.008] * 50:
        loop.decide(0, wait_s=wait_s)
    assert loop.throttle.pauses == 0


def test_a_break_between_episodes_is_not_lateness():
    loop = Loop()
    for _ in range(5):
        loop.decide(*[0] * 10)
        loop.stamp_ns += 3_000 * MS
    assert not loop.decide(0)
    assert loop.throttle.pauses == 0


@pytest.mark.parametrize("wrong", [{"resume_below": 0.6}, {"many": 0}, {"many": 21}, {"longest_s": 0}])
def test_contradictory_limits_are_rejected(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        ThrottleLimits(**wrong)


def test_a_real_process_pauses_and_resumes():
    """The throttle and its signals, on a process that writes continuously."""
    from il_ros.training.trainer.job import Job

    job = Job([sys.executable, "-c", "while True: pass"])
    try:
        loop = Loop()
        loop.decide(*[0] * 10)
        job.pause(loop.decide(30, 30, 30))
        state = lambda: _state(job._process)  # noqa: E731
        _wait(lambda: state() == "T")
        job.pause(loop.throttle.update(loop.now_s + 100))
        _wait(lambda: state() == "R")
        job.pause(True)
        _wait(lambda: state() == "T")
    finally:
        job.close()  # a paused process can be ended too
    assert job._process.returncode in (-signal.SIGINT, 1)


def _state(process: subprocess.Popen) -> str:
    with open(f"/proc/{process.pid}/stat") as file:
        return file.read().rpartition(")")[2].split()[0]


def _wait(condition):
    end_s = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < end_s
        os.sched_yield()
