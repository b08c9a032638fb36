"""The session's state after each message, and the events shown."""

from dataclasses import replace

import pytest

from il_ros.records.decision import Decision, GroupDecision
from il_ros.records.rating import Rating
from il_ros.session.console import status_line
from il_ros.session.state import SessionEnd, SessionState
from il_ros.session.updates import (
    after_decision,
    after_promotion,
    after_rating,
    after_recorder_status,
    after_request,
    after_supervisor_status,
    after_task,
    after_training_event,
)
from il_ros.session.user_commands import Call, after_call

S = 1_000_000_000


def observed(update, state, message):
    """Return the state after a message, and the texts of the events."""
    state, notices = update(state, message)
    return state, tuple(notice.text for notice in notices)


def test_the_recorders_disk_is_known_in_hours_until_it_is_not():
    disk = {"free_bytes": 10, "bytes_per_s": 1.0, "hours": 2.5}
    state, _ = observed(after_recorder_status, SessionState(), {"episode": None, "disk": disk})
    assert state.disk_h == 2.5
    state, _ = observed(after_recorder_status, state, {"episode": None, "disk": {"hours": None}})
    assert state.disk_h is None
    assert observed(after_recorder_status, state, {"episode": None})[0].disk_h is None  # an earlier recorder


def test_a_model_says_how_likely_the_success_is_and_its_verdict_can_be_corrected():
    state = SessionState(recording="episode_000003", learns=False)
    state = after_rating(state, Rating(5, "episode_000003", "v1", 0.97))
    assert "success 97 %" in status_line(state, 200, colour=False)
    assert after_rating(state, Rating(6, "episode_000002", "v1", 0.1)) is state  # of another episode
    last = {
        "episode": "episode_000003",
        "outcome": "success",
        "outcome_by": "v1, p = 0.97",
        "grade": "good",
        "reasons": (),
    }
    state, _ = observed(after_recorder_status, state, {"episode": None})
    assert "success 97 %" not in status_line(state, 200, colour=False)
    state, texts = observed(after_recorder_status, state, {"episode": None, "last": last})
    assert texts == ("episode_000003: success (by model v1, p = 0.97; f: no, it is a failure, g: yes)",)
    by_person = {**last, "outcome": "failure", "outcome_by": ""}
    assert observed(after_recorder_status, state, {"episode": None, "last": by_person})[1] == (
        "episode_000003: failure",
    )


def decided(tick, driver, version="", mode="hg_dagger", uncertainty=None):
    sent = None if driver == "none" else (0.5,)
    return Decision(
        tick * S // 20,
        tick * S // 20,
        driver,
        "because",
        sent=sent,
        version=version,
        mode=mode,
        uncertainty=uncertainty,
    )


def drive(state, *drivers, start=1, **words):
    """Process one decision per driver, a tick apart; return the state and the texts of all events."""
    texts = []
    for tick, driver in enumerate(drivers, start):
        version = "v1" if driver == "policy" else ""
        state, lines = observed(after_decision, state, decided(tick, driver, version, **words))
        texts += lines
    return state, texts


def test_a_takeover_shows_the_uncertainty_and_a_hand_back_its_duration_and_labels():
    state = SessionState(recording="episode_000001")
    state, texts = drive(state, "policy", "policy")
    assert texts == []
    state, texts = drive(state, *["expert"] * 10, start=3, uncertainty=0.25)
    assert texts == ["you drive  (policy uncertainty: 0.25)"]
    assert (state.labels, state.interventions) == (10, 1)
    state, texts = drive(state, "policy", start=13)
    assert texts == ["handed back after 0.5 s, 10 labels"]


def grouped(tick, left, right):
    """A decision on two arms, of which each letter names the driver."""
    names = {"p": "policy", "e": "expert"}
    groups = {
        name: GroupDecision((place,), names[each], "because", "v1" if each == "p" else "")
        for place, (name, each) in enumerate((("left", left), ("right", right)))
    }
    whole = "+".join(dict.fromkeys(part.authority for part in groups.values()))
    stamp_ns = tick * S // 20
    return Decision(
        stamp_ns, stamp_ns, whole, "because", sent=(0.5, 0.5), version="v1" * ("p" in left + right),
        mode="hg_dagger", groups=groups,
    )  # fmt: skip


