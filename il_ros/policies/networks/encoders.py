"""Camera encoders: convolutions, and where in the picture each of their filters answers."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from il_ros.core.specs import ImageSpec
from il_ros.policies.networks.resnet import ResNet18

_SHARPNESS = 1.0
"""Logarithm of the first factor on the maps before the soft-argmax."""


class SmallCnn(nn.Sequential):
    """Strided convolutions: (B, C, H, W) to one map per filter of the last one (B, K, h, w), also below 0.

    The first weights are those of He et al. 2015 (arXiv 1502.01852): by torch's, maps are so flat that the soft-argmax
    answers nearly the same for all pictures (a deviation of 0.002 in -1..1), and training begins blind.
    """

    least_px = 24

    def __init__(self, colours: int, channels: tuple[int, ...]) -> None:
        layers: list[nn.Module] = []
        before = colours
        for index, after in enumerate(channels):
            stride = 2 if index < 2 else 1
            layers += [nn.Conv2d(before, after, 5 if index == 0 else 3, stride), nn.ReLU()]
            before = after
        super().__init__(*layers[:-1])  # the soft-argmax uses negative values
        for layer in self:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        self.filters = before


class CameraEncoder(nn.Module):
    """Maps frames (B, H, W, C) of one camera to the mean image position of each filter (B, size).

    Convolutions, then a spatial soft-argmax (Levine et al. 2016, "End-to-End Training of Deep
    Visuomotor Policies", section 5.1): the mean position of each filter's activation, in -1..1. Where an `optional`
    camera is missing, the output is learnt: that of a picture without any feature is 0.
    """

    def __init__(
        self,
        image: ImageSpec,
        convolutions: SmallCnn | ResNet18,
        centre: float,
        scale: float,
        optional: bool = False,
    ) -> None:
        super().__init__()
        least = convolutions.least_px
        if min(image.height, image.width) < least:
            raise ValueError(
                f"images of {image.width}x{image.height} are too small for this camera encoder; "
                f"the minimum is {least}x{least}"
            )
        self._centre, self._scale = centre, scale
        self.convolutions = convolutions
        self.log_sharpness = nn.Parameter(torch.tensor(_SHARPNESS))
        self.size = 2 * convolutions.filters
        self.missing = nn.Parameter(torch.empty(self.size).uniform_(-1, 1)) if optional else None

    def forward(self, frames: Tensor) -> Tensor:
        """Return (B, size) for decoded frames (B, H, W, C), uint8 or metres."""
        # (B, H, W, C) is torch's channels-last layout: no copy, and the fast kernels
        pixels = (frames.to(torch.float32) - self._centre) / self._scale
        maps = self.convolutions(pixels.permute(0, 3, 1, 2))  # (B, K, h, w)
        _, _, height, width = maps.shape
        weights = torch.softmax(maps.flatten(2) * self.log_sharpness.exp(), dim=2).view_as(maps)
        across = torch.linspace(-1, 1, width, device=maps.device)
        down = torch.linspace(-1, 1, height, device=maps.device)
        x = (weights.sum(dim=2) * across).sum(dim=2)  # (B, K)
        y = (weights.sum(dim=3) * down).sum(dim=2)
        return torch.cat([x, y], dim=1)
