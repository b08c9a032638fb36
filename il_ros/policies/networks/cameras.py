"""What families that read cameras share: their settings, and the features of each camera's pictures."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from il_ros.core.settings import check_widths, one_of
from il_ros.policies.networks.encoders import CameraEncoder, SmallCnn
from il_ros.policies.networks.resnet import GROUP, ResNet18
from il_ros.policies.protocol import ModelSpec, PolicySettings, Window

CNN, RESNET18 = "cnn", "resnet18"
ENCODERS = (CNN, RESNET18)
MOST_RESNET_WIDTH = 128


@dataclass(frozen=True)
class PictureSettings(PolicySettings):
    """The settings of policies that may read cameras; each camera has an encoder of its own.

    `encoder`: a small network of convolutions with `channels`, or a ResNet-18 of `resnet_width`.
    """

    encoder: str = CNN
    channels: tuple[int, ...] = (16, 32, 32)
    resnet_width: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        one_of("encoder", self.encoder, ENCODERS)
        check_widths("channels", self.channels)
        if self.resnet_width % GROUP or not GROUP <= self.resnet_width <= MOST_RESNET_WIDTH:
            raise ValueError(
                f"resnet_width is {self.resnet_width}; it must be a multiple of {GROUP} from {GROUP} to "
                f"{MOST_RESNET_WIDTH}, because channels are normalised in groups of {GROUP}"
            )


def camera_encoders(settings: PictureSettings, spec: ModelSpec) -> tuple[nn.ModuleDict, int]:
    """Return one encoder per camera, and their total number of outputs per tick."""
    cameras = {}
    for camera in spec.inputs.images:
        assert camera.image is not None
        colours = camera.image.shape[2]
        pixels, optional = spec.normaliser.images[camera.key], camera.key in spec.inputs.optional
        convolutions = (
            ResNet18(colours, settings.resnet_width)
            if settings.encoder == RESNET18
            else SmallCnn(colours, settings.channels)
        )
        cameras[camera.key] = CameraEncoder(camera.image, convolutions, *pixels, optional)
    return nn.ModuleDict(cameras), sum(camera.size for camera in cameras.values())


def camera_features(window: Window, key: str, encoder: nn.Module) -> Tensor:
    """Return an encoder's output for the frames of a camera (B, T, size)."""
    assert isinstance(encoder, CameraEncoder)
    frames = window[key]
    encoded: Tensor = encoder(frames.flatten(0, 1)).unflatten(0, frames.shape[:2])
    if encoder.missing is None or key not in window.absent:
        return encoded
    return torch.where(window.absent[key][..., None], encoder.missing, encoded)


def with_camera_features(window: Window, cameras: nn.ModuleDict) -> Tensor:
    """Return the state of all ticks (B, T * F) with the encoders' outputs appended."""
    if not cameras:
        return window.flat_state
    encoded = [camera_features(window, key, camera).flatten(1) for key, camera in cameras.items()]
    return torch.cat([window.flat_state, *encoded], dim=1)
