"""Do the demonstrations show several ways to do the task? A test of their paths, with few false alarms.

A path is what an episode shows of the numeric inputs, normalised, at equal distances along it: how fast it was done
does not count. Along each of the leading principal components of the paths, and of what a linear fit to the starts
leaves of them:

1. *Apart.* A gap between successive scores separates two ways when so large a gap is improbable among scores that are
   evenly spread over the same range (`gap_p_value`; Fisher 1929), which have larger gaps than those with one peak.
   There must be several episodes on either side, and the gap must be wider than the ways themselves are.
2. *Not told by the start.* A policy that depends on where the task begins, such as around the nearer side, also has
   groups of paths. The groups count as ways only when the starts do not tell them apart: by the nearest neighbour, by
   one input's threshold, and by a linear discriminant, each compared with shuffled groups.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays, filled
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import fit_state, noise_floors

LEAST_EPISODES = 10
LEAST_OF_A_WAY = 4
"""Episodes of each way, and at least `LEAST_SHARE` of all: a few that went wrong are no way."""
LEAST_SHARE = 0.08
POINTS, COMPONENTS = 32, 3
"""Points of a path, and principal components that are looked at."""
LEVEL = 0.001 / (2 * COMPONENTS)
"""A gap whose p-value is at most this separates two ways."""
TOLD_LEVEL = 0.02
"""The start tells groups apart when shuffled groups are told apart as well in at most this share of the shuffles."""
TOLD_SHARE = 0.5
"""... or when so much of what could be told is told: 0 as by shuffled groups on average, 1 every episode."""
SHUFFLES = 500


@dataclass(frozen=True)
class Ways:
    """Several ways that were found: how many episodes each has, and the p-value of the largest gap between them."""

    counts: tuple[int, ...]
    p_value: float

    @property
    def sentence(self) -> str:
        """The finding in words: 'the episodes do it in 2 ways, 12 and 8 of them (p < 0.001)'."""
        shares = " and ".join(filter(None, [", ".join(map(str, self.counts[:-1])), str(self.counts[-1])]))
        return (
            f"from like starts the episodes do it in {counted(len(self.counts), 'way')}, {shares} of them (p "
            f"{'< 1e-6' if self.p_value < 1e-6 else f'= {self.p_value:.1g}'})"
        )


def find_ways(contract: Contract, episodes: Sequence[EpisodeArrays], keys: Sequence[str] = ()) -> Ways | None:
    """Return the ways that the episodes show in the numeric inputs `keys` (empty: all); None if they show one.

    Pictures and texts do not count: what they tell of the task would look like several ways. With fewer than
    LEAST_EPISODES episodes, nothing is said. An episode without a numeric input that others have is left out.
    """
    inputs = _numeric(contract, keys)
    if inputs is None:
        return None
    whole = [episode for episode in episodes if all(s.key in episode.observations for s in inputs.sources)]
    if len(whole) < LEAST_EPISODES:
        return None
    seen = [inputs.state_features(filled(episode)) for episode in whole]
    together = np.concatenate(seen)
    scale = fit_state(together, inputs.groups, noise_floors(together, inputs.units))
    paths = np.stack([resampled(scale.normalise(features), POINTS) for features in seen])  # (N, P, F)
    return ways_of(paths)


def ways_of(paths: Vector) -> Ways | None:
    """Return the ways in normalised paths (N, P, F), whose first points are the starts; None if there is one."""
    starts = paths[:, 0]
    rows = paths.reshape(len(paths), -1)
    rows = rows - rows.mean(axis=0)
    for part in (rows, _unexplained(rows, starts)):
        left, size, _ = np.linalg.svd(part, full_matrices=False)
        for scores in (left * size).T[:COMPONENTS]:
            groups, p_value = separated(scores)
            if p_value <= LEVEL and not told_by(starts, groups):
                return Ways(tuple(sorted(np.bincount(groups).tolist(), reverse=True)), p_value)
    return None


def separated(scores: Vector) -> tuple[NDArray[np.intp], float]:
    """Return the group of each score (N,), from the lowest to the highest, and the p-value of the largest gap.

    Gaps up to LEVEL separate groups, if these are large enough, and narrower than the gap. One group: p-value 1.
    """
    order = np.argsort(scores)
    ordered, count = scores[order], len(scores)
    gaps, spread = np.diff(ordered), float(np.ptp(scores))
    least = max(LEAST_OF_A_WAY, math.ceil(LEAST_SHARE * count))
    groups, cuts, best = np.zeros(count, dtype=np.intp), [0], 1.0
    if spread <= 0:
        return groups, best
    for place in np.flatnonzero(gaps > 0) + 1:
        p_value = gap_p_value(float(gaps[place - 1]) / spread, count)
        if p_value <= LEVEL and place - cuts[-1] >= least and count - place >= least:
            cuts.append(int(place))
            best = min(best, p_value)
    for start, end in zip(cuts, [*cuts[1:], count], strict=True):
        # of what lies inside, the middle four fifths: a stray episode makes no way wide
        low, high = np.quantile(ordered[start:end], (0.1, 0.9))
        nearest = min(float(gaps[cut - 1]) for cut in (start, end) if 0 < cut < count) if len(cuts) > 1 else 0
        if high - low > nearest:
            return groups, 1.0
    groups[order] = np.searchsorted(cuts, np.arange(count), side="right") - 1
    return groups, best


def gap_p_value(gap: float, count: int) -> float:
    """Return the probability that `count` numbers, evenly spread over their own range, have a gap this large.

    `gap`: as a share of the range. The sum is that of the largest spacing of `count` - 2 uniform numbers (Fisher 1929,
    "Tests of significance in harmonic analysis").
    """
    spacings = count - 1
    if gap * spacings <= 1:
        return 1.0
    terms = [
        (-1) ** (n + 1) * math.comb(spacings, n) * (1 - n * gap) ** (spacings - 1)
        for n in range(1, min(spacings, int(1 / gap)) + 1)
        if n * gap < 1
    ]
    return float(min(1.0, max(0.0, math.fsum(terms))))


def told_by(starts: Vector, groups: NDArray[np.intp]) -> bool:
    """Return whether starts (N, F) tell the groups (N,) apart."""
    spread = starts - starts.mean(axis=0)
    if not (np.abs(spread) > 1e-9).any():
        return False
    rng = np.random.default_rng(0)
    shuffled = np.stack([groups, *(rng.permutation(groups) for _ in range(SHUFFLES))])  # (S, N)
    for predict in (_by_neighbour, _by_threshold, _by_discriminant):
        right = predict(spread, shuffled)  # (S,) how many episodes each of them predicts rightly
        share = float((right[1:] >= right[0]).mean())
        usual = float(right[1:].mean())
        told = (right[0] - usual) / max(len(groups) - usual, 1e-9)
        if share <= TOLD_LEVEL or told >= TOLD_SHARE:
            return True
    return False


def resampled(path: Vector, points: int) -> Vector:
    """Return `points` points at equal distances along a path (T, F); of one that stands still, its place."""
    lengths = np.concatenate([[0.0], np.cumsum(np.linalg.norm(np.diff(path, axis=0), axis=1))])
    if lengths[-1] <= 0:
        return np.repeat(path[:1], points, axis=0)
    at = np.linspace(0, lengths[-1], points)
    return np.stack([np.interp(at, lengths, column) for column in path.T], axis=1)


def _numeric(contract: Contract, keys: Sequence[str]) -> Inputs | None:
    """Return the numeric inputs among `keys`, None if there is none."""
    numeric = [spec.key for spec in contract.observations if spec.kind == "numeric"]
    numeric += [spec.key for spec in contract.derived]
    used = tuple(key for key in numeric if not keys or key in keys)
    return Inputs.of(contract, used) if used else None


def _unexplained(paths: Vector, starts: Vector) -> Vector:
    """Return what a linear fit to the leading components of the starts leaves of centred paths (N, P * F)."""
    spread = starts - starts.mean(axis=0)
    left, size, _ = np.linalg.svd(spread, full_matrices=False)
    most = len(starts) // 5
    basis = left[:, :most][:, size[:most] > 1e-6 * max(float(size[0]), 1e-3)]
    rest: Vector = paths - basis @ (basis.T @ paths)
    return rest


def _by_neighbour(starts: Vector, groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many of the episodes are in the group of the nearest other start, for groups (S, N)."""
    distance = np.linalg.norm(starts[:, None] - starts[None], axis=2)
    np.fill_diagonal(distance, np.inf)
    right: NDArray[np.intp] = (groups == groups[:, distance.argmin(axis=1)]).sum(axis=1)
    return right


