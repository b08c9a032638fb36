"""Training of success and progress models: from episodes with verdicts to a folder with the model and its curves."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
import torch

from il_ros.core import atomic
from il_ros.core.share import package_version
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser, fit_shown, fit_state, noise_floors
from il_ros.rewards import checkpoint
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.frames import FrameModel
from il_ros.rewards.registry import inputs_of, make_reward
from il_ros.rewards.settings import FrameSettings
from il_ros.training.augmentation.mirror import mirrored_too
from il_ros.training.batches import Batches
from il_ros.training.device import torch_settings
from il_ros.training.loop import EpochMetrics, TrainingLoop
from il_ros.training.metrics import curves
from il_ros.training.recipe import Training
from il_ros.training.rewards.calibration import calibrated
from il_ros.training.rewards.rating import Rated, rate
from il_ros.training.rewards.settings import FAMILIES
from il_ros.training.rewards.verdicts import epoch_of, folds, labelled, require_verdicts
from il_ros.training.samples import Samples


@dataclass(frozen=True)
class RewardOutcome:
    """The model as it is on disk, its curves, and what it says about the held-out episodes."""

    reward: LoadedReward
    curves: tuple[EpochMetrics, ...]
    held_out: tuple[Rated, ...]


def train(
    dataset: Dataset,
    settings: FrameSettings,
    training: Training,
    out: Path,
    *,
    version: str = "",
    on_epoch: Callable[[EpochMetrics], None] = lambda _: None,
) -> RewardOutcome:
    """Train the model of these settings on the verdicts of the training episodes and write it to `out`.

    Raises VerdictError when there are too few verdicts, OSError when `out` holds anything but a reward, ValueError on
    unusable inputs, TrainingError when the loss is not finite; a model that was there before then stays.
    """
    family = next(name for name, kind in FAMILIES.items() if type(settings) is kind)
    require_verdicts(dataset.train, settings)
    if out.exists():
        atomic.require_only(out, (*checkpoint.FILES, curves.TABLE, curves.PICTURE))
    inputs, history = inputs_of(dataset.contract, settings), settings.history(dataset.contract)

    def labels(episodes: Sequence[EpisodeArrays]) -> Samples:
        mirrored = mirrored_too(episodes, training.mirror, dataset.contract, acts=False)
        return labelled(mirrored, inputs, settings, history)

    some = labels(dataset.train)
    floors = noise_floors(some.features, inputs.units)
    normaliser = Normaliser(
        fit_state(some.features, inputs.groups, floors),
        Affine(np.zeros(1), np.ones(1)),
        dict.fromkeys((spec.key for spec in inputs.images), PIXELS),
        fit_shown(some.features, floors, training.input_margin),
    )

    def made(chosen: FrameSettings, seed: int) -> LoadedReward:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            network = make_reward(family, chosen, dataset.contract, normaliser)
        return LoadedReward(dataset.contract, family, chosen, network, normaliser, version)

    members: list[LoadedReward] = []
    told: list[EpochMetrics] = []
    left = folds(dataset.train, settings, training.seed)
    with torch_settings(training.threads):
        for member, without in enumerate(left):
            shown = [episode for place, episode in enumerate(dataset.train) if place not in without]
            some = labels(shown)
            seed = training.seed + member
            one = made(replace(settings, members=1), seed)
            loop = TrainingLoop(one.network, replace(training, seed=seed))
            batches = Batches(some, inputs, normaliser, "cpu", epoch_of(some, settings))
            for metrics in loop.epochs(batches, None, time.monotonic):
                on_epoch(metrics)
            one.network.load_state_dict(loop.best_weights())
            one.network.eval()
            members.append(one)
            told = told or list(loop.curves)
        reward = made(calibrated(settings, members, dataset.train, left), training.seed)
        network = reward.network
        assert isinstance(network, FrameModel)
        network.put([cast(FrameModel, one.network) for one in members])
        held_out = tuple(rate(reward, episode) for episode in dataset.validation)
    kept = replace(
        reward,
        metrics={
            "data": {
                part: [episode.name for episode in getattr(dataset, part)] for part in ("train", "validation")
            },
            "tasks": sorted({episode.task for episode in dataset.train if episode.task}),
            "frames": len(some),
            "train_loss": told[-1].train_loss,
            "il_ros": package_version(),
        },
    )
    checkpoint.save(out, kept)
    return RewardOutcome(checkpoint.load(out), tuple(told), held_out)
