"""The random changes of a batch that a recipe asks for."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from il_ros.policies.protocol import Batch, noise, uniform
from il_ros.training.augmentation.pictures import blurred, cropped, recoloured, shifted
from il_ros.training.recipe import Training


def augmented(batch: Batch, training: Training, rng: torch.Generator, optional: Sequence[str] = ()) -> Batch:
    """Return the batch with state noise, changed pictures and left-out `optional` inputs, as set in `training`.

    Where nothing is set, it is the batch itself.
    """
    window = batch.observation
    if training.state_noise:
        drawn = noise(window.state.shape, rng, window.state.device)
        window = window.changed(state=window.state + training.state_noise * drawn)
    pictures_change = training.shift_px or training.crop or training.colour or training.blur_px
    if window.others and pictures_change:
        others = {
            key: _picture(values, training, rng) if values.dim() == 5 else values
            for key, values in window.others.items()
        }
        window = window.changed(others=others)
    if training.input_dropout:
        for key in optional:
            window = window.without(
                key, uniform((len(batch),), rng, window.state.device) < training.input_dropout
            )
    return batch if window is batch.observation else replace(batch, observation=window)


def _picture(images: Tensor, training: Training, rng: torch.Generator) -> Tensor:
    """Return changed pictures (B, T, H, W, C); colour and blur leave depths as they are."""
    if training.crop:
        images = cropped(images, training.crop, rng)
    if training.shift_px:
        images = shifted(images, training.shift_px, rng)
    if training.colour and not images.is_floating_point():
        images = recoloured(images, training.colour, rng)
    if training.blur_px and not images.is_floating_point():
        images = blurred(images, training.blur_px, rng)
    return images
