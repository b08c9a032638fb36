"""Training of success and progress models: from episodes with verdicts to a folder with the model and its curves."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from il_ros.core import atomic
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies.normaliser import PIXELS, Affine, Normaliser, fit_shown, fit_state, noise_floors
from il_ros.rewards import checkpoint
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.frames import FrameSettings
from il_ros.rewards.progress import ProgressSettings
from il_ros.rewards.registry import inputs_of, make_reward
from il_ros.rewards.success import SuccessSettings
from il_ros.training import curves
from il_ros.training.batches import Batches
from il_ros.training.loop import EpochMetrics, TrainingLoop
from il_ros.training.recipe import Training
from il_ros.training.rewards.rating import Rated, rate
from il_ros.training.rewards.verdicts import labelled, require_verdicts
from il_ros.training.run import package_version, torch_settings

TRAINING = Training(epochs=15, batch_size=32, shift_px=2, state_noise=0.05, weight_decay=1e-4)
"""The settings of a training, unless they are changed."""
FAMILIES: dict[str, type[FrameSettings]] = {"success": SuccessSettings, "progress": ProgressSettings}
"""The families that are learnt from episodes alone, with their settings."""


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
    inputs = inputs_of(dataset.contract, settings)
    some = labelled(dataset.train, inputs, settings)
    floors = noise_floors(some.features, inputs.units)
    normaliser = Normaliser(
        fit_state(some.features, inputs.groups, floors),
        Affine(np.zeros(1), np.ones(1)),
        dict.fromkeys((spec.key for spec in inputs.images), PIXELS),
        fit_shown(some.features, floors, training.input_margin),
    )
    with torch_settings(training.threads):
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(training.seed)
            network = make_reward(family, settings, dataset.contract, normaliser)
        loop = TrainingLoop(network, training)
        for metrics in loop.epochs(Batches(some, inputs, normaliser, "cpu"), None, time.monotonic):
            on_epoch(metrics)
        network.load_state_dict(loop.best_weights())
        reward = LoadedReward(dataset.contract, family, settings, network, normaliser, version)
        held_out = tuple(rate(reward, episode) for episode in dataset.validation)
    metrics_kept = {
        "data": {
            part: [episode.name for episode in getattr(dataset, part)] for part in ("train", "validation")
        },
        "tasks": sorted({episode.task for episode in dataset.train if episode.task}),
        "frames": len(some),
        "train_loss": loop.curves[-1].train_loss,
        "il_ros": package_version(),
    }
    kept = LoadedReward(dataset.contract, family, settings, network, normaliser, version, metrics_kept)
    checkpoint.save(out, kept)
    return RewardOutcome(checkpoint.load(out), tuple(loop.curves), held_out)
