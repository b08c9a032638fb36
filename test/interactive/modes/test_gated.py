"""Mode `gated`: requests, waiting, help and hand-back, tick by tick."""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import (
    NOT_YET,
    PRESENT,
    RELEASED,
    Absence,
    AbsenceKind,
    ArbitrationInput,
)
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.gated import Gated
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

S = 1_000_000_000
AWAY, THERE, GONE = NOT_YET, PRESENT, RELEASED
UNPLUGGED = Absence(AbsenceKind.SILENT, "silent for 0.30 s")


class Sequence:
    """One tick per second; `at(uncertainty, expert)` returns the source in authority."""

    def __init__(self, memory=None, **options):
        options = {"ask": 1.0, "timeout_s": 5.0, "per_hour": 10, "at_once": 10, "least_s": 0.0, **options}
        self.mode = Gated(memory or ModeMemory(), GatedOptions(**options), rate_hz=1.0)
        self.tick, self.authority, self.reason = 0, NOBODY, ""

    def at(self, uncertainty, expert=AWAY, policy=PRESENT):
        self.tick += 1
        if not policy:
            self.mode.observe(
                "policy", Proposal("policy", self.tick * S, np.zeros((1, 1)), uncertainty=uncertainty)
            )
        absences = {"expert": expert, "policy": policy}
        arbitration = self.mode.choose(ArbitrationInput(self.tick * S, self.authority, absences))
        assert arbitration == self.mode.choose(ArbitrationInput(self.tick * S, self.authority, absences))
        self.authority, self.reason, self.arbitration = arbitration.authority, arbitration.reason, arbitration
        return arbitration.authority


def test_high_uncertainty_stops_the_policy_and_requests_the_expert():
    sequence = Sequence()
    assert sequence.at(0.9) == "policy"
    assert sequence.at(1.1) == NOBODY
    assert sequence.reason == "waiting for the expert: uncertainty 1.1 above 1"
    assert sequence.mode.state(2 * S)["request"] == {
        "number": 1, "since_ns": 2 * S, "why": "uncertainty 1.1 above 1", "groups": (),
    }  # fmt: skip
    assert sequence.mode.state(2 * S)["budget_left"] == 9
    assert sequence.at(1.1, THERE) == "expert"
    assert sequence.mode.request is None
    assert sequence.at(0.1, THERE) == "expert"  # a human drives until the release
    assert sequence.at(0.1, GONE) == "policy"


def test_an_episode_without_progress_requests_the_expert_until_there_is_some():
    sequence = Sequence(sources="progress", stalled=2.0, release=0.5)
    assert sequence.at(9.0) == "policy"  # the policy's uncertainty is not among the sources
    sequence.mode.expect(2.0, "no progress for 4.0 s", 2 * S)
    assert sequence.at(0.1) == "policy"  # above 2, not at it
    sequence.mode.expect(2.1, "no progress for 4.2 s", 3 * S)
    assert sequence.at(0.1) == NOBODY
    assert sequence.reason == "waiting for the expert: no progress for 4.2 s"
    sequence.mode.expect(1.1, "", 4 * S)  # above half of it
    assert sequence.at(0.1, THERE) == "expert"
    sequence.mode.expect(0.0, "", 5 * S)
    assert sequence.at(0.1, GONE) == "policy"


def test_ratings_of_a_judge_that_fell_silent_count_no_more():
    sequence = Sequence(sources="policy progress")
    sequence.tick = 1
    sequence.mode.expect(5.0, "no progress", 2 * S)
    assert sequence.at(0.1) == NOBODY
    assert sequence.at(0.1) == NOBODY  # one second later
    assert sequence.at(0.1) == "policy"
    assert sequence.at(1.1) == NOBODY  # the other source still requests
    assert sequence.reason == "waiting for the expert: uncertainty 1.1 above 1"


def test_without_the_source_progress_ratings_request_nothing():
    sequence = Sequence()
    sequence.mode.expect(5.0, "no progress", S)
    assert sequence.at(0.1) == "policy"
    for sources in ("", "progess", "policy,progress"):
        with pytest.raises(
            ValueError, match="it must be one or more of policy, progress, with spaces between"
        ):
            GatedOptions(sources=sources)


def test_uncertainty_below_the_lower_threshold_withdraws_the_request():
    sequence = Sequence()
    assert [sequence.at(uncertainty) for uncertainty in (1.1, 0.9, 0.6, 0.4)] == [NOBODY] * 3 + ["policy"]


def test_after_a_hand_back_no_request_before_the_uncertainty_was_low():
    sequence = Sequence()
    sequence.at(1.1)
    sequence.at(1.1, THERE)
    assert [sequence.at(uncertainty, GONE) for uncertainty in (1.2, 1.2, 0.4, 1.2)] == ["policy"] * 3 + [
        NOBODY
    ]


