"""Facts that follow from a scenario's arguments."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from il_ros.interactive.modes.beta import BetaSchedule
from il_ros.sim.tasks.task import task_class, task_names

Given = Mapping[str, str]


def in_session(given: Given) -> bool:
    """Return whether a session console runs; unattended episodes need none."""
    wanted = given.get("session", "false") == "true"
    return wanted and (given.get("person") == "simulated" or not unattended(given))


def starts_at_rest(given: Given) -> bool:
    """Return whether the robot moves only after a person has let it: where a policy runs, and not unattended."""
    return given.get("start") == "rest" and (in_session(given) or not unattended(given))


def unattended(given: Given) -> bool:
    """Return whether episodes run unattended."""
    return number(given, "episodes") > 0 if "episodes" in given else False


def simulated_takeovers(given: Given) -> bool:
    """Return whether, without a session, a simulated person takes over from the policy and hands back."""
    alone = unattended(given) and not in_session(given)
    return alone and given.get("mode") == "hg_dagger" and given["person"] == "simulated"


def in_rounds(given: Given) -> int:
    """Return the number of unattended episodes per round; 0: episodes do not wait for the next policy."""
    return whole_number(given, "per_round") if "per_round" in given and not in_session(given) else 0


def answers(given: Given) -> str:
    """Return the further topics that lockstep waits for in unattended episodes, separated by spaces.

    Without them the source without authority would fall behind, and its labels would be late.
    """
    if not (unattended(given) and "policies" in given and number(given, "speed") == 0) or in_session(given):
        return ""
    policy = ["policy_server/proposal"] if Path(given["checkpoint"]).is_dir() else []
    return " ".join(policy + (["expert/advice"] if given["expert"] == "scripted" else []))


def number(given: Given, name: str) -> float:
    """Return an argument as a number; raises ValueError when it is not a number of 0 or more."""
    try:
        value = float(given[name])
    except ValueError:
        raise ValueError(f"{name}:={given[name]} is not a number") from None
    if not value >= 0:
        raise ValueError(f"{name}:={given[name]}: a number of 0 or more is needed")
    return value


def whole_number(given: Given, name: str) -> int:
    """Return an argument as a whole number; raises ValueError when it is not one of 0 or more."""
    value = number(given, name)
    if not value.is_integer():
        raise ValueError(f"{name}:={given[name]}: a whole number is needed")
    return int(value)


def share(given: Given, name: str) -> float:
    """Return an argument as a number; raises ValueError when it is not one from 0 to 1."""
    value = number(given, name)
    if value > 1:
        raise ValueError(f"{name}:={given[name]}: a number from 0 to 1 is needed")
    return value


def beta(given: Given) -> str:
    """Return the argument `beta`; raises ValueError when it is no schedule."""
    try:
        return BetaSchedule(given["beta"]).text
    except ValueError as error:
        raise ValueError(f"beta:={given['beta']}: {error}") from error


def contract(given: Given) -> str:
    """Return the contract's file or name; raises ValueError when a user-defined task has none."""
    return given["contract"] or task_contract(given, "contract:= is needed")


def task_contract(given: Given, needed: str) -> str:
    """Return a simulated task's contract; for any other task raises ValueError with the hint `needed`."""
    if given["task"] not in task_names():
        raise ValueError(f"task:={given['task']} is none of {', '.join(task_names())}: {needed}")
    return task_class(given["task"]).contract


def lockstep(given: Given) -> bool:
    """Return whether the simulator runs in lockstep, which needs nodes that answer each frame."""
    return number(given, "speed") == 0 and "expert" in given
