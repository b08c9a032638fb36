"""Loading a checkpoint that may take the driving policy's place, and its first answers, which are slow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from il_ros.contract import Contract, differences
from il_ros.interactive.admission import Observation

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy

WARM_UP_CALLS = 5  # the first calls allocate and choose kernels


def loaded(
    path: Path, contract: Contract | None, driving: LoadedPolicy | None, device: str
) -> tuple[LoadedPolicy | None, str]:
    """Return the policy at `path`, or why it can't drive in the place of `driving`."""
    from il_ros.policies.checkpoint import CheckpointError, load

    try:
        found = load(path, contract, device)
    except (CheckpointError, RuntimeError, OSError) as error:  # RuntimeError: a device that is not there
        return None, str(error)
    changed = () if driving is None else differences(driving.contract, found.contract)
    return (None, "it has another contract: " + "; ".join(changed)) if changed else (found, "")


def warm_up(policy: LoadedPolicy) -> None:
    """Let a policy answer made-up observations, so that the first tick is not the slow one."""
    for _ in range(WARM_UP_CALLS):
        policy.act(made_up(policy.contract))


def made_up(contract: Contract) -> Observation:
    """Return an observation of zeros."""
    return {
        spec.key: np.array("") if spec.kind == "text" else np.zeros(spec.shape, spec.dtype)
        for spec in contract.observations
    }
