"""Fits how a policy doubts: from what it learnt, and calibrated on what it did not."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Array
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import RAW, UncertaintyModel, calibrate
from il_ros.training.samples import samples

FRAMES = 1000
"""Held-out frames looked at, at most; of the training ones where nothing was held out."""


def fit_uncertainty(
    policy: LoadedPolicy, dataset: Dataset, kind: str, frames: int = FRAMES
) -> UncertaintyModel:
    """Return how a policy (whose doubts are still raw) doubts; raises ValueError when it can't do so."""
    if kind == RAW:
        return UncertaintyModel()
    inputs = policy.inputs
    learnt = samples(dataset.train, inputs, policy.horizon).states
    states = policy.normaliser.state.normalise(inputs.features(learnt)) if inputs.state else np.empty((0, 0))
    looked_at, left = [], frames
    for episode in dataset.validation or dataset.train:
        looked_at.append(list(_played(policy, episode, left)))
        left -= len(looked_at[-1])
        if left <= 0:
            break
    return calibrate(kind, states, looked_at, policy.normaliser.actions.scale)


def _played(
    policy: LoadedPolicy, episode: EpisodeArrays, most: int
) -> Iterator[tuple[Array, Array, float | None]]:
    """Yield state, chunk and raw doubt at an episode's first frames."""
    inputs = policy.inputs
    for frame in range(min(most, len(episode))):
        seen = {key: np.asarray(values[frame]) for key, values in episode.observations.items()}
        raw = inputs.raw(seen) if inputs.state else np.empty(0)
        chunk, own = policy.act_with_uncertainty(seen)
        yield policy.normaliser.state.normalise(inputs.features(raw)), chunk, own
