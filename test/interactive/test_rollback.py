"""Counting how versions drive, and when the new one must give way."""

import pytest

from il_ros.control.decision import Decision
from il_ros.interactive.rollback import Driving, DrivingLog, Evidence, chance_of_rise, worse

MS = 1_000_000


class Drive:
    """Decisions every 50 ms."""

    def __init__(self):
        self.log, self.stamp_ns = DrivingLog(), 1000 * MS

    def __call__(self, authority, count=1, version="v1", mode="hg_dagger", gap_ms=50):
        for _ in range(count):
            self.stamp_ns += gap_ms * MS
            named = version if authority == "policy" else ""
            self.log.hear(Decision(self.stamp_ns, self.stamp_ns, authority, "why", version=named, mode=mode))
        return self


def test_driving_time_is_that_of_the_policy_alone():
    drive = Drive()
    drive("policy", 21)("expert", 40)("policy", 11)
    assert drive.log.of("v1") == Driving(pytest.approx(1.5), 1)  # 20 and 10 steps of 50 ms


def test_an_intervention_counts_once_and_for_the_version_it_ended():
    drive = Drive()
    drive("policy", 2)("expert", 30)("policy", 2, "v2")("none", 3)("expert", 2)("expert", 2)
    assert (drive.log.of("v1").interventions, drive.log.of("v2").interventions) == (1, 1)


def test_an_expert_who_begins_has_taken_nothing_from_anyone():
    drive = Drive()
    drive("none", 3)("expert", 20)
    assert drive.log.by_version == {}


def test_by_lot_no_one_intervenes():
    drive = Drive()
    drive("policy", 10, mode="dagger")("expert", 10, mode="dagger")("expert", 5, mode="hg_dagger")
    assert drive.log.by_version == {}


def test_a_pause_is_no_driving():
    drive = Drive()
    drive("policy", 2)("policy", 1, gap_ms=60_000)
    assert drive.log.of("v1").seconds == pytest.approx(0.25)  # 50 ms, and 200 ms of the long one


def test_the_chance_of_a_rise_by_hand():
    """Both drove a minute; 3 of 3 fall to the new one with probability 1/8, 2 or 3 of 3 with 4/8."""
    assert chance_of_rise(Driving(60, 3), Driving(60, 0)) == pytest.approx(1 / 8)
    assert chance_of_rise(Driving(60, 2), Driving(60, 1)) == pytest.approx(4 / 8)
    assert chance_of_rise(Driving(60, 2), Driving(120, 0)) == pytest.approx(1 / 9)


def test_a_clear_rise_gives_way_and_the_sentence_has_the_figures():
    why = worse(Driving(60, 6), Driving(60, 0), Evidence())  # 1/64
    assert why.startswith("6.00 interventions a minute (6 in 60 s), before 0.00 (0 in 60 s)")
    assert "1.6%" in why


@pytest.mark.parametrize(
    ("new", "old"),
    [
        (Driving(29, 20), Driving(60, 0)),  # too little driving
        (Driving(60, 20), Driving(29, 0)),  # of those before
        (Driving(60, 2), Driving(600, 0)),  # too few interventions
        (Driving(60, 3), Driving(60, 0)),  # 1/8: may be chance
        (Driving(600, 140), Driving(600, 100)),  # significant, but not 1.5 times as many
        (Driving(60, 4), Driving(60, 9)),  # better
    ],
)
def test_without_enough_evidence_it_stays(new, old):
    assert worse(new, old, Evidence()) == ""


def test_evidence_that_can_not_be_is_refused():
    with pytest.raises(ValueError, match="rise"):
        Evidence(rise=0.5)
