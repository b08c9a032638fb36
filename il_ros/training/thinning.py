"""Thin frames in which nothing moves: a stuck policy or a pause would otherwise outweigh the motion.

Nothing moves at a frame when, over the half second before it, no observed number that is a policy's input and
no element of the label changed by more than 0.2 % of its range in the training data. Camera images are not
compared. Of successive such frames one in `still_every` is used; half a second after each motion ended is used
whole.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays, filled
from il_ros.policies.features import Inputs

WINDOW_S = 0.5
SHARE = 0.002

Mask = NDArray[np.bool_]


def kept_frames(
    episodes: Sequence[EpisodeArrays], inputs: Inputs, every: int, turns: Vector | None = None
) -> list[Mask]:
    """Return for each episode which of its T frames (T,) are used; all of them when `every` is 1.

    `turns` (A,): see `Contract.turns`; None: there is no continuous joint.
    Raises ValueError unless `every` is at least 1.
    """
    if every < 1:
        raise ValueError(f"still_every is {every}; it must be at least 1")
    if every == 1:
        return [np.ones(len(episode), dtype=bool) for episode in episodes]
    numbers = [_numbers(episode, inputs, turns) for episode in episodes]
    ranges = np.max([values.max(axis=0) for values in numbers], axis=0)
    ranges = ranges - np.min([values.min(axis=0) for values in numbers], axis=0)
    moving = ranges > 0
    if not moving.any():
        return [np.ones(len(episode), dtype=bool) for episode in episodes]
    return [
        _kept(episode, values[:, moving], SHARE * ranges[moving], every)
        for episode, values in zip(episodes, numbers, strict=True)
    ]


def sentence(kept: Sequence[Mask]) -> str:
    """Return how many frames show no motion and are not used; "" when all are used."""
    left_out, total = sum(int((~mask).sum()) for mask in kept), sum(len(mask) for mask in kept)
    if not left_out:
        return ""
    return f"{left_out} of {counted(total, 'frame')} are not used: nothing moves in them (--set still_every=1 uses all)"


def _numbers(episode: EpisodeArrays, inputs: Inputs, turns: Vector | None) -> Vector:
    """Return what has to stand still (T, N): the inputs' numbers and the label, angles as cosine and sine."""
    features = np.asarray(inputs.state_features(filled(episode)), dtype=np.float64)
    commands = _still_where_unlabelled(np.asarray(episode.commands))
    if turns is not None and turns.any():  # a joint at rest may cross the end of its turn with the noise
        angles = commands[:, turns > 0] * (2 * np.pi / turns[turns > 0])
        commands = np.hstack([commands[:, turns == 0], np.cos(angles), np.sin(angles)])
    return np.hstack([features.reshape(len(episode), -1), commands])


def _still_where_unlabelled(commands: Vector) -> Vector:
    """Return commands (T, A) whose NaN, of action groups without a label, is the action's first label instead."""
    known = ~np.isnan(commands)
    if known.all():
        return commands
    first = np.nan_to_num(commands[known.argmax(axis=0), np.arange(commands.shape[1])])
    return np.where(known, commands, first)


def _kept(episode: EpisodeArrays, values: Vector, tolerance: Vector, every: int) -> Mask:
    kept = np.ones(len(episode), dtype=bool)
    window = max(2, 1 + round(WINDOW_S * 1e9 / episode.period_ns))
    for run in episode.runs:
        part = values[run]
        if len(part) < window:
            continue
        windows = sliding_window_view(part, window, axis=0)
        still = np.zeros(len(part), dtype=bool)
        still[window - 1 :] = (np.ptp(windows, axis=-1) <= tolerance).all(axis=1)
        place = np.arange(len(part))
        last_moving = np.maximum.accumulate(np.where(still, -1, place))
        kept[run] = ~still | ((place - last_moving) % every == 0)
    return kept
