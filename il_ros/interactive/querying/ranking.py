"""Rank what a person should show next: where a policy is uncertain, far from what was shown and from each other.

The score of a candidate is its uncertainty times its distance from the nearest state that was shown or is suggested
already. So suggestions neither repeat a demonstration nor each other: greedy selection, as in k-centre active learning
(Sener and Savarese 2018, arXiv 1708.00489), weighted by uncertainty.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from il_ros.core.specs import Vector

_SMALLEST = 1e-9


@dataclass(frozen=True)
class Ranked:
    """A suggested candidate: its `place` among the candidates, and why.

    `uncertainty`: in units of that on what was shown; `distance`: of the nearest shown or already suggested state, in
    units of the usual distance between neighbours that were shown. `features`: the places of those that differ most.
    """

    place: int
    uncertainty: float
    distance: float
    features: tuple[int, ...]

    @property
    def score(self) -> float:
        """Uncertainty times distance."""
        return self.uncertainty * self.distance


def ranked(states: Vector, uncertainty: Vector, shown: Vector, count: int, most: int = 2) -> list[Ranked]:
    """Return the `count` best of N candidates, the best first; fewer where all others are as something shown.

    `states` (N, F) and `shown` (K, F): normalised; `uncertainty` (N,) >= 0. `most`: the features to name.
    Raises ValueError without anything shown, and unless the arrays fit each other.
    """
    if not len(shown):
        raise ValueError("nothing was shown, so nothing is nearer to it: record a demonstration first")
    if states.shape[1:] != shown.shape[1:] or len(states) != len(uncertainty):
        raise ValueError(f"states {states.shape}, shown {shown.shape} and uncertainty do not fit")
    unit = _usual_distance(shown)
    found: list[Ranked] = []
    nearest, apart = _nearest(states, shown)
    for _ in range(min(count, len(states))):
        score = uncertainty * nearest
        for each in found:
            score[each.place] = -1.0
        place = int(score.argmax())
        if score[place] <= 0:
            break
        differing = np.argsort(-np.abs(apart[place]))[:most]
        found.append(
            Ranked(
                place,
                float(uncertainty[place]),
                float(nearest[place] / unit),
                tuple(int(each) for each in differing if abs(apart[place, each]) > _SMALLEST),
            )
        )
        difference = states - states[place]
        near = np.sqrt(np.mean(difference**2, axis=1)) < nearest
        nearest[near] = np.sqrt(np.mean(difference[near] ** 2, axis=1))
        apart[near] = difference[near]
    return found


def _nearest(states: Vector, shown: Vector) -> tuple[Vector, Vector]:
    """Return the RMS distance (N,) of each state from the nearest shown one, and the difference to it (N, F)."""
    distances, differences = np.empty(len(states)), np.empty_like(states)
    for row, state in enumerate(states):
        apart = state - shown
        squares = np.mean(apart**2, axis=1)
        best = int(squares.argmin())
        distances[row], differences[row] = np.sqrt(squares[best]), apart[best]
    return distances, differences


def _usual_distance(shown: Vector) -> float:
    """Return the median distance of a shown state from its nearest neighbour; 1 if there is one state only."""
    if len(shown) < 2:
        return 1.0
    distances = [
        np.sqrt(np.min(np.mean((np.delete(shown, row, axis=0) - state) ** 2, axis=1)))
        for row, state in enumerate(shown)
    ]
    return max(float(np.median(distances)), _SMALLEST)
