"""What a wish asks of the graph: calls, as a pure function of the world, and what the answers make of it.

Between episodes the robot rests: the supervisor's mode is `expert`, so that nobody drives but the person.
`next` and `run` set the mode of the session, in which the policy may.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TypeAlias

from il_ros.session import keys
from il_ros.session.setup import REST_MODE, Options
from il_ros.session.state import UNDONE, World

PAUSE, ENGAGE, MODE = "sim/pause", "expert/engage", "dagger_supervisor/set_parameters"
_STOPPED = "stopped: c clears the emergency stop first"
MARKS = "~/marks"
"""Topic of the moments to be labelled later: JSON with `stamp_ns` and `kind`."""

Value: TypeAlias = int | str | tuple[float, ...]


@dataclass(frozen=True)
class Call:
    """One thing to ask for: a service (`value`: None, a bool, parameters by name) or a text to `publish`."""

    name: str
    value: bool | dict[str, Value] | str | None = None
    publish: bool = False


@dataclass(frozen=True)
class Plan:
    """The calls of a wish in their order, and the lines to tell; a call that is refused ends it.

    `end`: the session is over after it.
    """

    calls: tuple[Call, ...] = ()
    lines: tuple[str, ...] = ()
    end: bool = False

    @property
    def ends_episode(self) -> bool:
        """Whether the episode that is being recorded is over after it."""
        return any(call.name in ("recorder/stop", "recorder/discard") for call in self.calls)


URGENT = (keys.STOP, keys.TAKE, keys.LATER)
"""Wishes that wait for none before them."""


def plan(wish: str, world: World, options: Options) -> Plan:
    """Return what a wish asks for in this world; one that makes no sense now asks for nothing and says why.

    Raises KeyError on a wish that isn't known.
    """
    if options.moments and wish in keys.NOT_AT_MOMENTS:
        return Plan(lines=("not while moments are labelled; ? lists the keys",))
    return _PLANS[wish](world, options)


def waited_for(world: World) -> Plan:
    """Return what is due once the person drives: time, which stood still at the moment, goes on."""
    stands = world.moment and world.recording and world.paused
    return Plan((Call(PAUSE, False),)) if stands else Plan()


def due(world: World, options: Options) -> str:
    """Return the wish that the simulator has in a person's place: the episode's end; "" while it goes on."""
    if not (options.simulator and world.recording and world.judged):
        return ""
    if world.success:
        return keys.SUCCESS
    too_long = options.time_limit_s > 0 and world.recorded_s > options.time_limit_s
    return keys.FAILURE if world.failed or too_long else ""


def answered(world: World, call: Call) -> World:
    """Return the world after a call was granted."""
    value = call.value
    if call.name == PAUSE:
        return replace(world, paused=bool(value))
    if call.name == ENGAGE:
        return replace(world, helping=bool(value))
    if call.name == MODE and isinstance(value, dict):
        return replace(world, running=value["mode"] != REST_MODE)
    if call.name == "sim/set_parameters" and isinstance(value, dict):
        moment = world.moment + ("state" in value)
        seed = int(str(value["seed"]))
        return replace(world, seed=seed, moment=moment, judged=False, success=False, failed=False)
    if call.name == "sim/reset":
        return replace(world, judged=False)
    if call.name == "recorder/discard":
        lost = world.episode_labels if world.recording else world.last_labels
        undone = replace(world, labels=world.labels - lost, episode_labels=0, last_labels=0)
        undone = replace(undone, moment=max(0, world.moment - 1))
        return undone if world.recording else replace(undone, outcome=UNDONE)
    return world


def _next(world: World, options: Options) -> Plan:
    if world.estop:
        return Plan(lines=(_STOPPED,))
    if options.moments:
        return _return(world, options)
    calls = [Call("recorder/stop")] if world.recording else []
    if not options.simulator:
        start = (Call("dagger_supervisor/restart"), Call("recorder/start"), _mode(options.mode))
        return Plan((*calls, *_let_go(world, options), *start))
    seed = options.seed if world.seed is None else world.seed + 1
    begin = _begin(options.mode, {"seed": seed}, {"seed": seed}, _let_go(world, options))
    return Plan((*calls, *begin, Call(PAUSE, False)))


def _begin(
    mode: str, simulator: dict[str, Value], recorder: dict[str, Value], let_go: tuple[Call, ...] = ()
) -> tuple[Call, ...]:
    """Return the calls that begin an episode with these parameters, up to the moment when time may go on.

    As the conductor does: time stands, so that the first frame is answered in the mode and from the start.
    """
    return (
        Call(PAUSE, True),
        *let_go,
        _mode(mode),
        Call("dagger_supervisor/restart"),
        Call("sim/set_parameters", simulator),
        Call("sim/reset"),
        Call("recorder/set_parameters", recorder),
        Call("recorder/start"),
    )


def _return(world: World, options: Options) -> Plan:
    """Go to the next recorded moment, and stay there until the person drives."""
    end = (Call("recorder/stop"),) if world.recording else ()
    if world.moment >= len(options.moments):
        return Plan(end, ("that was the last moment: ctrl-D ends",))
    start = options.moments[world.moment]
    begin = _begin(
        REST_MODE,
        {"seed": start.seed, "state": start.state},
        {"seed": start.seed, "made_from": start.words},
    )
    return Plan((*end, *begin), (f"moment {world.moment + 1} of {len(options.moments)}: {start.words}",))


def _record(world: World, options: Options) -> Plan:
    if world.recording:
        return Plan((Call("recorder/stop"),))
    return Plan((*_unpause(world), Call("recorder/start")))


def _run(world: World, options: Options) -> Plan:
    if options.moments:
        return Plan((Call(PAUSE, not world.paused),))
    if world.running:
        return Plan(_rest(world, options), ("the robot rests",))
    if world.estop:
        return Plan(lines=(_STOPPED,))
    return Plan((_mode(options.mode), *_unpause(world)))


def _take(world: World, options: Options) -> Plan:
    if not options.by_key:
        how = f"in mode {options.mode} the robot decides" if options.teacher else "you take over by driving"
        return Plan(lines=(how,))
    return Plan((Call(ENGAGE, not world.helping), *(() if world.helping else _unpause(world))))


def _mark(outcome: str) -> Callable[[World, Options], Plan]:
    def act(world: World, options: Options) -> Plan:
        mark = Call(f"recorder/mark_{outcome}")
        if not world.recording:
            return Plan((mark,)) if world.last else Plan(lines=("no episode to mark yet",))
        return Plan((mark, Call("recorder/stop"), *_rest(world, options)))

    return act


def _undo(world: World, options: Options) -> Plan:
    name = world.recording or world.last
    if not name:
        return Plan(lines=("no episode to undo yet",))
    rest = _rest(world, options) if world.recording else ()
    lines = (f"{name} discarded; `il-ros episodes undo` takes that back",)
    return Plan((Call("recorder/discard"), *rest), lines)


def _later(world: World, options: Options) -> Plan:
    if not world.recording:
        return Plan(lines=("nothing is being recorded: no moment to label later",))
    mark = json.dumps({"stamp_ns": world.now_ns, "kind": "label_later", "episode": world.recording})
    lines = (f"noted, to be labelled later: {world.recorded_s:.1f} s of {world.recording}",)
    return Plan((Call(MARKS, mark, publish=True),), lines)


def _clear(world: World, options: Options) -> Plan:
    if not world.estop:
        return Plan(lines=("the emergency stop is not pressed",))
    calls = (Call("dagger_supervisor/estop", False), Call("dagger_supervisor/reset_estop"))
    return Plan((_mode(REST_MODE), *calls), ("the robot rests",))


def _end(world: World, options: Options) -> Plan:
    return Plan((Call("recorder/stop"),) if world.recording else (), end=True)


_PLANS: dict[str, Callable[[World, Options], Plan]] = {
    keys.NEXT: _next,
    keys.RECORD: _record,
    keys.RUN: _run,
    keys.TAKE: _take,
    keys.SUCCESS: _mark("success"),
    keys.FAILURE: _mark("failure"),
    keys.UNDO: _undo,
    keys.LATER: _later,
    keys.STOP: lambda world, options: Plan((Call("dagger_supervisor/estop", True),)),
    keys.CLEAR: _clear,
    keys.TRAIN: lambda world, options: Plan((Call("trainer/train"),)),
    keys.HELP: lambda world, options: Plan(),
    keys.VIEW: lambda world, options: Plan(),
    keys.END: _end,
}


def _mode(name: str) -> Call:
    return Call(MODE, {"mode": name})


def _rest(world: World, options: Options) -> tuple[Call, ...]:
    hold = (Call(PAUSE, True),) if options.simulator else ()
    return (*_let_go(world, options), _mode(REST_MODE), *hold)


def _let_go(world: World, options: Options) -> tuple[Call, ...]:
    return (Call(ENGAGE, False),) if options.by_key and world.helping else ()


def _unpause(world: World) -> tuple[Call, ...]:
    return (Call(PAUSE, False),) if world.paused else ()
