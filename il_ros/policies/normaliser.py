"""Normalisation of states, actions and images, with inverses.

The parameters are fitted on training frames only and stored in the checkpoint.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.core.units import NOISE_FLOORS, RELATIVE_FLOOR

ACTION_SCALES = ("min_max", "std", "quantile")
_TAIL = 0.01
"""Share of the actions at either end that 'quantile' leaves beyond -1..1."""
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
class ShownRange:
    """The range of the state features that the demonstrations showed, (F,) each, in the features' units.

    `lower` and `upper`: the range with its margin, to which inputs are clipped. `floor`: the noise floor, up to
    which a value beyond the range is not reported. `still`: the feature never moved by more than that.
    Raises ValueError if they do not fit together.
    """

    lower: Vector
    upper: Vector
    floor: Vector
    still: NDArray[np.bool_]

    def __post_init__(self) -> None:
        shapes = {part.shape for part in (self.lower, self.upper, self.floor, self.still)}
        if len(shapes) > 1 or self.lower.ndim != 1 or self.still.dtype != np.bool_:
            raise ValueError("lower, upper, floor and still of what was shown must be lists of one length")
        numbers = np.concatenate([self.lower, self.upper, self.floor])
        if not (np.isfinite(numbers).all() and (self.lower <= self.upper).all() and (self.floor >= 0).all()):
            raise ValueError("the range that was shown must be finite, with lower <= upper and floor >= 0")

    def clip(self, features: Vector) -> Vector:
        """Return features (..., F) within the range."""
        return np.minimum(np.maximum(features, self.lower), self.upper)  # np.clip has slow checks

    def outside(self, features: Vector) -> Vector:
        """Return how far features (..., F) are beyond the range and the noise floor; 0 within."""
        beyond = np.maximum(self.lower - features, features - self.upper)
        return np.maximum(beyond - self.floor, 0.0)

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary; floats survive bit for bit."""
        return {name: getattr(self, name).tolist() for name in ("lower", "upper", "floor", "still")}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> ShownRange:
        """Return the inverse of `to_plain`; raises KeyError, TypeError or ValueError on invalid values."""
        lower, upper, floor = (np.array(values[name], float) for name in ("lower", "upper", "floor"))
        return cls(lower, upper, floor, np.array(values["still"], dtype=bool))


