"""Driving records of versions, and the roll-back of a new one."""

import numpy as np
import pytest

from il_ros.interactive.promotion.rollback import (
    MOST_WAITING,
    REACH_NS,
    Driving,
    DrivingLog,
    Evidence,
    TrustedDecisions,
    chance_of_rise,
    worse,
)
from il_ros.records.decision import Decision, GroupDecision

MS = 1_000_000


class Drive:
    """A driving log fed with decisions every 50 ms."""

    def __init__(self):
        self.log, self.stamp_ns = DrivingLog(), 1000 * MS

    def __call__(self, authority, count=1, version="v1", mode="hg_dagger", gap_ms=50):
        for _ in range(count):
            self.stamp_ns += gap_ms * MS
            named = version if authority == "policy" else ""
            self.log.observe(
                Decision(self.stamp_ns, self.stamp_ns, authority, "why", version=named, mode=mode)
            )
        return self


def test_driving_time_counts_policy_control_only():
    drive = Drive()
    drive("policy", 21)("expert", 40)("policy", 11)
    assert drive.log.of("v1") == Driving(pytest.approx(1.5), 1)  # 20 and 10 steps of 50 ms


def test_an_intervention_counts_once_for_the_version_that_drove():
    drive = Drive()
    drive("policy", 2)("expert", 30)("policy", 2, "v2")("none", 3)("expert", 2)("expert", 2)
    assert (drive.log.of("v1").interventions, drive.log.of("v2").interventions) == (1, 1)


def test_a_version_drives_while_it_drives_one_arm_and_groups_taken_at_once_are_one_intervention():
    """Ten ticks of 50 ms: both arms, then one, then none, then both again; the policy drives at least one at eight."""
    log = DrivingLog()
    for tick, (left, right) in enumerate(zip("ppppeeeepp", "ppppppeepp", strict=True), 1):
        names = {"p": "policy", "e": "expert"}
        groups = {
            name: GroupDecision((place,), names[each], "why", "v1" if each == "p" else "")
            for place, (name, each) in enumerate((("left", left), ("right", right)))
        }
        whole = "+".join(dict.fromkeys(part.authority for part in groups.values()))
        stamp_ns = (1000 + 50 * tick) * MS
        log.observe(Decision(stamp_ns, stamp_ns, whole, "why", mode="hg_dagger", groups=groups))
    # 3 steps with both; the takeover of the left arm; 1 step with the right; its takeover; 1 step after the hand-back
    assert log.of("v1") == Driving(pytest.approx(5 * 0.05), 2)


def test_an_expert_that_drives_first_is_no_intervention():
    drive = Drive()
    drive("none", 3)("expert", 20)
    assert drive.log.by_version == {}


def test_drawn_drivers_are_no_interventions():
    drive = Drive()
    drive("policy", 10, mode="dagger")("expert", 10, mode="dagger")("expert", 5, mode="hg_dagger")
    assert drive.log.by_version == {}


def test_a_pause_is_not_driving_time():
    drive = Drive()
    drive("policy", 2)("policy", 1, gap_ms=60_000)
    assert drive.log.of("v1").seconds == pytest.approx(0.25)  # 50 ms, and 200 ms of the long one


def test_addition_and_subtraction_of_driving_records_are_inverse():
    before, since = Driving(60.0, 3), Driving(2.5, 1)
    assert before + since - before == since


def test_the_probability_of_a_rise():
    """Both drove a minute; 3 of 3 fall to the new one with probability 1/8, 2 or 3 of 3 with 4/8."""
    assert chance_of_rise(Driving(60, 3), Driving(60, 0)) == pytest.approx(1 / 8)
    assert chance_of_rise(Driving(60, 2), Driving(60, 1)) == pytest.approx(4 / 8)
    assert chance_of_rise(Driving(60, 2), Driving(120, 0)) == pytest.approx(1 / 9)


def test_the_first_command_of_a_policy_counts_as_driving():
    """Two takeovers, each after a single command: 2 * 0.05 s beside 9.9 s, so 0.01 each."""
    assert chance_of_rise(Driving(0.0, 2), Driving(9.9, 0)) == pytest.approx(1e-4)


def test_the_probability_is_accurate_for_many_interventions():
    """One more than half of 2001: 1/2 by symmetry."""
    assert chance_of_rise(Driving(60, 1001), Driving(60, 1000)) == pytest.approx(0.5)


def test_the_levels_of_all_interventions_sum_to_the_chance():
    evidence = Evidence(least=2, chance=0.06)
    # 0.06 * 2 / (2 * 3), / (3 * 4), / (4 * 5)
    assert [evidence.at(k) for k in range(5)] == pytest.approx([0, 0, 0.02, 0.01, 0.006])
    assert sum(map(evidence.at, range(20_000))) == pytest.approx(0.06, rel=1e-3)


