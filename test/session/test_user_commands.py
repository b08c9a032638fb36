"""What each wish asks for, and what the world is after that."""

import json
from dataclasses import replace

import pytest

from il_ros.session import keys
from il_ros.session.setup import SessionOptions, Start
from il_ros.session.state import SessionState
from il_ros.session.user_commands import MARKS, Call, answered, due, plan, waited_for

SIM, ROBOT = SessionOptions(seed=5), SessionOptions(simulator=False, teacher=False)


def names(command, state, options=SIM):
    return [call.name for call in plan(command, state, options).calls]


def after(command, state, options=SIM):
    for call in plan(command, state, options).calls:
        state = answered(state, call)
    return state


def test_the_next_start_holds_time_until_everything_is_ready():
    queried = plan(keys.NEXT, SessionState(), SIM).calls
    assert [call.name for call in queried] == [
        "sim/pause",
        "dagger_supervisor/set_parameters",
        "dagger_supervisor/restart",
        "sim/set_parameters",
        "sim/reset",
        "recorder/set_parameters",
        "recorder/start",
        "sim/pause",
    ]
    assert (queried[0].value, queried[-1].value, queried[3].value) == (True, False, {"seed": 5})
    state = after(keys.NEXT, SessionState(), SIM)
    assert (state.running, state.paused, state.seed, state.judged) == (True, False, 5, False)
    assert plan(keys.NEXT, state, SIM).calls[3].value == {"seed": 6}


def test_on_a_robot_the_policy_drives_only_once_it_is_recorded():
    queried = plan(keys.NEXT, SessionState(), ROBOT).calls
    assert [call.name for call in queried] == [
        "dagger_supervisor/restart",
        "recorder/start",
        "dagger_supervisor/set_parameters",
    ]
    assert queried[-1].value == {"mode": "hg_dagger"}


def test_next_ends_what_is_being_recorded_and_is_refused_while_stopped():
    assert names(keys.NEXT, SessionState(recording="episode_000001"))[0] == "recorder/stop"
    refused = plan(keys.NEXT, SessionState(estop="pressed"), SIM)
    assert (refused.calls, refused.lines) == ((), ("stopped: c clears the emergency stop first",))


def test_a_wish_tells_whether_it_ends_the_episode():
    state = SessionState(recording="episode_000001")
    ending = [keys.NEXT, keys.RECORD, keys.SUCCESS, keys.FAILURE, keys.UNDO, keys.END]
    assert [command for command in keys.WISHES if plan(command, state, SIM).ends_episode] == ending
    assert not plan(keys.NEXT, SessionState(), SIM).ends_episode


def test_taking_over_goes_there_and_back():
    state = SessionState(running=True, recording="episode_000001")
    assert plan(keys.TAKE, state, SIM).calls == (Call("expert/engage", True),)
    state = after(keys.TAKE, state)
    assert state.helping
    assert plan(keys.TAKE, state, SIM).calls == (Call("expert/engage", False),)
    assert not after(keys.TAKE, state).helping


def test_where_a_device_takes_over_the_key_says_so():
    assert plan(keys.TAKE, SessionState(), ROBOT).lines == ("you take over by driving",)
    queried = plan(keys.TAKE, SessionState(), SessionOptions(mode="gated"))
    assert (queried.calls, queried.lines) == ((), ("in mode gated the robot decides",))


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_marking_ends_the_episode_and_the_robot_rests(outcome):
    state = SessionState(running=True, helping=True, recording="episode_000001")
    assert names(outcome, state) == [
        f"recorder/mark_{outcome}",
        "recorder/stop",
        "expert/engage",
        "dagger_supervisor/set_parameters",
        "sim/pause",
    ]
    state = after(outcome, state)
    assert (state.running, state.helping, state.paused) == (False, False, True)
    assert names(outcome, SessionState(last="episode_000001")) == [f"recorder/mark_{outcome}"]
    assert plan(outcome, SessionState(), SIM).lines == ("no episode to mark yet",)


def test_undo_discards_the_running_or_the_last_episode_with_its_labels():
    state = after(
        keys.UNDO, SessionState(recording="episode_000002", labels=100, episode_labels=40, running=True)
    )
    assert (state.labels, state.running) == (60, False)
    state = after(keys.UNDO, SessionState(last="episode_000002", labels=100, last_labels=30, running=True))
    assert (state.labels, state.running) == (70, True)
    assert after(keys.UNDO, state).labels == 70  # twice is once
    assert plan(keys.UNDO, SessionState(), SIM).lines == ("no episode to undo yet",)


