"""Conversion between absolute commands and the learned actions (differences to the measured state for 'delta').

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
    """Return the learned representation of absolute actions (..., A) at one observation."""
    return absolute_actions - _offset(contract, observation)


def absolute(
    contract: Contract, learned_actions: Vector, observation: Mapping[str, np.ndarray[Any, Any]]
) -> Vector:
    """Return the absolute actions (..., A) of the policy's output at one observation."""
    return learned_actions + _offset(contract, observation)


def _offset(contract: Contract, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector:
    offset = np.zeros(contract.action_size)
    for action in contract.actions:
        if action.mode == "delta":
            assert action.reference is not None  # checked when the contract was parsed
            index = list(action.reference_index)
            offset[contract.action_slices[action.key]] = observation[action.reference][index]
    return offset
