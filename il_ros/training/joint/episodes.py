"""Episodes of one contract as episodes of a joined one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import WHOLE
from il_ros.episodes.arrays.episode import EpisodeArrays, UnlabelledTicks
from il_ros.policies.joint.contracts import PART, JoinedContract
from il_ros.policies.joint.part import one_hot


def in_union(
    episode: EpisodeArrays, own: JoinedContract, part: Contract, name: str, weight: float = 1.0
) -> EpisodeArrays:
    """Return an episode of a part as one of the joined contract: without labels of actions that the part lacks."""
    columns = np.concatenate(
        [np.arange(own.action_size)[own.action_slices[action.key]] for action in part.actions]
    )
    commands = np.full((len(episode), own.action_size), np.nan)
    commands[:, columns] = episode.commands
    offsets = np.zeros(commands.shape)
    offsets[:, columns] = episode.offsets
    told, extra = one_hot(own, part), episode.unlabelled
    group_of = {key: group.name for group in part.groups for key in group.keys}
    held = {group.name: group_of.get(group.keys[0], WHOLE) for group in own.groups} if own.grouped else {}
    sources = {ours: episode.authorities.get(theirs, episode.authority) for ours, theirs in held.items()}
    return replace(
        episode,
        name=name,
        observations={**episode.observations, PART: np.tile(told, (len(episode), 1))},
        commands=commands,
        offsets=offsets,
        groups=own.groups if own.grouped else (),
        authorities={group: names for group, names in sources.items() if names},
        group_takeovers_ns={
            ours: episode.group_takeovers_ns.get(theirs, episode.takeovers_ns)
            for ours, theirs in held.items()
        },
        unlabelled=UnlabelledTicks(
            extra.ticks_ns, {**extra.observations, PART: np.tile(told, (len(extra), 1))}, extra.absent
        ),
        weight=weight,
    )


def tasks_by_part(own: JoinedContract, episodes: Sequence[EpisodeArrays]) -> dict[str, list[str]]:
    """Return the tasks of each part's episodes."""
    found: dict[str, set[str]] = {part.name: set() for part in own.parts}
    for episode in episodes:
        if episode.task:
            found[own.parts[int(np.argmax(episode.observations[PART][0]))].name].add(episode.task)
    return {name: sorted(tasks) for name, tasks in found.items()}
