"""The scenarios: which nodes run to record, to deploy, to train, to simulate. See `il_ros.graph`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from il_ros import gz_sim
from il_ros.graph import NodeSpec, Scenario, Spec, Value
from il_ros.scenario_arguments import (
    ASK,
    AT_ONCE,
    BETA,
    CAMERAS,
    CHECKPOINT,
    CORRECTOR,
    EXPERT,
    FIRST,
    KEEP,
    LEAST,
    MODE,
    NAMESPACE,
    OPERATOR,
    PARAMETERS,
    PER_HOUR,
    PER_ROUND,
    PERSON,
    POLICIES,
    RECIPE,
    RECORD,
    RECORDED,
    REPORT,
    ROOT,
    SEED,
    SESSION,
    SIMULATOR,
    SPEED,
    TAKEOVER,
    TASK,
    TASKS,
    TRAINED,
    UNATTENDED,
    UNIT,
    WARM_UP,
    WORLD,
)
from il_ros.scenario_nodes import node as _node
from il_ros.scenario_session import (
    answers,
    in_rounds,
    in_session,
    looked_on,
    number,
    session_options,
    session_parameters,
    unattended,
)
from il_ros.session_setup import REST_MODE

__all__ = ["SCENARIOS", "TASKS"]

Given = Mapping[str, str]

THINKING_S = 60.0
"""How long, in lockstep, a program may take over one action before it is gone on without it."""

_EXPERTS = {
    "scripted": "scripted_expert",
    "joy": "teleop_joy",
    "leader": "teleop_leader",
    "keyboard": "teleop_keyboard",
}


def _sim(given: Given) -> tuple[Spec, ...]:
    if given.get("sim", "true") == "false":
        return ()
    if given["simulator"] == "gz":
        return _gz(given)
    speed = number(given, "speed")
    parameters: dict[str, Value] = {
        "task": given["task"],
        "simulator": given["simulator"],
        "seed": int(number(given, "seed")),
        "speed": speed,
        # Lockstep needs someone to answer each tick: with the simulator alone there is nobody.
        "lockstep": _lockstep(given),
        "cameras": given["cameras"] == "true",
        "paused": unattended(given) or (in_session(given) and speed == 0),
    }
    if answers(given):
        parameters["lockstep_answers"] = answers(given)
    return (_node(given, "sim", "sim", parameters, sim_time=False),)


def _gz(given: Given) -> tuple[Spec, ...]:
    """gz-sim and ros_gz's bridge, and the node that makes a task's robot of them."""
    if number(given, "speed") != 1:
        raise ValueError(f"speed:={given['speed']}: gz-sim runs by its own clock; leave speed at 1")
    if unattended(given):
        raise ValueError("episodes:= needs a simulator that waits; with gz, start and stop them yourself")
    beside = gz_sim.server_and_bridge(given["task"], given["namespace"])
    task: dict[str, Value] = {"task": given["task"], "seed": int(number(given, "seed"))}
    return (*beside, _node(given, "sim_gz", "sim", task, sim_time=False))


def _expert(given: Given) -> tuple[NodeSpec, ...]:
    if given["expert"] == "none":
        return ()
    executable = _EXPERTS[given["expert"]]
    parameters: dict[str, Value] = {"contract": _contract(given)}
    if executable == "scripted_expert":
        # The teacher looks at the task's state also when the policy learns from pictures.
        parameters |= {"task": given["task"], "contract": TASKS[given["task"]]}
        parameters["engaged"] = not (in_session(given) and session_options(given).by_key)
        if looked_on(given):
            parameters |= {"demonstrations": given["root"], "seed": int(number(given, "seed"))}
    elif executable == "teleop_keyboard":
        parameters["keys_topic"] = "session/keys"
    return (_node(given, executable, "expert", parameters),)


def _supervisor(given: Given) -> tuple[NodeSpec, ...]:
    parameters: dict[str, Value] = {"contract": _contract(given)}
    if "mode" in given:
        parameters |= {
            "mode": REST_MODE if in_session(given) else given["mode"],
            "dagger.beta": given["beta"],
            "dagger.unit": given["unit"],
            "dagger.seed": int(number(given, "seed")),
            "gated.ask": number(given, "ask"),
            "gated.per_hour": int(number(given, "per_hour")),
            "gated.at_once": int(number(given, "at_once")),
            "gated.warm_up_s": number(given, "warm_up_s"),
            "gated.least_s": number(given, "least_s"),
            # The scripted expert always proposes; a person does when a takeover is meant.
            "gated.takeover": "asked" if given["expert"] == "scripted" else "anytime",
        }
    return (_node(given, "dagger_supervisor", "dagger_supervisor", parameters),)


def _recorder(given: Given) -> tuple[NodeSpec, ...]:
    if given.get("record", "true") == "false":
        return ()
    parameters: dict[str, Value] = {
        "contract": _contract(given),
        "root": given["root"],
        "task": given["task"],
        "operator": given["operator"],
    }
    return (_node(given, "recorder", "recorder", parameters),)


def _session(given: Given) -> tuple[NodeSpec, ...]:
    if not in_session(given):
        return ()
    parameters = session_parameters(given, _contract(given))
    return (replace(_node(given, "session", "session", parameters), terminal=True),)


def _conductor(given: Given) -> tuple[NodeSpec, ...]:
    if not unattended(given) or in_session(given):
        return ()
    if given["sim"] == "false":
        raise ValueError(
            "episodes:= runs unattended episodes in the simulator; a robot needs sim:=true off it"
        )
    parameters: dict[str, Value] = {
        "episodes": int(number(given, "episodes")),
        "seed": int(number(given, "seed")),
        "time_limit_s": number(given, "time_limit_s"),
        "record": given.get("record", "true") == "true",
        "result": given["result"],
        "per_round": in_rounds(given),
    }
    if answers(given):
        parameters["answers"] = answers(given)
    return (_node(given, "conductor", "conductor", parameters),)


def _policy(given: Given) -> tuple[NodeSpec, ...]:
    parameters: dict[str, Value] = {"contract": _contract(given), "checkpoint": given["checkpoint"]}
    if "policies" in given:  # a trainer learns meanwhile: what it announces goes through the gate
        parameters |= {"candidates": "trainer/checkpoint", "gate.root": given["root"]}
    return (_node(given, "policy_server", "policy_server", parameters),)


def _trainer(given: Given) -> tuple[NodeSpec, ...]:
    parameters: dict[str, Value] = {name: given[name] for name in ("root", "contract", "recipe")}
    parameters["checkpoint"] = given.get("policies", given["checkpoint"])
    parameters["watch"] = "policies" in given
    if in_rounds(given):
        parameters["train_after"] = 0  # the conductor asks
    return (_node(given, "trainer", "trainer", parameters),)


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario(
            "record",
            "A person, or a scripted expert, shows a task and the recorder keeps it.",
            (EXPERT, ROOT, OPERATOR, *WORLD, *UNATTENDED),
            lambda given: (
                *_sim(given),
                *_expert(given),
                *_supervisor(given),
                *_recorder(given),
                *_conductor(given),
            ),
        ),
        Scenario(
            "deploy",
            "A trained policy acts; an expert may take over.",
            (CHECKPOINT, TAKEOVER, RECORD, ROOT, OPERATOR, *WORLD, *UNATTENDED),
            lambda given: (
                *_sim(given),
                *_policy(given),
                *_expert(given),
                *_supervisor(given),
                *_recorder(given),
                *_conductor(given),
            ),
        ),
        Scenario(
            "dagger",
            "A policy acts, an expert corrects it, and the trainer makes the next policy of both.",
            (
                *(FIRST, TRAINED, CORRECTOR, SESSION, PERSON, REPORT, MODE, BETA, UNIT),
                *(ASK, PER_HOUR, AT_ONCE, WARM_UP, LEAST),
                *(RECIPE, ROOT, OPERATOR, *WORLD, *UNATTENDED, PER_ROUND),
            ),
            lambda given: (
                *_sim(given),
                *_policy(given),
                *_expert(given),
                *_supervisor(given),
                *_recorder(given),
                *_trainer(given),
                *_session(given),
                *_conductor(given),
            ),
        ),
        Scenario(
            "env",
            "A program of yours acts, through il_ros.nodes.ros_env.RosEnv; an expert may take over.",
            (TAKEOVER, KEEP, ROOT, OPERATOR, *WORLD),
            lambda given: _patient(
                given, (*_sim(given), *_expert(given), *_supervisor(given), *_recorder(given))
            ),
        ),
        Scenario(
            "train",
            "The trainer waits for its ~/train service and trains from the recorded episodes.",
            (ROOT, POLICIES, RECORDED, RECIPE, NAMESPACE, PARAMETERS),
            _trainer,
        ),
        Scenario(
            "sim",
            "The simulator alone.",
            (TASK, SIMULATOR, SPEED, SEED, CAMERAS, NAMESPACE, PARAMETERS),
            _sim,
        ),
    )
}


def _contract(given: Given) -> str:
    return given["contract"] or TASKS[given["task"]]


def _lockstep(given: Given) -> bool:
    return number(given, "speed") == 0 and "expert" in given


def _patient(given: Given, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Let a program think: in lockstep the simulator and the supervisor's timer wait for it."""
    waits = {"sim": "lockstep_timeout_s", "dagger_supervisor": "silence_s"}
    return tuple(
        replace(spec, parameters={**spec.parameters, waits[spec.name]: THINKING_S})
        if _lockstep(given) and isinstance(spec, NodeSpec) and spec.name in waits
        else spec
        for spec in specs
    )
