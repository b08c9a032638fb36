"""Fitting of uncertainty models: calibrated on held-out frames."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.protocol import Array
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import (
    CHUNK,
    RAW,
    ChunkUse,
    HeldOut,
    PolicyAnswer,
    UncertaintyModel,
    calibrate,
)

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
    episodes = dataset.validation or dataset.train
    answers = [] if kind == CHUNK else list(_answers(policy, episodes, frames))
    chunks = (
        {use: list(_chunks(policy, episodes, frames, use)) for use in _uses(policy)} if kind == CHUNK else {}
    )
    return calibrate(kind, states, HeldOut(answers, chunks), policy.difference, policy.form.columns_by_group)


def _answers(
    policy: LoadedPolicy, episodes: Sequence[EpisodeArrays], most: int
) -> Iterator[tuple[Array, PolicyAnswer]]:
    """Yield normalised state and answer for the first `most` frames of episodes."""
    for episode in episodes:
        for seen in _windows(policy, episode, range(min(most, len(episode)))):
            yield policy.normalised_state(seen[-1]), policy.act_in_parts(seen)
        most -= min(most, len(episode))


def _uses(policy: LoadedPolicy) -> list[ChunkUse]:
    """Return the uses of chunks that have an overlap: those of a fast policy, and of one that continues its chunks.

    A policy that computes for k ticks gives a chunk every k ticks, and continues k steps of the one before.
    """
    apart = [2**power for power in range(8) if 2**power < policy.horizon]
    uses = [ChunkUse(ticks, committed) for ticks in apart for committed in (0, ticks)]
    return [use for use in uses if use.ticks + use.committed < policy.horizon]


def _chunks(
    policy: LoadedPolicy, episodes: Sequence[EpisodeArrays], most: int, use: ChunkUse
) -> Iterator[tuple[Vector, Vector]]:
    """Yield successive chunks (H, A) within each episode, as this use makes them, for the first `most` frames."""
    for episode in episodes:
        before: Vector | None = None
        for seen in _windows(policy, episode, range(0, min(most, len(episode)), use.ticks)):
            previous = None if before is None else before[use.ticks : use.ticks + use.committed]
            chunk = policy.act_in_parts(seen, previous).commands
            if before is not None:
                yield before, chunk
            before = chunk
        most -= min(most, len(episode))


def _windows(
    policy: LoadedPolicy, episode: EpisodeArrays, frames: Iterable[int]
) -> Iterator[list[dict[str, Array]]]:
    """Yield what the policy sees at frames of an episode."""
    rows, existing = episode.windows(policy.history)
    for frame in frames:
        yield [episode.observation(row) for row in rows[frame][existing[frame]].tolist()]


def _states(policy: LoadedPolicy, episode: EpisodeArrays) -> Array:
    """Return the normalised states (T, F) of an episode's frames."""
    if not episode.absent:
        return policy.normalised_state(episode.observations)
    return np.stack([policy.normalised_state(episode.observation(row)) for row in range(len(episode))])
