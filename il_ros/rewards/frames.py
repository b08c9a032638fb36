"""What reward models have in common that judge by what is seen: state features and cameras to a logit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.contract import Contract
from il_ros.core.settings import at_least, check_widths, one_of
from il_ros.core.tables import counted
from il_ros.policies.networks.cameras import camera_features
from il_ros.policies.networks.encoders import CameraEncoder, SmallCnn
from il_ros.policies.protocol import MOST_HISTORY, Batch, Loss, ModelSpec, RewardModel, Window, weighted_mean
from il_ros.rewards.patterns import PatternEncoder
from il_ros.rewards.registry import RewardSettings

PATTERN, POSITION = "pattern", "position"
ENCODERS = (PATTERN, POSITION)
MOST_MEMBERS = 16


@dataclass(frozen=True)
class FrameSettings(RewardSettings):
    """`hidden`: widths of the layers; `channels`: of the encoder of each camera.

    `encoder`: what is kept of a picture: which patterns it holds, wherever they are (PATTERN, `PatternEncoder`), or
    where each filter answers (POSITION, `CameraEncoder`). `before_s`: what was seen so long before is seen too, which
    tells rest from motion; 0: only the newest tick. `members`: networks that judge together, each learnt without a
    part of the episodes. `shown_s`: the last seconds of an episode that was marked a success show it.
    """

    reads_images: ClassVar[bool] = True
    added: ClassVar[Mapping[str, Any]] = MappingProxyType(
        {"encoder": POSITION, "before_s": 0.0, "members": 1}
    )

    hidden: tuple[int, ...] = (32,)
    channels: tuple[int, ...] = (16, 32, 32, 32)
    encoder: str = PATTERN
    before_s: float = 0.25
    members: int = 3
    shown_s: float = 0.4

    def __post_init__(self) -> None:
        for name in ("hidden", "channels"):
            check_widths(name, getattr(self, name))
        one_of("encoder", self.encoder, ENCODERS)
        at_least("members", self.members, 1)
        if self.members > MOST_MEMBERS:
            raise ValueError(f"members is {self.members}; at most {MOST_MEMBERS} are possible")
        self.require_seconds("shown_s", "before_s")

    def require_seconds(self, *names: str) -> None:
        """Raise ValueError unless these settings are from 0 to 10 seconds."""
        for name in names:
            if not 0 <= getattr(self, name) <= 10:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be from 0 to 10 seconds")

    def history(self, contract: Contract) -> int:
        """Return the ticks of a window whose first and last one are seen; raises ValueError beyond MOST_HISTORY."""
        ticks = 1 if self.before_s == 0 else 1 + max(1, round(self.before_s * 1e9 / contract.period_ns))
        if ticks > MOST_HISTORY:
            found = f"{counted(ticks, 'tick')} at {contract.rate_hz:g} Hz"
            raise ValueError(f"before_s is {self.before_s:g}: {found}; at most {MOST_HISTORY} are possible")
        return ticks


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