def test_a_takeover_of_one_arm_is_told_with_the_arm():
    state, texts = SessionState(recording="episode_000001", running=True), []
    for tick, (left, right) in enumerate(zip("ppeeepp", "ppppeep", strict=True), 1):
        state, lines = observed(after_decision, state, grouped(tick, left, right))
        texts += lines
        if tick == 3:
            assert "you drive left" in status_line(state, 100, colour=False)
    assert texts == [
        "you drive left",
        "you drive left, right now",
        "you drive right now",
        "handed back after 0.2 s, 4 labels",
    ]
    assert (state.interventions, state.labels) == (2, 4)


def test_driving_without_a_policy_is_no_intervention():
    state, _ = drive(SessionState(recording="episode_000001"), *["expert"] * 5)
    assert (state.labels, state.interventions) == (5, 0)


def test_no_labels_without_a_recording():
    assert drive(SessionState(), *["expert"] * 5)[0].labels == 0


def test_drawn_drivers_are_no_takeovers_and_are_labelled_by_the_rule():
    state = SessionState(recording="episode_000001", version="v1")
    state, texts = drive(state, "expert", "policy", "expert", mode="dagger")
    assert (texts, state.interventions) == ([], 0)
    assert state.labels == 2  # the expert proposed nothing where the policy drove


def test_another_policy_is_announced_and_the_first_is_not():
    state, texts = observed(after_decision, SessionState(), decided(1, "policy", "v1"))
    assert texts == ()
    _, texts = observed(after_decision, state, decided(2, "policy", "v2"))
    assert texts == ("policy v2 drives now, previously v1",)


def test_an_episode_is_followed_from_start_to_outcome():
    state = SessionState(seed=7, now_ns=5 * S)
    state, texts = observed(after_recorder_status, state, {"episode": "episode_000003", "last": None})
    assert texts == ("episode_000003 is being recorded  (start 7)",)
    state, _ = drive(replace(state, version="v1"), *["policy"] * 3, start=121)
    assert state.recorded_s == 0.1  # without the second by which a reset advances the clock
    last = {"episode": "episode_000003", "outcome": "unmarked"}
    state, texts = observed(after_recorder_status, state, {"episode": None, "last": {}})
    assert texts == ("episode_000003 ended after 0.1 s: no intervention, 0 labels",)
    state, texts = observed(
        after_recorder_status,
        state,
        {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}},
    )
    assert texts == ("episode_000003: success",)
    state, texts = observed(
        after_recorder_status,
        state,
        {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}},
    )
    assert texts == ()  # once


def test_a_poor_grade_is_shown_with_its_reasons():
    state = SessionState(last="episode_000003")
    last = {"episode": "episode_000003", "outcome": "success", "grade": "poor", "reasons": ["lost 3"]}
    assert observed(after_recorder_status, state, {"episode": None, "last": last})[1] == (
        "episode_000003: success  (poor: lost 3)",
    )


def test_an_emergency_stop_and_its_end_are_shown_once():
    stopped = {"estop": "emergency stop by topic", "mode": "hg_dagger", "threshold": 0.3}
    state, texts = observed(after_supervisor_status, SessionState(), stopped)
    assert (texts, state.threshold) == (("STOPPED: emergency stop by topic",), 0.3)
    state, texts = observed(after_supervisor_status, state, stopped)
    assert texts == ()
    assert observed(after_supervisor_status, state, {"estop": "", "mode": "expert"})[1] == (
        "the emergency stop is cleared",
    )


def test_a_request_is_shown_until_it_ends():
    state, texts = observed(after_request, SessionState(), {"wanted": True, "why": "uncertainty 2 above 1"})
    assert (state.wanted, texts) == ("uncertainty 2 above 1", ("expert requested: uncertainty 2 above 1",))
    assert observed(after_request, state, {"wanted": False, "over": "expert has authority"}) == (
        SessionState(),
        (),
    )


