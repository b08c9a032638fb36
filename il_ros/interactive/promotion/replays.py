"""Replay sets of a candidate: held-out episodes, and those that it alone or both policies were trained on."""

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
from il_ros.interactive.promotion.criteria import PromotionLimits, Seen

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy

REPLAYED = 300
"""Maximum number of replayed frames per set, about 0.5 s for a small policy."""
KNOWN_EPISODES = 20
"""Maximum number of episodes in the set that both were trained on, evenly spread."""

Criterion = Callable[[float, float | None, PromotionLimits], str]
"""Maps the candidate's error and the driving policy's (None without one) to the reason of a refusal, or ""."""


def replay_sets(
    candidate: LoadedPolicy, driving: LoadedPolicy | None
) -> Iterator[tuple[str, list[str], Criterion]]:
    """Yield the replay sets: their names, their episodes, and the criterion for the errors on them."""
    trained, held_out = (candidate.metrics.get("data", {}).get(part, ()) for part in ("train", "validation"))
    known = set() if driving is None else set(driving.metrics.get("data", {}).get("train", ()))
    unseen = [name for name in held_out if name not in known]
    yield "held_out", unseen or list(held_out), criteria.judge_held_out
    if driving is not None:
        yield "new", [name for name in trained if name not in known], criteria.judge_new
        both = [name for name in trained if name in known]
        yield "known", both[:: max(1, math.ceil(len(both) / KNOWN_EPISODES))], criteria.judge_known


def frames(
    names: Sequence[str],
    contract: Contract,
    root: Path | None,
    history: int = 1,
    optional: Sequence[str] = (),
) -> tuple[list[tuple[Seen, Vector]], dict[str, Any]]:
    """Return the frames of these episodes to replay, and a record of the used and the skipped episodes.

    `root`: the folder of all episodes; None: no replay. `history`: the ticks of a window. `optional`: the observations
    that may be missing.
    """
    if root is None:
        return [], {"episodes": [], "frames": 0, "none": "no folder of episodes given"}
    found: list[EpisodeArrays] = []
    left_out: dict[str, str] = {}
    entries = [look(root / name) for name in names]
    compressed = cache.compresses([each for each in entries if each.usable], contract)
    for entry in entries:
        if not entry.usable:
            left_out[entry.name] = f"{entry.state}: {entry.reason}"
            continue
        try:
            conversion = cache.Conversion(
                contract, cache.cache_folder(root), history=history, optional=optional, compressed=compressed
            )
            found.append(conversion.kept(entry))
        except (*UNUSABLE, OSError) as error:
            left_out[entry.name] = str(error)
        time.sleep(0)
    replay = list(criteria.frames(found, REPLAYED, history))
    record: dict[str, Any] = {"episodes": [episode.name for episode in found], "frames": len(replay)}
    if left_out:
        record["left_out"] = left_out
    if not replay:
        record["none"] = "no such episode"
    return replay, record
