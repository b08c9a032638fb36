"""What is fitted to the training samples before the first step: normaliser, vocabulary, and what the cameras show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.episodes.arrays.episode import EpisodeArrays, missing_of
from il_ros.episodes.doctor.camera_view import view_of
from il_ros.policies import vocabulary
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import (
    PIXELS,
    Normaliser,
    extended,
    fit_actions,
    fit_depth,
    fit_shown,
    fit_state,
    noise_floors,
)
from il_ros.policies.protocol import PolicySettings, ReadsWords
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.vocabulary import Vocabulary
from il_ros.training import thinning
from il_ros.training.augmentation.mirror import mirrored_too
from il_ros.training.recipe import Recipe
from il_ros.training.samples import Samples, samples
from il_ros.training.weighting import Weighting

_DEPTH_FRAMES = 200


def used_samples(
    episodes: Sequence[EpisodeArrays], inputs: Inputs, recipe: Recipe, form: ActionForm
) -> tuple[Samples, list[EpisodeArrays], list[thinning.Mask]]:
    """Return the samples to train on, their episodes, and the used frames of each episode.

    The episodes are the given ones, and mirrored ones where the recipe declares a mirror. Frames in which nothing moves
    are not used.
    Raises ValueError as `mirrored_too`, `samples` and `thinning.kept_frames`.
    """
    shown = mirrored_too(episodes, recipe.training.mirror, form.contract)
    used = thinning.kept_frames(shown, inputs, recipe.training.still_every, form.contract.turns)
    return samples(shown, inputs, *sampled_as(recipe, form)).only(np.concatenate(used)), shown, used


def sampled_as(recipe: Recipe, form: ActionForm) -> tuple[int, Weighting, ActionForm, int, int]:
    """Return how `samples` makes those of a recipe."""
    policy = recipe.policy
    return policy.horizon, recipe.training.weighting, form, policy.history, policy.ahead


def fit_normaliser(training: Samples, inputs: Inputs, contract: Contract, recipe: Recipe) -> Normaliser:
    """Return the normaliser fitted to the training samples, whose actions are in the contract's `ActionForm`.

    Raises ValueError when an action group has no label, or an optional observation is in no frame.
    """
    for key, missing in training.frames.absent.items():
        if missing[training.newest].all():
            raise ValueError(f"optional: no episode has '{key}'; leave it out of `inputs`")
    form = ActionForm(contract)
    demonstrated = training.actions[(training.weights > 0).any(axis=2)]
    for place, group in enumerate(contract.groups):
        if np.isnan(demonstrated[:, form.group_of == place]).all():
            raise ValueError(
                f"no frame has a label of the action group '{group.name}'; record an episode in which the expert "
                "drives it"
            )
    images = {}
    for spec in inputs.images:
        frames = training.frames.images[spec.key]
        shown = training.newest
        if spec.key in training.frames.absent:
            shown = shown[~training.frames.absent[spec.key][shown]]
        places = np.linspace(0, len(shown) - 1, min(len(shown), _DEPTH_FRAMES)).astype(int)
        some = shown[places].tolist()
        depth = spec.image is not None and spec.image.encoding == "depth"
        images[spec.key] = fit_depth(frames.take(some)) if depth else PIXELS
    floors = noise_floors(training.features, inputs.units)
    return Normaliser(
        fit_state(training.features, inputs.groups, floors),
        fit_actions(demonstrated, recipe.policy.action_scale, form.ranges, form.groups),
        images,
        fit_shown(training.features, floors, recipe.training.input_margin),
    )


def made_assets(training: Samples, inputs: Inputs, settings: PolicySettings) -> dict[str, bytes]:
    """Return the assets that a new model gets: the vocabulary of the texts, if there are any among the inputs.

    Raises NoEncoderError where `paraphrases` needs the sentence encoder and it is not installed.
    """
    if not inputs.texts:
        return {}
    frames, shown = training.frames, np.unique(training.window)
    texts = np.concatenate([frames.texts[spec.key][shown] for spec in inputs.texts])
    words = Vocabulary.of(np.unique(texts).tolist())
    if isinstance(settings, ReadsWords) and settings.paraphrases:
        words = words.with_meanings()
    return {vocabulary.ASSET: words.to_bytes()}


def extended_normaliser(
    start: LoadedPolicy, training: Samples, inputs: Inputs, recipe: Recipe, episodes: Sequence[str]
) -> Normaliser:
    """Return the normaliser for training from the weights of `start` on samples of these `episodes`.

    A policy without a recorded range gets one if all of its training episodes are among them.
    """
    before, margin = start.normaliser, recipe.training.input_margin
    learnt = set(start.metrics.get("data", {}).get("train", ()))
    if before.shown is None and learnt and learnt <= set(episodes):
        floors = noise_floors(training.features, inputs.units)
        return replace(before, shown=fit_shown(training.features, floors, margin))
    return extended(before, training.features, inputs.groups, margin)


def camera_views(episodes: Sequence[EpisodeArrays], inputs: Inputs) -> dict[str, Any]:
    """Return what each colour or grey camera among the inputs shows in these episodes, see `CameraView`."""
    found = {}
    for spec in inputs.images:
        depth = spec.image is not None and spec.image.encoding == "depth"
        takes = [each.observations[spec.key] for each in episodes if not missing_of(each, spec.key).any()]
        if takes and not depth:
            found[spec.key] = view_of(takes).to_plain()
    return found
