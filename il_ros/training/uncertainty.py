"""Fitting of uncertainty models: calibrated on held-out frames."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Array
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import RAW, UncertaintyModel, calibrate

FRAMES = 1000
"""Maximum number of held-out frames (training frames if nothing is held out) for calibration."""


def fit_uncertainty(
    policy: LoadedPolicy, dataset: Dataset, kind: str, frames: int = FRAMES
) -> UncertaintyModel:
    """Return the uncertainty model of a `kind` for a policy whose own model is still raw.

    `frames`: the maximum number of frames for calibration. Raises ValueError if the kind is not available.
    """
    if kind == RAW:
        return UncertaintyModel()
    states = np.concatenate([_states(policy, episode) for episode in dataset.train])
    held_out, left = [], frames
    for episode in dataset.validation or dataset.train:
        held_out.append(list(_predictions(policy, episode, left)))
        left -= len(held_out[-1])
        if left <= 0:
            break
    return calibrate(kind, states, held_out, policy.difference)


def _predictions(
    policy: LoadedPolicy, episode: EpisodeArrays, most: int
) -> Iterator[tuple[Array, Array, float | None]]:
    """Yield normalised state, chunk and raw uncertainty for the first `most` frames of an episode."""
    rows, existing = episode.windows(policy.history)
    for frame in range(min(most, len(episode))):
        seen = [episode.observation(row) for row in rows[frame][existing[frame]].tolist()]
        chunk, own, _ = policy.act_in_parts(seen)
        yield policy.normalised_state(seen[-1]), chunk, own


def _states(policy: LoadedPolicy, episode: EpisodeArrays) -> Array:
    """Return the normalised states (T, F) of an episode's frames."""
    if not episode.absent:
        return policy.normalised_state(episode.observations)
    return np.stack([policy.normalised_state(episode.observation(row)) for row in range(len(episode))])
