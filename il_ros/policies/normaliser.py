"""Numbers brought to a like size for the network, and back: each map has its inverse.

Fitted on training frames alone, kept in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from il_ros.core.specs import Vector

ACTION_SCALES = ("min_max", "std")
_SMALLEST_SHARE = 0.1
"""A dimension that moved less than this share of the liveliest of its group isn't blown up to full size."""
PIXELS = (127.5, 63.75)
"""Centre and scale of 8-bit images: 0..255 becomes -2..2."""


@dataclass(frozen=True)
class Affine:
    """x → (x - centre) / scale on the last axis, and back. Raises ValueError when there is no way back."""

    centre: Vector
    scale: Vector

    def __post_init__(self) -> None:
        if self.centre.shape != self.scale.shape:
            raise ValueError(f"centre {self.centre.shape} and scale {self.scale.shape} must have one shape")
        if not (np.isfinite(self.centre).all() and np.isfinite(self.scale).all() and (self.scale > 0).all()):
            raise ValueError("centre and scale must be finite, and scale above 0")

    def normalise(self, values: Vector) -> Vector:
        """Return values (..., D) centred and scaled."""
        return (values - self.centre) / self.scale

    def restore(self, normalised: Vector) -> Vector:
        """Return what was normalised (..., D)."""
        with np.errstate(over="ignore"):  # what is infinite then is refused by name, where it would be used
            return normalised * self.scale + self.centre


@dataclass(frozen=True)
class Normaliser:
    """A policy's maps: of the state's features (F,), of the actions (A,); (centre, scale) of each image."""

    state: Affine
    actions: Affine
    images: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def to_plain(self) -> dict[str, Any]:
        """Return what fits in JSON, exact to the bit."""
        return {
            "state": {"centre": self.state.centre.tolist(), "scale": self.state.scale.tolist()},
            "actions": {"centre": self.actions.centre.tolist(), "scale": self.actions.scale.tolist()},
            "images": {key: list(pair) for key, pair in self.images.items()},
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Normaliser:
        """Return the inverse of `to_plain`; raises KeyError, TypeError or ValueError on anything else."""
        maps = {
            part: Affine(np.array(values[part]["centre"], float), np.array(values[part]["scale"], float))
            for part in ("state", "actions")
        }
        images = {key: (float(centre), float(scale)) for key, (centre, scale) in values["images"].items()}
        return cls(maps["state"], maps["actions"], images)


def fit_state(features: Vector, groups: Sequence[str]) -> Affine:
    """Return the map of features (N, F) to mean 0 and deviation 1; constant ones are only centred.

    `groups` names, for each feature, those it shares a unit with.
    """
    deviation = features.std(axis=0)
    names = np.array(groups, dtype=np.str_)
    floor = np.array([deviation[names == name].max() for name in names]) * _SMALLEST_SHARE
    scale = np.maximum(deviation, floor)
    negligible = scale <= 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0, initial=0.0))
    return Affine(features.mean(axis=0), np.where(negligible, 1.0, scale))


def fit_actions(actions: Vector, how: str, ranges: Vector) -> Affine:
    """Return the map of actions (N, A) to -1..1 ('min_max') or to mean 0 and deviation 1 ('std').

    `ranges` (A,): the span that the contract's limits allow, infinite where there are none. A dimension that
    hardly moved is taken to have moved by a thousandth of its range (by 0.001 without one), so that its
    small errors stay small.
    """
    floor = np.where(np.isfinite(ranges), ranges, 1.0) / 1000
    if how == "std":
        return Affine(actions.mean(axis=0), np.maximum(actions.std(axis=0), floor))
    low, high = actions.min(axis=0), actions.max(axis=0)
    return Affine((low + high) / 2, np.maximum((high - low) / 2, floor))


def fit_depth(frames: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return centre and scale of depth images (N, H, W, 1), in metres."""
    return float(frames.mean()), max(float(frames.std()), 1e-3)