def test_a_moment_to_label_later_is_a_stamp_in_the_bag():
    state = SessionState(recording="episode_000002", now_ns=3_000_000_000)
    (mark,) = plan(keys.LATER, state, SIM).calls
    assert (mark.name, mark.publish) == (MARKS, True)
    wanted = {"stamp_ns": 3_000_000_000, "kind": "label_later", "episode": "episode_000002"}
    assert json.loads(mark.value) == wanted
    assert plan(keys.LATER, SessionState(), SIM).calls == ()


def test_after_a_stop_the_robot_rests_until_told_to_run():
    assert plan(keys.STOP, SessionState(running=True), SIM).calls == (Call("dagger_supervisor/estop", True),)
    state = after(keys.CLEAR, SessionState(running=True, estop="pressed"))
    assert not state.running
    assert plan(keys.CLEAR, SessionState(), SIM).calls == ()
    assert plan(keys.RUN, SessionState(estop="pressed"), SIM).calls == ()


def test_run_and_rest():
    state = after(keys.RUN, SessionState(paused=True))
    assert (state.running, state.paused) == (True, False)
    state = after(keys.RUN, state)
    assert (state.running, state.paused) == (False, True)


def test_the_end_leaves_no_episode_open():
    assert plan(keys.END, SessionState(), SIM).end
    assert names(keys.END, SessionState(recording="episode_000001")) == ["recorder/stop"]


def test_the_simulator_ends_an_episode_by_success_failure_or_time():
    running = SessionState(recording="episode_000001", judged=True)
    limited = SessionOptions(time_limit_s=10.0)
    assert due(running, limited) == ""
    assert due(SessionState(recording="e", judged=True, success=True), SIM) == keys.SUCCESS
    assert due(SessionState(recording="e", judged=True, failed=True), SIM) == keys.FAILURE
    assert due(SessionState(recording="e", judged=False, success=True), SIM) == ""  # of the episode before
    late = SessionState(recording="e", judged=True, now_ns=11_000_000_000, started_ns=500_000_000)
    assert due(late, limited) == keys.FAILURE
    assert due(late, SIM) == ""  # no limit
    assert due(SessionState(recording="e", judged=True, success=True), ROBOT) == ""


def test_every_key_has_a_plan():
    for command in keys.WISHES:
        plan(command, SessionState(), SIM)


MOMENTS = SessionOptions(
    mode="expert", teacher=False, moments=(Start("a at 1.00 s: marked", 7, (0.5,)), Start("b", 8, (1.5,)))
)


def test_at_a_recorded_moment_time_stands_until_the_person_drives():
    queried = plan(keys.NEXT, SessionState(), MOMENTS)
    assert queried.lines == ("moment 1 of 2: a at 1.00 s: marked",)
    assert [call.name for call in queried.calls] == [
        "sim/pause",
        "dagger_supervisor/set_parameters",
        "dagger_supervisor/restart",
        "sim/set_parameters",
        "sim/reset",
        "recorder/set_parameters",
        "recorder/start",
    ]
    assert queried.calls[3].value == {"seed": 7, "state": (0.5,)}
    assert queried.calls[5].value == {"seed": 7, "made_from": "a at 1.00 s: marked"}
    there = replace(after(keys.NEXT, SessionState(), MOMENTS), recording="episode_000002")
    assert (there.moment, there.paused) == (1, True)
    assert waited_for(there).calls == (Call("sim/pause", False),)
    assert waited_for(replace(there, recording="")).calls == ()
    going = replace(there, paused=False)
    assert (waited_for(going).calls, names(keys.RUN, going, MOMENTS)) == ((), ["sim/pause"])


def test_moments_come_one_after_the_other_and_an_undone_one_again():
    state = replace(after(keys.NEXT, SessionState(), MOMENTS), recording="episode_000002")
    second = plan(keys.NEXT, state, MOMENTS)
    assert (second.calls[0].name, second.calls[4].value["seed"]) == ("recorder/stop", 8)
    undone = after(keys.UNDO, state, MOMENTS)
    assert plan(keys.NEXT, undone, MOMENTS).lines == ("moment 1 of 2: a at 1.00 s: marked",)
    last = plan(keys.NEXT, replace(state, moment=2, recording=""), MOMENTS)
    assert (last.calls, last.lines) == ((), ("that was the last moment: ctrl-D ends",))


@pytest.mark.parametrize("command", [keys.TAKE, keys.LATER, keys.TRAIN, keys.RECORD])
def test_what_means_nothing_at_recorded_moments_says_so(command):
    refused = plan(command, SessionState(), MOMENTS)
    assert (refused.calls, refused.lines) == ((), ("not while moments are labelled; ? lists the keys",))
