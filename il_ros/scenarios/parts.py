"""The parts of scenarios: each function returns the nodes of one part, none where the arguments want none.

They raise ValueError when an argument is no number, or when two of them don't go together.
"""

from __future__ import annotations

from dataclasses import replace

from il_ros.scenarios.given import (
    Given,
    answers,
    contract,
    in_rounds,
    in_session,
    lockstep,
    looked_on,
    number,
    task_contract,
    unattended,
)
from il_ros.scenarios.graph import NodeSpec, Spec, Value
from il_ros.scenarios.gz_sim import server_and_bridge
from il_ros.scenarios.node import node
from il_ros.scenarios.session_node import session_options, session_parameters
from il_ros.session.setup import REST_MODE

THINKING_S = 60.0
"""How long, in lockstep, a program may take over one action before it is gone on without it."""

_EXPERTS = {
    "scripted": "scripted_expert",
    "joy": "teleop_joy",
    "leader": "teleop_leader",
    "keyboard": "teleop_keyboard",
}


def sim(given: Given) -> tuple[Spec, ...]:
    """The simulator, where none is a robot; with gz-sim, the processes beside it, too."""
    if given.get("sim", "true") == "false":
        return ()
    task_contract(given, "it is not simulated, a robot's own task needs sim:=false")
    if given["simulator"] == "gz":
        return _gz(given)
    speed = number(given, "speed")
    parameters: dict[str, Value] = {
        "task": given["task"],
        "simulator": given["simulator"],
        "seed": int(number(given, "seed")),
        "speed": speed,
        # Lockstep needs someone to answer each tick: with the simulator alone there is nobody.
        "lockstep": lockstep(given),
        "cameras": given["cameras"] == "true",
        "paused": unattended(given) or (in_session(given) and speed == 0),
    }
    if answers(given):
        parameters["lockstep_answers"] = answers(given)
    return (node(given, "sim", "sim", parameters, sim_time=False),)


def _gz(given: Given) -> tuple[Spec, ...]:
    """gz-sim and ros_gz's bridge, and the node that makes a task's robot of them."""
    if number(given, "speed") != 1:
        raise ValueError(f"speed:={given['speed']}: gz-sim runs by its own clock; leave speed at 1")
    if unattended(given):
        raise ValueError("episodes:= needs a simulator that waits; with gz, start and stop them yourself")
    beside = server_and_bridge(given["task"], given["namespace"])
    task: dict[str, Value] = {"task": given["task"], "seed": int(number(given, "seed"))}
    return (*beside, node(given, "sim_gz", "sim", task, sim_time=False))


def expert(given: Given) -> tuple[NodeSpec, ...]:
    """Who proposes as the expert: a teacher, or the node of a device."""
    if given["expert"] == "none":
        return ()
    executable = _EXPERTS[given["expert"]]
    parameters: dict[str, Value] = {"contract": contract(given)}
    if executable == "scripted_expert":
        # The teacher looks at the task's state also when the policy learns from pictures.
        seen = task_contract(given, "it has no scripted expert, choose another expert:=")
        parameters |= {"task": given["task"], "contract": seen}
        parameters["engaged"] = not (in_session(given) and session_options(given).by_key)
        if looked_on(given):
            parameters |= {"demonstrations": given["root"], "seed": int(number(given, "seed"))}
    elif executable == "teleop_keyboard":
        parameters["keys_topic"] = "session/keys"
    return (node(given, executable, "expert", parameters),)


def supervisor(given: Given) -> tuple[NodeSpec, ...]:
    """The one authority, in the mode that was chosen."""
    parameters: dict[str, Value] = {"contract": contract(given)}
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
    return (node(given, "dagger_supervisor", "dagger_supervisor", parameters),)


def recorder(given: Given) -> tuple[NodeSpec, ...]:
    """Who keeps what happens."""
    if given.get("record", "true") == "false":
        return ()
    parameters: dict[str, Value] = {
        "contract": contract(given),
        "root": given["root"],
        "task": given["task"],
        "operator": given["operator"],
    }
    return (node(given, "recorder", "recorder", parameters),)


def session(given: Given) -> tuple[NodeSpec, ...]:
    """The console of one person, who may be simulated."""
    if not in_session(given):
        return ()
    parameters = session_parameters(given, contract(given))
    return (replace(node(given, "session", "session", parameters), terminal=True),)


def conductor(given: Given) -> tuple[NodeSpec, ...]:
    """Who runs unattended episodes."""
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
    return (node(given, "conductor", "conductor", parameters),)


def policy(given: Given) -> tuple[NodeSpec, ...]:
    """Who proposes as the policy."""
    parameters: dict[str, Value] = {"contract": contract(given), "checkpoint": given["checkpoint"]}
    if "policies" in given:  # a trainer learns meanwhile: what it announces goes through the gate
        parameters |= {"candidates": "trainer/checkpoint", "promotion.root": given["root"]}
    return (node(given, "policy_server", "policy_server", parameters),)


def trainer(given: Given) -> tuple[NodeSpec, ...]:
    """Who trains, when asked or as episodes come."""
    parameters: dict[str, Value] = {name: given[name] for name in ("root", "contract", "recipe")}
    parameters["checkpoint"] = given.get("policies", given["checkpoint"])
    parameters["watch"] = "policies" in given
    if in_rounds(given):
        parameters["train_after"] = 0  # the conductor asks
    return (node(given, "trainer", "trainer", parameters),)


def patient(given: Given, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Let a program think: in lockstep the simulator and the supervisor's timer wait for it."""
    waits = {"sim": "lockstep_timeout_s", "dagger_supervisor": "silence_s"}
    return tuple(
        replace(spec, parameters={**spec.parameters, waits[spec.name]: THINKING_S})
        if lockstep(given) and isinstance(spec, NodeSpec) and spec.name in waits
        else spec
        for spec in specs
    )
