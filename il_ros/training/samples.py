"""Training samples: every frame of the episodes with the ticks before it and the chunk of actions that follows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.camera_frames import CameraFrames
from il_ros.episodes.arrays.episode import EpisodeArrays, filled, missing_of
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.protocol import PolicyError
from il_ros.training.weighting import UNIFORM, Weighting, step_weights

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Frames:
    """The M observed ticks of all episodes: `features` (M, F), not normalised, and images and texts (M,) by key.

    Of each episode these are its frames, then its ticks without a label, which windows of frames hold.

    `absent[key]` (M,): where an optional observation is missing; its features are those of other frames there.
    """

    features: Vector
    images: Mapping[str, CameraFrames] = field(default_factory=dict)
    texts: Mapping[str, NDArray[np.str_]] = field(default_factory=dict)
    absent: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)


@dataclass(frozen=True)
class Samples:
    """N samples, in the order of the episodes' frames.

    `actions` (N, H, L): the training targets of the chunk's steps, in the contract's units unless their form
    (`ActionForm`) is another; beyond the end of a run the last step is repeated. `weights` (N, H, 1): the weight of
    each step, see `Weighting` and `Batch`; 0 for repeated steps. Where action groups have labels of their own it is
    (N, H, L), 0 for actions without a label, which are NaN. `window` (N, T): the frames of the window, oldest
    first; `existing` (N, T): which of them exist, see `window_frames`. `following` (N, K): the next K frames;
    `continues` (N, K): which of them are in the same run; beyond its end its last frame is repeated.
    """

    frames: Frames
    actions: Vector
    weights: NDArray[np.float32]
    window: NDArray[np.intp]
    existing: NDArray[np.bool_]
    following: NDArray[np.intp]
    continues: NDArray[np.bool_]

    @classmethod
    def of(
        cls,
        features: Vector,
        actions: Vector,
        weights: NDArray[np.float32],
        images: Mapping[str, CameraFrames] | None = None,
    ) -> Samples:
        """Return samples of one tick each, unrelated to each other: features (N, F)."""
        places = np.arange(len(features))[:, None]
        alone = np.zeros(places.shape, dtype=bool)
        return cls(Frames(features, images or {}), actions, weights, places, ~alone, places, alone)

    def __len__(self) -> int:
        return len(self.actions)

    @property
    def newest(self) -> NDArray[np.intp]:
        """The frame of each sample (N,)."""
        newest: NDArray[np.intp] = self.window[:, -1]
        return newest

    @property
    def features(self) -> Vector:
        """The state features of each sample's own frame (N, F)."""
        return self.frames.features[self.newest]

    def only(self, kept: NDArray[np.bool_]) -> Samples:
        """Return the samples of the frames that are `kept` (N,); windows and chunks still hold the other frames."""
        if kept.all():
            return self
        return Samples(
            self.frames,
            self.actions[kept],
            self.weights[kept],
            self.window[kept],
            self.existing[kept],
            self.following[kept],
            self.continues[kept],
        )


def samples(
    episodes: Sequence[EpisodeArrays],
    inputs: Inputs,
    horizon: int,
    weighting: Weighting = UNIFORM,
    form: ActionForm | None = None,
    history: int = 1,
    ahead: int = 1,
) -> Samples:
    """Return one sample per frame of the episodes.

    `form`: the learnt form of the actions; None: the commands minus the offsets. `history`: the ticks of a window;
    `ahead`: those after it that are at hand.
    Windows and chunks never cross a gap or the end of their episode. Raises ValueError naming episode, key and frame
    on NaN or infinity, and on an observation that is missing although it is not optional.
    """
    chunks, weights, windows, nexts = [], [], [], []
    first = 0
    for episode in episodes:
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
        places, existing = episode.windows(history)
        windows.append((first + places, existing))
        after, continues = _steps(episode, 1 + ahead)
        nexts.append((first + after[:, 1:], continues[:, 1:]))
        first += len(episode) + len(episode.unlabelled)
    window, existing = (np.concatenate(part) for part in zip(*windows, strict=True))
    following, continues = (np.concatenate(part) for part in zip(*nexts, strict=True))
    arrays = (np.concatenate(chunks), np.concatenate(weights), window, existing, following, continues)
    return Samples(_frames(episodes, inputs), *arrays)


def _frames(episodes: Sequence[EpisodeArrays], inputs: Inputs) -> Frames:
    features: list[Vector] = []
    absent: dict[str, list[NDArray[np.bool_]]] = {key: [] for key in inputs.optional}
    parts = [(each.name, part) for each in episodes for part in (each, each.unlabelled) if len(part)]
    for name, part in parts:
        try:
            features.append(inputs.state_features(filled(part)))
        except PolicyError as error:
            raise ValueError(f"{name}: {error}") from error
        for key, masks in absent.items():
            gone = [missing_of(part, source.key) for source in inputs.sources_of(key)]
            masks.append(np.any(gone, axis=0))
    together = np.concatenate(features)
    missing_at = {key: np.concatenate(masks) for key, masks in absent.items()}
    for key, missing in missing_at.items():
        if key in inputs.columns:  # so that mean and deviation are those of the others
            places = inputs.columns[key]
            shown = together[~missing][:, places]
            together[np.ix_(missing, places)] = np.resize(shown, (int(missing.sum()), len(places)))
    seen = [_with_key(name, part.observations, inputs) for name, part in parts]
    images = {spec.key: CameraFrames([each[spec.key] for each in seen]) for spec in inputs.images}
    texts = {spec.key: np.concatenate([each[spec.key] for each in seen]) for spec in inputs.texts}
    return Frames(together, images, texts, missing_at)


def _with_key(name: str, observations: Mapping[str, Array], inputs: Inputs) -> Mapping[str, Array]:
    """Return an episode's observations with zeros for missing optional ones; raises ValueError on another one."""
    seen = inputs.completed(observations)
    for spec in (*inputs.images, *inputs.texts):
        if spec.key not in seen:
            raise ValueError(
                f"{name}: observation '{spec.key}' is missing; name it in `optional` if it may be"
            )
    return seen


def _steps(episode: EpisodeArrays, horizon: int) -> tuple[NDArray[np.intp], NDArray[np.bool_]]:
    """Return the frame indices of each frame's chunk (T, H), and which of them lie within its run."""
    ends = np.empty(len(episode), dtype=np.intp)
    for run in episode.runs:
        ends[run] = run.stop
    steps = np.arange(len(episode))[:, None] + np.arange(horizon)
    last = ends[:, None] - 1
    return np.minimum(steps, last), steps <= last
