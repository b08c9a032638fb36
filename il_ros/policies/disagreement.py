"""Chunk-to-chunk disagreement: an uncertainty measure for policies that predict none themselves."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from il_ros.core.specs import Vector

Difference = Callable[[Vector, Vector], Vector]
"""Returns the difference (..., L) of two absolute commands (..., A) in a unit of its own."""


def scaled(scale: Vector) -> Difference:
    """Return the plain difference in units of `scale` (A,)."""
    return lambda commands, others: (commands - others) / scale


def chunk_differences(before: Vector, after: Vector, ticks: int, difference: Difference) -> Vector | None:
    """Return the differences (K, L) of two chunks (H, A) over the K steps of their overlap.

    `after` was predicted `ticks` ticks later than `before`. Returns None if the chunks do not overlap or
    belong to the same tick.
    """
    if not (0 < ticks < len(before) and len(after)):
        return None
    foreseen = before[ticks:]
    return difference(after[: len(foreseen)], foreseen[: len(after)])


def rms(values: Vector) -> float:
    """Return the root mean square of all values."""
    return float(np.sqrt(np.mean(np.square(values))))
