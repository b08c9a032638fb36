"""The scenario of `il-ros record`: one person records demonstrations by keys."""

from __future__ import annotations

from dataclasses import replace

from il_ros.core.plugins import DEVICES
from il_ros.records.rating import TOPIC as RATING
from il_ros.scenarios import arguments as arg
from il_ros.scenarios.given import Given, contract, number, whole_number
from il_ros.scenarios.graph import SWITCH, Argument, NodeSpec, Scenario, Spec, Value
from il_ros.scenarios.node import node
from il_ros.scenarios.parts import action_clients, expert, judge, recorder, sim, supervisor
from il_ros.scenarios.session_node import goal_of, view_parameters
from il_ros.session.setup import REST_MODE

DEMONSTRATOR = Argument(
    "expert",
    "who demonstrates: your keys, a gamepad (joy), a leader arm, another device, or the simulated task's script",
    "keyboard",
    ("scripted",),
    group=DEVICES,
)
COUNTDOWN = Argument("countdown", "seconds of countdown before a take; 0: none", "3")
RESET = Argument(
    "reset",
    "seconds to reset the scene after a take, then the next countdown begins; 0: key n begins it",
    "0",
)
TAKES = Argument("takes", "takes after which the recording ends; 0: ctrl-D ends it", "0")
BEEPS = Argument("beeps", "ring the terminal's bell in the countdown, at start and end", "true", SWITCH)
ATTACH = Argument(
    "attach",
    "start only the console, beside recorder and supervisor that run already (such as record.launch.py)",
    "false",
    SWITCH,
)


JUDGED = (arg.SUCCESS_MODEL, arg.END_AT)


def _nodes(given: Given) -> tuple[Spec, ...]:
    if given["attach"] == "true":
        return (_console(given),)
    by_script = given["expert"] == "scripted"
    simulator = tuple(
        # at rest until the first take: the script would begin at once
        replace(spec, parameters={**spec.parameters, "paused": by_script})
        if isinstance(spec, NodeSpec)
        else spec
        for spec in sim(given)
    )
    # no policy runs here, so none is waited for
    supervised = (
        replace(spec, parameters={**spec.parameters, "mode": REST_MODE}) for spec in supervisor(given)
    )
    beside = (*action_clients(given), *recorder(given), *judge(given))
    return (*simulator, *expert(given), *supervised, *beside, _console(given))


def _console(given: Given) -> NodeSpec:
    simulated = given["sim"] == "true"
    parameters: dict[str, Value] = {
        "contract": contract(given),
        "mode": REST_MODE,
        "simulator": simulated and given["simulator"] != "gz",
        "teacher": given["expert"] == "scripted",
        "driving_keys": given["expert"] == "keyboard",
        "seed": whole_number(given, "seed"),
        "learns": False,
        "countdown_s": number(given, "countdown"),
        "reset_s": number(given, "reset"),
        "takes": whole_number(given, "takes"),
        "beeps": given["beeps"] == "true",
        "root": given["root"],
        "judge_topic": RATING if given["success_model"] else "",
        "goal": goal_of(given["task"]) if simulated else "",
        **view_parameters(given, contract(given)),
    }
    return replace(node(given, "session", "session", parameters), terminal=True)


RECORDING = Scenario(
    "record",
    "Record demonstrations by keys: n countdown and take, g success, f failure, u discard, space emergency stop.",
    (DEMONSTRATOR, arg.ROOT, arg.OPERATOR, COUNTDOWN, RESET, TAKES, BEEPS, ATTACH, *JUDGED, *arg.WORLD),
    _nodes,
)
