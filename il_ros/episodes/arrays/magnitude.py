"""Numbers that no policy can compute with, such as an uninitialised or overflowing driver sends."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays

LARGEST = float(np.sqrt(np.finfo(np.float32).max))
"""1.8e19, in the number's own unit: networks have 32 bits, in which the squares of larger numbers are infinite."""


def impossible_numbers(contract: Contract, episode: EpisodeArrays) -> Iterator[tuple[str, Vector]]:
    """Yield the name and the values (T,) of each observed or labelled number that exceeds LARGEST somewhere."""
    for spec in contract.observations:
        if spec.kind == "numeric" and spec.key in episode.observations:
            values = np.asarray(episode.observations[spec.key])
            for place in np.flatnonzero((np.abs(values) > LARGEST).any(axis=0)):
                yield f"{spec.key}/{spec.elements[place]}", values[:, place]
    commands = np.asarray(episode.commands)
    for place in np.flatnonzero((np.abs(commands) > LARGEST).any(axis=0)):
        yield f"label of {contract.action_names[place]}", commands[:, place]


def refusal(contract: Contract, episode: EpisodeArrays) -> str:
    """Return why nothing can be learnt from an episode, with the first impossible number; "" if there is none."""
    for name, values in impossible_numbers(contract, episode):
        beyond = np.flatnonzero(np.abs(values) > LARGEST)
        frames = counted(len(beyond), "frame")
        return (
            f"{name} is {values[beyond[0]]:.3g} in {frames}, and at most {LARGEST:.1g} can be learnt from; "
            "`il-ros episodes doctor` shows how to leave them out"
        )
    return ""
