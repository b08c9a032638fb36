"""Decoding of laser scans: the contract's beams by angle, from scans whose number of beams varies.

By REP 117, +inf means no return, -inf too close, and NaN no valid measurement.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from il_ros.core.messages import Message
from il_ros.core.specs import ScanSpec, Vector
from il_ros.core.tables import counted, percent

Indices = NDArray[np.intp]

SPREAD = 0.1
"""Without declared angles, the number of beams may differ from the contract's by this share."""
NEAR_RAD, NEAR_BEAMS = 0.1, 2
"""`nan_beams: nearest` takes the nearest measured beam within this angle, or this number of beams if that is wider."""


def decode_scan(message: Message, size: int, scan: ScanSpec) -> Vector:
    """Return the ranges (size,) in m of the contract's beams, each that of the nearest beam by angle.

    They are clipped to [range_min, range_max]. With as many beams as the contract, and without declared angles,
    they are the beams themselves.
    Raises ValueError when the scan does not cover the contract's beams, has too few or too many, or has NaN
    where `scan.nan_beams` does not say what to use.
    """
    ranges = np.asarray(message.ranges, dtype=np.float64)
    if not ranges.size:
        raise ValueError(f"ranges has no numbers; the contract says {size}")
    chosen = _nearest(message, ranges.size, size, scan)
    low, high = float(message.range_min), float(message.range_max)
    missing = np.isnan(ranges)
    if missing[chosen].any():
        if scan.nan_beams == "nearest":
            chosen = _measured(message, missing, chosen)
        elif scan.nan_beams != "error":
            ranges = np.where(missing, high if scan.nan_beams == "range_max" else low, ranges)
    clipped: Vector = np.clip(ranges[chosen], low, high)
    return clipped


def _nearest(message: Message, count: int, size: int, scan: ScanSpec) -> Indices:
    """Return the index (size,) of the beam that is nearest to each of the contract's beams."""
    if scan.angles is None and count == size:
        return np.arange(size)
    first, step = float(message.angle_min), float(message.angle_increment)
    wrong = f"ranges has {counted(count, 'number')}; the contract says {size}"
    if not (math.isfinite(first) and math.isfinite(step) and step):
        raise ValueError(f"{wrong}, and angle_min {first:g} and angle_increment {step:g} give no angles")
    if scan.angles is None:
        if abs(count - size) > max(1.0, SPREAD * size):
            raise ValueError(
                f"{wrong}; only with 'angles: [FIRST, LAST]' may it differ by more than {percent(SPREAD)}"
            )
        beams: Indices = np.rint(np.arange(size) * ((count - 1) / max(1, size - 1))).astype(np.intp)
        return beams
    angles = np.linspace(*scan.angles, size)
    ahead = np.mod((angles - first) * math.copysign(1.0, step), 2 * math.pi)
    chosen: Indices = np.rint(ahead / abs(step)).astype(np.intp)
    # up to half a beam before the first one counts as the first
    chosen[(chosen >= count) & (2 * math.pi - ahead <= abs(step) * (0.5 + 1e-6))] = 0
    outside = np.flatnonzero(chosen >= count)
    if len(outside):
        raise ValueError(
            f"the contract's beam {outside[0]} at {angles[outside[0]]:.3f} rad is outside of the scan, which has "
            f"{counted(count, 'beam')} from {first:.3f} to {first + (count - 1) * step:.3f} rad"
        )
    return chosen


def _measured(message: Message, missing: NDArray[np.bool_], chosen: Indices) -> Indices:
    """Return `chosen` with the nearest measured beam for each that is NaN; raises ValueError if there is none near."""
    step = abs(float(message.angle_increment))
    most = max(NEAR_BEAMS, int(NEAR_RAD / step) if 0 < step < math.inf else 0)
    found = np.flatnonzero(~missing)
    moved: Indices = chosen.copy()
    for place in np.flatnonzero(missing[chosen]):
        beam = chosen[place]
        apart = np.abs(found - beam)
        if not len(found) or apart.min() > most:
            raise ValueError(f"ranges/{beam} is nan, as are all up to {counted(most, 'beam')} beside it")
        moved[place] = found[int(apart.argmin())]
    return moved
