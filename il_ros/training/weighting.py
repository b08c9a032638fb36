"""Label weights: recoveries count more, the lapses before them less. See `records.labelling`."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import WHOLE, Vector
from il_ros.core.tables import counted, listed
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
    lapses, recoveries, _ = _around_takeovers(episode, weighting, group)
    out = np.full(len(episode), episode.weight)
    out[lapses] = episode.weight * weighting.lapse
    out[recoveries] = episode.weight * weighting.recovery
    return out


def sentence(episodes: Sequence[EpisodeArrays], weighting: Weighting) -> str:
    """Return how many frames are corrections, and how many weigh more or less; "" without takeovers and weights.

    A correction is a frame of the expert from a takeover on, in any action group.
    """
    taken = [episode for episode in episodes if any(_takeovers(episode).values())]
    weights = {"recovery": weighting.recovery, "lapse": weighting.lapse}
    changed = {name: value for name, value in weights.items() if value != 1.0}
    if not taken:
        have = "has" if len(changed) == 1 else "have"
        none = (
            f"{listed([*changed], between=' and ')} {have} no effect: no takeover in the episodes to train on"
        )
        return none if changed else ""
    lapses, recoveries, corrected = _counts(taken, weighting)
    times = [{ns for group_ns in _takeovers(episode).values() for ns in group_ns} for episode in taken]
    frames = counted(sum(len(episode) for episode in episodes), "frame")
    said = [
        f"{corrected} of {frames} to train on are corrections: {counted(sum(map(len, times)), 'takeover')} in "
        f"{counted(len(taken), 'episode')}"
    ]
    places = {
        "recovery": (recoveries, f"of the expert in the first {weighting.recovery_s:g} s after a takeover"),
        "lapse": (lapses, f"with a label in the {weighting.lapse_s:g} s before a takeover"),
    }
    for name, value in changed.items():
        count, where = places[name]
        effect = f"on {counted(count, 'frame')}" if count else "has no effect: there is no frame"
        said.append(f"{name} {value:g} {effect} {where}")
    return "; ".join(said)


def corrections(episodes: Sequence[EpisodeArrays]) -> int:
    """Return how many frames are corrections; see `sentence`."""
    return _counts(episodes, Weighting())[2]


def _counts(episodes: Sequence[EpisodeArrays], weighting: Weighting) -> tuple[int, int, int]:
    """Return how many frames are lapses, recoveries and corrections, in any action group."""
    counts = np.zeros(3, dtype=np.intp)
    for episode in episodes:
        groups = [_around_takeovers(episode, weighting, group) for group in _takeovers(episode)]
        counts += np.any(groups, axis=0).sum(axis=1)
    lapses, recoveries, corrected = counts.tolist()
    return lapses, recoveries, corrected


def _takeovers(episode: EpisodeArrays) -> Mapping[str, tuple[int, ...]]:
    """Return the stamps of an episode's takeovers, by action group."""
    return {group.name: episode.group_takeovers_ns.get(group.name, ()) for group in episode.groups} or {
        WHOLE: episode.takeovers_ns
    }


def _around_takeovers(episode: EpisodeArrays, weighting: Weighting, group: str) -> NDArray[np.bool_]:
    """Return which frames are lapses before a takeover, which recoveries after one, which corrections (3, T)."""
    sources = episode.authorities.get(group, episode.authority)
    expert = np.array([source == EXPERT for source in sources] or [False] * len(episode))
    lapses, recoveries, corrected = np.zeros((3, len(episode)), dtype=bool)
    for taken_ns in episode.group_takeovers_ns.get(group, episode.takeovers_ns):
        since_s = (episode.ticks_ns - taken_ns) / 1e9
        lapses |= ~expert & (since_s < 0) & (since_s >= -weighting.lapse_s)
        recoveries |= expert & (since_s >= 0) & (since_s < weighting.recovery_s)
        corrected |= expert & (since_s >= 0)
    return np.stack([lapses, recoveries, corrected])
