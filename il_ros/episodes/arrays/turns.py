"""Joints that look as if they had no end: their measured angle jumps by a whole turn from tick to tick."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import POSE, turn_of
from il_ros.episodes.arrays.episode import EpisodeArrays

_ALMOST = 0.9
"""A jump by more than this share of a turn, between two ticks without a gap."""


def turn_warnings(contract: Contract, episodes: Sequence[EpisodeArrays]) -> list[str]:
    """Return a sentence for each commanded joint whose measured angle jumps by a turn, and is not `continuous`."""
    found = []
    for action in contract.actions:
        if action.reference is None or action.is_velocity or action.type == POSE:
            continue
        most = _ALMOST * turn_of(action.unit)
        for name, place in zip(action.names, action.reference_index, strict=True):
            if name in action.continuous:
                continue
            for episode in episodes:
                jump = _jump(episode, action.reference, place, most)
                if jump is not None:
                    found.append(
                        f"{action.key}/{name} is measured at {jump[0]:.4g} and a tick later at {jump[1]:.4g} "
                        f"({episode.name}): if it has no end, declare 'continuous: [{name}]' at actions.{action.key}"
                    )
                    break
    return found


def _jump(episode: EpisodeArrays, key: str, place: int, most: float) -> tuple[float, float] | None:
    angles = np.asarray(episode.observations[key])[:, place]
    for run in episode.runs:
        steps = np.flatnonzero(np.abs(np.diff(angles[run])) > most)
        if len(steps):
            first = run.start + int(steps[0])
            return float(angles[first]), float(angles[first + 1])
    return None
