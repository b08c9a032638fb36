"""Asking, waiting, being helped, and going on: one story each."""

import numpy as np
import pytest

from il_ros.control.supervisor.arbitration import NOT_YET, RELEASED, ArbitrationInput
from il_ros.interactive.modes.gated import Gated, GatedOptions
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.records.decision import NOBODY
from il_ros.records.proposal import Proposal

S = 1_000_000_000
AWAY, THERE, GONE, UNPLUGGED = NOT_YET, "", RELEASED, "silent for 0.30 s"


class Story:
    """One tick a second; `at(doubt, expert)` returns who drives."""

    def __init__(self, memory=None, **options):
        options = {"ask": 1.0, "timeout_s": 5.0, "per_hour": 10, "at_once": 10, "least_s": 0.0, **options}
        self.mode = Gated(memory or ModeMemory(), GatedOptions(**options), rate_hz=1.0)
        self.tick, self.authority, self.reason = 0, NOBODY, ""

    def at(self, uncertainty, expert=AWAY, policy=""):
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


def test_the_policy_drives_until_it_doubts_then_the_robot_waits_and_a_person_helps():
    story = Story()
    assert story.at(0.9) == "policy"
    assert story.at(1.1) == NOBODY
    assert story.reason == "waiting for the expert: doubt 1.1 above 1"
    assert story.mode.state(2 * S)["request"] == {
        "number": 1, "since_ns": 2 * S, "why": "doubt 1.1 above 1",
    }  # fmt: skip
    assert story.mode.state(2 * S)["budget_left"] == 9
    assert story.at(1.1, THERE) == "expert"
    assert story.mode.request is None
    assert story.at(0.1, THERE) == "expert"  # a person drives until letting go
    assert story.at(0.1, GONE) == "policy"


def test_a_doubt_that_passes_by_itself_withdraws_the_request_below_the_lower_threshold():
    story = Story()
    assert [story.at(uncertainty) for uncertainty in (1.1, 0.9, 0.6, 0.4)] == [NOBODY] * 3 + ["policy"]


def test_after_a_hand_back_it_is_not_asked_again_before_the_doubt_was_over():
    story = Story()
    story.at(1.1)
    story.at(1.1, THERE)
    assert [story.at(uncertainty, GONE) for uncertainty in (1.2, 1.2, 0.4, 1.2)] == ["policy"] * 3 + [NOBODY]


def test_an_expert_that_always_proposes_drives_only_when_asked():
    story = Story(takeover="asked")
    drivers = [story.at(uncertainty, THERE) for uncertainty in (0.9, 1.1, 0.6, 0.4, 0.9)]
    assert drivers == ["policy", "expert", "expert", "policy", "policy"]


def test_at_the_first_tick_an_expert_that_always_proposes_is_worth_waiting_for_and_a_person_is_not():
    for takeover, early in (("asked", True), ("anytime", False)):
        story = Story(takeover=takeover)
        assert story.at(1.1) == NOBODY
        assert story.arbitration.early is early


def test_an_expert_unplugged_while_helping_leaves_the_robot_waiting_whatever_the_doubt():
    story = Story(timeout_s=100.0)
    story.at(0.1, THERE)
    assert story.at(0.1, UNPLUGGED) == NOBODY
    assert story.reason == "waiting for the expert: the expert broke off: silent for 0.30 s"
    assert story.at(0.1, UNPLUGGED) == NOBODY
    assert story.at(0.1, THERE) == "expert"
    assert story.at(0.1, GONE) == "policy"
    assert story.mode.state(S)["budget_left"] == 10  # nobody was asked for


def test_an_expert_that_broke_off_and_then_lets_go_hands_back_as_one_that_helps_does():
    story = Story(least_s=2.0)
    story.at(1.1, THERE)
    assert [story.at(1.1, expert) for expert in (UNPLUGGED, UNPLUGGED, GONE)] == [NOBODY] * 2 + ["policy"]
    assert story.mode.request is None
    assert [story.at(uncertainty, GONE) for uncertainty in (1.1, 0.1, 1.1)] == ["policy"] * 2 + [NOBODY]
    assert story.reason == "waiting for the expert: doubt 1.1 above 1"  # let go before: that answers nothing
    assert story.at(1.1, GONE) == NOBODY


@pytest.mark.parametrize(
    ("outcome", "then"), [("hold", [NOBODY] * 4), ("resume", ["policy"] * 4), ("stop", [NOBODY] * 4)]
)
def test_a_request_that_times_out_has_the_declared_outcome(outcome, then):
    story = Story(timed_out=outcome)
    assert [story.at(1.1) for _ in range(6)] == [NOBODY] * 6
    assert [story.at(1.1) for _ in range(4)] == then


def test_stopped_it_stays_so_until_a_restart_whoever_comes():
    story = Story(timed_out="stop")
    for _ in range(7):
        story.at(1.1)
    assert story.at(0.1, THERE) == NOBODY
    assert story.reason == "nobody answered within 5 s; ~/restart goes on"
    story.mode.restart()
    assert story.at(0.1) == "policy"


def test_holding_it_still_takes_a_late_answer():
    story = Story()
    for _ in range(20):
        story.at(1.1)
    assert story.at(1.1, THERE) == "expert"


def test_without_budget_the_policy_goes_on_and_an_hour_later_may_ask_again():
    story = Story(per_hour=1)
    story.at(1.1)
    story.at(0.1)
    assert story.at(1.1) == "policy"
    story.tick += 3600
    assert story.at(1.1) == NOBODY


