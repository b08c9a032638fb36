"""Random changes of pictures in training: shift, crop, colour, blur. All pictures of a sample change alike.

Pictures are (B, T, H, W, C): colours or grey in uint8, or depth in float32 metres, 0 without a measurement.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional

from il_ros.policies.networks import together
from il_ros.policies.protocol import uniform

_LUMA = (0.299, 0.587, 0.114)
"""Weights of red, green and blue in the grey of a picture (ITU-R BT.601)."""
_SHARP_PX = 1e-3
"""A smaller deviation of the blur's kernel is no blur; it must not be 0."""


def shifted(images: Tensor, shift_px: int, rng: torch.Generator) -> Tensor:
    """Return the pictures shifted by up to `shift_px` in both axes.

    Borders are repeated. Random shifts regularise camera networks (Yarats et al. 2021, DrQ).
    """
    count, ticks, height, width, _ = images.shape
    offsets = together.drawn(
        lambda size: torch.randint(-shift_px, shift_px + 1, size, generator=rng), (count, 2, 1), rng
    ).to(images.device)
    rows = (torch.arange(height, device=images.device) + offsets[:, 0]).clamp_(0, height - 1)  # (B, H)
    columns = (torch.arange(width, device=images.device) + offsets[:, 1]).clamp_(0, width - 1)  # (B, W)
    batch = torch.arange(count, device=images.device)[:, None, None, None]
    tick = torch.arange(ticks, device=images.device)[:, None, None]
    return images[batch, tick, rows[:, None, :, None], columns[:, None, None, :]]


def cropped(images: Tensor, share: float, rng: torch.Generator) -> Tensor:
    """Return a part of each picture, which lacks up to `share` of both sides, resized to the whole.

    Depths are taken from the nearest pixel: between an edge and its background there is none.
    """
    count, ticks, height, width, channels = images.shape
    drawn = uniform((count, 3), rng, images.device)
    kept = 1 - share * drawn[:, 0]
    centre = (2 * drawn[:, 1:] - 1) * (1 - kept)[:, None]  # of -1..1, the whole picture
    theta = images.new_zeros((count, 2, 3), dtype=torch.float32)
    theta[:, 0, 0] = theta[:, 1, 1] = kept
    theta[:, :, 2] = centre
    grid = functional.affine_grid(
        theta.repeat_interleave(ticks, 0), [count * ticks, channels, height, width], align_corners=False
    )
    planes = images.flatten(0, 1).movedim(-1, 1).to(torch.float32)
    mode = "nearest" if images.is_floating_point() else "bilinear"
    found = functional.grid_sample(planes, grid, mode=mode, padding_mode="border", align_corners=False)
    return _as(found.movedim(1, -1).reshape(images.shape), images)


def recoloured(images: Tensor, strength: float, rng: torch.Generator) -> Tensor:
    """Return pictures of another brightness, contrast and saturation: times 1 - `strength` to 1 + `strength` each.

    Contrast is about the mean grey of each picture, saturation about the grey of each pixel; grey pictures have none.
    """
    factors = 1 + strength * (2 * uniform((len(images), 3, 1, 1, 1, 1), rng, images.device) - 1)
    pixels = (images * factors[:, 0]).clamp(0, 255)
    pixels = torch.lerp(_grey(pixels).mean(dim=(2, 3), keepdim=True), pixels, factors[:, 1]).clamp(0, 255)
    pixels = torch.lerp(_grey(pixels), pixels, factors[:, 2])
    return _as(pixels, images)


def blurred(images: Tensor, most_px: float, rng: torch.Generator) -> Tensor:
    """Return pictures blurred by a Gaussian whose standard deviation is up to `most_px`; borders are repeated."""
    count, ticks, height, width, channels = images.shape
    deviation = (most_px * uniform((count, 1), rng, images.device)).clamp_(min=_SHARP_PX)
    reach = math.ceil(3 * most_px)
    places = torch.arange(-reach, reach + 1, device=images.device)
    kernel = torch.softmax(-0.5 * (places / deviation).square(), dim=1)  # (B, K)
    kernel = kernel.repeat_interleave(ticks * channels, 0)[:, None, :, None]
    planes = images.movedim(-1, 2).reshape(1, -1, height, width).to(torch.float32)
    planes = functional.pad(planes, (reach, reach, reach, reach), mode="replicate")
    planes = functional.conv2d(planes, kernel, groups=planes.shape[1])
    planes = functional.conv2d(planes, kernel.transpose(2, 3), groups=planes.shape[1])
    return _as(planes.reshape(count, ticks, channels, height, width).movedim(2, -1), images)


def _grey(pixels: Tensor) -> Tensor:
    """Return the grey (..., 1) of pixels (..., C)."""
    if pixels.shape[-1] == 1:
        return pixels
    return (pixels * pixels.new_tensor(_LUMA)).sum(dim=-1, keepdim=True)


def _as(pixels: Tensor, images: Tensor) -> Tensor:
    """Return float32 pixels in the type of `images`."""
    if images.is_floating_point():
        return pixels
    return pixels.round_().clamp_(0, 255).to(images.dtype)
