"""What the session knows, message by message, and what it says of that."""

from dataclasses import replace

from il_ros.records.decision import Decision
from il_ros.session.state import (
    SessionState,
    heard_decision,
    heard_gate,
    heard_recorder,
    heard_request,
    heard_supervisor,
    heard_task,
    heard_training,
)

S = 1_000_000_000


def decided(tick, who, version="", mode="hg_dagger", uncertainty=None):
    sent = None if who == "none" else (0.5,)
    return Decision(
        tick * S // 20,
        tick * S // 20,
        who,
        "because",
        sent=sent,
        version=version,
        mode=mode,
        uncertainty=uncertainty,
    )


def drive(state, *drivers, start=1, **words):
    """Let a decision fall for each driver, a tick apart; return the world and all lines."""
    told = []
    for tick, who in enumerate(drivers, start):
        version = "v1" if who == "policy" else ""
        state, lines = heard_decision(state, decided(tick, who, version, **words))
        told += lines
    return state, told


def test_a_takeover_tells_the_doubt_and_the_hand_back_its_length_and_labels():
    state = SessionState(recording="episode_000001")
    state, told = drive(state, "policy", "policy")
    assert told == []
    state, told = drive(state, *["expert"] * 10, start=3, uncertainty=0.25)
    assert told == ["you drive  (the policy's doubt: 0.25)"]
    assert (state.labels, state.interventions) == (10, 1)
    state, told = drive(state, "policy", start=13)
    assert told == ["handed back after 0.5 s, 10 labels"]


def test_driving_before_there_is_a_policy_is_no_intervention():
    state, _ = drive(SessionState(recording="episode_000001"), *["expert"] * 5)
    assert (state.labels, state.interventions) == (5, 0)


def test_nothing_is_labelled_while_nothing_is_recorded():
    assert drive(SessionState(), *["expert"] * 5)[0].labels == 0


def test_drawn_drivers_are_no_takeovers_and_their_labels_are_those_of_the_rules():
    state = SessionState(recording="episode_000001", version="v1")
    state, told = drive(state, "expert", "policy", "expert", mode="dagger")
    assert (told, state.interventions) == ([], 0)
    assert state.labels == 2  # the expert proposed nothing where the policy drove


def test_another_policy_is_announced_and_the_first_is_not():
    state, told = heard_decision(SessionState(), decided(1, "policy", "v1"))
    assert told == ()
    _, told = heard_decision(state, decided(2, "policy", "v2"))
    assert told == ("policy v2 drives now, before it was v1",)


def test_an_episode_is_followed_from_start_to_outcome():
    state = SessionState(seed=7, now_ns=5 * S)
    state, told = heard_recorder(state, {"episode": "episode_000003", "last": None})
    assert told == ("episode_000003 is being recorded  (start 7)",)
    state, _ = drive(replace(state, version="v1"), *["policy"] * 3, start=121)
    assert state.recorded_s == 0.1  # the second that a reset sets the clock on is none of it
    last = {"episode": "episode_000003", "outcome": "unmarked"}
    state, told = heard_recorder(state, {"episode": None, "last": {}})
    assert told == ("episode_000003 ended after 0.1 s: no intervention, 0 labels",)
    state, told = heard_recorder(
        state, {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}}
    )
    assert told == ("episode_000003: success",)
    state, told = heard_recorder(
        state, {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}}
    )
    assert told == ()  # once


def test_a_doubtful_grade_is_told_with_its_reasons():
    state = SessionState(last="episode_000003")
    last = {"episode": "episode_000003", "outcome": "success", "grade": "poor", "reasons": ["lost 3"]}
    assert heard_recorder(state, {"episode": None, "last": last})[1] == (
        "episode_000003: success  (poor: lost 3)",
    )


def test_a_stop_and_its_end_are_told_once():
    stopped = {"estop": "emergency stop by topic", "mode": "hg_dagger", "threshold": 0.3}
    state, told = heard_supervisor(SessionState(), stopped)
    assert (told, state.threshold) == (("STOPPED: emergency stop by topic",), 0.3)
    state, told = heard_supervisor(state, stopped)
    assert told == ()
    assert heard_supervisor(state, {"estop": "", "mode": "expert"})[1] == ("the emergency stop is cleared",)


def test_the_robots_call_is_heard_until_it_is_over():
    state, told = heard_request(SessionState(), {"wanted": True, "why": "doubt 2 above 1"})
    assert (state.wanted, told) == ("doubt 2 above 1", ("the robot asks for you: doubt 2 above 1",))
    assert heard_request(state, {"wanted": False, "over": "expert has authority"}) == (SessionState(), ())


def test_training_is_followed():
    state, told = heard_training(
        SessionState(), {"event": "start", "job": "training v2", "epochs": 40, "frames": 300}
    )
    assert told == ("training v2, 300 frames",)
    state, told = heard_training(state, {"event": "epoch", "job": "training v2", "epoch": 10, "epochs": 40})
    assert (state.training_share, told) == (0.25, ())
    state, told = heard_training(state, {"event": "done", "job": "training v2"})
    assert (state.training, told) == ("", ("training v2: done",))


def test_how_many_labels_are_missing_to_a_training_is_told_unless_a_correction_starts_one():
    shown = {"episode_000001": {"labelled": 71, "interventions": 0}}
    event = {"event": "noticed", "job": "", "episodes": shown, "discarded": [], "train_after": 200}
    _, told = heard_training(SessionState(), event | {"labels": 71})
    assert told == ("71 of the 200 labels that start a training; b starts it now",)
    assert heard_training(SessionState(), event | {"labels": 240})[1] == ()
    corrected = {"episode_000002": {"labelled": 20, "interventions": 1}}
    assert heard_training(SessionState(), event | {"labels": 91, "episodes": corrected})[1] == ()


def test_a_training_is_shown_from_its_beginning():
    state, told = heard_training(SessionState(), {"event": "began", "job": "training v1", "version": "v1"})
    assert (state.training, state.training_share, told) == ("training v1", None, ())


def test_whether_there_is_a_policy_shows_in_what_it_proposes():
    vain = replace(decided(1, "none"), proposals={"policy": (0.1,)})
    assert not heard_decision(SessionState(), decided(1, "none"))[0].has_policy
    assert heard_decision(heard_decision(SessionState(), vain)[0], decided(2, "none"))[0].has_policy


def test_success_counts_only_after_the_task_was_seen_undone():
    state = heard_task(SessionState(success=True, judged=False), success=True)
    assert not state.judged
    state = heard_task(state, success=False)
    assert heard_task(state, success=True).judged


def test_a_policy_that_is_refused_or_taken_back_is_told_with_the_reason():
    verdict = {"version": "v3", "state": "refused", "reason": "its error is nan", "checks": {}}
    _, told = heard_gate(SessionState(), {"version": "v2", "before": [], "verdict": verdict})
    assert told == ("policy v3 refused: its error is nan; v2 stays in control",)
    verdict = {"version": "v3", "state": "rolled back", "reason": "asked for", "checks": {}}
    _, told = heard_gate(SessionState(), {"version": "v2", "before": [], "verdict": verdict})
    assert told == ("policy v3 rolled back: asked for; v2 stays in control",)
    _, told = heard_gate(SessionState(), {"version": "v2", "verdict": {**verdict, "state": "active"}})
    assert told == ()


def test_a_damaged_episode_is_told():
    _, told = heard_training(
        SessionState(), {"event": "damaged", "episode": "episode_000003", "reason": "cut off"}
    )
    assert told == ("not trained on, damaged: episode_000003: cut off",)
