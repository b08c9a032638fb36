"""Absolute commands and what the policy learns: differences to the measured state where the contract says so.

`relative` and `absolute` are inverses of each other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector


def measured(contract: Contract, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector:
    """Return the measured state in the order of the flat action vector (A,); NaN where not measured."""
    state = np.full(contract.action_size, np.nan)
    for action in contract.actions:
        if action.reference is not None:
            index = list(action.reference_index)
            state[contract.action_slices[action.key]] = observation[action.reference][index]
    return state


def relative(
    contract: Contract, absolute_actions: Vector, observation: Mapping[str, np.ndarray[Any, Any]]
) -> Vector:
    """Return what the policy learns for absolute actions (..., A), seen from one observation."""
    return absolute_actions - _offset(contract, observation)


def absolute(
    contract: Contract, learnt_actions: Vector, observation: Mapping[str, np.ndarray[Any, Any]]
) -> Vector:
    """Return the absolute actions (..., A) that the policy's output means at one observation."""
    return learnt_actions + _offset(contract, observation)


def _offset(contract: Contract, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector:
    offset = np.zeros(contract.action_size)
    for action in contract.actions:
        if action.mode == "delta":
            assert action.reference is not None  # the contract's reader saw to it
            index = list(action.reference_index)
            offset[contract.action_slices[action.key]] = observation[action.reference][index]
    return offset
