"""The parameters of the session node."""

from __future__ import annotations

from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.contract import ContractError
from il_ros.core.specs import COMPRESSED_IMAGE
from il_ros.policies.lineage import CheckpointError, find_policy
from il_ros.scenarios.given import Given, number, whole_number
from il_ros.scenarios.graph import Value
from il_ros.session.setup import SessionOptions
from il_ros.sim.tasks.task import task_class


def session_options(given: Given) -> SessionOptions:
    """Return the options of the session."""
    return SessionOptions(
        mode=given["mode"],
        trainer="policies" in given,
        recorder=given.get("record", "true") == "true",
        simulator=given["sim"] == "true" and given["simulator"] != "gz",  # gz does not wait for the session
        teacher=given["expert"] == "scripted",
        time_limit_s=number(given, "time_limit_s"),
        seed=whole_number(given, "seed"),
    )


def session_parameters(given: Given, contract: str) -> dict[str, Value]:
    """Return the parameters of the session's node.

    Raises ValueError when a simulated person has no scripted expert to act by.
    """
    person = given.get("person", "you")
    if person == "simulated" and given["expert"] != "scripted":
        raise ValueError("person:=simulated acts by the scripted expert: expert:=scripted is needed")
    options = session_options(given)
    return {
        "contract": task_class(given["task"]).contract if options.teacher else contract,
        "mode": options.mode,
        "simulator": options.simulator,
        "teacher": options.teacher,
        "time_limit_s": options.time_limit_s,
        "seed": options.seed,
        "person": person,
        "awaits_policy": person == "simulated" and _holds_policy(given.get("checkpoint", "")),
        "trainer": options.trainer,
        "recorder": options.recorder,
        "driving_keys": given["expert"] == "keyboard",
        "root": given["root"],
        "goal": goal_of(given["task"]) if given["sim"] == "true" else "",
        **view_parameters(given, contract),
        "report": given["root"] if given.get("report") == "true" else "",
        "episodes": max(1, whole_number(given, "episodes")),
    }


def _holds_policy(folder: str) -> bool:
    """Return whether there is a policy to begin with; the server otherwise waits for the first one."""
    try:
        return bool(folder) and find_policy(Path(folder)).is_dir()
    except CheckpointError:
        return False


def goal_of(task: str) -> str:
    """Return a line that says what a simulated task is and when it has succeeded."""
    return f"task {task}: {task_class(task).goal}"


def view_parameters(given: Given, contract: str) -> dict[str, Value]:
    """Return the camera that the console shows: the simulator's best, or the robot's first in the contract."""
    if given["sim"] == "true":
        return {"view": view_of(given["task"]) if given["cameras"] == "true" else ""}
    try:
        known = contracts.find(contract)
    except (ContractError, FileNotFoundError):
        return {"view": ""}  # the nodes refuse the contract
    cameras = [spec for spec in known.observations if spec.image is not None]
    if not cameras:
        return {"view": ""}
    return {"view": cameras[0].topic, "view_compressed": cameras[0].type == COMPRESSED_IMAGE}


def view_of(task: str) -> str:
    """Return the topic of the camera with the best view of a simulated task."""
    return task_class(task).view
