"""Training samples: every frame of the episodes with the chunk of actions that follows it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.protocol import PolicyError
from il_ros.training.weighting import UNIFORM, Weighting, step_weights

Array = np.ndarray[Any, Any]


class CameraFrames:
    """The frames of one camera across several episodes, usually memory-mapped."""

    def __init__(self, parts: Sequence[Array]) -> None:
        self._parts = parts
        self._starts = np.cumsum([0, *(len(part) for part in parts)]).tolist()
        self._chosen: NDArray[np.intp] | None = None

    def __len__(self) -> int:
        return int(self._starts[-1]) if self._chosen is None else len(self._chosen)

    def only(self, frames: NDArray[np.intp]) -> CameraFrames:
        """Return the view that has only these frames, in this order."""
        view = CameraFrames(self._parts)
        view._chosen = frames if self._chosen is None else self._chosen[frames]
        return view

    def take(self, frames: Sequence[int]) -> Array:
        """Return copies of the frames (B, H, W, C) with these indices."""
        if self._chosen is not None:
            frames = self._chosen[np.asarray(frames, dtype=np.intp)].tolist()
        out = np.empty((len(frames), *self._parts[0].shape[1:]), self._parts[0].dtype)
        for place, frame in enumerate(frames):
            part = bisect_right(self._starts, frame) - 1
            out[place] = self._parts[part][frame - self._starts[part]]
        return out


@dataclass(frozen=True)
class Samples:
    """N samples, in the order of the episodes' frames.

    `features` (N, F): state features, not normalised. `actions` (N, H, L): the training targets of the
    chunk's steps, in the contract's units unless their form (`ActionForm`) is another; beyond the end of a run
    the last step is repeated. `weights` (N, H, 1): the weight of each step, see `Weighting`; 0 for repeated steps.
    Where action groups have labels of their own it is (N, H, L), 0 for actions without a label, which are NaN.
    `images`: N frames per camera.
    """

    features: Vector
    actions: Vector
    weights: NDArray[np.float32]
    images: Mapping[str, CameraFrames]

    def __len__(self) -> int:
        return len(self.features)

    def only(self, kept: NDArray[np.bool_]) -> Samples:
        """Return the samples of the frames that are `kept` (N,); their chunks still hold the other frames."""
        if kept.all():
            return self
        frames = np.flatnonzero(kept)
        images = {key: camera.only(frames) for key, camera in self.images.items()}
        return Samples(self.features[kept], self.actions[kept], self.weights[kept], images)


def samples(
    episodes: Sequence[EpisodeArrays],
    inputs: Inputs,
    horizon: int,
    weighting: Weighting = UNIFORM,
    form: ActionForm | None = None,
) -> Samples:
    """Return one sample per frame of the episodes.

    `form`: the learnt form of the actions; None: the commands minus the offsets. A chunk never crosses a gap or
    the end of its episode. Raises ValueError naming episode, key and frame on NaN or infinity.
    """
    features, chunks, weights = [], [], []
    for episode in episodes:
        try:
            features.append(inputs.state_features(episode.observations))
        except PolicyError as error:
            raise ValueError(f"{episode.name}: {error}") from error
        wrong = ~np.isfinite(episode.commands)
        for place, group in enumerate(episode.groups):
            wrong[np.ix_(~episode.labelled[:, place], group.index)] = False
        if wrong.any():
            frame, column = np.argwhere(wrong)[0]
            raise ValueError(f"{episode.name}: command {column} of frame {frame} is NaN or infinity")
        steps, inside = _steps(episode, horizon)
        commands, offsets = np.asarray(episode.commands)[steps], np.asarray(episode.offsets)[:, None]
        chunks.append(commands - offsets if form is None else form.learnt(commands, offsets))
        group_of = None if form is None else form.group_of
        weights.append(step_weights(episode, weighting, steps, inside, group_of))
    images = {
        spec.key: CameraFrames([episode.observations[spec.key] for episode in episodes])
        for spec in inputs.images
    }
    return Samples(np.concatenate(features), np.concatenate(chunks), np.concatenate(weights), images)


def _steps(episode: EpisodeArrays, horizon: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the frame indices of each frame's chunk (T, H), and which of them lie within its run."""
    ends = np.empty(len(episode), dtype=np.intp)
    for run in episode.runs:
        ends[run] = run.stop
    steps = np.arange(len(episode))[:, None] + np.arange(horizon)
    last = ends[:, None] - 1
    return np.minimum(steps, last), steps <= last
