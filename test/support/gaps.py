"""A task with several ways: a point goes around obstacles through one of two or three gaps, chosen by lot.

The starts are such that the mean of the ways, in equal shares, hits an obstacle. A demonstration has 22 steps.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import torch

from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import sample

CONTRACT = contract.parse(
    """
name: gaps
rate_hz: 10
observations:
  point: {topic: point, type: std_msgs/msg/Float64MultiArray, names: [x, y], unit: m, max_age_s: 1}
actions:
  step: {topic: step, type: std_msgs/msg/Float64MultiArray, names: [x, y], quantity: bounded,
         limits: {lower: -0.1, upper: 0.1}}
""",
    "gaps",
)
GAPS = {2: np.array([-0.28, 0.28]), 3: np.array([-0.42, 0.12, 0.44])}
OBSTACLES = {2: [(0.5, 0.0, 0.16)], 3: [(0.5, -0.12, 0.18), (0.5, 0.26, 0.07)]}
STEP, STEPS, GOAL = 0.05, 22, np.array([1.05, 0.0])


def starts(count, rng, aside=0.0):
    """Return start points (N, 2); `aside`: how far they may lie from the line of symmetry."""
    return np.stack([np.zeros(count), rng.uniform(-aside, aside, count)], axis=1)


def hits(point, ways):
    """Return which points (N, 2) lie in an obstacle."""
    return np.any([np.hypot(point[:, 0] - x, point[:, 1] - y) < r for x, y, r in OBSTACLES[ways]], axis=0)


def demonstrations(ways, shares, count, seed, aside=0.0):
    """Return `count` demonstrations as a data set, and the share of each gap in them."""
    rng = np.random.default_rng(seed)
    chosen = rng.permutation(np.repeat(np.arange(ways), np.round(np.array(shares) * count).astype(int)))
    point, points, steps = starts(count, rng, aside), [], []
    for _ in range(STEPS):
        via = np.stack([np.full(count, 0.5), GAPS[ways][chosen]], axis=1)
        ahead = np.where(point[:, :1] < 0.46, via, GOAL) - point
        step = STEP * ahead / np.linalg.norm(ahead, axis=1, keepdims=True)
        step = step + 0.004 * rng.standard_normal(point.shape)
        points.append(point)
        steps.append(step)
        point = point + step
    episodes = tuple(
        EpisodeArrays(
            name=f"episode_{number:06d}",
            observations={"point": np.stack(points, axis=1)[number]},
            commands=np.stack(steps, axis=1)[number],
            offsets=np.zeros((STEPS, 2)),
            ticks_ns=np.arange(1, STEPS + 1) * CONTRACT.period_ns,
            period_ns=CONTRACT.period_ns,
            outcome="success",
            task="gaps",
        )
        for number in range(count)
    )
    summary = DatasetSummary(tuple(one.name for one in episodes), (), count * STEPS, {}, ())
    return Dataset(CONTRACT, episodes, (), summary), np.bincount(chosen, minlength=ways) / count


@dataclasses.dataclass(frozen=True)
class Rated:
    """Success of N episodes, the share of each gap among the successful ones, and the paths (T, N, 2)."""

    success: float
    shares: np.ndarray
    paths: np.ndarray


def rate(policy, ways, count=500, execute=4, way=None, seed=0, aside=0.0):
    """Return how a policy does from `count` starts; it plays `execute` steps of each chunk."""
    point = starts(count, np.random.default_rng(1000 + seed), aside)
    alive, done, gap, path = np.ones(count, bool), np.zeros(count, bool), np.full(count, -1), [point]
    for tick in range(0, 60, execute):
        state = torch.from_numpy(policy.normaliser.inputs(point).astype(np.float32))[:, None]
        window = policy.window({"point": point[0]})
        batch = Batch(type(window)(state, window.columns), way=way)
        chunk = sample(policy.network, batch, seed=seed * 1000 + tick).chunk.numpy().astype(float)
        chunk = policy.normaliser.actions.restore(chunk)
        for step in range(execute):
            after = point + np.where((alive & ~done)[:, None], chunk[:, step], 0)
            crosses = (point[:, 0] < 0.5) & (after[:, 0] >= 0.5)
            gap[crosses] = np.abs(after[crosses, 1:] - GAPS[ways]).argmin(axis=1)
            alive &= ~hits(after, ways)
            point = after
            done |= alive & (np.hypot(*(point - GOAL).T) < 0.08)
            path.append(point)
    shares = np.bincount(gap[done], minlength=ways) / max(1, done.sum())
    return Rated(float(done.mean()), shares, np.array(path))
