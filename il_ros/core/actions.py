"""Conversion between absolute commands and the learned actions (differences to the measured state for 'delta').

`relative` and `absolute` are inverses of each other, but for whole turns of continuous joints.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, XYZ, XYZW, ActionSpec, Vector, narrowed
from il_ros.core.specs import shortest as shortest


class References:
    """The observations that measure the commanded numbers, with only the joint state fields that they need.

    `specs`: these observations. A NaN velocity or a missing effort, which a policy may need, must not keep a person
    from driving or the supervisor from starting a ramp.
    """

    def __init__(self, contract: Contract) -> None:
        self._contract = contract
        used: dict[str, list[int]] = {}
        for action in contract.actions:
            if action.reference is not None:
                used.setdefault(action.reference, []).extend(action.reference_index)
        self.specs = tuple(narrowed(contract.observation(key), index) for key, index in used.items())
        places = {spec.key: spec.places for spec in self.specs}
        self._index = {
            action.key: [
                places[action.reference][contract.observation(action.reference).elements[index]]
                for index in action.reference_index
            ]
            for action in contract.actions
            if action.reference is not None
        }

    def of(self, action: ActionSpec, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector | None:
        """Return the measured values (A_k,) of an action; None when it has no reference.

        `observation`: the values of `specs`; raises KeyError when the action's is not among them.
        """
        if action.reference is None:
            return None
        values: Vector = observation[action.reference][self._index[action.key]]
        return values

    def measured(self, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector:
        """Return the measured state in the order of the flat action vector (A,); NaN where not measured."""
        state = np.full(self._contract.action_size, np.nan)
        for action in self._contract.actions:
            values = self.of(action, observation)
            if values is not None:
                state[self._contract.action_slices[action.key]] = values
        return state


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
    """Return the learned representation of absolute actions (..., A) at one observation.

    The difference of a continuous joint is the shortest way.
    """
    return differences(contract, absolute_actions, _offset(contract, observation))


def absolute(
    contract: Contract, learned_actions: Vector, observation: Mapping[str, np.ndarray[Any, Any]]
) -> Vector:
    """Return the absolute actions (..., A) of the policy's output at one observation."""
    return learned_actions + _offset(contract, observation)


def differences(contract: Contract, absolute_actions: Vector, offset: Vector) -> Vector:
    """Return actions (..., A) minus the offset (..., A) of delta actions; of continuous joints, the shortest way.

    The offset is the measured value of a delta action, and 0 of an absolute one, which is returned as it is.
    """
    return shortest(absolute_actions - offset, np.where(_is_delta(contract), contract.turns, 0.0))


def command_difference(contract: Contract, commands: Vector, others: Vector) -> Vector:
    """Return the difference of two absolute actions (..., A), in their units.

    Of continuous joints it is the shortest way, and a quaternion counts as its negative, the same rotation.
    """
    others = others.copy()
    for action in contract.actions:
        if action.type == POSE:
            first = contract.action_slices[action.key].start + len(XYZ)
            orientation = slice(first, first + len(XYZW))
            alike = (commands[..., orientation] * others[..., orientation]).sum(axis=-1, keepdims=True)
            others[..., orientation] *= np.where(alike < 0, -1.0, 1.0)
    return shortest(commands - others, contract.turns)


def _is_delta(contract: Contract) -> NDArray[np.bool_]:
    return np.concatenate([np.full(action.size, action.mode == "delta") for action in contract.actions])


def _offset(contract: Contract, observation: Mapping[str, np.ndarray[Any, Any]]) -> Vector:
    offset = np.zeros(contract.action_size)
    for action in contract.actions:
        if action.mode == "delta":
            assert action.reference is not None  # checked when the contract was parsed
            index = list(action.reference_index)
            offset[contract.action_slices[action.key]] = observation[action.reference][index]
    return offset
