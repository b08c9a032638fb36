"""Statistics of features, as LeRobot's normalisers need them: extremes, mean, deviation, quantiles.

Of numbers they are of all frames. Of pictures they are of all pixels of all frames, from a count of each value,
so that they are exact and two sets of frames add up.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
Stats = dict[str, Any]
"""A feature's statistics by name, as nested lists."""

QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
ORDER = ("min", "max", "mean", "std", "count", *QUANTILES)


def of_numbers(values: Array) -> Stats:
    """Return the statistics of numbers (T, ...) over the frames, in float64."""
    flat = np.asarray(values, dtype=np.float64).reshape(len(values), -1)
    out = {
        "min": flat.min(axis=0),
        "max": flat.max(axis=0),
        "mean": flat.mean(axis=0),
        "std": flat.std(axis=0),
        **{name: np.quantile(flat, share, axis=0) for name, share in QUANTILES.items()},
    }
    return _ordered({name: array.tolist() for name, array in out.items()}, len(values))


def of_counts(counts: Array, values: Array, frames: int) -> Stats:
    """Return the statistics of pictures, per channel as [[[r]], [[g]], [[b]]].

    `counts` (C, V): how often each of the `values` (V,), which increase, occurs. A quantile is the least value
    that at least this share of the pixels does not exceed.
    """
    total = counts.sum(axis=1)
    share = counts / total[:, None]
    mean = share @ values
    spread = np.sqrt(np.maximum(0.0, share @ values**2 - mean**2))
    below = np.cumsum(counts, axis=1)
    present = counts > 0
    out = {
        "min": values[present.argmax(axis=1)],
        "max": values[counts.shape[1] - 1 - present[:, ::-1].argmax(axis=1)],
        "mean": mean,
        "std": spread,
    }
    for name, part in QUANTILES.items():
        out[name] = values[(below >= part * total[:, None]).argmax(axis=1)]
    return _ordered({name: [[[float(each)]] for each in array] for name, array in out.items()}, frames)


def merged(parts: Sequence[Mapping[str, Any]]) -> Stats:
    """Return the statistics of several sets of frames together, by LeRobot's rule for merging.

    Mean and deviation are exact. A quantile up to the median is the least of the sets', one above the largest.
    Statistics that a set lacks are left out.
    """
    names = [name for name in ORDER if all(name in part for part in parts)]
    arrays = [{name: np.asarray(part[name], dtype=np.float64) for name in names} for part in parts]
    weights = np.array([float(part["count"][0]) for part in arrays])
    share = weights / weights.sum()
    out: dict[str, Array] = {}
    mean = sum(part["mean"] * each for part, each in zip(arrays, share, strict=True))
    for name in names:
        stacked = np.stack([part[name] for part in arrays])
        if name == "mean":
            out[name] = np.asarray(mean)
        elif name == "std":
            spread = [part["std"] ** 2 + (part["mean"] - mean) ** 2 for part in arrays]
            variance = sum(each * part for each, part in zip(spread, share, strict=True))
            out[name] = np.sqrt(np.asarray(variance))
        elif name != "count":
            least = name == "min" or QUANTILES.get(name, 1.0) <= 0.5
            out[name] = stacked.min(axis=0) if least else stacked.max(axis=0)
    return _ordered({name: array.tolist() for name, array in out.items()}, int(weights.sum()))


def count_values(frames: Iterable[Array], counts: Array) -> None:
    """Add to `counts` (C, V) how often each value occurs in pictures (H, W, C) of whole numbers below V."""
    for picture in frames:
        for channel in range(counts.shape[0]):
            counts[channel] += np.bincount(picture[..., channel].ravel(), minlength=counts.shape[1])


def _ordered(values: Mapping[str, Any], frames: int) -> Stats:
    with_count = {**values, "count": [frames]}
    return {name: with_count[name] for name in ORDER if name in with_count}
