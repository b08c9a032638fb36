"""Plans of the user commands: service calls as a pure function of the session's state, and their effects on it.

Between episodes the supervisor's mode is `expert`, so that only the operator can drive. `next` and `run` set
the session's mode, in which the policy may drive.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

from il_ros.session import keys
from il_ros.session.setup import REST_MODE, SessionOptions
from il_ros.session.state import UNDONE, SessionEnd, SessionState, training_words

PAUSE, ENGAGE, MODE = "sim/pause", "expert/engage", "dagger_supervisor/set_parameters"
DRIVE, STOP = "dagger_supervisor/drive", "dagger_supervisor/estop"
_STOPPED = "stopped; press c to clear the emergency stop first"
MARKS = "~/marks"
"""Topic of the moments to label later: JSON with `stamp_ns`, `kind` and `episode`."""

INSTRUCTION = "instruction"
"""Stands for the contract's topic of the instruction, whose text is published again and again."""

Value: TypeAlias = int | str | tuple[float, ...]


@dataclass(frozen=True)
class Call:
    """A service call (`value`: None, a bool, or parameters by name), or a text to `publish`."""

    name: str
    value: bool | dict[str, Value] | str | None = None
    publish: bool = False


@dataclass(frozen=True)
class CommandPlan:
    """The calls of a user command in order, and the lines to show; a refused call ends the plan.

    `end`: the command ends the session. `ending`: how far its end is afterwards.
    """

    calls: tuple[Call, ...] = ()
    lines: tuple[str, ...] = ()
    end: bool = False
    ending: SessionEnd = SessionEnd.NONE

    @property
    def ends_episode(self) -> bool:
        """Whether the plan ends the running episode."""
        return any(call.name in ("recorder/stop", "recorder/discard") for call in self.calls)


REST = "rest"
"""The command without a key: the robot comes to rest, because a model has ended the episode."""
URGENT = (keys.STOP, keys.TAKE, keys.LATER)
"""User commands that run at once, ahead of queued ones."""


def plan(command: str, state: SessionState, options: SessionOptions) -> CommandPlan:
    """Return the plan of a user command; one that does not apply now has no calls and gives the reason.

    Raises KeyError on an unknown command.
    """
    if options.moments and command in keys.NOT_AT_MOMENTS:
        return CommandPlan(lines=("not available while moments are labelled; ? lists the keys",))
    if command in keys.absent(trainer=options.trainer, recorder=options.recorder):
        return CommandPlan(lines=("not available: its node does not run here; ? lists the keys",))
    if not options.learns and command in keys.WITH_POLICY:
        return CommandPlan(lines=("not available while demonstrations are recorded; ? lists the keys",))
    return _PLANS[command](state, options)


def resume_time(state: SessionState) -> CommandPlan:
    """Return the plan that resumes simulated time, paused at a recorded moment, once the operator drives."""
    paused = state.moment and state.recording and state.paused
    return CommandPlan((Call(PAUSE, False),)) if paused else CommandPlan()


def unrecorded(state: SessionState, options: SessionOptions) -> str:
    """Return what to tell an operator who drives at no recorded moment, which records nothing; "" otherwise."""
    if not options.moments or state.recording:
        return ""
    left = state.moment < len(options.moments)
    return (
        "nothing is recorded: press n first" if left else "that was the last moment; ctrl-D ends the session"
    )


def automatic_command(state: SessionState, options: SessionOptions) -> str:
    """Return the command by which the simulator ends the episode, "" while it continues."""
    if not (options.simulator and state.recording and state.judged):
        return ""
    if state.success:
        return keys.SUCCESS
    too_long = options.time_limit_s > 0 and state.recorded_s > options.time_limit_s
    return keys.FAILURE if state.failed or too_long else ""


def after_call(state: SessionState, call: Call) -> SessionState:
    """Return the state after a successful call."""
    value = call.value
    if call.name == PAUSE:
        return replace(state, paused=bool(value))
    if call.name == ENGAGE:
        return replace(state, helping=bool(value))
    if call.name == DRIVE:
        return replace(state, at_rest=not value)
    if call.name == MODE and isinstance(value, dict):
        return replace(state, running=value["mode"] != REST_MODE)
    if call.name == "sim/set_parameters" and isinstance(value, dict):
        moment = state.moment + ("state" in value)
        seed = int(str(value["seed"]))
        return replace(state, seed=seed, moment=moment, judged=False, success=False, failed=False)
    if call.name == "sim/reset":
        return replace(state, judged=False)
    if call.name == INSTRUCTION:
        return replace(state, instruction=str(value))
    if call.name == "recorder/discard":
        undone = replace(state, discarded=state.recording or state.last, moment=max(0, state.moment - 1))
        if state.recording:
            return replace(undone, labels=state.labels - state.episode_labels, episode_labels=0)
        return replace(
            undone,
            labels=state.labels - state.last_labels,
            last_labels=0,
            done=state.done - state.last_kept,
            last_kept=False,
            outcome=UNDONE,
        )
    return state


