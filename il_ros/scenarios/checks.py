"""What is wrong with a scenario's files and folders, found before any node starts."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from il_ros.core import atomic, contract
from il_ros.core.contract import ContractError
from il_ros.core.tables import worded
from il_ros.policies.lineage import find_policy, is_awaited
from il_ros.records import trials
from il_ros.rewards.folders import find_reward
from il_ros.scenarios.graph import NodeSpec, Spec
from il_ros.sim.installed import why_missing
from il_ros.sim.tasks.task import GZ, task_class, task_names

_MOST_S = 120.0
"""Time for the check of a checkpoint, which imports torch."""
TOLD_S = 1.0
"""Time that such a check takes without a word."""
_WRITTEN = {
    "recorder": {"root": "the episodes"},
    "trainer": {"checkpoint": "the policies"},
}
"""Parameters that name a folder to write into, by executable, and what is written."""


class CheckError(ValueError):
    """A scenario cannot work; the message says what is wrong, each thing once."""


def check_simulators(specs: Sequence[Spec]) -> None:
    """Raise CheckError if a simulator of the nodes is not installed; the message says what to install."""
    problems = {
        f"simulator {name}: {why}"
        for spec in specs
        if isinstance(spec, NodeSpec) and (name := _simulator(spec)) and (why := why_missing(name))
    }
    if problems:
        raise CheckError("\n".join(sorted(problems)))


def check_files(specs: Sequence[Spec], tell: Callable[[str], object] = lambda line: None) -> None:
    """Raise CheckError if a contract, a recipe, a checkpoint or a reward model of the nodes cannot be used.

    So does a simulator that is not installed, and a folder, or a result file, that a node could not write. `tell` gets
    a sentence about what takes longer than TOLD_S.
    """
    check_simulators(specs)
    own = [spec for spec in specs if isinstance(spec, NodeSpec) and spec.package == "il_ros"]
    problems = dict.fromkeys(_files(own))
    if not problems:  # a policy is compared with the contract
        problems = dict.fromkeys((*_policies(own, tell), *_rewards(own, tell)))
    if problems:
        raise CheckError("\n".join(problems))


def contracts_of(specs: Sequence[Spec]) -> dict[str, list[NodeSpec]]:
    """Return the nodes by the contract that they use."""
    found: dict[str, list[NodeSpec]] = {}
    for spec in specs:
        if isinstance(spec, NodeSpec) and spec.parameters.get("contract"):
            found.setdefault(str(spec.parameters["contract"]), []).append(spec)
    return found


def _simulator(spec: NodeSpec) -> str:
    """Return the simulator that a node needs, "" if none."""
    if spec.executable == "sim":
        return str(spec.parameters.get("simulator", ""))
    return GZ if spec.executable == "sim_gz" else ""


def _files(specs: Sequence[NodeSpec]) -> Iterator[str]:
    for name in contracts_of(specs):
        try:
            contract.find(name)
        except ContractError as error:
            yield str(error)
    yield from _other_robot(specs)
    for spec in specs:
        yield from _outputs(spec)
    for spec in specs:
        if spec.executable == "trainer" and spec.parameters.get("recipe"):
            yield from _recipe(str(spec.parameters["recipe"]))


def _other_robot(specs: Sequence[NodeSpec]) -> Iterator[str]:
    """Yield which contracts command nothing that the simulated task moves by."""
    tasks = {str(spec.parameters["task"]) for spec in specs if spec.executable == "sim"}
    for task in tasks & set(task_names()):
        own = contract.find(task_class(task).contract)
        taken = {action.topic for action in own.actions}
        for name in contracts_of(specs):
            try:
                given = contract.find(name)
            except ContractError:
                continue  # said already
            topics = {action.topic for action in given.actions}
            if not topics & taken:
                yield (
                    f"contract '{given.name}' commands {', '.join(sorted(topics))}; the simulated task '{task}' takes "
                    f"{', '.join(sorted(taken))}, as contract '{own.name}' says"
                )


def _outputs(spec: NodeSpec) -> Iterator[str]:
    """Yield why a node cannot write where its parameters say; "" is the node's own default."""
    for name, what in _WRITTEN.get(spec.executable, {}).items():
        if folder := str(spec.parameters.get(name, "")):
            try:
                atomic.require_folder(Path(folder).expanduser())
            except OSError as error:
                yield f"{worded(error)}; choose another folder for {what}"
    if spec.executable == "conductor" and (file := str(spec.parameters.get("result", ""))):
        try:
            atomic.require_own(Path(file), *trials.SIGNS)
        except OSError as error:
            yield f"result: {worded(error)}"


def _recipe(name: str) -> Iterator[str]:
    from il_ros.training.trainer.recipe_file import has_own_steps

    try:
        by_own_steps = has_own_steps(name)  # names a missing file before torch is imported
        from il_ros.rl import recipe as own_steps
        from il_ros.training import recipe

        (own_steps if by_own_steps else recipe).load(name)
    except ValueError as error:
        yield str(error)


def _policies(specs: Sequence[NodeSpec], tell: Callable[[str], object]) -> Iterator[str]:
    for spec in specs:
        if spec.executable != "policy_server":
            continue
        folder = str(spec.parameters.get("checkpoint", ""))
        if is_awaited(folder, str(spec.parameters.get("candidates", ""))):
            continue
        try:
            find_policy(Path(folder))
        except ValueError as error:  # found without torch
            yield str(error)
            continue
        wanted = str(spec.parameters.get("contract", ""))
        yield from _loaded(tell, folder, wanted)


def _rewards(specs: Sequence[NodeSpec], tell: Callable[[str], object]) -> Iterator[str]:
    for spec in specs:
        for family in ("success", "progress") if spec.executable == "judge" else ():
            if folder := str(spec.parameters.get(family, "")):
                try:
                    find_reward(Path(folder))
                except ValueError as error:  # found without torch
                    yield str(error)
                    continue
                yield from _loaded(tell, folder, str(spec.parameters.get("contract", "")), family)


def _loaded(tell: Callable[[str], object], folder: str, wanted: str, *family: str) -> Iterator[str]:
    # in another process: the weights and torch are not needed here
    words = [sys.executable, "-m", "il_ros.scenarios.policy_check", folder, wanted, *family]
    what = f"the {family[0]} model" if family else "the policy"
    with subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as checking:
        try:
            try:
                _, said = checking.communicate(timeout=TOLD_S)
            except subprocess.TimeoutExpired:
                tell(f"checking {what} in {folder}")
                _, said = checking.communicate(timeout=_MOST_S)
        except subprocess.TimeoutExpired:
            yield f"{folder}: {what} could not be loaded within {_MOST_S:.0f} s"
            return
        finally:
            checking.kill()  # also at Ctrl-C; nothing happens to one that has ended
    if checking.returncode != 0:
        yield said.strip() or f"{folder}: the checkpoint could not be checked"