def test_an_expert_that_always_proposes_drives_only_when_requested():
    sequence = Sequence(takeover="asked")
    drivers = [sequence.at(uncertainty, THERE) for uncertainty in (0.9, 1.1, 0.6, 0.4, 0.9)]
    assert drivers == ["policy", "expert", "expert", "policy", "policy"]


def test_an_arbitration_is_early_for_an_expert_that_always_proposes_but_not_for_a_human():
    for takeover, early in (("asked", True), ("anytime", False)):
        sequence = Sequence(takeover=takeover)
        assert sequence.at(1.1) == NOBODY
        assert sequence.arbitration.early is early


def test_an_expert_lost_while_driving_leaves_the_robot_waiting_at_any_uncertainty():
    sequence = Sequence(timeout_s=100.0)
    sequence.at(0.1, THERE)
    assert sequence.at(0.1, UNPLUGGED) == NOBODY
    assert sequence.reason == "waiting for the expert: the expert stopped proposing: silent for 0.30 s"
    assert sequence.at(0.1, UNPLUGGED) == NOBODY
    assert sequence.at(0.1, THERE) == "expert"
    assert sequence.at(0.1, GONE) == "policy"
    assert sequence.mode.state(S)["budget_left"] == 10  # no request was made


def test_a_lost_expert_that_then_releases_hands_back():
    sequence = Sequence(least_s=2.0)
    sequence.at(1.1, THERE)
    assert [sequence.at(1.1, expert) for expert in (UNPLUGGED, UNPLUGGED, GONE)] == [NOBODY] * 2 + ["policy"]
    assert sequence.mode.request is None
    assert [sequence.at(uncertainty, GONE) for uncertainty in (1.1, 0.1, 1.1)] == ["policy"] * 2 + [NOBODY]
    assert (
        sequence.reason == "waiting for the expert: uncertainty 1.1 above 1"
    )  # an earlier release does not answer it
    assert sequence.at(1.1, GONE) == NOBODY


@pytest.mark.parametrize(
    ("outcome", "then"), [("hold", [NOBODY] * 4), ("resume", ["policy"] * 4), ("stop", [NOBODY] * 4)]
)
def test_a_request_that_times_out_has_the_configured_outcome(outcome, then):
    sequence = Sequence(timed_out=outcome)
    assert [sequence.at(1.1) for _ in range(6)] == [NOBODY] * 6
    assert [sequence.at(1.1) for _ in range(4)] == then


def test_stopped_the_mode_gives_no_authority_until_a_restart():
    sequence = Sequence(timed_out="stop")
    for _ in range(7):
        sequence.at(1.1)
    assert sequence.at(0.1, THERE) == NOBODY
    assert sequence.reason == "no expert answered within 5 s; call ~/restart to continue"
    sequence.mode.restart()
    assert sequence.at(0.1) == "policy"


def test_a_late_expert_takes_over_while_the_robot_holds():
    sequence = Sequence()
    for _ in range(20):
        sequence.at(1.1)
    assert sequence.at(1.1, THERE) == "expert"


def test_without_budget_the_policy_drives_on_and_may_request_an_hour_later():
    sequence = Sequence(per_hour=1)
    sequence.at(1.1)
    sequence.at(0.1)
    assert sequence.at(1.1) == "policy"
    sequence.tick += 3600
    assert sequence.at(1.1) == NOBODY


def test_interventions_set_the_threshold_where_none_is_given():
    memory = ModeMemory()
    sequence = Sequence(ask=0.0, memory=memory)
    assert sequence.at(50.0) == "policy"
    memory.threshold.intervened(2.0)
    assert [sequence.at(uncertainty) for uncertainty in (1.9, 2.1)] == ["policy", NOBODY]


def test_an_unrequested_takeover_sets_the_threshold():
    sequence = Sequence(ask=0.0)
    assert [sequence.at(0.5), sequence.at(2.0, THERE), sequence.at(9.0, THERE), sequence.at(0.1, GONE)] == [
        "policy", "expert", "expert", "policy"
    ]  # fmt: skip
    assert [sequence.at(1.9), sequence.at(2.1)] == ["policy", NOBODY]
    assert sequence.at(3.0, THERE) == "expert"  # requested, so the threshold does not change
    assert sequence.mode.threshold == 2.0


def test_the_policy_drives_for_least_s_between_a_hand_back_and_the_next_request():
    sequence = Sequence(least_s=3.0)
    assert [sequence.at(1.1), sequence.at(0.1, THERE), sequence.at(0.1, GONE)] == [NOBODY, "expert", "policy"]
    assert [sequence.at(1.1) for _ in range(3)] == ["policy"] * 2 + [NOBODY]
    assert sequence.at(0.1) == "policy"  # the request is withdrawn
    assert [sequence.at(1.1) for _ in range(3)] == ["policy"] * 2 + [NOBODY]


