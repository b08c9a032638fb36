"""The plan of each user command, and the state after it."""

import json
from dataclasses import replace

import pytest

from il_ros.session import keys
from il_ros.session.setup import SessionOptions, Start
from il_ros.session.state import SessionEnd, SessionState
from il_ros.session.user_commands import (
    MARKS,
    REST,
    Call,
    CommandPlan,
    after_call,
    automatic_command,
    plan,
    resume_time,
    unrecorded,
)

SIM, ROBOT = SessionOptions(seed=5), SessionOptions(simulator=False, teacher=False)


def names(command, state, options=SIM):
    return [call.name for call in plan(command, state, options).calls]


def after(command, state, options=SIM):
    for call in plan(command, state, options).calls:
        state = after_call(state, call)
    return state


def test_the_next_start_pauses_time_until_everything_is_ready():
    made = plan(keys.NEXT, SessionState(), SIM).calls
    assert [call.name for call in made] == [
        "sim/pause",
        "dagger_supervisor/set_parameters",
        "dagger_supervisor/drive",
        "dagger_supervisor/restart",
        "sim/set_parameters",
        "sim/reset",
        "recorder/set_parameters",
        "recorder/start",
        "sim/pause",
    ]
    assert (made[0].value, made[-1].value, made[4].value) == (True, False, {"seed": 5})
    state = after(keys.NEXT, SessionState(), SIM)
    assert (state.running, state.paused, state.seed, state.judged) == (True, False, 5, False)
    assert plan(keys.NEXT, state, SIM).calls[4].value == {"seed": 6}


def test_on_a_robot_the_policy_drives_only_after_recording_has_started():
    made = plan(keys.NEXT, SessionState(), ROBOT).calls
    assert [call.name for call in made] == [
        "dagger_supervisor/restart",
        "recorder/start",
        "dagger_supervisor/set_parameters",
        "dagger_supervisor/drive",
    ]
    assert (made[-2].value, made[-1].value) == ({"mode": "hg_dagger"}, True)


def test_next_ends_the_running_episode_and_is_refused_during_an_emergency_stop():
    assert names(keys.NEXT, SessionState(recording="episode_000001"))[0] == "recorder/stop"
    refused = plan(keys.NEXT, SessionState(estop="pressed"), SIM)
    assert (refused.calls, refused.lines) == ((), ("stopped; press c to clear the emergency stop first",))


def test_a_plan_tells_whether_it_ends_the_episode():
    state = SessionState(recording="episode_000001")
    ending = [keys.NEXT, keys.RECORD, keys.SUCCESS, keys.FAILURE, keys.UNDO, keys.END]
    assert [command for command in keys.COMMANDS if plan(command, state, SIM).ends_episode] == ending
    assert not plan(keys.NEXT, SessionState(), SIM).ends_episode


def test_take_engages_and_disengages_the_expert():
    state = SessionState(running=True, recording="episode_000001")
    assert plan(keys.TAKE, state, SIM).calls == (Call("expert/engage", True),)
    state = after(keys.TAKE, state)
    assert state.helping
    assert plan(keys.TAKE, state, SIM).calls == (Call("expert/engage", False),)
    assert not after(keys.TAKE, state).helping


def test_at_rest_the_keys_let_the_sources_drive():
    resting = SessionState(at_rest=True)
    assert plan(keys.RUN, resting, ROBOT).calls == (
        Call("dagger_supervisor/set_parameters", {"mode": "hg_dagger"}),
        Call("dagger_supervisor/drive", True),
    )
    assert plan(keys.TAKE, resting, SIM).calls == (
        Call("dagger_supervisor/drive", True),
        Call("expert/engage", True),
    )
    assert (after(keys.RUN, resting, ROBOT).at_rest, after(keys.TAKE, resting).at_rest) == (False, False)
    stopped = plan(keys.TAKE, SessionState(at_rest=True, estop="pressed"), SIM)
    assert (stopped.calls, stopped.lines) == ((), ("stopped; press c to clear the emergency stop first",))


def test_commands_of_nodes_that_do_not_run_are_refused_and_not_in_the_help():
    deployed = SessionOptions(trainer=False, recorder=False)
    state = SessionState(recording="episode_000001")
    refused = [command for command in keys.COMMANDS if not plan(command, state, deployed).calls]
    absent = {"next", "record", "success", "failure", "undo", "later", "train", "wait"}
    assert set(refused) == absent | {"help", "view", "clear", "tell"}
    lines = keys.key_help(trainer=False, recorder=False, instructions=True)
    assert len(lines) == len(keys.KEYS) - len(absent)


def test_without_takeover_by_key_the_reason_is_shown():
    assert plan(keys.TAKE, SessionState(), ROBOT).lines == ("take over by driving",)
    made = plan(keys.TAKE, SessionState(), SessionOptions(mode="gated"))
    assert (made.calls, made.lines) == ((), ("in mode gated you cannot take over by key",))


@pytest.mark.parametrize("outcome", ["success", "failure"])
def test_marking_ends_the_episode_and_sets_the_rest_mode(outcome):
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
    assert plan(outcome, SessionState(), SIM).lines == ("no episode to mark yet; n begins one",)


