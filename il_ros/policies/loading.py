"""The policy of a folder: a trained one (`checkpoint`), or one of another process (`remote`)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from il_ros.core.contract import Contract
from il_ros.core.contract_differences import differences
from il_ros.policies import checkpoint
from il_ros.policies.joint.contracts import JoinedContract
from il_ros.policies.joint.part import TASKS, part_policy
from il_ros.policies.lineage import CheckpointError, NotHereError
from il_ros.policies.remote import policy as remote
from il_ros.policies.remote.extra import MissingError
from il_ros.policies.remote.mapping import FILE, MappingError, holds_remote
from il_ros.policies.remote.policy import RemotePolicy
from il_ros.policies.runner import LoadedPolicy

AnyPolicy: TypeAlias = LoadedPolicy | RemotePolicy


def load_driving(
    path: str | Path, contract: Contract | None = None, device: str = "cpu", task: str = ""
) -> LoadedPolicy:
    """Return the policy at `path`, of a joint policy the part for `contract`, or the one that has learnt `task`.

    Raises CheckpointError as `checkpoint.load`, on an inverse model, which cannot drive, and on a joint policy unless
    one of its parts is meant.
    """
    policy = checkpoint.load(path, contract, device)
    if policy.settings.follows:
        raise CheckpointError(
            f"{path}: {policy.version} is of family '{policy.family}', which needs what is observed afterwards, so it "
            "cannot drive; it labels demonstrations without actions: il-ros episodes label"
        )
    own = policy.contract
    if not isinstance(own, JoinedContract):
        return policy
    tasks = policy.metrics.get(TASKS, {})
    meant = [part for part in own.parts if task and task in tasks.get(part.name, ())]
    if len(meant) != 1:
        listed = "; ".join(
            f"{part.name}: {', '.join(tasks.get(part.name, ())) or 'no task'}" for part in own.parts
        )
        what = f"has {len(meant)} parts for task '{task}'" if task else "is a joint policy"
        raise CheckpointError(
            f"{path}: {policy.version} {what}; choose one part by its contract or a task of it ({listed})"
        )
    return part_policy(policy, meant[0])


def load_policy(
    path: str | Path, contract: Contract | None = None, device: str = "cpu", task: str = ""
) -> AnyPolicy:
    """Return the policy at `path`; a remote one is not connected yet, and has no use for `device` and `task`.

    `contract`: the required contract. `task`, and errors: see `load_driving`; a checkpoint's NotHereError, too, when
    a remote policy has another contract.
    """
    folder = Path(path)
    if not holds_remote(folder):
        return load_driving(folder, contract, device, task)
    try:
        found = remote.load(folder)
    except (MappingError, MissingError) as error:
        raise NotHereError(str(error)) from error
    different = [] if contract is None else differences(contract, found.contract)
    if contract is not None and different:
        lines = "\n  ".join(different)
        raise NotHereError(
            f"{folder / FILE}: names another contract (here: the required one, '{contract.name}'; there: "
            f"'{found.contract.name}'):\n  {lines}"
        )
    return found
