"""The command that follows a finished step, as it can be pasted into a shell."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from pathlib import Path

from il_ros.core.tables import counted, say
from il_ros.envs.tasks import is_environment
from il_ros.episodes.catalogue import Entry, look
from il_ros.policies.lineage import newest_good
from il_ros.sim.tasks.task import task_names

_SAME_WORLD = ("simulator", "use_sim_time", "contract", "namespace", "params_file")
"""Arguments of a scenario that its next step needs, too."""


def after_recording(root: Path) -> str:
    """Return the command that trains on the episodes under `root`."""
    return _line("il-ros", "train", root)


def after_training(out: Path, checkpoint: Path, tasks: Sequence[str], *, joint: bool = False) -> str:
    """Return the command that tests a policy: an evaluation of a simulated task, else driving the robot.

    `joint`: the policy is for several contracts, of which task or robot choose one.
    """
    simulated = [task for task in tasks if task in task_names() or is_environment(task)]
    if joint:
        return (
            _line("il-ros", "evaluate", out, "--task", simulated[0]) if simulated else _drive(out, "FILE", ())
        )
    if len(tasks) == len(simulated) == 1:
        return _line("il-ros", "evaluate", out)
    return _drive(out, checkpoint / "contract.yaml", tasks)


def after_inverse(out: Path) -> str:
    """Return the command that labels demonstrations with an inverse model."""
    return _line("il-ros", "episodes", "label", "--model", out, "EPISODES")


def after_evaluation(out: Path, task: str) -> str:
    """Return the command that corrects a policy of a simulated task while it drives."""
    if is_environment(task):
        return _line("il-ros", "env", "dagger", task, "--expert", "FILE.py:FUNCTION")
    return _line("il-ros", "session", "run", "--task", task, "--checkpoint", out)


def after_driving(given: Mapping[str, str], default: str) -> str:
    """Return the command that corrects a policy that has driven; `given`: the arguments of its scenario."""
    words = ["--task", given["task"]] if "task" in given else []
    robot = given.get("sim", "true") == "false"
    words += ["--no-sim"] if robot else []
    for name in _SAME_WORLD:
        if name in given:
            words += [f"--{name.replace('_', '-')}", given[name]]
    expert = given.get("expert", "none")
    if expert != "none" or robot:  # a robot has no scripted expert
        words += ["--expert", "keyboard" if expert == "none" else expert]
    return _line("il-ros", "session", "run", *words, "--checkpoint", given.get("checkpoint", default))


def after_correcting(given: Mapping[str, str], policies: Path, before: Collection[str], task: str) -> str:
    """Return the command that tests the newest good version in `policies` that is not in `before`, "" without one.

    `given`: the arguments of the scenario in which it was trained; `task`: the task of it.
    """
    newest = newest_good(policies)
    if newest is None or newest.name in before:
        return ""
    if given.get("sim", "true") == "false":
        return _drive(newest, newest / "checkpoint" / "contract.yaml", [task])
    return after_training(newest, newest / "checkpoint", [task])


def correcting(given: Mapping[str, str], defaults: Mapping[str, str]) -> Callable[[], str]:
    """Return what names, after a run, the command that tests the newest good version that was trained in it.

    `given`, `defaults`: the scenario's arguments; without `policies` among them nothing is trained.
    """
    if "policies" not in defaults:
        return lambda: ""
    policies = Path(given.get("policies") or defaults["policies"])
    before, task = names(policies), given.get("task") or defaults.get("task", "")
    return lambda: after_correcting(given, policies, before, task)


def names(root: Path) -> set[str]:
    """Return the names of the episodes under `root`."""
    return {path.name for path in _folders(root)}


def recorded_since(root: Path, before: set[str]) -> list[Entry]:
    """Return the episodes under `root` that are not in `before`."""
    return [look(path) for path in _folders(root) if path.name not in before]


def _folders(root: Path) -> list[Path]:
    if not root.is_dir():
        return []
    return sorted(path for path in root.iterdir() if path.is_dir() and not path.name.startswith("."))


def tell_recorded(new: Sequence[Entry], root: Path, trained: str = "") -> None:
    """Print how many episodes were recorded, with their outcomes, and the command that trains on them, if any.

    `trained`: the command to print instead, because a policy has been trained on them.
    """
    if not new:
        return
    counts = Counter(entry.outcome if entry.usable else entry.state for entry in new)
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    say(f"{counted(len(new), 'episode')} in {root}: {outcomes}")
    if any(entry.usable for entry in new):
        tell(trained or after_recording(root))


def tell(command: str) -> None:
    """Print the next step."""
    say(f"next: {command}")


def _drive(out: Path, contract: Path | str, tasks: Sequence[str]) -> str:
    task = tasks[0] if len(tasks) == 1 else "NAME"
    return _line(
        *("il-ros", "run", "deploy", "--sim", "false", "--task", task),
        *("--contract", contract, "--checkpoint", out),
    )


def _line(*words: object) -> str:
    return shlex.join(str(word) for word in words)