def _next(state: SessionState, options: SessionOptions) -> CommandPlan:
    if state.estop:
        return CommandPlan(lines=(_STOPPED,))
    if options.moments:
        return _next_moment(state, options)
    calls = [Call("recorder/stop")] if state.recording else []
    if not options.simulator:
        start = (
            Call("dagger_supervisor/restart"),
            *_labelled(state),
            Call("recorder/start"),
            *_go(options.mode),
        )
        return CommandPlan((*calls, *_release(state, options), *start))
    seed = options.seed if state.seed is None else state.seed + 1
    label = {"seed": seed, **_label(state)}
    begin = _begin(options.mode, {"seed": seed}, label, _release(state, options))
    return CommandPlan((*calls, *begin, Call(PAUSE, False)))


def _begin(
    mode: str, simulator: dict[str, Value], recorder: dict[str, Value], release: tuple[Call, ...] = ()
) -> tuple[Call, ...]:
    """Return the calls that start an episode with these parameters; simulated time remains paused.

    Like in the conductor, time is paused so that the first frame belongs to the new mode and start.
    """
    return (
        Call(PAUSE, True),
        *release,
        *_go(mode),
        Call("dagger_supervisor/restart"),
        Call("sim/set_parameters", simulator),
        Call("sim/reset"),
        Call("recorder/set_parameters", recorder),
        Call("recorder/start"),
    )


def _next_moment(state: SessionState, options: SessionOptions) -> CommandPlan:
    """Return to the next recorded moment, and pause there until the operator drives."""
    end = (Call("recorder/stop"),) if state.recording else ()
    if state.moment >= len(options.moments):
        return CommandPlan(end, ("that was the last moment; ctrl-D ends the session",))
    start = options.moments[state.moment]
    begin = _begin(
        REST_MODE,
        {"seed": start.seed, "state": start.state},
        {"seed": start.seed, "made_from": start.words},
    )
    return CommandPlan(
        (*end, *begin), (f"moment {state.moment + 1} of {len(options.moments)}: {start.words}",)
    )


def _record(state: SessionState, options: SessionOptions) -> CommandPlan:
    if state.recording:
        return CommandPlan((Call("recorder/stop"),))
    return CommandPlan((*_unpause(state), *_labelled(state), Call("recorder/start")))


def _tell(state: SessionState, options: SessionOptions) -> CommandPlan:
    known = options.instructions
    if not known:
        return CommandPlan(lines=("there are no instructions: give the session's parameter `instructions`",))
    place = known.index(state.instruction) + 1 if state.instruction in known else 0
    text = known[place % len(known)]
    return CommandPlan((Call(INSTRUCTION, text, publish=True),), (f"instruction: {text}",))


def _label(state: SessionState) -> dict[str, Value]:
    """Return what the recorder writes beside an episode of what is said to do."""
    return {"instruction": state.instruction} if state.instruction else {}


def _labelled(state: SessionState) -> tuple[Call, ...]:
    return (Call("recorder/set_parameters", _label(state)),) if state.instruction else ()


def _run(state: SessionState, options: SessionOptions) -> CommandPlan:
    if options.moments:
        return CommandPlan((Call(PAUSE, not state.paused),))
    if state.running:
        return CommandPlan(_rest(state, options), ("the robot is at rest",))
    if state.estop:
        return CommandPlan(lines=(_STOPPED,))
    return CommandPlan((*_go(options.mode), *_unpause(state)))


def _take(state: SessionState, options: SessionOptions) -> CommandPlan:
    if not options.by_key:
        how = (
            f"in mode {options.mode} you cannot take over by key"
            if options.teacher
            else "take over by driving"
        )
        return CommandPlan(lines=(how,))
    if state.helping:
        return CommandPlan((Call(ENGAGE, False),))
    if state.estop:
        return CommandPlan(lines=(_STOPPED,))
    allow = (Call(DRIVE, True),) if state.at_rest else ()
    return CommandPlan((*allow, Call(ENGAGE, True), *_unpause(state)))


