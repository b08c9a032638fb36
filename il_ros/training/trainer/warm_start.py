"""Warm start: training from the weights of an earlier policy within a time limit.

If there is time for the recipe's epochs over all frames, every epoch visits all frames. Otherwise an epoch
consists of all new frames and a random part of the old ones (experience replay): the time to learn a
correction then does not grow with the recorded data, and the old frames prevent forgetting.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import settings
from il_ros.core.contract import Contract
from il_ros.core.contract_differences import another_contract
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies import checkpoint
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.runner import LoadedPolicy
from il_ros.training.batches import ReplayPlan
from il_ros.training.recipe import Recipe, Training, policy_differences

LEAST_EPOCHS = 3
LEAST_OLD = 3
"""Minimum number of old frames per new frame."""
VALIDATIONS = 10
"""Validations per training with replay; validating every short epoch would cost too much time."""


def begin(
    path: Path | None, contract: Contract, recipe: Recipe, epochs: int, seconds: float
) -> tuple[LoadedPolicy | None, Recipe, str]:
    """Return the policy at `path` to start from, and the recipe with `epochs` and `seconds`.

    0 keeps the recipe's value. If the weights cannot be used: None, the recipe, and the reason.
    """
    if path is None:
        return None, recipe, ""
    try:
        start = checkpoint.load(path)
    except checkpoint.CheckpointError as error:
        return None, recipe, f"trained from scratch: {error}"
    different = incompatibility(start, contract, recipe)
    if different:
        return None, recipe, f"trained from scratch, the weights of {start.version} do not fit: {different}"
    own = recipe.training
    limits = replace(own, epochs=epochs or own.epochs, seconds=seconds or own.seconds)
    return start, replace(recipe, training=limits), ""


def replayed(
    episodes: Sequence[EpisodeArrays],
    before: Mapping[str, Any],
    training: Training,
    kept: Sequence[NDArray[np.bool_]],
) -> tuple[Training, ReplayPlan | None]:
    """Return the settings for training from an earlier policy's weights; plan None: all frames per epoch.

    `before`: the earlier policy's metrics, which give its training episodes and speed. `kept`: which of each
    episode's frames are used. If the time limit is
    too short, the number of old frames is reduced, to at least `LEAST_OLD` per new frame, and then the
    number of epochs. The training loop also enforces the time limit, in case the machine is slower now.
    """
    fits = affordable(before, training.seconds)
    known = set(before.get("data", {}).get("train", ()))
    is_new = np.concatenate(
        [
            np.full(int(mask.sum()), episode.name not in known)
            for episode, mask in zip(episodes, kept, strict=True)
        ]
    )
    new, total = int(is_new.sum()), len(is_new)
    if fits is None or training.epochs * total <= fits:
        return training, None
    wanted = max(LEAST_OLD * new, fits // training.epochs - new, training.batch_size)
    old = min(total - new, wanted)
    epochs = min(training.epochs, max(LEAST_EPOCHS, fits // (new + old)))
    every = max(training.validate_every, epochs // VALIDATIONS)
    return replace(training, epochs=epochs, validate_every=every), ReplayPlan(is_new, old)


def affordable(before: Mapping[str, Any], seconds: float) -> int | None:
    """Return the number of frames that fit into `seconds`; None if unlimited or unknown.

    `before`: the metrics of an earlier training: "steps", "duration_s" and its batch size.
    """
    steps, took_s = before.get("steps") or 0, before.get("duration_s") or 0
    if not (seconds and steps and took_s):
        return None
    return int(seconds * steps * before["training"]["batch_size"] / took_s)


def incompatibility(start: LoadedPolicy, contract: Contract, recipe: Recipe) -> str:
    """Return why a policy's weights cannot be used with the recipe, in lines; "" if they can."""
    if another := another_contract(contract, start.contract, start.version):
        return another
    if start.family != recipe.family:
        return f"family is {start.family}, the recipe's {recipe.family}"
    if start.form.size != ActionForm(contract).size:
        return "it learnt the numbers of quaternions, orientations are learnt as rotation matrices now"
    formulas = Inputs.for_policy(contract, recipe.policy).formulas
    if formulas != start.inputs.formulas:
        return (
            f"it derived {_listed(start.inputs.formulas)} from its observations, the contract now derives "
            f"{_listed(formulas)}"
        )
    return "; ".join(policy_differences(settings.plain(start.settings), settings.plain(recipe.policy)))


def _listed(formulas: Mapping[str, str]) -> str:
    return ", ".join(f"{key} = {formula}" for key, formula in formulas.items()) or "nothing"
