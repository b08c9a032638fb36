"""Loading of a checkpoint that may replace the driving policy, and warm-up of its first, slow inferences."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.contract_differences import differences
from il_ros.interactive.promotion.criteria import Observation

if TYPE_CHECKING:
    from il_ros.policies.loading import AnyPolicy

WARM_UP_CALLS = 5  # the first calls allocate memory and select kernels


class UnfitError(ValueError):
    """A checkpoint that cannot drive. `lasting`: the fault lies in the checkpoint itself and is permanent."""

    def __init__(self, why: str, *, lasting: bool) -> None:
        super().__init__(why)
        self.lasting = lasting


def loaded(path: Path, contract: Contract | None, driving: AnyPolicy | None, device: str) -> AnyPolicy:
    """Return the policy at `path`; raises UnfitError when it cannot replace `driving`."""
    from il_ros.policies.checkpoint import CheckpointError, NotHereError
    from il_ros.policies.loading import load_policy

    try:
        found = load_policy(path, contract, device)
    except CheckpointError as error:
        raise UnfitError(str(error), lasting=not isinstance(error, NotHereError)) from error
    except (AssertionError, RuntimeError, OSError) as error:  # no such device, or a system fault
        raise UnfitError(f"{path}: cannot be loaded on device '{device}': {error}", lasting=False) from error
    changed = () if driving is None else differences(driving.contract, found.contract)
    if changed:
        raise UnfitError("its contract differs: " + "; ".join(changed), lasting=False)
    return found


def warm_up(policy: AnyPolicy) -> tuple[float, ...]:
    """Run a few inferences on observations of zeros, so that the first tick is not slow.

    Return how long they took, in seconds, without the first one. A remote policy begins to connect instead.
    """
    if policy.waits:
        policy.open()
        return ()
    seconds = []
    for _ in range(WARM_UP_CALLS):
        started_s = time.perf_counter()
        policy.act(zero_observation(policy.contract))
        seconds.append(time.perf_counter() - started_s)
    return tuple(seconds[1:])


def zero_observation(contract: Contract) -> Observation:
    """Return an observation of zeros."""
    return {
        spec.key: np.array("") if spec.kind == "text" else np.zeros(spec.shape, spec.dtype)
        for spec in contract.observations
    }