def test_least_s_delays_neither_a_human_takeover_nor_the_first_request_of_an_episode():
    sequence = Sequence(least_s=30.0)
    assert [sequence.at(0.1, THERE), sequence.at(0.1, GONE), sequence.at(0.1, THERE)] == [
        "expert",
        "policy",
        "expert",
    ]
    sequence.at(0.1, GONE)
    assert sequence.at(1.1) == "policy"
    sequence.mode.restart()
    assert sequence.at(1.1) == NOBODY


def test_a_requested_expert_drives_for_least_s_and_while_the_uncertainty_is_high():
    sequence = Sequence(takeover="asked", least_s=3.0)
    uncertainties = [1.1, 0.1, 0.1, 0.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 0.1]
    drivers = [sequence.at(uncertainty, THERE) for uncertainty in uncertainties]
    assert drivers == ["expert"] * 3 + ["policy"] * 3 + ["expert"] * 5 + ["policy"]


def test_requests_beyond_at_once_are_spread_over_the_hour():
    # 3 - 2 more an hour: 1800 s after the first two there is half a request
    sequence = Sequence(per_hour=3, at_once=2)
    assert [sequence.at(uncertainty) for uncertainty in (1.1, 0.1, 1.1, 0.1, 1.1, 0.1)] == [
        NOBODY,
        "policy",
    ] * 2 + ["policy"] * 2
    sequence.tick = 1800
    assert sequence.at(1.1) == "policy"
    sequence.at(0.1)
    sequence.tick = 3602
    assert sequence.at(1.1) == NOBODY


def test_a_change_of_mode_keeps_the_spent_budget_and_the_recorded_uncertainties():
    memory = ModeMemory()
    sequence = Sequence(memory=memory, ask=0.0, warm_up_s=4.0, per_hour=1000, at_once=2)
    for uncertainty in (1.0, 2.0, 3.0, 4.0):
        sequence.at(uncertainty)
    assert sequence.at(5.0) == NOBODY
    again = Sequence(memory=memory, ask=0.0, warm_up_s=4.0, per_hour=1000, at_once=2)
    again.tick = sequence.tick
    assert again.mode.threshold is not None
    assert again.mode.state(5 * S)["budget_left"] == 1


def test_without_a_given_threshold_no_request_before_one_is_learnt():
    sequence = Sequence(ask=0.0, warm_up_s=200.0, per_hour=18)
    uncertainties = [*range(100), *range(100)]
    assert {sequence.at(float(uncertainty)) for uncertainty in uncertainties[:-1]} == {"policy"}
    assert sequence.mode.threshold is None
    assert sequence.at(50.0) == "policy"
    assert sequence.mode.threshold == 89.0  # 18 requests of 20 ticks an hour: a tenth of the ticks
    assert sequence.at(95.0) == NOBODY


def test_the_budget_raises_the_threshold_to_its_share_of_ticks():
    # 18 requests of 20 ticks in an hour of 3600 ticks: a tenth of them
    sequence = Sequence(per_hour=18, ask=0.5)
    uncertainties = np.random.default_rng(0).permutation(np.arange(100.0)).tolist()
    for uncertainty in uncertainties:
        sequence.mode.observe("policy", Proposal("policy", 1, np.zeros((1, 1)), uncertainty=uncertainty))
    assert sequence.mode.threshold == 89.0  # ten of a hundred are above
    sequence.mode.restart()
    assert [sequence.at(uncertainty) for uncertainty in (80.0, 95.0)] == ["policy", NOBODY]


def test_a_policy_with_unknown_uncertainty_causes_no_request():
    sequence = Sequence()
    assert [sequence.at(None) for _ in range(5)] == ["policy"] * 5


def test_invalid_options_are_refused():
    for options, message in (
        ({"timed_out": "explode"}, "timed_out must be one of hold, resume, stop"),
        ({"takeover": "never"}, "takeover must be one of anytime, asked"),
        ({"release": 1.5}, "0 <= release <= 1"),
        ({"timeout_s": 0.0}, "timeout_s > 0"),
        ({"least_s": -1.0}, "least_s >= 0"),
        ({"per_hour": 0}, "1 request or more, not 0 and 3"),
        ({"at_once": 0}, "1 request or more, not 60 and 0"),
        ({"warm_up_s": float("inf")}, "warm_up_s must be a finite time"),
    ):
        with pytest.raises(ValueError, match=message):
            GatedOptions(**options)
