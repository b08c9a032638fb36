"""Chunk-to-chunk disagreement: an uncertainty measure for policies that predict none themselves."""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector


def chunk_disagreement(before: Vector, after: Vector, ticks: int, scale: Vector) -> float | None:
    """Return the RMS difference of two chunks (H, A) over their overlap, in units of `scale` (A,).

    `after` was predicted `ticks` ticks later than `before`. Returns None if the chunks do not overlap or
    belong to the same tick.
    """
    if not 0 < ticks < len(before):
        return None
    foreseen = before[ticks:]
    apart = (after[: len(foreseen)] - foreseen[: len(after)]) / scale
    return float(np.sqrt(np.mean(apart**2)))
