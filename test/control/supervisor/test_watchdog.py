import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.control.supervisor.watchdog import StepBudget, Watchdog

PERIOD = 50_000_000
START = 1_000_000_000_000


def test_after_the_first_silence_decisions_are_due_once_per_period():
    watchdog = Watchdog(silence_ns=75_000_000, period_ns=PERIOD)
    watchdog.feed(0)
    due = [ms for ms in range(300) if watchdog.overdue(ms * 1_000_000)]
    assert due == [75, 125, 175, 225, 275]


def test_a_late_timer_keeps_the_rhythm():
    watchdog = Watchdog(silence_ns=75_000_000, period_ns=PERIOD)
    watchdog.feed(0)
    due = [ms for ms in range(0, 300, 12) if watchdog.overdue(ms * 1_000_000)]
    assert due == [84, 132, 180, 228, 276]
    assert watchdog.latest_s == pytest.approx(0.009)


def test_a_silence_shorter_than_a_period_is_rejected():
    with pytest.raises(ValueError, match="shorter than a control period"):
        Watchdog(PERIOD - 1, PERIOD)


def test_a_burst_of_late_proposals_moves_the_robot_by_little():
    budget = StepBudget(PERIOD)
    budget.spend(START, START, START)
    now = START + 4 * PERIOD  # four ticks are delayed, then arrive together
    steps = [budget.spend(START + k * PERIOD, now + k, now + k) for k in range(1, 5)]
    assert steps[0] == 0.05
    assert sum(steps) <= 1.25 * 0.05 + 1e-6


def test_jitter_does_not_shorten_the_steps():
    budget = StepBudget(PERIOD)
    jitter = [0, 3_000_000, -3_000_000, 5_000_000, 0, 1_000_000] * 10
    budget.spend(START - PERIOD, START - PERIOD, START - PERIOD)
    times = [START + k * PERIOD + late for k, late in enumerate(jitter)]
    steps = [budget.spend(START + k * PERIOD, time, time) for k, time in enumerate(times)]
    assert steps[3:] == [0.05] * 57


def test_with_a_stopped_clock_the_steady_clock_sets_the_step():
    budget = StepBudget(PERIOD)
    budget.spend(START, START, 1 * PERIOD)
    assert budget.spend(START + 1, START, 2 * PERIOD) == 0.05


def test_a_slow_lockstep_simulation_gets_full_steps():
    budget = StepBudget(PERIOD, simulated=True)
    steps = [budget.spend(START + k * PERIOD, START + k * PERIOD, 1 + k * 1_000_000) for k in range(50)]
    assert steps == [0.05] * 50


@given(st.lists(st.tuples(st.integers(-PERIOD, 5 * PERIOD), st.integers(0, 3 * PERIOD)), max_size=50))
def test_no_sequence_of_stamps_gives_more_motion_time_than_has_elapsed(events):
    budget = StepBudget(PERIOD)
    now, stamp, spent = START, START, 0.0
    for apart, passed in events:
        now, stamp = now + passed, stamp + apart
        step = budget.spend(stamp, now, now)
        assert 0.0 <= step <= 0.05
        spent += step
        assert spent <= (now - START) / 1e9 + 1.25 * 0.05 + 1e-9