def test_where_a_model_ends_the_episode_the_robot_rests_and_nothing_is_marked():
    state = SessionState(recording="episode_000001", running=True, helping=True)
    assert names(REST, state) == ["expert/engage", "dagger_supervisor/set_parameters", "sim/pause"]
    assert names(REST, state, ROBOT) == ["dagger_supervisor/set_parameters"]
    assert not plan(REST, state, SIM).ends_episode  # the recorder does


def test_undo_discards_the_running_or_the_last_episode_with_its_labels():
    state = after(
        keys.UNDO, SessionState(recording="episode_000002", labels=100, episode_labels=40, running=True)
    )
    assert (state.labels, state.running) == (60, False)
    state = after(keys.UNDO, SessionState(last="episode_000002", labels=100, last_labels=30, running=True))
    assert (state.labels, state.running) == (70, True)
    assert after(keys.UNDO, state).labels == 70  # a second undo has no effect
    assert plan(keys.UNDO, SessionState(), SIM).lines == ("no episode to undo yet; n begins one",)
    options = replace(SIM, root="/data/my episodes")
    (line,) = plan(keys.UNDO, SessionState(last="episode_000012"), options).lines
    undo = "il-ros episodes undo '/data/my episodes/episode_000012'"  # can be pasted
    assert line == f"episode_000012 discarded; this restores it: {undo}"


def test_a_moment_to_label_later_is_published_with_its_stamp():
    state = SessionState(recording="episode_000002", now_ns=3_000_000_000)
    (mark,) = plan(keys.LATER, state, SIM).calls
    assert (mark.name, mark.publish) == (MARKS, True)
    wanted = {"stamp_ns": 3_000_000_000, "kind": "label_later", "episode": "episode_000002"}
    assert json.loads(mark.value) == wanted
    assert plan(keys.LATER, SessionState(), SIM).calls == ()


def test_after_an_emergency_stop_the_robot_rests_until_run():
    assert plan(keys.STOP, SessionState(running=True), SIM).calls == (Call("dagger_supervisor/estop", True),)
    state = after(keys.CLEAR, SessionState(running=True, estop="pressed"))
    assert not state.running
    assert plan(keys.CLEAR, SessionState(), SIM).calls == ()
    assert plan(keys.RUN, SessionState(estop="pressed"), SIM).calls == ()


def test_run_toggles_between_run_and_rest():
    state = after(keys.RUN, SessionState(paused=True))
    assert (state.running, state.paused) == (True, False)
    state = after(keys.RUN, state)
    assert (state.running, state.paused) == (False, True)


def test_the_end_leaves_no_episode_open():
    assert plan(keys.END, SessionState(), SIM).end
    assert names(keys.END, SessionState(recording="episode_000001")) == ["recorder/stop"]


def test_the_end_of_the_session_leaves_no_policy_driving():
    assert plan(keys.END, SessionState(running=True), SIM).calls == (
        Call("dagger_supervisor/set_parameters", {"mode": "expert"}),
    )


def test_the_simulator_ends_an_episode_by_success_failure_or_time():
    running = SessionState(recording="episode_000001", judged=True)
    limited = SessionOptions(time_limit_s=10.0)
    assert automatic_command(running, limited) == ""
    assert automatic_command(SessionState(recording="e", judged=True, success=True), SIM) == keys.SUCCESS
    assert automatic_command(SessionState(recording="e", judged=True, failed=True), SIM) == keys.FAILURE
    assert (
        automatic_command(SessionState(recording="e", judged=False, success=True), SIM) == ""
    )  # success of the previous episode
    late = SessionState(recording="e", judged=True, now_ns=11_000_000_000, started_ns=500_000_000)
    assert automatic_command(late, limited) == keys.FAILURE
    assert automatic_command(late, SIM) == ""  # no limit
    assert automatic_command(SessionState(recording="e", judged=True, success=True), ROBOT) == ""


TOLD = SessionOptions(instructions=("touch the red block", "touch the blue block"))


def test_the_key_i_says_one_instruction_after_the_other():
    state, said = SessionState(), []
    for _ in range(3):
        (call,) = plan(keys.TELL, state, TOLD).calls
        state = after(keys.TELL, state, TOLD)
        said.append((call.name, call.publish, state.instruction))
    red, blue = TOLD.instructions
    assert said == [("instruction", True, red), ("instruction", True, blue), ("instruction", True, red)]
    assert plan(keys.TELL, SessionState(), SIM) == CommandPlan(
        lines=("there are no instructions: give the session's parameter `instructions`",)
    )
    assert any(line.split()[0] == "i" for line in keys.key_help(instructions=True))
    assert not any(line.split()[0] == "i" for line in keys.key_help())


def test_each_episode_is_labelled_with_the_instruction_before_it_begins():
    told = SessionState(instruction="touch the red block")
    words = {"instruction": "touch the red block"}
    for command, options in ((keys.NEXT, ROBOT), (keys.RECORD, ROBOT), (keys.RECORD, SIM)):
        calls = plan(command, told, options).calls
        start = [call.name for call in calls].index("recorder/start")
        assert calls[start - 1] == Call("recorder/set_parameters", words)
        assert "recorder/set_parameters" not in names(command, SessionState(), options)
    in_simulator = [
        call.value for call in plan(keys.NEXT, told, SIM).calls if call.name == "recorder/set_parameters"
    ]
    assert in_simulator == [{"seed": 5, **words}]


