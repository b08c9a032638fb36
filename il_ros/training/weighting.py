"""Label weights: recoveries count more, the lapses before them less. See `records.labelling`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.labelling import EXPERT


@dataclass(frozen=True)
class Weighting:
    """The weight of each label; all others weigh 1.

    `recovery`: for the expert's labels in the first `recovery_s` seconds after a takeover, which show how to
    recover. `lapse`: for other labels in the `lapse_s` seconds before a takeover, which led to it.
    Raises ValueError unless all are finite and above 0.
    """

    recovery: float = 1.0
    recovery_s: float = 1.0
    lapse: float = 1.0
    lapse_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be finite and above 0")


UNIFORM = Weighting()


def weights_of(episode: EpisodeArrays, weighting: Weighting) -> Vector:
    """Return the weight (T,) of each frame."""
    out = np.ones(len(episode))
    expert = np.array([source == EXPERT for source in episode.authority] or [False] * len(episode))
    for taken_ns in episode.takeovers_ns:
        since_s = (episode.ticks_ns - taken_ns) / 1e9
        out[~expert & (since_s < 0) & (since_s >= -weighting.lapse_s)] = weighting.lapse
        out[expert & (since_s >= 0) & (since_s < weighting.recovery_s)] = weighting.recovery
    return out