def test_a_few_bad_seconds_suffice_against_a_good_minute_and_the_reason_has_the_figures():
    """5 s of 60 s: each falls to the new one with 1/12, all three with 1/1728, below the limit."""
    why = worse(Driving(5, 3), Driving(55, 0), Evidence())
    assert why == (
        "36.00 interventions a minute (3 in 5 s), before 0.00 (0 in 55 s); probability by "
        "chance: 0.06 %, limit: 1.25 %"
    )


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (Driving(1, 1), Driving(10_000, 0)),  # a single intervention
        (Driving(5, 3), Driving(0, 0)),  # no earlier driving
        (Driving(60, 3), Driving(60, 0)),  # 1/8 is not significant
        (Driving(15, 2), Driving(85, 0)),  # below `least`
        (Driving(600, 120), Driving(600, 100)),  # about 0.1, above the level of the 120th intervention
        (Driving(60, 4), Driving(60, 9)),  # better
    ],
)
def test_without_enough_evidence_there_is_no_roll_back(new, old):
    assert worse(new, old, Evidence()) == ""


@pytest.mark.parametrize("per_minute", [2.0, 20.0])
def test_an_equally_good_version_is_rarely_rolled_back_in_repeated_tests(per_minute):
    """2000 runs: a minute of the old version, then 30 interventions of the new one, tested at each."""
    rng = np.random.default_rng(1)
    evidence, back = Evidence(chance=0.1), 0
    for _ in range(2000):
        old = Driving(60, int(rng.poisson(per_minute)))
        times_s = np.cumsum(rng.exponential(60 / per_minute, 30))
        back += any(worse(Driving(s, k), old, evidence) for k, s in enumerate(times_s.tolist(), 1))
    assert back / 2000 < 0.1


def test_a_bad_version_is_rolled_back_within_a_few_interventions():
    """One intervention in two minutes before, then one every four seconds: 12 s of 132 s for three.

    Three or four of four fall to it with 4 * 10/11**4 + 1/11**4 = 41/14641; the level at three is 0.15/12.
    """
    old, counts = Driving(120, 1), range(1, 20)
    assert chance_of_rise(Driving(12, 3), old) == pytest.approx(41 / 14641)
    assert next(k for k in counts if worse(Driving(4.0 * k, k), old, Evidence())) == 3


def test_invalid_evidence_is_refused():
    with pytest.raises(ValueError, match="chance"):
        Evidence(chance=1.5)


class Trusted:
    """Decisions by the policy and takeovers, every 50 ms, through `TrustedDecisions`."""

    def __init__(self):
        self.log, self.now_ns = DrivingLog(), 1_000_000 * MS
        self.decisions = TrustedDecisions(self.log)
        self.decisions.look(publishers=1, appeared=1)

    def __call__(self, *authorities, ahead_ns=0):
        for authority in authorities:
            self.now_ns += 50 * MS
            stamp_ns, version = self.now_ns + ahead_ns, "v1" if authority == "policy" else ""
            made = Decision(stamp_ns, stamp_ns, authority, "why", version=version, mode="hg_dagger")
            self.decisions.observe(made, self.now_ns)
        return self

    def look(self, publishers=1, appeared=0):
        self.decisions.look(publishers, appeared)
        return self.log.of("v1")


P, E = "policy", "expert"


def test_decisions_of_the_only_publisher_are_evidence_from_the_next_look_on():
    trusted = Trusted()(P, P, P, E)
    assert trusted.log.of("v1") == Driving()
    assert trusted.look() == Driving(pytest.approx(0.1), 1)
    assert trusted.decisions.doubt == ""


@pytest.mark.parametrize(
    ("publishers", "appeared", "doubt"),
    [(2, 1, "2 nodes publish them"), (1, 1, "another node published some"), (2, 0, "2 nodes")],
)
def test_with_a_second_publisher_even_for_a_moment_no_decision_is_evidence(publishers, appeared, doubt):
    trusted = Trusted()
    trusted(P, E, P, E, P, E)
    assert trusted.look(publishers, appeared) == Driving()
    assert doubt in trusted.decisions.doubt
    trusted(P, E)
    assert trusted.look(publishers=publishers).interventions == (0 if publishers > 1 else 1)


def test_a_takeover_across_doubtful_decisions_does_not_count():
    trusted = Trusted()
    trusted(P, P).look()
    trusted(P).look(publishers=2)
    trusted(E).look(publishers=1)
    assert trusted.log.of("v1") == Driving(pytest.approx(0.05), 0)


@pytest.mark.parametrize(
    ("ahead_ns", "doubt"),
    [
        (REACH_NS + 1, "10 s ahead of this node's clock"),
        (-REACH_NS - 10**9, "11 s behind"),
        (REACH_NS, ""),
        (-REACH_NS, ""),
    ],
)
def test_stamps_outside_the_clocks_reach_are_no_evidence(ahead_ns, doubt):
    trusted = Trusted()
    driven = trusted(P, P, E, ahead_ns=ahead_ns)(P).look()
    assert driven.interventions == (0 if doubt else 1)
    assert doubt in trusted.decisions.doubt


def test_a_flood_of_decisions_is_no_evidence_and_takes_bounded_memory():
    trusted = Trusted()
    for _ in range(MOST_WAITING + 2):
        trusted(P)
    assert trusted.decisions._count == MOST_WAITING
    assert trusted.look() == Driving()
    assert "came at once" in trusted.decisions.doubt
