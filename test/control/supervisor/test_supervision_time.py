"""How much motion a time allows: the robot's clock counts, not the stamps of proposals.

The joint moves at 1 rad/s at most, which is 0.05 rad per control period; 1.25 periods allow 0.0625 rad at once.
"""

import itertools

import pytest

from il_ros.control.supervisor.supervision import Supervision
from il_ros.control.supervisor.watchdog import StepBudget

PERIOD = 50_000_000
FAR = 0.9


def at_once(bench, count=7, apart=0.5):
    """Propose `count` times at period 1, stamped ahead; return the commands."""
    made = [bench.core.propose("policy", bench.proposal(1 + apart * k, FAR), bench.at(1), bench.at(1))
            for k in range(count)]  # fmt: skip
    return [decision.sent[0] for decision in made if decision is not None]


@pytest.mark.parametrize("simulated", [False, True])
def test_a_burst_stamped_ahead_gives_one_command(bench_of, simulated):
    bench = bench_of(simulated=simulated)
    bench.running(0.0)
    assert at_once(bench) == pytest.approx([0.05])


def test_without_the_pace_a_burst_stamped_ahead_still_moves_by_little(bench_of, monkeypatch):
    times = itertools.count(0, PERIOD)
    monkeypatch.setattr(Supervision, "_robot_ns", lambda self, steady_ns: next(times))
    bench = bench_of()
    bench.running(0.0)
    sent = at_once(bench)
    assert len(sent) == 7
    assert sent[-1] == pytest.approx(0.05)  # the first command spent the rest


def test_a_burst_of_alternating_sources_moves_by_little(bench_of):
    bench = bench_of(keep_command=("arm",))  # each handover continues from the last command
    bench.running(0.0)
    sent = []
    for k in range(1, 9):
        source = ("policy", "expert")[k % 2]
        proposal = bench.proposal(1 + 0.3 * k, FAR, source)
        decision = bench.core.propose(source, proposal, bench.at(1), bench.at(1))
        sent += [decision.sent[0]] if decision is not None else []
    assert max(sent) <= 0.0625 + 1e-9


def test_steps_of_a_robots_clock_are_not_time(bench_of):
    bench = bench_of()
    bench.running(0.0)
    for k in range(1, 5):  # the clock runs a period ahead for every quarter of a period that passes
        decision = bench.core.propose(
            "policy", bench.proposal(k, FAR), bench.at(k), bench.at(0) + k * PERIOD // 4
        )
    assert decision.sent[0] == pytest.approx(0.05)  # four quarters of a period at 1 rad/s


def test_in_simulation_the_clock_counts_also_faster_than_real_time(bench_of):
    bench = bench_of(simulated=True)
    bench.running(0.0)
    sent = [
        bench.core.propose("policy", bench.proposal(k, FAR), bench.at(k), bench.at(0) + k).sent[0]
        for k in range(1, 11)
    ]
    assert sent == pytest.approx([0.05 * k for k in range(1, 11)])


def test_in_simulation_nothing_moves_while_the_clock_stands(bench_of):
    bench = bench_of(bench_of.ARM.replace("safe: hold", "safe: stop"), simulated=True)
    bench.running(0.0)
    sent = bench.propose(1, FAR).sent
    decisions = [bench.tick(k, clock=1) for k in (3, 4, 5, 6)]
    assert {decision.sent for decision in decisions if decision is not None} <= {sent}


def test_a_proposal_that_overtakes_its_clock_is_answered_when_the_clock_arrives(bench_of):
    bench = bench_of(simulated=True, silence_s=1.0)
    bench.running(0.0)
    early = bench.core.propose("policy", bench.proposal(1, FAR), bench.at(0), bench.at(0.1))
    assert early is None
    assert bench.core.tick(bench.at(0), bench.at(0.2)) is None
    answer = bench.core.tick(bench.at(1), bench.at(0.3))
    assert (answer.stamp_ns, answer.sent) == (bench.at(1), pytest.approx((0.05,)))
    assert bench.core.tick(bench.at(1), bench.at(0.4)) is None  # once
    assert bench.core.skipped == 0


def test_a_restart_forgets_the_proposal_that_overtook_its_clock(bench_of):
    bench = bench_of(simulated=True, silence_s=1.0)
    bench.running(0.0)
    bench.core.propose("policy", bench.proposal(1, FAR), bench.at(0), bench.at(0.1))
    bench.core.restart()
    assert bench.core.tick(bench.at(1), bench.at(0.3)) is None


def test_a_step_budget_counts_one_clock_only():
    robot, simulator = StepBudget(PERIOD), StepBudget(PERIOD, simulated=True)
    for budget in (robot, simulator):
        assert budget.spend(PERIOD, PERIOD, PERIOD) == 0.05  # the first step: a whole period
    # the node's clock advances by a period, the steady clock by a tenth
    times = 2 * PERIOD, 2 * PERIOD, PERIOD + PERIOD // 10
    assert robot.spend(*times) == pytest.approx(0.005)
    assert simulator.spend(*times) == 0.05
