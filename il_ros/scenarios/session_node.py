"""The parameters of the session node."""

from __future__ import annotations

from il_ros.scenarios.arguments import TASKS
from il_ros.scenarios.given import Given, number
from il_ros.scenarios.graph import Value
from il_ros.session.setup import SessionOptions


def session_options(given: Given) -> SessionOptions:
    """Return the options of the session."""
    return SessionOptions(
        mode=given["mode"],
        trainer="policies" in given,
        recorder=given.get("record", "true") == "true",
        simulator=given["sim"] == "true" and given["simulator"] != "gz",  # gz does not wait for the session
        teacher=given["expert"] == "scripted",
        time_limit_s=number(given, "time_limit_s"),
        seed=int(number(given, "seed")),
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
        "contract": TASKS[given["task"]] if options.teacher else contract,
        "mode": options.mode,
        "simulator": options.simulator,
        "teacher": options.teacher,
        "time_limit_s": options.time_limit_s,
        "seed": options.seed,
        "person": person,
        "trainer": options.trainer,
        "recorder": options.recorder,
        "driving_keys": given["expert"] == "keyboard",
        "view": view_of(given["task"]) if given["sim"] == given["cameras"] == "true" else "",
        "report": given["root"] if given.get("report") == "true" else "",
        "episodes": max(1, int(number(given, "episodes"))),
    }


def view_of(task: str) -> str:
    """Return the topic of the camera with the best view of a simulated task."""
    return "camera/image_raw" if task == "drive" else "overhead_camera/image_raw"
