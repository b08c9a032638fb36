"""Unattended episodes: seeds in order, outcomes counted, the file reads back."""

import json

import pytest

from il_ros.control.trials import Trial, Trials, from_json

WON = Trial(7, "success", "the task succeeded", 3.5, 0.4, "episode_000000")
LOST = Trial(8, "failure", "not within 20 s", 20.0, 2.0, "episode_000001")


def test_each_trial_has_the_next_seed_until_all_are_done():
    none = Trials(2, 7)
    assert none.next_seed == 7
    assert none.after(WON).next_seed == 8
    assert none.after(WON).after(LOST).next_seed is None


def test_successes_are_counted_and_told():
    trials = Trials(3, 7).after(WON).after(LOST)
    told = json.loads(trials.progress())
    assert (told["planned"], told["done"], told["successes"]) == (3, 2, 1)
    assert told["last"]["seed"] == 8


def test_the_result_file_reads_back_the_same():
    trials = Trials(3, 7).after(WON).after(LOST)
    assert from_json(trials.to_json()) == trials


@pytest.mark.parametrize("text", ["", "{}", '{"planned": 1, "first_seed": 0, "trials": [{"seed": 1}]}'])
def test_another_file_is_refused(text):
    with pytest.raises(ValueError, match="no result file"):
        from_json(text)


def test_an_unknown_outcome_or_too_many_trials_are_refused():
    with pytest.raises(ValueError, match="outcome is 'maybe'"):
        Trial(1, "maybe", "", 0.0, 0.0)
    with pytest.raises(ValueError, match="2 trials done, but 1 planned"):
        Trials(1, 7, (WON, LOST))
