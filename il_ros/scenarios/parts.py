"""The parts of scenarios: each function returns the nodes of one part, possibly none.

They raise ValueError when an argument is not a number, or when arguments contradict each other.
"""

from __future__ import annotations

from dataclasses import replace

from il_ros.core import contract as contracts
from il_ros.core.contract import ContractError
from il_ros.core.plugins import EXPERTS, names
from il_ros.core.processes.executables import NODES
from il_ros.records.rating import TOPIC as RATING
from il_ros.scenarios.given import (
    Given,
    answers,
    beta,
    contract,
    in_rounds,
    in_session,
    lockstep,
    number,
    share,
    simulated_takeovers,
    starts_at_rest,
    task_contract,
    unattended,
    whole_number,
)
from il_ros.scenarios.graph import NodeSpec, Spec, Value
from il_ros.scenarios.gz_sim import server_and_bridge
from il_ros.scenarios.node import node
from il_ros.scenarios.node_parameters import DEVICE_NODE
from il_ros.scenarios.session_node import session_options, session_parameters
from il_ros.session.setup import REST_MODE
from il_ros.sim.tasks.task import camera_names, more_cameras, require_simulator, task_class

THINKING_S = 60.0
"""Time-out for one action of a program in lockstep; afterwards the simulator steps without it."""


def sim(given: Given) -> tuple[Spec, ...]:
    """Return the simulator, unless a robot is used; for gz-sim, with its server and bridge."""
    if given.get("sim", "true") == "false":
        return ()
    task_contract(given, "it is not simulated; a robot's own task needs sim:=false")
    require_simulator(task_class(given["task"]), given["simulator"])
    if given["simulator"] == "gz":
        return _gz(given)
    speed = number(given, "speed")
    parameters: dict[str, Value] = {
        "task": given["task"],
        "simulator": given["simulator"],
        "seed": whole_number(given, "seed"),
        "speed": speed,
        # Lockstep needs nodes that answer each tick; the simulator alone has none.
        "lockstep": lockstep(given),
        "cameras": given["cameras"] == "true",
        "paused": unattended(given) or (in_session(given) and speed == 0),
    }
    if answers(given):
        parameters["lockstep_answers"] = answers(given)
    if asked := _more_cameras(given):
        parameters["more_cameras"] = asked
    needed = ("task", "simulator", "lockstep", "lockstep_answers", "paused")
    return (node(given, "sim", "sim", parameters, sim_time=False, required=needed),)


def _gz(given: Given) -> tuple[Spec, ...]:
    """Return gz-sim, the ros_gz bridge, and the node that provides the task's robot from them."""
    if number(given, "speed") != 1:
        raise ValueError(f"speed:={given['speed']}: gz-sim runs by its own clock; leave speed at 1")
    if unattended(given):
        raise ValueError("episodes:= needs a simulator that waits; with gz, start and stop episodes yourself")
    beside = server_and_bridge(given["task"], given["namespace"])
    task: dict[str, Value] = {"task": given["task"], "seed": whole_number(given, "seed")}
    return (*beside, node(given, "sim_gz", "sim", task, sim_time=False))


def expert(given: Given) -> tuple[NodeSpec, ...]:
    """Return the expert: a scripted expert, or the node of a teleoperation device."""
    if given["expert"] == "none":
        return ()
    executable = _executable(given["expert"])
    parameters: dict[str, Value] = {"contract": contract(given)}
    if executable == "scripted_expert":
        # The scripted expert observes the task's state, even when the policy observes images.
        seen = task_contract(given, "it has no scripted expert; choose another with expert:=")
        if given["task"] not in names(EXPERTS):
            raise ValueError(f"task:={given['task']} has no scripted expert; choose another with expert:=")
        parameters |= {"task": given["task"], "contract": seen}
        parameters["engaged"] = not (in_session(given) and session_options(given).by_key)
        if simulated_takeovers(given):
            parameters |= {"demonstrations": given["root"], "seed": whole_number(given, "seed")}
    elif executable == "teleop_keyboard":
        parameters["keys_topic"] = "session/keys"
    elif executable == DEVICE_NODE:
        parameters["device"] = given["expert"]
    needed = ("task", "engaged", "demonstrations", "keys_topic", "device")
    return (node(given, executable, "expert", parameters, required=needed),)


def _executable(expert: str) -> str:
    """Return the executable of the scripted expert, or of a device: its own, or the one for every device."""
    if expert == "scripted":
        return "scripted_expert"
    return f"teleop_{expert}" if f"teleop_{expert}" in NODES else DEVICE_NODE


def supervisor(given: Given) -> tuple[NodeSpec, ...]:
    """Return the supervisor, in the chosen mode; at rest where a person lets the policy drive."""
    parameters: dict[str, Value] = {"contract": contract(given)}
    at_rest = starts_at_rest(given)
    if at_rest:
        by_device = given["expert"] not in ("none", "scripted")  # a person drives by it, also at rest
        parameters |= {"start": "rest", "manual": "expert" if by_device else ""}
    if given.get("progress_model"):
        parameters |= {"judge_topic": RATING, "gated.sources": "policy progress"}
    if "mode" in given:
        parameters["mode"] = REST_MODE if in_session(given) and at_rest else given["mode"]
    if "beta" in given:
        parameters |= {
            "dagger.beta": beta(given),
            "dagger.unit": given["unit"],
            "dagger.seed": whole_number(given, "seed"),
            "gated.ask": number(given, "ask"),
            "gated.per_hour": whole_number(given, "per_hour"),
            "gated.at_once": whole_number(given, "at_once"),
            "gated.warm_up_s": number(given, "warm_up_s"),
            "gated.least_s": number(given, "least_s"),
            # The scripted expert always proposes; a person proposes only to take over.
            "gated.takeover": "asked" if given["expert"] == "scripted" else "anytime",
        }
    needed = ("mode",) if in_session(given) else ()
    by = {"gated.takeover": "expert"}
    return (node(given, "dagger_supervisor", "dagger_supervisor", parameters, required=needed, source=by),)


