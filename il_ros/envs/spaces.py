"""Gymnasium spaces of a contract."""

from __future__ import annotations

import string
from collections.abc import Mapping
from typing import Any

import numpy as np
from gymnasium import spaces

from il_ros.core.contract import Contract
from il_ros.core.specs import ActionSpec, ObservationSpec, Vector

LONGEST_TEXT = 1024

Seen = dict[str, Any]
"""An observation by key: arrays, and text as str."""


def observation_space(contract: Contract) -> spaces.Dict:
    """Return a Dict with one space per observation key, with the shapes and types of `ObservationSpec`."""
    return spaces.Dict({spec.key: _space(spec) for spec in contract.observations})


def action_space(contract: Contract) -> spaces.Box:
    """Return the Box (A,) within the contract's limits: absolute values in its flat order, float64.

    Speed limits also bound commanded velocities. Bounds are infinite where the contract has no limit.
    """
    bounds = [_bounds(spec) for spec in contract.actions]
    lower, upper = (np.concatenate(part) for part in zip(*bounds, strict=True))
    return spaces.Box(lower, upper, dtype=np.float64)


def owned(values: Mapping[str, Any]) -> Seen:
    """Return writable copies of the observations; text as str."""
    return {key: np.array(value) if np.ndim(value) else str(value) for key, value in values.items()}


def _space(spec: ObservationSpec) -> spaces.Space:
    if spec.kind == "text":
        return spaces.Text(LONGEST_TEXT, min_length=0, charset=string.printable)
    if spec.image is not None and spec.dtype == np.uint8:
        return spaces.Box(0, 255, spec.shape, np.uint8)
    return spaces.Box(-np.inf, np.inf, spec.shape, spec.dtype.type)


def _bounds(spec: ActionSpec) -> tuple[Vector, Vector]:
    lower, upper, speed, _ = spec.limits.arrays()
    return (np.maximum(lower, -speed), np.minimum(upper, speed)) if spec.is_velocity else (lower, upper)
