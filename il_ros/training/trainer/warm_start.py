"""Beginning a training with the weights of an earlier policy, within a given time.

While everything can be gone through as often as wanted, it is. Beyond that an epoch is all that is new and a
part of what is known already, drawn anew for each epoch: what was corrected is learnt in the same time
whatever was recorded before, and the old frames keep the policy from forgetting (experience replay).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core import settings
from il_ros.core.contract import Contract, differences
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies import checkpoint
from il_ros.policies.runner import LoadedPolicy
from il_ros.training.batches import ReplayPlan
from il_ros.training.recipe import Recipe, Training

LEAST_EPOCHS = 3
LEAST_OLD = 3
"""Known frames to each new one, at least."""
VALIDATIONS = 10
"""Of a training that goes through a part of its frames; after every small epoch they would take as long."""


def begin(
    path: Path | None, contract: Contract, recipe: Recipe, epochs: int, seconds: float
) -> tuple[LoadedPolicy | None, Recipe, str]:
    """Return the policy at `path` to begin with, and the recipe with so many `epochs` and `seconds`.

    0: the recipe's. When its weights can't be kept: None, the recipe as it is, and the sentence why.
    """
    if path is None:
        return None, recipe, ""
    try:
        start = checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        return None, recipe, f"trained from scratch: {error}"
    different = unlike(start, contract, recipe)
    if different:
        return None, recipe, f"trained from scratch, the weights of {start.version} don't fit: {different}"
    own = recipe.training
    limits = replace(own, epochs=epochs or own.epochs, seconds=seconds or own.seconds)
    return start, replace(recipe, training=limits), ""


def replayed(
    episodes: Sequence[EpisodeArrays], before: Mapping[str, Any], training: Training
) -> tuple[Training, ReplayPlan | None]:
    """Return how to train on the episodes from an earlier policy's weights; None: all frames in each epoch.

    `before`: its metrics; they tell what it learnt from, and how fast. What doesn't fit into the seconds is
    left out of the epochs, down to `LEAST_OLD` known frames for a new one; then there are fewer epochs. The
    machine may have become slower: the training watches the clock besides.
    """
    fits = affordable(before, training.seconds)
    known = set(before.get("data", {}).get("train", ()))
    is_new = np.concatenate([np.full(len(episode), episode.name not in known) for episode in episodes])
    new, total = int(is_new.sum()), len(is_new)
    if fits is None or training.epochs * total <= fits:
        return training, None
    wanted = max(LEAST_OLD * new, fits // training.epochs - new, training.batch_size)
    old = min(total - new, wanted)
    epochs = min(training.epochs, max(LEAST_EPOCHS, fits // (new + old)))
    every = max(training.validate_every, epochs // VALIDATIONS)
    return replace(training, epochs=epochs, validate_every=every), ReplayPlan(is_new, old)


def affordable(before: Mapping[str, Any], seconds: float) -> int | None:
    """Return how many frames fit into so many seconds; None: any number, or nobody knows.

    `before`: the metrics of an earlier training, with its "steps", "duration_s" and batch size.
    """
    steps, took_s = before.get("steps") or 0, before.get("duration_s") or 0
    if not (seconds and steps and took_s):
        return None
    return int(seconds * steps * before["training"]["batch_size"] / took_s)


def unlike(start: LoadedPolicy, contract: Contract, recipe: Recipe) -> str:
    """Return what keeps the recipe from going on with a policy's weights, "" when nothing does."""
    changes = differences(contract, start.contract)
    if changes:
        return f"another contract: {'; '.join(changes)}"
    if start.family != recipe.family:
        return f"family is {start.family}, the recipe's {recipe.family}"
    before, now = settings.plain(start.settings), settings.plain(recipe.policy)
    changed = [
        f"policy.{key} is {before.get(key)}, the recipe's {now[key]}"
        for key in now
        if now[key] != before.get(key)
    ]
    return "; ".join(changed)
