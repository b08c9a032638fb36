"""Beginning a training with the weights of an earlier policy."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from il_ros import settings
from il_ros.contract import Contract, differences
from il_ros.policies import checkpoint
from il_ros.policies.runner import LoadedPolicy
from il_ros.training.recipe import Recipe

LEAST_EPOCHS = 3


def begin(
    path: Path | None, contract: Contract, recipe: Recipe, epochs: int, seconds: float, frames: int
) -> tuple[LoadedPolicy | None, Recipe, str]:
    """Return the policy at `path` to begin with, and the recipe with so many `epochs` (0: its own).

    Fewer when they would take longer than `seconds` (0: any time), by what the policy's own training took
    for an epoch and its frames; `frames`: those there are now.
    When its weights can't be kept: None, the recipe as it is, and the sentence why.
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
    wanted = epochs or recipe.training.epochs
    if seconds:
        wanted = affordable(wanted, seconds, frames, start.metrics)
    return start, replace(recipe, training=replace(recipe.training, epochs=wanted)), ""


def affordable(epochs: int, seconds: float, frames: int, before: Mapping[str, Any]) -> int:
    """Return how many of `epochs` fit into `seconds`, three at least; all when nothing is known.

    `before`: metrics of an earlier training (epochs, duration_s, frames). An epoch's time grows with its
    frames.
    """
    done, took_s, seen = (before.get(key) or 0 for key in ("epochs", "duration_s", "frames"))
    if not (done and took_s and seen):
        return epochs
    epoch_s = took_s / done * frames / seen
    return min(epochs, max(LEAST_EPOCHS, int(seconds / epoch_s)))


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
