"""Normalisation of states, actions and images, with inverses.

The parameters are fitted on training frames only and stored in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector

ACTION_SCALES = ("min_max", "std")
_SMALLEST_SHARE = 0.1
"""Lower bound of a feature's scale, as a share of the largest deviation in its group."""
PIXELS = (127.5, 63.75)
"""Centre and scale of 8-bit images: 0..255 becomes -2..2."""


@dataclass(frozen=True)
class Affine:
    """x → (x - centre) / scale on the last axis, and its inverse. Raises ValueError if scale is invalid."""

    centre: Vector
    scale: Vector

    def __post_init__(self) -> None:
        if self.centre.shape != self.scale.shape:
            raise ValueError(f"centre {self.centre.shape} and scale {self.scale.shape} must have one shape")
        if not (np.isfinite(self.centre).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("centre and scale must be finite, and scale above 0")

    def normalise(self, values: Vector) -> Vector:
        """Return values (..., D), centred and scaled."""
        return (values - self.centre) / self.scale

    def restore(self, normalised: Vector) -> Vector:
        """Return the inverse of `normalise` for values (..., D)."""
        with np.errstate(over="ignore"):  # the caller rejects infinite values and names them
            return normalised * self.scale + self.centre


@dataclass(frozen=True)
class Normaliser:
    """The maps of the state features (F,) and of the actions (A,), and (centre, scale) of each image key."""

    state: Affine
    actions: Affine
    images: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary; floats survive bit for bit."""
        return {
            "state": {"centre": self.state.centre.tolist(), "scale": self.state.scale.tolist()},
            "actions": {"centre": self.actions.centre.tolist(), "scale": self.actions.scale.tolist()},
            "images": {key: list(pair) for key, pair in self.images.items()},
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Normaliser:
        """Return the inverse of `to_plain`; raises KeyError, TypeError or ValueError on invalid values."""
        maps = {
            part: Affine(np.array(values[part]["centre"], float), np.array(values[part]["scale"], float))
            for part in ("state", "actions")
        }
        images = {key: (float(centre), float(scale)) for key, (centre, scale) in values["images"].items()}
        return cls(maps["state"], maps["actions"], images)


def fit_state(features: Vector, groups: Sequence[str]) -> Affine:
    """Return the map of features (N, F) to mean 0 and standard deviation 1; constants are only centred.

    `groups` (F,): the unit group of each feature; features in one group share a unit.
    """
    deviation = features.std(axis=0)
    names = np.array(groups, dtype=np.str_)
    floor = np.array([deviation[names == name].max() for name in names]) * _SMALLEST_SHARE
    scale = np.maximum(deviation, floor)
    negligible = scale <= 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0, initial=0.0))
    return Affine(features.mean(axis=0), np.where(negligible, 1.0, scale))


def fit_actions(actions: Vector, how: str, ranges: Vector, groups: NDArray[np.intp] | None = None) -> Affine:
    """Return the map of actions (N, L) to -1..1 ('min_max') or to mean 0 and standard deviation 1 ('std').

    `ranges` (L,): upper minus lower limit in the contract, infinite if unlimited. The scale of a dimension
    is at least a thousandth of its range (0.001 if unlimited), so that errors in a nearly constant dimension
    stay small. `groups` (L,): dimensions of one group, such as those of an orientation, share the largest scale;
    None: each is a group of its own.
    """
    floor = np.where(np.isfinite(ranges), ranges, 1.0) / 1000
    if how == "std":
        centre, scale = actions.mean(axis=0), np.maximum(actions.std(axis=0), floor)
    else:
        low, high = actions.min(axis=0), actions.max(axis=0)
        centre, scale = (low + high) / 2, np.maximum((high - low) / 2, floor)
    if groups is not None:
        scale = np.array([scale[groups == group].max() for group in groups])
    return Affine(centre, scale)


def fit_depth(frames: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return centre and scale of depth images (N, H, W, 1), in metres."""
    return float(frames.mean()), max(float(frames.std()), 1e-3)