@dataclass(frozen=True)
class Normaliser:
    """The maps of the state features (F,) and of the actions (A,), and (centre, scale) of each image key."""

    state: Affine
    actions: Affine
    images: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    shown: ShownRange | None = None
    """None in checkpoints from before 2026-11-29: their inputs are not clipped."""

    def __post_init__(self) -> None:
        if self.shown is not None and self.shown.lower.shape != self.state.centre.shape:
            raise ValueError(
                f"shown has {self.shown.lower.size} features, but state has {self.state.centre.size}"
            )

    def inputs(self, features: Vector) -> Vector:
        """Return features (..., F) clipped to the shown range, then normalised: the network's state input."""
        return self.state.normalise(features if self.shown is None else self.shown.clip(features))

    def excess(self, features: Vector) -> Vector:
        """Return how far features (..., F) are outside the shown range, in scales; 0 within the noise floor."""
        if self.shown is None:
            return np.zeros(features.shape)
        return self.shown.outside(features) / self.state.scale

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary; floats survive bit for bit."""
        plain: dict[str, Any] = {
            "state": {"centre": self.state.centre.tolist(), "scale": self.state.scale.tolist()},
            "actions": {"centre": self.actions.centre.tolist(), "scale": self.actions.scale.tolist()},
            "images": {key: list(pair) for key, pair in self.images.items()},
        }
        return plain if self.shown is None else {**plain, "shown": self.shown.to_plain()}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> Normaliser:
        """Return the inverse of `to_plain`; raises KeyError, TypeError or ValueError on invalid values."""
        maps = {
            part: Affine(np.array(values[part]["centre"], float), np.array(values[part]["scale"], float))
            for part in ("state", "actions")
        }
        images = {key: (float(centre), float(scale)) for key, (centre, scale) in values["images"].items()}
        shown = ShownRange.from_plain(values["shown"]) if "shown" in values else None
        return cls(maps["state"], maps["actions"], images, shown)


def noise_floors(features: Vector, units: Sequence[str]) -> Vector:
    """Return the noise floor (F,) of features (N, F) by their units; relative where a unit has none."""
    relative = RELATIVE_FLOOR * np.abs(features).max(axis=0, initial=0.0)
    return np.array([NOISE_FLOORS.get(unit, own) for unit, own in zip(units, relative, strict=True)], float)


def fit_state(features: Vector, groups: Sequence[str], floors: Vector) -> Affine:
    """Return the map of features (N, F) to mean 0 and standard deviation 1; constants are only centred.

    `groups` (F,): the unit group of each feature; features in one group share a unit. `floors` (F,): the
    scale is at least the noise floor, and a tenth of the largest deviation in the group.
    """
    centre = features.mean(axis=0)
    return Affine(centre, _scale(features, features.std(axis=0), groups, floors))


def fit_shown(features: Vector, floors: Vector, margin: float) -> ShownRange:
    """Return the range of features (N, F), and `margin` standard deviations beyond it."""
    deviation = features.std(axis=0)
    beyond = margin * deviation
    return ShownRange(
        features.min(axis=0) - beyond, features.max(axis=0) + beyond, floors, deviation <= floors
    )


def extended(before: Normaliser, features: Vector, groups: Sequence[str], margin: float) -> Normaliser:
    """Return a normaliser for further training of a network with that of `before`, on features (N, F).

    The range grows. A feature that did not move before gets a larger scale when it moves now: its normalised
    value was 0, so the network's output stays the same. All else stays, because the weights depend on it.
    """
    if before.shown is None:
        return before
    floors = before.shown.floor
    own = fit_shown(features, floors, margin)
    centre, scale = before.state.centre, before.state.scale
    moved = np.sqrt(np.mean((features - centre) ** 2, axis=0))
    wider = np.where(before.shown.still, np.maximum(scale, _scale(features, moved, groups, floors)), scale)
    shown = ShownRange(
        np.minimum(before.shown.lower, own.lower),
        np.maximum(before.shown.upper, own.upper),
        floors,
        before.shown.still & (moved <= floors),
    )
    return replace(before, state=Affine(centre, wider), shown=shown)


def _scale(features: Vector, deviation: Vector, groups: Sequence[str], floors: Vector) -> Vector:
    names = np.array(groups, dtype=np.str_)
    share = np.array([deviation[names == name].max() for name in names]) * _SMALLEST_SHARE
    scale = np.maximum(np.maximum(deviation, share), floors)
    negligible = scale <= 1e-9 * np.maximum(1.0, np.abs(features).max(axis=0, initial=0.0))
    return np.where(negligible, 1.0, scale)


def fit_actions(actions: Vector, how: str, ranges: Vector, groups: NDArray[np.intp] | None = None) -> Affine:
    """Return the map of actions (N, L) to -1..1 ('min_max', 'quantile'), or to mean 0 and standard deviation 1 ('std').

    'quantile' leaves the outermost hundredths beyond -1..1; a dimension that moves in less than these keeps its whole
    range. `ranges` (L,): upper minus lower limit in the contract, infinite if unlimited. The scale of a dimension is at
    least a thousandth of its range (0.001 if unlimited), so that errors in a nearly constant dimension stay small.
    `groups` (L,): dimensions of one group, such as those of an orientation, share the largest scale; None: each is a
    group of its own. NaN, where an action has no label, does not count.
    Raises ValueError when a dimension has no number.
    """
    floor = np.where(np.isfinite(ranges), ranges, 1.0) / 1000
    known = ~np.isnan(actions)
    if not known.any(axis=0).all():
        raise ValueError(
            f"number {np.argmin(known.any(axis=0))} of the learnt action has no label in any frame"
        )
    if how == "std":
        centre, scale = np.nanmean(actions, axis=0), np.maximum(np.nanstd(actions, axis=0), floor)
    else:
        low, high = np.nanmin(actions, axis=0), np.nanmax(actions, axis=0)
        if how == "quantile":
            within = np.nanquantile(actions, [_TAIL, 1 - _TAIL], axis=0)
            moves = within[1] - within[0] > floor  # a gripper that seldom moves keeps its whole range
            low, high = np.where(moves, within[0], low), np.where(moves, within[1], high)
        centre, scale = (low + high) / 2, np.maximum((high - low) / 2, floor)
    if groups is not None:
        scale = np.array([scale[groups == group].max() for group in groups])
    return Affine(centre, scale)


def fit_depth(frames: np.ndarray[Any, Any]) -> tuple[float, float]:
    """Return centre and scale of depth images (N, H, W, 1), in metres."""
    return float(frames.mean()), max(float(frames.std()), 1e-3)
