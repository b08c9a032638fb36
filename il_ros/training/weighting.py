"""Label weights: recoveries count more, the lapses before them less. See `records.labelling`."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import WHOLE, Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.labelling import EXPERT


@dataclass(frozen=True)
class Weighting:
    """The weight of each label, times that of its episode; all others weigh 1.

    `recovery`: for the expert's labels in the first `recovery_s` seconds after a takeover, which show how to
    recover. `lapse`: for other labels in the `lapse_s` seconds before a takeover, which led to it.
    Raises ValueError unless all are finite and above 0.
    """

    recovery: float = 1.0
    recovery_s: float = 1.0
    lapse: float = 1.0
    lapse_s: float = 1.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} is {value}; it must be finite and above 0")


UNIFORM = Weighting()


def step_weights(
    episode: EpisodeArrays,
    weighting: Weighting,
    steps: NDArray[np.intp],
    inside: NDArray[np.bool_],
    group_of: NDArray[np.intp] | None = None,
) -> NDArray[np.float32]:
    """Return the weight of each step of each frame's chunk (T, H, 1), or (T, H, L) where groups have their own.

    `steps` (T, H): the frame of each step; `inside` (T, H): False for repeated steps. `group_of` (L,): the action group
    of each learnt number. In a group, a chunk ends at its first step without a label of this group.
    """
    if not episode.groups:
        return (inside * weights_of(episode, weighting)[steps]).astype(np.float32)[..., None]
    taught = np.logical_and.accumulate(episode.labelled[steps] & inside[..., None], axis=1)  # (T, H, G)
    found = [weights_of(episode, weighting, group.name) for group in episode.groups]
    by_group = taught * np.stack(found, axis=1)[steps]
    return expanded(by_group, groups_of(episode) if group_of is None else group_of).astype(np.float32)


def expanded(by_group: Vector, group_of: NDArray[np.intp]) -> Vector:
    """Return numbers of groups (..., G) as numbers of their actions (..., L); `group_of` (L,): the group of each."""
    return by_group[..., group_of]


def groups_of(episode: EpisodeArrays) -> NDArray[np.intp]:
    """Return the group of each commanded number (A,), as an index of the episode's groups."""
    out = np.zeros(episode.commands.shape[1], dtype=np.intp)
    for place, group in enumerate(episode.groups):
        out[group.index] = place
    return out


def weights_of(episode: EpisodeArrays, weighting: Weighting, group: str = WHOLE) -> Vector:
    """Return the weight (T,) of each frame; `group`: of its label of one action group."""
    out = np.full(len(episode), episode.weight)
    sources = episode.authorities.get(group, episode.authority)
    expert = np.array([source == EXPERT for source in sources] or [False] * len(episode))
    for taken_ns in episode.group_takeovers_ns.get(group, episode.takeovers_ns):
        since_s = (episode.ticks_ns - taken_ns) / 1e9
        out[~expert & (since_s < 0) & (since_s >= -weighting.lapse_s)] = episode.weight * weighting.lapse
        out[expert & (since_s >= 0) & (since_s < weighting.recovery_s)] = episode.weight * weighting.recovery
    return out
