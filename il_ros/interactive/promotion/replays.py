"""What a new policy is replayed on: held-out episodes, and those that it alone, or both, learnt from."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.episodes.arrays import cache
from il_ros.episodes.arrays.dataset import UNUSABLE
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.catalogue import look
from il_ros.interactive.promotion import criteria
from il_ros.interactive.promotion.criteria import Observation, PromotionLimits

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy

REPLAYED = 300
"""Frames of each kind that are replayed at most: half a second of a small policy."""
KNOWN_EPISODES = 20
"""Episodes, evenly spread over all that both learnt from, of which these are taken."""

Rule = Callable[[float, float | None, PromotionLimits], str]
"""From the candidate's error and the driving policy's (None: none drives) to why it is refused, or ""."""


def wanted(candidate: LoadedPolicy, driving: LoadedPolicy | None) -> Iterator[tuple[str, list[str], Rule]]:
    """Yield what a candidate is judged by: its name, the episodes, and the rule for the errors on them."""
    learnt, held_out = (candidate.metrics.get("data", {}).get(part, ()) for part in ("train", "validation"))
    known = set() if driving is None else set(driving.metrics.get("data", {}).get("train", ()))
    unseen = [name for name in held_out if name not in known]
    yield "held_out", unseen or list(held_out), criteria.judge_held_out
    if driving is not None:
        yield "new", [name for name in learnt if name not in known], criteria.judge_new
        both = [name for name in learnt if name in known]
        yield "known", both[:: max(1, math.ceil(len(both) / KNOWN_EPISODES))], criteria.judge_known


def frames(
    names: Sequence[str], contract: Contract, root: Path | None
) -> tuple[list[tuple[Observation, Vector]], dict[str, Any]]:
    """Return frames of these episodes to replay, and which they are of, or why there are none.

    `root`: the folder of all episodes; None: there is none.
    """
    if root is None:
        return [], {"episodes": [], "frames": 0, "none": "no folder of episodes given"}
    found: list[EpisodeArrays] = []
    left_out: dict[str, str] = {}
    for name in names:
        entry = look(root / name)
        if not entry.usable:
            left_out[name] = f"{entry.state}: {entry.reason}"
            continue
        try:
            found.append(cache.load(entry, contract, cache.cache_folder(root)))
        except (*UNUSABLE, OSError) as error:
            left_out[name] = str(error)
        time.sleep(0)
    replay = list(criteria.frames(found, REPLAYED))
    told: dict[str, Any] = {"episodes": [episode.name for episode in found], "frames": len(replay)}
    if left_out:
        told["left_out"] = left_out
    if not replay:
        told["none"] = "no such episode"
    return replay, told
