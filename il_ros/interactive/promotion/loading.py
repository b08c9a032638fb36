"""Loading a checkpoint that may take the driving policy's place, and its first answers, which are slow."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from il_ros.core.contract import Contract, differences
from il_ros.interactive.promotion.criteria import Observation

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy

WARM_UP_CALLS = 5  # the first calls allocate and choose kernels


class UnfitError(ValueError):
    """Why a checkpoint can't drive. `lasting`: by a fault of its own, not the node's or a passing one."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(why)
        self.lasting = lasting


def loaded(path: Path, contract: Contract | None, driving: LoadedPolicy | None, device: str) -> LoadedPolicy:
    """Return the policy at `path`; raises UnfitError when it can't drive in the place of `driving`."""
    from il_ros.policies.checkpoint import CheckpointError, NotHereError, load

    try:
        found = load(path, contract, device)
    except CheckpointError as error:
        raise UnfitError(str(error), lasting=not isinstance(error, NotHereError)) from error
    except (AssertionError, RuntimeError, OSError) as error:  # torch has no such device, or the machine
        raise UnfitError(f"{path}: can't be loaded on device '{device}': {error}", lasting=False) from error
    changed = () if driving is None else differences(driving.contract, found.contract)
    if changed:
        raise UnfitError("it has another contract: " + "; ".join(changed), lasting=False)
    return found


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
