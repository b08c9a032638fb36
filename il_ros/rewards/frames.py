"""What reward models have in common that judge by what is seen: state features and cameras to a logit."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.policies.networks.cameras import camera_features
from il_ros.policies.networks.encoders import CameraEncoder, SmallCnn
from il_ros.policies.protocol import Batch, Loss, ModelSpec, Window, weighted_mean
from il_ros.rewards.patterns import PatternEncoder
from il_ros.rewards.protocol import RewardModel
from il_ros.rewards.settings import PATTERN, FrameSettings


class FrameNetwork(nn.Module):
    """One network of a `FrameModel`: state features and one encoder per camera → MLP → logit."""

    def __init__(self, settings: FrameSettings, spec: ModelSpec) -> None:
        super().__init__()
        ticks = 2 if settings.before_s else 1
        cameras: dict[str, nn.Module] = {}
        width = ticks * len(spec.inputs.groups)
        for camera in spec.inputs.images:
            assert camera.image is not None
            pixels = spec.normaliser.images[camera.key]
            if settings.encoder == PATTERN:
                pattern = PatternEncoder(camera.image, settings.channels, *pixels, ticks)
                cameras[camera.key], width = pattern, width + pattern.size
            else:
                convolutions = SmallCnn(camera.image.shape[2], settings.channels)
                position = CameraEncoder(camera.image, convolutions, *pixels)
                cameras[camera.key], width = position, width + ticks * position.size
        self.cameras = nn.ModuleDict(cameras)
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [nn.Linear(width, after), nn.ReLU()]
            width = after
        self.layers = nn.Sequential(*layers, nn.Linear(width, 1))

    def logit(self, window: Window) -> Tensor:
        """Return the logit (B,) of this network."""
        state = window.state  # (B, T, F)
        seen = [state[:, -1]] if state.shape[1] == 1 else [state[:, -1], state[:, -1] - state[:, 0]]
        for key, camera in self.cameras.items():
            if isinstance(camera, PatternEncoder):
                seen.append(camera(window[key]))
            else:
                seen.append(camera_features(window, key, camera).flatten(1))
        logit: Tensor = self.layers(torch.cat(seen, dim=1))[:, 0]
        return logit


class FrameModel(FrameNetwork, RewardModel):
    """What is seen at a tick, and what was seen before it, to a logit, whose sigmoid is a share from 0 to 1.

    Windows (B, T, ...) have T = 2 ticks with `before_s` above 0, else 1. With several `members` the logit is the mean
    of theirs. The model is its own first member, so that the weights of one have the names that they always had.
    """

    def __init__(self, settings: FrameSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__(settings, spec)
        if seeds != 1:
            raise ValueError("a model that judges by frames is trained alone, not with several seeds in one")
        self.others = nn.ModuleList(FrameNetwork(settings, spec) for _ in range(settings.members - 1))

    def put(self, members: Sequence[FrameModel]) -> None:
        """Take the weights of models of one member each as its members."""
        weights: dict[str, Tensor] = {}
        for place, member in enumerate(members):
            before = f"others.{place - 1}." if place else ""
            weights |= {before + name: value for name, value in member.state_dict().items()}
        self.load_state_dict(weights)

    def forward(self, window: Window) -> Tensor:
        """Return the logit (B,)."""
        logits = [self.logit(window)]
        for other in self.others:
            assert isinstance(other, FrameNetwork)
            logits.append(other.logit(window))
        return logits[0] if len(logits) == 1 else torch.stack(logits).mean(dim=0)

    @torch.no_grad()
    def share(self, window: Window) -> Tensor:
        """Return the share (B,), 0 to 1, without gradient."""
        return torch.sigmoid(self(window))

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the weighted cross-entropy; `batch.action` (B, 1, 1): the share that each tick shows, 0 to 1."""
        assert batch.action is not None
        errors = functional.binary_cross_entropy_with_logits(
            self(batch.observation), batch.action[:, 0, 0], reduction="none"
        )
        return Loss(weighted_mean(errors[:, None, None], batch.weight))
