"""Unattended episodes: the order of seeds, the counts, and the result file."""

import json

import pytest

from il_ros.records.trials import Trial, Trials, TrialsError, from_json, rate_interval, success_interval

WON = Trial(7, "success", "the task succeeded", 3.5, 0.4, "episode_000000")
LOST = Trial(8, "failure", "not within 20 s", 20.0, 2.0, "episode_000001")


def test_each_trial_has_the_next_seed_until_all_are_done():
    empty = Trials(2, 7)
    assert empty.next_seed == 7
    assert empty.after(WON).next_seed == 8
    assert empty.after(WON).after(LOST).next_seed is None


def test_the_progress_contains_the_counts():
    trials = Trials(3, 7).after(WON).after(LOST)
    progress = json.loads(trials.progress())
    assert (progress["planned"], progress["done"], progress["successes"]) == (3, 2, 1)
    assert progress["last"]["seed"] == 8


def test_a_person_reads_the_last_trial_and_the_count():
    trials = Trials(3, 7).after(WON)
    assert trials.words() == "1 of 3: success after 3.5 s (seed 7); 1 succeeded"
    assert trials.after(LOST).words() == "2 of 3: failure after 20.0 s, not within 20 s (seed 8); 1 succeeded"


def test_the_result_file_restores_the_trials():
    trials = Trials(3, 7).after(WON).after(LOST)
    assert from_json(trials.to_json()) == trials


@pytest.mark.parametrize("text", ["", "{}", '{"planned": 1, "first_seed": 0, "trials": [{"seed": 1}]}'])
def test_another_file_is_rejected(text):
    with pytest.raises(ValueError, match="not a result file"):
        from_json(text)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"planned": 1}, "2 trials done, but 1 planned"),
        ({"planned": True}, "planned is True; it must be a whole number from 1"),
        ({"first_seed": 1.5}, "first_seed is 1.5; it must be a whole number"),
        ({"successes": 2}, "successes is 2, but 1 of the trials succeeded"),
        ({"trials": {}}, "trials is {}; it must be a list"),
        ({"trials": [5]}, "trials[0] is 5; it must be an object"),
    ],
)
def test_the_error_names_the_field_of_a_result_file(change, says):
    record = json.loads(Trials(3, 7).after(WON).after(LOST).to_json())
    with pytest.raises(TrialsError) as caught:
        from_json(json.dumps({**record, **change}))
    assert says in str(caught.value)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"outcome": "maybe"}, "trials[1].outcome is 'maybe'; it must be one of: 'success', 'failure'"),
        ({"wall_s": float("nan")}, "NaN is not a number in JSON"),
        ({"wall_s": -1}, "trials[1].wall_s is -1; it must be a finite number of at least 0"),
        ({"seed": "8"}, "trials[1].seed is '8'"),
        ({"mood": "good"}, "trials[1].mood is not a field of a trial; known: seed"),
    ],
)
def test_the_error_names_the_field_of_a_trial(change, says):
    record = json.loads(Trials(3, 7).after(WON).after(LOST).to_json())
    record["trials"][1].update(change)
    with pytest.raises(TrialsError) as caught:
        from_json(json.dumps(record))
    assert says in str(caught.value)


def test_an_unknown_outcome_and_too_many_trials_are_rejected():
    with pytest.raises(ValueError, match="outcome is 'maybe'"):
        Trial(1, "maybe", "", 0.0, 0.0)
    with pytest.raises(ValueError, match="2 trials done, but 1 planned"):
        Trials(1, 7, (WON, LOST))


def test_the_interval_is_wilsons():
    # 8 of 10 at z = 2: middle (0.8 + 0.2) / 1.4 = 5/7; half 2/1.4 * sqrt(0.016 + 0.01) = 0.230350
    low, high = success_interval(8, 10, z=2.0)
    assert (low, high) == pytest.approx((0.483935, 0.944636), abs=1e-5)


@pytest.mark.parametrize("count", [1, 3, 20])
def test_the_interval_stays_between_0_and_1(count):
    assert success_interval(count, count)[1] == 1.0
    assert success_interval(0, count)[0] == 0.0


def test_without_trials_there_is_no_rate():
    with pytest.raises(ValueError, match="0 successes in 0 trials"):
        success_interval(0, 0)


def test_the_interval_of_a_rate_by_hand():
    # 3 events in 2 minutes at z = 2: (3 + 2 -+ 2 * sqrt(3 + 1)) / 2
    assert rate_interval(3, 2.0, z=2.0) == pytest.approx((0.5, 4.5))
    assert rate_interval(0, 4.0, z=2.0) == pytest.approx((0.0, 1.0))  # (0 + 2 + 2 * 1) / 4


@pytest.mark.parametrize(("events", "minutes"), [(-1, 1.0), (1, 0.0), (1, float("nan"))])
def test_without_time_there_is_no_rate(events, minutes):
    with pytest.raises(ValueError, match="give no rate"):
        rate_interval(events, minutes)
