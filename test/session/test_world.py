"""What the session knows, message by message, and what it says of that."""

from dataclasses import replace

from il_ros.records.decision import Decision
from il_ros.session.state import (
    World,
    heard_decision,
    heard_gate,
    heard_recorder,
    heard_request,
    heard_supervisor,
    heard_task,
    heard_training,
)

S = 1_000_000_000


def decided(tick, who, version="", mode="hg_dagger", doubt=None):
    sent = None if who == "none" else (0.5,)
    return Decision(
        tick * S // 20, tick * S // 20, who, "because", sent=sent, version=version, mode=mode, doubt=doubt
    )


def drive(world, *drivers, start=1, **words):
    """Let a decision fall for each driver, a tick apart; return the world and all lines."""
    told = []
    for tick, who in enumerate(drivers, start):
        version = "v1" if who == "policy" else ""
        world, lines = heard_decision(world, decided(tick, who, version, **words))
        told += lines
    return world, told


def test_a_takeover_tells_the_doubt_and_the_hand_back_its_length_and_labels():
    world = World(recording="episode_000001")
    world, told = drive(world, "policy", "policy")
    assert told == []
    world, told = drive(world, *["expert"] * 10, start=3, doubt=0.25)
    assert told == ["you drive  (the policy's doubt: 0.25)"]
    assert (world.labels, world.interventions) == (10, 1)
    world, told = drive(world, "policy", start=13)
    assert told == ["handed back after 0.5 s, 10 labels"]


def test_driving_before_there_is_a_policy_is_no_intervention():
    world, _ = drive(World(recording="episode_000001"), *["expert"] * 5)
    assert (world.labels, world.interventions) == (5, 0)


def test_nothing_is_labelled_while_nothing_is_recorded():
    assert drive(World(), *["expert"] * 5)[0].labels == 0


def test_drawn_drivers_are_no_takeovers_and_their_labels_are_those_of_the_rules():
    world = World(recording="episode_000001", version="v1")
    world, told = drive(world, "expert", "policy", "expert", mode="dagger")
    assert (told, world.interventions) == ([], 0)
    assert world.labels == 2  # the expert proposed nothing where the policy drove


def test_another_policy_is_announced_and_the_first_is_not():
    world, told = heard_decision(World(), decided(1, "policy", "v1"))
    assert told == ()
    _, told = heard_decision(world, decided(2, "policy", "v2"))
    assert told == ("policy v2 drives now, before it was v1",)


def test_an_episode_is_followed_from_start_to_outcome():
    world = World(seed=7, now_ns=5 * S)
    world, told = heard_recorder(world, {"episode": "episode_000003", "last": None})
    assert told == ("episode_000003 is being recorded  (start 7)",)
    world, _ = drive(replace(world, version="v1"), *["policy"] * 3, start=121)
    assert world.recorded_s == 0.1  # the second that a reset sets the clock on is none of it
    last = {"episode": "episode_000003", "outcome": "unmarked"}
    world, told = heard_recorder(world, {"episode": None, "last": {}})
    assert told == ("episode_000003 ended after 0.1 s: no intervention, 0 labels",)
    world, told = heard_recorder(
        world, {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}}
    )
    assert told == ("episode_000003: success",)
    world, told = heard_recorder(
        world, {"episode": None, "last": {**last, "outcome": "success", "grade": "good"}}
    )
    assert told == ()  # once


def test_a_doubtful_grade_is_told_with_its_reasons():
    world = World(last="episode_000003")
    last = {"episode": "episode_000003", "outcome": "success", "grade": "poor", "reasons": ["lost 3"]}
    assert heard_recorder(world, {"episode": None, "last": last})[1] == (
        "episode_000003: success  (poor: lost 3)",
    )


def test_a_stop_and_its_end_are_told_once():
    stopped = {"estop": "emergency stop by topic", "mode": "hg_dagger", "threshold": 0.3}
    world, told = heard_supervisor(World(), stopped)
    assert (told, world.threshold) == (("STOPPED: emergency stop by topic",), 0.3)
    world, told = heard_supervisor(world, stopped)
    assert told == ()
    assert heard_supervisor(world, {"estop": "", "mode": "expert"})[1] == ("the emergency stop is cleared",)


def test_the_robots_call_is_heard_until_it_is_over():
    world, told = heard_request(World(), {"wanted": True, "why": "doubt 2 above 1"})
    assert (world.wanted, told) == ("doubt 2 above 1", ("the robot asks for you: doubt 2 above 1",))
    assert heard_request(world, {"wanted": False, "over": "expert has authority"}) == (World(), ())


def test_training_is_followed():
    world, told = heard_training(
        World(), {"event": "start", "job": "training v2", "epochs": 40, "frames": 300}
    )
    assert told == ("training v2, 300 frames",)
    world, told = heard_training(world, {"event": "epoch", "job": "training v2", "epoch": 10, "epochs": 40})
    assert (world.training_share, told) == (0.25, ())
    world, told = heard_training(world, {"event": "done", "job": "training v2"})
    assert (world.training, told) == ("", ("training v2: done",))


def test_how_many_labels_are_missing_to_a_training_is_told_unless_a_correction_starts_one():
    shown = {"episode_000001": {"labelled": 71, "interventions": 0}}
    event = {"event": "noticed", "job": "", "episodes": shown, "discarded": [], "train_after": 200}
    _, told = heard_training(World(), event | {"labels": 71})
    assert told == ("71 of the 200 labels that start a training; b starts it now",)
    assert heard_training(World(), event | {"labels": 240})[1] == ()
    corrected = {"episode_000002": {"labelled": 20, "interventions": 1}}
    assert heard_training(World(), event | {"labels": 91, "episodes": corrected})[1] == ()


def test_a_training_is_shown_from_its_beginning():
    world, told = heard_training(World(), {"event": "began", "job": "training v1", "version": "v1"})
    assert (world.training, world.training_share, told) == ("training v1", None, ())


def test_whether_there_is_a_policy_shows_in_what_it_proposes():
    vain = replace(decided(1, "none"), proposals={"policy": (0.1,)})
    assert not heard_decision(World(), decided(1, "none"))[0].has_policy
    assert heard_decision(heard_decision(World(), vain)[0], decided(2, "none"))[0].has_policy


def test_success_counts_only_after_the_task_was_seen_undone():
    world = heard_task(World(success=True, judged=False), success=True)
    assert not world.judged
    world = heard_task(world, success=False)
    assert heard_task(world, success=True).judged


def test_a_policy_that_is_refused_or_taken_back_is_told_with_the_reason():
    verdict = {"version": "v3", "state": "refused", "reason": "its error is nan", "checks": {}}
    _, told = heard_gate(World(), {"version": "v2", "before": [], "verdict": verdict})
    assert told == ("policy v3 refused: its error is nan; v2 stays in control",)
    verdict = {"version": "v3", "state": "rolled back", "reason": "asked for", "checks": {}}
    _, told = heard_gate(World(), {"version": "v2", "before": [], "verdict": verdict})
    assert told == ("policy v3 rolled back: asked for; v2 stays in control",)
    _, told = heard_gate(World(), {"version": "v2", "verdict": {**verdict, "state": "active"}})
    assert told == ()


def test_a_damaged_episode_is_told():
    _, told = heard_training(World(), {"event": "damaged", "episode": "episode_000003", "reason": "cut off"})
    assert told == ("not trained on, damaged: episode_000003: cut off",)