def test_every_key_has_a_plan():
    for command in keys.COMMANDS:
        plan(command, SessionState(), SIM)


MOMENTS = SessionOptions(
    mode="expert", teacher=False, moments=(Start("a at 1.00 s: marked", 7, (0.5,)), Start("b", 8, (1.5,)))
)


def test_at_a_recorded_moment_time_is_paused_until_the_operator_drives():
    made = plan(keys.NEXT, SessionState(), MOMENTS)
    assert made.lines == ("moment 1 of 2: a at 1.00 s: marked",)
    assert [call.name for call in made.calls] == [
        "sim/pause",
        "dagger_supervisor/set_parameters",
        "dagger_supervisor/drive",
        "dagger_supervisor/restart",
        "sim/set_parameters",
        "sim/reset",
        "recorder/set_parameters",
        "recorder/start",
    ]
    assert made.calls[4].value == {"seed": 7, "state": (0.5,)}
    assert made.calls[6].value == {"seed": 7, "made_from": "a at 1.00 s: marked"}
    paused = replace(after(keys.NEXT, SessionState(), MOMENTS), recording="episode_000002")
    assert (paused.moment, paused.paused) == (1, True)
    assert resume_time(paused).calls == (Call("sim/pause", False),)
    assert resume_time(replace(paused, recording="")).calls == ()
    running = replace(paused, paused=False)
    assert (resume_time(running).calls, names(keys.RUN, running, MOMENTS)) == ((), ["sim/pause"])


def test_moments_follow_in_order_and_a_discarded_one_is_repeated():
    state = replace(after(keys.NEXT, SessionState(), MOMENTS), recording="episode_000002")
    second = plan(keys.NEXT, state, MOMENTS)
    assert (second.calls[0].name, second.calls[5].value["seed"]) == ("recorder/stop", 8)
    undone = after(keys.UNDO, state, MOMENTS)
    assert plan(keys.NEXT, undone, MOMENTS).lines == ("moment 1 of 2: a at 1.00 s: marked",)
    last = plan(keys.NEXT, replace(state, moment=2, recording=""), MOMENTS)
    assert (last.calls, last.lines) == ((), ("that was the last moment; ctrl-D ends the session",))


@pytest.mark.parametrize("command", [keys.TAKE, keys.LATER, keys.TRAIN, keys.RECORD])
def test_commands_not_available_at_recorded_moments_are_refused(command):
    refused = plan(command, SessionState(), MOMENTS)
    assert (refused.calls, refused.lines) == (
        (),
        ("not available while moments are labelled; ? lists the keys",),
    )


def test_driving_without_a_recording_at_recorded_moments_says_which_key_begins():
    assert unrecorded(SessionState(), MOMENTS) == "nothing is recorded: press n first"
    assert unrecorded(SessionState(recording="episode_000002", moment=1), MOMENTS) == ""
    assert unrecorded(SessionState(moment=2), MOMENTS) == "that was the last moment; ctrl-D ends the session"
    assert unrecorded(SessionState(), SIM) == ""


def test_on_a_robot_no_moment_can_be_labelled_later():
    made = plan(keys.LATER, SessionState(recording="episode_000002", now_ns=3), ROBOT)
    assert made.calls == ()
    assert "only the simulator's can be labelled later" in made.lines[0]


TRAINING = SessionState(training="training v1", training_share=0.25, training_left_s=40.4)


def test_an_end_during_a_training_says_so_and_offers_to_wait():
    asked = plan(keys.END, replace(TRAINING, recording="episode_000003", running=True), SIM)
    assert [call.name for call in asked.calls] == [
        "recorder/stop",
        "dagger_supervisor/set_parameters",
        "sim/pause",
    ]
    assert (asked.end, asked.ending) == (False, SessionEnd.ASKED)
    assert asked.lines == (
        "training v1 (25 %, 40 s left) is running.  y: wait for it, then end.  ctrl-D again: end now.",
    )
    again = plan(keys.END, replace(TRAINING, ending=SessionEnd.ASKED), SIM)
    assert (again.end, again.calls) == (True, ())
    waits = plan(keys.WAIT, replace(TRAINING, ending=SessionEnd.ASKED), SIM)
    assert (waits.end, waits.ending) == (False, SessionEnd.WAITING)
    assert plan(keys.END, replace(TRAINING, ending=SessionEnd.WAITING), SIM).end
    assert plan(keys.END, replace(TRAINING, ending=SessionEnd.DUE, training=""), SIM).end
    assert plan(keys.END, TRAINING, replace(SIM, present=False)).end  # a simulated person does not answer
    assert plan(keys.NEXT, replace(TRAINING, ending=SessionEnd.WAITING), SIM).ending is SessionEnd.NONE
    assert plan(keys.WAIT, SessionState(), SIM).lines == ("no training is running; ctrl-D ends the session",)
