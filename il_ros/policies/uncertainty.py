"""Uncertainty models: different measures, calibrated so that 5 % of held-out frames exceed 1.

| kind     | uncertainty                                                                                     |
|----------|-------------------------------------------------------------------------------------------------|
| raw      | the network's own (ensemble, Gaussian), in normalised actions; otherwise chunk disagreement     |
| own      | the network's own, calibrated                                                                   |
| distance | distance from the state to the nearest demonstrated state, calibrated                           |
| chunk    | disagreement of consecutive chunks, calibrated                                                  |

Distances are RMS over normalised features; images are ignored. All calibrated kinds work with the same
thresholds.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from il_ros.policies.disagreement import Difference, chunk_disagreement
from il_ros.policies.protocol import Array

RAW, OWN, DISTANCE, CHUNK = KINDS = ("raw", "own", "distance", "chunk")
QUANTILE = 0.95
LANDMARKS = 512
"""Maximum number of demonstrated states that are stored."""
_CANDIDATES = 20_000
_SMALLEST = 1e-9


@dataclass(frozen=True, eq=False)
class UncertaintyModel:
    """`kind`: see the table; `scale`: the raw uncertainty that maps to 1; `shown` (K, F): normalised states.

    Raises ValueError on invalid values.
    """

    kind: str = RAW
    scale: float = 1.0
    shown: Array = field(default_factory=lambda: np.empty((0, 0), np.float32), repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"uncertainty must be one of {', '.join(KINDS)}, not '{self.kind}'")
        if not (np.isfinite(self.scale) and self.scale > 0):
            raise ValueError(f"the uncertainty's scale must be finite and above 0, not {self.scale}")
        if self.kind == DISTANCE and (self.shown.ndim != 2 or not self.shown.size):
            raise ValueError("uncertainty by distance needs demonstrated states (K, F)")
        if not np.isfinite(self.shown).all():
            raise ValueError("demonstrated states must be finite numbers")

    def of(self, state: Array, own: float | None) -> float | None:
        """Return the uncertainty at a normalised state (F,), given the network's own; None if unknown."""
        if self.kind == RAW:
            return own
        if self.kind == CHUNK:
            return None
        return self.calibrated(distance(self.shown, state) if self.kind == DISTANCE else own)

    def calibrated(self, raw: float | None) -> float | None:
        """Return a raw uncertainty in units of the scale."""
        return None if raw is None else raw / self.scale


def distance(shown: Array, state: Array) -> float:
    """Return the RMS distance from a state (F,) to the nearest demonstrated state in (K, F)."""
    apart = shown - state.astype(np.float32)
    return float(np.sqrt(np.einsum("kf,kf->k", apart, apart).min() / shown.shape[1]))


def landmarks(states: Array, count: int = LANDMARKS) -> Array:
    """Return at most `count` of the states (N, F) by farthest-point sampling (Gonzalez 1985)."""
    step = -(-len(states) // _CANDIDATES)
    left = states[::step].astype(np.float32)
    chosen = [0]
    nearest = np.full(len(left), np.inf, np.float32)
    while len(chosen) < min(count, len(left)):
        apart = left - left[chosen[-1]]
        nearest = np.minimum(nearest, np.einsum("nf,nf->n", apart, apart))
        if nearest.max() <= 0:
            break
        chosen.append(int(nearest.argmax()))
    return left[chosen]


def calibrate(
    kind: str,
    states: Array,
    held_out: Sequence[Sequence[tuple[Array, Array, float | None]]],
    difference: Difference,
) -> UncertaintyModel:
    """Return the calibrated uncertainty model of a kind; `states` (N, F): the training states.

    `held_out`: episodes of (state (F,), chunk (H, A), own uncertainty or None), one tuple per tick.
    `difference`: that of two commands, in normalised actions.
    Raises ValueError if the kind is not available: no numeric state, no own uncertainty, or chunks of one
    step.
    """
    if kind == RAW:
        return UncertaintyModel()
    shown = np.empty((0, 0), np.float32)
    if kind == DISTANCE:
        if not states.size:
            raise ValueError("uncertainty: distance needs numeric observations; this policy has none")
        shown = landmarks(states)
    found = np.array([value for value in _raw(kind, shown, held_out, difference) if value is not None])
    if not len(found):
        why = "its network predicts none" if kind == OWN else "horizon must be at least 2"
        raise ValueError(f"uncertainty: {kind} is not available: {why}")
    return UncertaintyModel(kind, max(float(np.quantile(found, QUANTILE)), _SMALLEST), shown)


def _raw(
    kind: str,
    shown: Array,
    held_out: Sequence[Sequence[tuple[Array, Array, float | None]]],
    difference: Difference,
) -> Iterator[float | None]:
    for episode in held_out:
        if kind == CHUNK:
            for (_, before, _), (_, after, _) in pairwise(episode):
                yield chunk_disagreement(before, after, 1, difference)
        else:
            for state, _, own in episode:
                yield distance(shown, state) if kind == DISTANCE else own
