"""How much each label counts: recoveries more, the lapse before them less. Which label: `episodes.rules`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.labelling import EXPERT


@dataclass(frozen=True)
class Weighting:
    """How much each label counts.

    `recovery`: weight of what the expert did in the first `recovery_s` seconds after it took over: it shows
    the way back. `lapse`: weight of what another did in the `lapse_s` seconds before: it was going wrong.
    Everything else weighs 1.
    """

    recovery: float = 1.0
    recovery_s: float = 1.0
    lapse: float = 1.0
    lapse_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; a finite number above 0 is possible")


ALIKE = Weighting()


def weights_of(episode: EpisodeArrays, weighting: Weighting) -> Vector:
    """Return a weight (T,) for each frame."""
    out = np.ones(len(episode))
    expert = np.array([who == EXPERT for who in episode.authority] or [False] * len(episode))
    for taken_ns in episode.takeovers_ns:
        since_s = (episode.ticks_ns - taken_ns) / 1e9
        out[~expert & (since_s < 0) & (since_s >= -weighting.lapse_s)] = weighting.lapse
        out[expert & (since_s >= 0) & (since_s < weighting.recovery_s)] = weighting.recovery
    return out
