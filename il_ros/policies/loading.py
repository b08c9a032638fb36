"""The policy of a folder: a trained one (`checkpoint`), or one of another process (`remote`)."""

from __future__ import annotations

from pathlib import Path
from typing import TypeAlias

from il_ros.core.contract import Contract, differences
from il_ros.policies import checkpoint
from il_ros.policies.checkpoint import NotHereError
from il_ros.policies.remote import policy as remote
from il_ros.policies.remote.extra import MissingError
from il_ros.policies.remote.mapping import FILE, MappingError
from il_ros.policies.remote.policy import RemotePolicy
from il_ros.policies.runner import LoadedPolicy

AnyPolicy: TypeAlias = LoadedPolicy | RemotePolicy


def find_policy(path: Path) -> Path:
    """Return the folder of a remote policy, or of the checkpoint at or below `path`; raises as `checkpoint.find`."""
    return path if remote.holds_remote(path) else checkpoint.find(path)


def load_policy(path: str | Path, contract: Contract | None = None, device: str = "cpu") -> AnyPolicy:
    """Return the policy at `path`; a remote one is not connected yet, and has no use for `device`.

    `contract`: the required contract. Raises CheckpointError, and its NotHereError, as `checkpoint.load`.
    """
    folder = Path(path)
    if not remote.holds_remote(folder):
        return checkpoint.load_driving(folder, contract, device)
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
