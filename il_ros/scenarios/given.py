"""What the arguments of a scenario mean together."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from il_ros.scenarios.arguments import TASKS

Given = Mapping[str, str]


def in_session(given: Given) -> bool:
    """Whether a person has a console; the conductor's unattended episodes need none."""
    wanted = given.get("session", "false") == "true"
    return wanted and (given["person"] == "simulated" or not unattended(given))


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


def contract(given: Given) -> str:
    """Return the contract's file or name; raises ValueError where a task of one's own has none."""
    return given["contract"] or task_contract(given, "contract:= is needed")


def task_contract(given: Given, needed: str) -> str:
    """Return the contract of the simulated task; raises ValueError saying what is `needed` for another."""
    if given["task"] not in TASKS:
        raise ValueError(f"task:={given['task']} is none of {', '.join(TASKS)}: {needed}")
    return TASKS[given["task"]]


def lockstep(given: Given) -> bool:
    """Whether the simulator goes as fast as it is answered; alone it has nobody to answer it."""
    return number(given, "speed") == 0 and "expert" in given
