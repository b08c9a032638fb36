"""When a scenario has a session, and what its node is told."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from il_ros.graph import Value
from il_ros.scenario_arguments import TASKS
from il_ros.session_setup import Options

Given = Mapping[str, str]


def in_session(given: Given) -> bool:
    """Whether a person has a console; the conductor's unattended episodes need none."""
    wanted = given.get("session", "false") == "true"
    return wanted and (given["person"] == "simulated" or not unattended(given))


def session_options(given: Given) -> Options:
    """Return how the session is set up."""
    return Options(
        mode=given["mode"],
        simulator=given["sim"] == "true" and given["simulator"] != "gz",  # that one doesn't wait
        teacher=given["expert"] == "scripted",
        time_limit_s=number(given, "time_limit_s"),
        seed=int(number(given, "seed")),
    )


def session_parameters(given: Given, contract: str) -> dict[str, Value]:
    """Return the parameters of the session's node.

    Raises ValueError when a simulated person would have no thoughts.
    """
    if given["person"] == "simulated" and given["expert"] != "scripted":
        raise ValueError("person:=simulated thinks as the scripted expert does: expert:=scripted is needed")
    options = session_options(given)
    return {
        "contract": TASKS[given["task"]] if options.teacher else contract,
        "mode": options.mode,
        "simulator": options.simulator,
        "teacher": options.teacher,
        "time_limit_s": options.time_limit_s,
        "seed": options.seed,
        "person": given["person"],
        "driving_keys": given["expert"] == "keyboard",
        "view": view_of(given["task"]) if given["sim"] == given["cameras"] == "true" else "",
        "report": given["root"] if given["report"] == "true" else "",
        "episodes": max(1, int(number(given, "episodes"))),
    }


def view_of(task: str) -> str:
    """Return the topic of the camera that shows a person most of a simulated task."""
    return "camera/image_raw" if task == "drive" else "overhead_camera/image_raw"


def unattended(given: Given) -> bool:
    """Whether episodes run without a person."""
    return number(given, "episodes") > 0 if "episodes" in given else False


def looked_on(given: Given) -> bool:
    """Whether, without a session, a simulated person takes over from the policy and hands back."""
    alone = unattended(given) and not in_session(given)
    return alone and given.get("mode") == "hg_dagger" and given["person"] == "simulated"


def in_rounds(given: Given) -> int:
    """Return how many unattended episodes make a round, 0 when nobody waits for the next policy."""
    return int(number(given, "per_round")) if "per_round" in given and not in_session(given) else 0


def answers(given: Given) -> str:
    """Return the topics, by spaces, of who else answers every frame of unattended episodes in lockstep.

    Where one of two drives, the other one would fall behind: its labels or its judgement would be late.
    """
    if not (unattended(given) and "policies" in given and number(given, "speed") == 0) or in_session(given):
        return ""
    policy = ["policy_server/proposal"] if Path(given["checkpoint"]).is_dir() else []
    return " ".join(policy + (["expert/advice"] if given["expert"] == "scripted" else []))


def number(given: Given, name: str) -> float:
    """Return an argument as a number; raises ValueError when it is none."""
    try:
        return float(given[name])
    except ValueError:
        raise ValueError(f"{name}:={given[name]} is not a number") from None