def test_people_teach_the_threshold_where_none_is_given():
    memory = ModeMemory()
    story = Story(ask=0.0, memory=memory)
    assert story.at(50.0) == "policy"
    memory.threshold.intervened(2.0)
    assert [story.at(uncertainty) for uncertainty in (1.9, 2.1)] == ["policy", NOBODY]


def test_who_takes_over_unasked_teaches_the_threshold_too():
    story = Story(ask=0.0)
    assert [story.at(0.5), story.at(2.0, THERE), story.at(9.0, THERE), story.at(0.1, GONE)] == [
        "policy", "expert", "expert", "policy"
    ]  # fmt: skip
    assert [story.at(1.9), story.at(2.1)] == ["policy", NOBODY]
    assert story.at(3.0, THERE) == "expert"  # asked for: that teaches nothing
    assert story.mode.threshold == 2.0


def test_between_a_hand_back_and_the_next_request_the_policy_drives_for_the_least_time():
    story = Story(least_s=3.0)
    assert [story.at(1.1), story.at(0.1, THERE), story.at(0.1, GONE)] == [NOBODY, "expert", "policy"]
    assert [story.at(1.1) for _ in range(3)] == ["policy"] * 2 + [NOBODY]
    assert story.at(0.1) == "policy"  # the doubt was over by itself
    assert [story.at(1.1) for _ in range(3)] == ["policy"] * 2 + [NOBODY]


def test_a_person_may_take_over_again_before_the_least_time_and_a_new_episode_may_ask_at_once():
    story = Story(least_s=30.0)
    assert [story.at(0.1, THERE), story.at(0.1, GONE), story.at(0.1, THERE)] == ["expert", "policy", "expert"]
    story.at(0.1, GONE)
    assert story.at(1.1) == "policy"
    story.mode.restart()
    assert story.at(1.1) == NOBODY


def test_an_expert_that_was_asked_drives_for_the_least_time_and_longer_while_the_doubt_lasts():
    story = Story(takeover="asked", least_s=3.0)
    uncertainties = [1.1, 0.1, 0.1, 0.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 1.1, 0.1]
    drivers = [story.at(uncertainty, THERE) for uncertainty in uncertainties]
    assert drivers == ["expert"] * 3 + ["policy"] * 3 + ["expert"] * 5 + ["policy"]


def test_requests_beyond_those_at_once_come_when_they_are_due():
    # 3 - 2 more an hour: 1800 s after the first two there is half a request
    story = Story(per_hour=3, at_once=2)
    assert [story.at(uncertainty) for uncertainty in (1.1, 0.1, 1.1, 0.1, 1.1, 0.1)] == [
        NOBODY,
        "policy",
    ] * 2 + ["policy"] * 2
    story.tick = 1800
    assert story.at(1.1) == "policy"
    story.at(0.1)
    story.tick = 3602
    assert story.at(1.1) == NOBODY


def test_a_change_of_mode_or_options_neither_fills_the_budget_nor_forgets_what_doubt_is_usual():
    memory = ModeMemory()
    story = Story(memory=memory, ask=0.0, warm_up_s=4.0, per_hour=1000, at_once=2)
    for uncertainty in (1.0, 2.0, 3.0, 4.0):
        story.at(uncertainty)
    assert story.at(5.0) == NOBODY
    again = Story(memory=memory, ask=0.0, warm_up_s=4.0, per_hour=1000, at_once=2)
    again.tick = story.tick
    assert again.mode.threshold is not None
    assert again.mode.state(5 * S)["budget_left"] == 1


def test_without_a_threshold_given_it_is_learnt_while_the_policy_drives_before_anybody_is_asked():
    story = Story(ask=0.0, warm_up_s=200.0, per_hour=18)
    uncertainties = [*range(100), *range(100)]
    assert {story.at(float(uncertainty)) for uncertainty in uncertainties[:-1]} == {"policy"}
    assert story.mode.threshold is None
    assert story.at(50.0) == "policy"
    assert story.mode.threshold == 89.0  # 18 requests of 20 ticks an hour: a tenth of the ticks
    assert story.at(95.0) == NOBODY


def test_the_budget_raises_the_threshold_to_what_it_can_afford():
    # 18 requests of 20 ticks in an hour of 3600 ticks: a tenth of them
    story = Story(per_hour=18, ask=0.5)
    uncertainties = np.random.default_rng(0).permutation(np.arange(100.0)).tolist()
    for uncertainty in uncertainties:
        story.mode.observe("policy", Proposal("policy", 1, np.zeros((1, 1)), uncertainty=uncertainty))
    assert story.mode.threshold == 89.0  # ten of a hundred are above
    story.mode.restart()
    assert [story.at(uncertainty) for uncertainty in (80.0, 95.0)] == ["policy", NOBODY]


def test_a_policy_that_can_not_tell_its_doubt_is_never_asked_about():
    story = Story()
    assert [story.at(None) for _ in range(5)] == ["policy"] * 5


def test_options_that_can_not_be_are_refused():
    for options, said in (
        ({"timed_out": "explode"}, "timed_out is one of hold, resume, stop"),
        ({"takeover": "never"}, "takeover is one of anytime, asked"),
        ({"release": 1.5}, "0 <= release <= 1"),
        ({"timeout_s": 0.0}, "timeout_s > 0"),
        ({"least_s": -1.0}, "least_s >= 0"),
        ({"per_hour": 0}, "1 request or more, not 0 and 3"),
        ({"at_once": 0}, "1 request or more, not 60 and 0"),
        ({"warm_up_s": float("inf")}, "warm_up_s must be a finite time"),
    ):
        with pytest.raises(ValueError, match=said):
            GatedOptions(**options)