def action_clients(given: Given) -> tuple[NodeSpec, ...]:
    """Return the nodes that forward commands to action servers; their names are given."""
    parameters: dict[str, Value] = {"contract": contract(given)}
    return tuple(
        node(given, "action_client", name, parameters) for name in given.get("action_clients", "").split()
    )


def recorder(given: Given) -> tuple[NodeSpec, ...]:
    """Return the recorder, if one is wanted."""
    if given.get("record", "true") == "false":
        return ()
    parameters: dict[str, Value] = {
        "contract": contract(given),
        "root": given["root"],
        "task": given["task"],
        "operator": given["operator"],
    }
    if given["sim"] == given["cameras"] == "true" and (in_session(given) or "attach" in given):
        # a person sees them in the report; unattended episodes are for training only
        parameters["camera_topics"] = " ".join(f"{name}/image_raw" for name in _cameras(given["task"]))
    if given.get("success_model") and (
        in_session(given) or not unattended(given)
    ):  # else the conductor ends them
        parameters["judge_topic"] = RATING
    return (node(given, "recorder", "recorder", parameters),)


def _cameras(task: str) -> list[str]:
    """Return the names of the topics' cameras of a simulated task, as the simulator publishes them."""
    return [name if name == "camera" else f"{name}_camera" for name in camera_names(task)]


def _more_cameras(given: Given) -> str:
    """Return the task's cameras that publish only on request and that the contract observes, separated by spaces."""
    names = more_cameras(task_class(given["task"]))
    if not (names and given.get("contract")):
        return ""  # a task's own contract observes none of them
    try:
        known = contracts.find(given["contract"])
    except (ContractError, FileNotFoundError):
        return ""  # the nodes refuse the contract
    topics = {spec.topic for spec in known.observations}
    return " ".join(name for name in names if f"{name}_camera/image_raw" in topics)


def judge(given: Given) -> tuple[NodeSpec, ...]:
    """Return the node whose models rate the running episode, if there is a model."""
    models: dict[str, Value] = {name: given.get(f"{name}_model", "") for name in ("success", "progress")}
    if not any(models.values()):
        return ()
    parameters: dict[str, Value] = {"contract": contract(given), "end_at": share(given, "end_at"), **models}
    by = {name: f"{name}_model" for name in models}
    return (node(given, "judge", "judge", parameters, source=by),)


def session(given: Given) -> tuple[NodeSpec, ...]:
    """Return the console of one, possibly simulated, person."""
    if not in_session(given):
        return ()
    parameters = session_parameters(given, contract(given))
    if given.get("success_model"):
        parameters["judge_topic"] = RATING
    needed = ("simulator", "teacher", "person", "driving_keys")
    return (replace(node(given, "session", "session", parameters, required=needed), terminal=True),)


def conductor(given: Given) -> tuple[NodeSpec, ...]:
    """Return the conductor, which runs unattended episodes."""
    if not unattended(given) or in_session(given):
        return ()
    if given["sim"] == "false":
        raise ValueError("episodes:= runs unattended episodes in the simulator and needs sim:=true")
    parameters: dict[str, Value] = {
        "episodes": whole_number(given, "episodes"),
        "seed": whole_number(given, "seed"),
        "time_limit_s": number(given, "time_limit_s"),
        "record": given.get("record", "true") == "true",
        "result": given["result"],
        "per_round": in_rounds(given),
    }
    if answers(given):
        parameters["answers"] = answers(given)
    needed = ("episodes", "record", "per_round", "answers")
    return (node(given, "conductor", "conductor", parameters, required=needed),)


def policy(given: Given) -> tuple[NodeSpec, ...]:
    """Return the policy server."""
    parameters: dict[str, Value] = {"contract": contract(given), "checkpoint": given["checkpoint"]}
    if "policies" in given:  # a trainer runs: its new policies must pass promotion
        parameters |= {"candidates": "trainer/checkpoint", "promotion.root": given["root"]}
        parameters["versions"] = given["policies"]
    by = {"promotion.root": "root", "versions": "policies"}
    needed = ("candidates",)
    return (node(given, "policy_server", "policy_server", parameters, required=needed, source=by),)


def trainer(given: Given) -> tuple[NodeSpec, ...]:
    """Return the trainer, which trains on request or as episodes arrive."""
    parameters: dict[str, Value] = {name: given[name] for name in ("root", "contract", "recipe")}
    parameters["checkpoint"] = given["policies"]
    parameters["watch"] = "mode" in given  # beside a supervisor; the scenario `train` trains on request
    if in_rounds(given):
        parameters["train_after"] = 0  # the conductor requests training
    by = {"checkpoint": "policies"} if "policies" in given else {}
    return (node(given, "trainer", "trainer", parameters, required=("watch", "train_after"), source=by),)


def patient(given: Given, specs: tuple[Spec, ...]) -> tuple[Spec, ...]:
    """Return `specs` with time-outs long enough for a program: in lockstep simulator and supervisor wait."""
    waits = {"sim": "lockstep_timeout_s", "dagger_supervisor": "silence_s"}
    return tuple(
        replace(spec, parameters={**spec.parameters, waits[spec.name]: THINKING_S})
        if lockstep(given) and isinstance(spec, NodeSpec) and spec.name in waits
        else spec
        for spec in specs
    )