def test_training_progress_is_shown():
    state, texts = observed(
        after_training_event,
        SessionState(),
        {"event": "start", "job": "training v2", "epochs": 40, "frames": 300},
    )
    assert texts == ("training v2, 300 frames",)
    state, texts = observed(
        after_training_event, state, {"event": "epoch", "job": "training v2", "epoch": 10, "epochs": 40}
    )
    assert (state.training_share, texts) == (0.25, ())
    state, texts = observed(after_training_event, state, {"event": "done", "job": "training v2"})
    assert (state.training, texts) == ("", ("training v2: done",))


def test_missing_labels_for_a_training_are_shown_unless_a_correction_starts_one():
    shown = {"episode_000001": {"labelled": 71, "interventions": 0}}
    event = {"event": "noticed", "job": "", "episodes": shown, "discarded": [], "train_after": 200}
    _, texts = observed(after_training_event, SessionState(), event | {"labels": 71})
    assert texts == ("71 of 200 labels needed for a training; b starts it now",)
    assert observed(after_training_event, SessionState(), event | {"labels": 240})[1] == ()
    corrected = {"episode_000002": {"labelled": 20, "interventions": 1}}
    assert (
        observed(after_training_event, SessionState(), event | {"labels": 91, "episodes": corrected})[1] == ()
    )


def test_a_training_is_shown_from_its_start():
    state, texts = observed(
        after_training_event, SessionState(), {"event": "began", "job": "training v1", "version": "v1"}
    )
    assert (state.training, state.training_share, texts) == ("training v1", None, ())


def test_a_policy_is_known_by_its_proposals():
    proposing = replace(decided(1, "none"), proposals={"policy": (0.1,)})
    assert not observed(after_decision, SessionState(), decided(1, "none"))[0].has_policy
    assert observed(
        after_decision, observed(after_decision, SessionState(), proposing)[0], decided(2, "none")
    )[0].has_policy


def test_success_counts_only_after_the_task_was_unfinished():
    state = after_task(SessionState(success=True, judged=False), success=True)
    assert not state.judged
    state = after_task(state, success=False)
    assert after_task(state, success=True).judged


def test_a_refused_or_rolled_back_policy_is_shown_with_the_reason():
    verdict = {"version": "v3", "state": "refused", "reason": "its error is nan", "checks": {}}
    _, texts = observed(after_promotion, SessionState(), {"version": "v2", "before": [], "verdict": verdict})
    assert texts == ("policy v3 refused: its error is nan; v2 is in control",)
    verdict = {"version": "v3", "state": "rolled back", "reason": "requested", "checks": {}}
    _, texts = observed(after_promotion, SessionState(), {"version": "v2", "before": [], "verdict": verdict})
    assert texts == ("policy v3 rolled back: requested; v2 is in control",)
    _, texts = observed(
        after_promotion, SessionState(), {"version": "v2", "verdict": {**verdict, "state": "active"}}
    )
    assert texts == ()


def test_a_damaged_episode_is_shown():
    _, texts = observed(
        after_training_event,
        SessionState(),
        {"event": "damaged", "episode": "episode_000003", "reason": "cut off"},
    )
    assert texts == ("not trained on, damaged: episode_000003: cut off",)


def test_the_first_policy_is_shown_with_its_origin_once():
    said = {"version": "v3", "policy": "v3 (checkpoint/v3, complete)"}
    said |= {"verdict": {"version": "v3", "state": "active", "reason": "configured"}}
    state, texts = observed(after_promotion, SessionState(), said)
    assert texts == ("policy v3 (checkpoint/v3, complete)",)
    assert observed(after_promotion, state, said) == (state, ())


def test_whether_the_policy_may_drive_follows_the_supervisor():
    state, _ = after_supervisor_status(SessionState(), {"mode": "priority", "at_rest": True})
    assert (state.at_rest, state.running) == (True, False)
    state, _ = after_supervisor_status(state, {"mode": "priority", "at_rest": False})
    assert (state.at_rest, state.running) == (False, True)
    state, _ = after_supervisor_status(state, {"mode": "expert"})
    assert not state.running


