"""ResNet-18 with group norm, of any width, for camera encoders.

He et al. 2016, "Deep Residual Learning for Image Recognition" (arXiv 1512.03385), table 1. Group norm (Wu and He 2018,
arXiv 1803.08494) in the place of batch norm: the answer depends neither on the batch nor on running means, which do not
fit a moving average of the weights (Chi et al. 2023, "Diffusion Policy", arXiv 2303.04137, section III-B).
"""

from __future__ import annotations

from collections import OrderedDict

from torch import Tensor, nn
from torch.nn import functional

GROUP = 8
"""Channels of a group; the width is a multiple."""
POINTS = 32
"""Maps of the answer, each of which marks a place; robomimic and Diffusion Policy use as many."""
_STAGES, _BLOCKS = 4, 2


class ResNet18(nn.Sequential):
    """Maps (B, C, H, W) to maps (B, POINTS, h, w), also below 0; h and w are a 32nd of H and W.

    `width`: channels of the first of four stages, each of which has twice as many as the one before; the paper has 64.
    """

    least_px = 40  # the maps have at least 2x2 places then
    filters = POINTS

    def __init__(self, colours: int, width: int) -> None:
        stem = nn.Sequential(
            nn.Conv2d(colours, width, 7, 2, 3, bias=False), _norm(width), nn.ReLU(), nn.MaxPool2d(3, 2, 1)
        )
        blocks: list[nn.Module] = []
        before = width
        for stage in range(_STAGES):
            after = width << stage
            for number in range(_BLOCKS):
                blocks.append(ResidualBlock(before, after, 2 if stage and not number else 1))
                before = after
        parts = {"stem": stem, "blocks": nn.Sequential(*blocks), "points": nn.Conv2d(before, POINTS, 1)}
        super().__init__(OrderedDict(parts))


class ResidualBlock(nn.Module):
    """Two 3x3 convolutions whose result is added to the input, which a 1x1 convolution fits to their shape."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        self.change = nn.Sequential(
            nn.Conv2d(before, after, 3, stride, 1, bias=False),
            _norm(after),
            nn.ReLU(),
            nn.Conv2d(after, after, 3, 1, 1, bias=False),
            _norm(after),
        )
        same = stride == 1 and before == after
        self.straight = (
            nn.Identity()
            if same
            else nn.Sequential(nn.Conv2d(before, after, 1, stride, bias=False), _norm(after))
        )

    def forward(self, maps: Tensor) -> Tensor:
        """Return (B, after, H / stride, W / stride)."""
        return functional.relu(self.straight(maps) + self.change(maps))


def _norm(channels: int) -> nn.GroupNorm:
    return nn.GroupNorm(channels // GROUP, channels)
