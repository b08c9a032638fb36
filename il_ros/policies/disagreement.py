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


def chunk_disagreement(before: Vector, after: Vector, ticks: int, difference: Difference) -> float | None:
    """Return the RMS difference of two chunks (H, A) over their overlap.

    `after` was predicted `ticks` ticks later than `before`. Returns None if the chunks do not overlap or
    belong to the same tick.
    """
    if not 0 < ticks < len(before):
        return None
    foreseen = before[ticks:]
    apart = difference(after[: len(foreseen)], foreseen[: len(after)])
    return float(np.sqrt(np.mean(apart**2)))
