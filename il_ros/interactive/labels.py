"""How much each label counts: recoveries more, the lapse before them less. Which label: `episodes.rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from il_ros.episodes.rules import EXPERT
from il_ros.specs import Vector


@dataclass(frozen=True)
class Weighting:
    """How much each label counts.

    `recovery`: weight of the first `recovery_s` seconds of an intervention, when the human shows the way.
    `lapse`: weight of labels in the `lapse_s` seconds before one, when what drove was going wrong.
    Everything else weighs 1.
    """

    recovery: float = 1.0
    recovery_s: float = 1.0
    lapse: float = 1.0
    lapse_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (np.isfinite(value) and value >= 0):
                raise ValueError(f"{name} must be a finite number of at least 0, not {value}")


def weights(ticks_ns: Sequence[int], authorities: Sequence[str], weighting: Weighting) -> Vector:
    """Return a weight (T,) for each tick, from who had authority at it.

    An intervention begins where the expert takes over from the policy; an episode that the expert drives from
    its start has none there.
    """
    times_s = np.asarray(ticks_ns, dtype=np.float64) / 1e9
    out = np.ones(len(times_s))
    for index in range(1, len(authorities)):
        if authorities[index] != EXPERT or authorities[index - 1] == EXPERT:
            continue
        since_s = times_s - times_s[index]
        out[(since_s < 0) & (since_s >= -weighting.lapse_s)] *= weighting.lapse
        end = index
        while end < len(authorities) and authorities[end] == EXPERT:
            end += 1
        shown = slice(index, end)
        out[shown] *= np.where(since_s[shown] < weighting.recovery_s, weighting.recovery, 1.0)
    return out