def test_the_time_left_of_a_training_follows_from_its_share():
    job = {"job": "training v1"}
    state, _ = observed(
        after_training_event, SessionState(), job | {"event": "reading", "episode": 3, "episodes": 4}
    )
    assert (state.training, state.training_share, state.training_left_s) == (
        "training v1, reading",
        0.5,
        None,
    )
    state, _ = observed(after_training_event, state, job | {"event": "start", "at_s": 100.0})
    assert (state.training, state.training_share, state.training_left_s) == ("training v1", 0.0, None)
    epoch = {"event": "epoch", "epoch": 10, "epochs": 40, "at_s": 104.0}
    state, _ = observed(after_training_event, state, job | epoch)
    assert state.training_left_s == 12.0  # a quarter took 4 s
    done = {"event": "done", "advice": "memorised: show more demonstrations"}
    state, texts = observed(after_training_event, state, job | done)
    assert (state.training_left_s, state.training_began_s) == (None, None)
    assert texts == ("training v1: done", "memorised: show more demonstrations")


def test_a_scripted_expert_is_not_called_you():
    state = SessionState(recording="episode_000001", expert="the scripted expert")
    assert drive(state, "policy", "expert")[1] == ["the scripted expert drives"]


@pytest.mark.parametrize(
    ("kind", "due"), [("announced", True), ("cancelled", True), ("failed", True), ("done", False)]
)
def test_a_waiting_session_ends_when_the_policy_has_its_final_folder(kind, due):
    """After `done` the trainer still renames the folder; it announces the policy then."""
    waiting = SessionState(training="training v1", ending=SessionEnd.WAITING)
    state, _ = observed(after_training_event, waiting, {"event": kind, "job": "training v1", "reason": "x"})
    assert (state.ending is SessionEnd.DUE) == due
    idle = SessionState(training="training v1")
    assert (
        observed(after_training_event, idle, {"event": kind, "job": "", "reason": "x"})[0].ending
        is SessionEnd.NONE
    )


def test_the_command_that_trains_an_interrupted_version_is_kept():
    began = {"event": "began", "job": "training v2", "command": "il-ros train episodes --out checkpoint/v2"}
    state, _ = observed(after_training_event, SessionState(), began)
    state, _ = observed(after_training_event, state, {"event": "start", "job": "training v2"})
    assert state.training_command == "il-ros train episodes --out checkpoint/v2"


@pytest.mark.parametrize("answered_first", [True, False])
def test_a_discarded_episode_counts_for_nothing_whichever_answer_comes_first(answered_first):
    """20 labels of episode 1 stay; the 7 of episode 2, and decisions until its end is known, do not count."""
    state = SessionState(recording="episode_000001", learns=False)
    state, _ = drive(state, *["expert"] * 20)
    state, texts = observed(after_recorder_status, state, {"episode": None, "last": {}})
    assert texts == ("episode_000001 ended after 0.9 s: 20 labels",)
    state, _ = observed(after_recorder_status, state, {"episode": "episode_000002", "last": {}})
    state, _ = drive(state, *["expert"] * 7, start=30)
    assert (state.labels, state.done) == (27, 1)
    state = replace(state, discarding="episode_000002")
    ended = {"episode": None, "last": {"episode": "episode_000002", "discarded": True}}
    if answered_first:
        state = after_call(state, Call("recorder/discard"))
        state, _ = drive(state, *["expert"] * 3, start=40)
    state, texts = observed(after_recorder_status, state, ended)
    if not answered_first:
        state = after_call(state, Call("recorder/discard"))
    assert len(texts) == 1
    assert "label" not in texts[0]
    assert (state.labels, state.done, state.outcome) == (20, 1, "undone")


def test_an_episode_that_is_undone_after_its_end_counts_no_longer():
    state, _ = drive(SessionState(recording="episode_000001"), *["expert"] * 20)
    state, _ = observed(after_recorder_status, state, {"episode": None, "last": {}})
    assert (state.labels, state.done) == (20, 1)
    for _ in range(2):  # a second undo has no effect
        state = after_call(state, Call("recorder/discard"))
        assert (state.labels, state.done) == (0, 0)