def _mark(outcome: str) -> Callable[[SessionState, SessionOptions], CommandPlan]:
    def act(state: SessionState, options: SessionOptions) -> CommandPlan:
        mark = Call(f"recorder/mark_{outcome}")
        if not state.recording:
            if not state.last:
                return CommandPlan(lines=("no episode to mark yet; n begins one",))
            return CommandPlan((mark,))
        return CommandPlan((mark, Call("recorder/stop"), *_rest(state, options)))

    return act


def _undo(state: SessionState, options: SessionOptions) -> CommandPlan:
    name = state.recording or state.last
    if not name:
        return CommandPlan(lines=("no episode to undo yet; n begins one",))
    rest = _rest(state, options) if state.recording else ()
    undo = shlex.join(["il-ros", "episodes", "undo", str(Path(options.root) / name)])
    lines = (f"{name} discarded; this restores it: {undo}",)
    return CommandPlan((Call("recorder/discard"), *rest), lines)


def _later(state: SessionState, options: SessionOptions) -> CommandPlan:
    if not options.simulator:
        return CommandPlan(
            lines=("a robot cannot return to a moment: only the simulator's can be labelled later",)
        )
    if not state.recording:
        return CommandPlan(lines=("no episode is being recorded, so no moment can be marked",))
    mark = json.dumps({"stamp_ns": state.now_ns, "kind": "label_later", "episode": state.recording})
    lines = (f"marked to be labelled later: {state.recorded_s:.1f} s of {state.recording}",)
    return CommandPlan((Call(MARKS, mark, publish=True),), lines)


def _clear(state: SessionState, options: SessionOptions) -> CommandPlan:
    if not state.estop:
        return CommandPlan(lines=("the emergency stop is not active",))
    calls = (Call(STOP, False), Call("dagger_supervisor/reset_estop"))
    return CommandPlan((_mode(REST_MODE), *calls), ("the robot is at rest",))


def _end(state: SessionState, options: SessionOptions) -> CommandPlan:
    stop = (Call("recorder/stop"),) if state.recording else ()
    if not state.training or not options.present or state.ending is not SessionEnd.NONE:
        leave = (_mode(REST_MODE),) if state.running else ()  # the supervisor may outlive the session
        return CommandPlan((*stop, *leave), end=True)
    rest = _rest(state, options) if state.recording or state.running else ()
    lines = (f"{training_words(state)} is running.  y: wait for it, then end.  ctrl-D again: end now.",)
    return CommandPlan((*stop, *rest), lines, ending=SessionEnd.ASKED)


def _wait(state: SessionState, options: SessionOptions) -> CommandPlan:
    if not state.training:
        return CommandPlan(lines=("no training is running; ctrl-D ends the session",))
    stop = (Call("recorder/stop"),) if state.recording else ()
    rest = _rest(state, options) if state.recording or state.running else ()
    lines = (f"the session ends after {training_words(state)}; ctrl-D ends it now, n continues it",)
    return CommandPlan((*stop, *rest), lines, ending=SessionEnd.WAITING)


_PLANS: dict[str, Callable[[SessionState, SessionOptions], CommandPlan]] = {
    keys.NEXT: _next,
    keys.RECORD: _record,
    keys.RUN: _run,
    keys.TAKE: _take,
    REST: lambda state, options: CommandPlan(_rest(state, options)),
    keys.SUCCESS: _mark("success"),
    keys.FAILURE: _mark("failure"),
    keys.UNDO: _undo,
    keys.LATER: _later,
    keys.STOP: lambda state, options: CommandPlan((Call(STOP, True),)),
    keys.CLEAR: _clear,
    keys.TRAIN: lambda state, options: CommandPlan((Call("trainer/train"),)),
    keys.HELP: lambda state, options: CommandPlan(),
    keys.VIEW: lambda state, options: CommandPlan(),
    keys.WAIT: _wait,
    keys.TELL: _tell,
    keys.END: _end,
}


def _mode(name: str) -> Call:
    return Call(MODE, {"mode": name})


def _go(mode: str) -> tuple[Call, ...]:
    """Return the calls that let the sources drive in a mode; the mode first, so that no other source drives."""
    return (_mode(mode), Call(DRIVE, True))


def _rest(state: SessionState, options: SessionOptions) -> tuple[Call, ...]:
    hold = (Call(PAUSE, True),) if options.simulator else ()
    return (*_release(state, options), _mode(REST_MODE), *hold)


def _release(state: SessionState, options: SessionOptions) -> tuple[Call, ...]:
    return (Call(ENGAGE, False),) if options.by_key and state.helping else ()


def _unpause(state: SessionState) -> tuple[Call, ...]:
    return (Call(PAUSE, False),) if state.paused else ()
