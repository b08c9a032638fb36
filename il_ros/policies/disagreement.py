"""Doubt of a policy that can't tell its own: how far a new chunk departs from what the last one foresaw."""

from __future__ import annotations

import numpy as np

from il_ros.core.specs import Vector


def chunk_disagreement(before: Vector, after: Vector, ticks: int, scale: Vector) -> float | None:
    """Return the root mean square difference of two chunks (H, A) where they overlap, in `scale`s (A,).

    `after` answers the tick `ticks` after that of `before`. None where they don't overlap, or are the same
    tick's: nothing was foreseen.
    """
    if not 0 < ticks < len(before):
        return None
    foreseen = before[ticks:]
    apart = (after[: len(foreseen)] - foreseen[: len(after)]) / scale
    return float(np.sqrt(np.mean(apart**2)))