def _by_threshold(starts: Vector, groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many episodes the best threshold of one input separates from the others, for groups (S, N)."""
    best = np.zeros(len(groups), dtype=np.intp)
    moving = np.flatnonzero(np.ptp(starts, axis=0) > 1e-9)
    for group in range(int(groups.max()) + 1):
        member = groups == group
        total = member.sum(axis=1)
        for column in moving:
            order = np.argsort(starts[:, column])
            below = np.cumsum(member[:, order], axis=1)  # members up to each place
            places = np.arange(1, starts.shape[0] + 1)
            inside = below + (starts.shape[0] - places) - (total[:, None] - below)
            right = np.maximum(inside, starts.shape[0] - inside).max(axis=1)
            best = np.maximum(best, right)
    return best


def _by_discriminant(starts: Vector, groups: NDArray[np.intp]) -> NDArray[np.intp]:
    """Return how many episodes a linear fit to the others, with a ridge, puts into their group, for groups (S, N)."""
    count = len(starts)
    basis = np.concatenate([np.ones((count, 1)), starts / max(float(starts.std()), 1e-9)], axis=1)
    hat = basis @ np.linalg.solve(basis.T @ basis + np.eye(basis.shape[1]), basis.T)  # (N, N)
    wanted = np.eye(int(groups.max()) + 1)[groups]  # (S, N, G)
    fitted = hat @ wanted
    leverage = np.diag(hat)[:, None]
    others = (fitted - leverage * wanted) / (1 - leverage)  # without the episode itself
    right: NDArray[np.intp] = (others.argmax(axis=2) == groups).sum(axis=1)
    return right
