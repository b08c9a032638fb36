"""A camera encoder for judging what is seen: which patterns a picture holds, wherever they are."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from il_ros.core.specs import ImageSpec

_LEAST_PIXELS = 40


class PatternEncoder(nn.Module):
    """Maps frames (B, T, H, W, C) of one camera to how strongly each pattern appears anywhere (B, size).

    Convolutions see a part of the picture each, about 40 pixels wide; of each filter the strongest answer in the
    picture counts. What was learnt at one place is so known at all places, which few pictures could not show one by
    one. With T = 2, the newest frame and the change since the first are seen together: what has come to rest looks
    other than what passes by.
    """

    def __init__(
        self, image: ImageSpec, channels: tuple[int, ...], centre: float, scale: float, ticks: int
    ) -> None:
        super().__init__()
        if min(image.height, image.width) < _LEAST_PIXELS:
            raise ValueError(
                f"images of {image.width}x{image.height} are too small for encoder: pattern; the minimum is "
                f"{_LEAST_PIXELS}x{_LEAST_PIXELS} (encoder: position has 24x24)"
            )
        self._centre, self._scale = centre, scale
        layers: list[nn.Module] = []
        before = ticks * image.shape[2]
        for index, after in enumerate(channels):
            layers += [nn.Conv2d(before, after, 3, 2 if index < 2 else 1), nn.ReLU()]
            before = after
        self.convolutions = nn.Sequential(*layers)
        self.size = before

    def forward(self, frames: Tensor) -> Tensor:
        """Return (B, size) for decoded frames, uint8 or metres, the oldest first."""
        pixels = (frames.to(torch.float32) - self._centre) / self._scale  # (B, T, H, W, C)
        newest = pixels[:, -1]
        if pixels.shape[1] > 1:
            newest = torch.cat([newest, newest - pixels[:, 0]], dim=-1)
        maps = self.convolutions(newest.permute(0, 3, 1, 2))  # (B, K, h, w)
        strongest: Tensor = maps.amax(dim=(2, 3))
        return strongest
