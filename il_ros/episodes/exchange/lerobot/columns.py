"""How a contract's values are laid out as features of a data set.

All numbers of the observations are `observation.state`, in the contract's order, because LeRobot's policies read
that one vector; each is named 'KEY/ELEMENT', as in 'joints/position/shoulder'. The commands are `action`, absolute,
named 'ACTION/NAME'. A camera is `observation.images.KEY`, a text `text.KEY`. Numbers are float32.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import ImageSpec, ObservationSpec
from il_ros.episodes.arrays.replay import Frame
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.depth import DepthCodes
from il_ros.episodes.exchange.lerobot.layout import (
    ACTION,
    COUNTERS,
    DONE,
    GROUP_INTERVENTION,
    IMAGES,
    INTERVENTION,
    STATE,
    SUCCESS,
    Feature,
)
from il_ros.episodes.exchange.lerobot.video import pixel_format

Array = np.ndarray[Any, Any]

TEXT = "text."
"""Begins the key of a text: LeRobot takes every key that begins with 'observation' for numbers."""
_DEPTH_CODEC = "hevc"
_PIXEL_NAMES = ("height", "width", "channels")


@dataclass(frozen=True)
class Columns:
    """The features of a data set that is made from a contract.

    `pictures`: 'video' or 'image'; depth is always a video. `codec` of colours: 'h264' or 'av1'.
    """

    contract: Contract
    fps: int
    pictures: str
    codec: str
    depth: DepthCodes
    intervention: bool
    success: bool

    @cached_property
    def numeric(self) -> tuple[ObservationSpec, ...]:
        """The observations whose numbers make up the state."""
        return tuple(spec for spec in self.contract.observations if spec.kind == "numeric")

    @cached_property
    def texts(self) -> dict[str, ObservationSpec]:
        """The observations of text, by feature."""
        return {TEXT + spec.key: spec for spec in self.contract.observations if spec.kind == "text"}

    @cached_property
    def cameras(self) -> dict[str, ObservationSpec]:
        """The cameras, by feature."""
        return {IMAGES + spec.key: spec for spec in self.contract.observations if spec.kind == "image"}

    @property
    def groups(self) -> tuple[str, ...]:
        """The action groups that have a column of interventions each; none when all actions are one group."""
        several = self.intervention and self.contract.grouped
        return tuple(group.name for group in self.contract.groups) if several else ()

    @cached_property
    def features(self) -> dict[str, Feature]:
        """All features, in the order of the columns; raises ExchangeError on sizes that the codec can't have."""
        names = tuple(f"{spec.key}/{element}" for spec in self.numeric for element in spec.elements)
        found = [Feature(STATE, "float32", (len(names),), names)] if names else []
        found += [self._camera(key, spec.image) for key, spec in self.cameras.items() if spec.image]
        action = self.contract.action_names
        found.append(Feature(ACTION, "float32", (len(action),), action))
        found += [Feature(key, "string", (1,)) for key in self.texts]
        found.append(Feature(DONE, "bool", (1,)))
        found += [Feature(SUCCESS, "bool", (1,))] if self.success else []
        found += [Feature(INTERVENTION, "bool", (1,))] if self.intervention else []
        found += [Feature(GROUP_INTERVENTION + name, "bool", (1,)) for name in self.groups]
        found.append(Feature(COUNTERS[0], "float32", (1,)))
        found += [Feature(key, "int64", (1,)) for key in COUNTERS[1:]]
        return {each.key: each for each in found}

    def is_video(self, spec: ObservationSpec) -> bool:
        """Return whether a camera's pictures are stored as a video."""
        return self.pictures == "video" or self.codec_of(spec) == _DEPTH_CODEC

    def codec_of(self, spec: ObservationSpec) -> str:
        """Return the codec of a camera's video."""
        return _DEPTH_CODEC if spec.image is not None and spec.image.encoding == "depth" else self.codec

    def picture(self, spec: ObservationSpec, value: Array) -> Array:
        """Return what is stored of a picture: (H, W, 3) uint8, grey in all channels, or (H, W, 1) depth codes."""
        if spec.image is not None and spec.image.encoding == "depth":
            return self.depth.encode(value)
        return np.repeat(value, 3, axis=2) if value.shape[2] == 1 else value

    def state(self, frame: Frame) -> Array:
        """Return the state of a frame, float32; raises ExchangeError when a number is too large for that."""
        parts = [np.asarray(frame.observation.values[spec.key]) for spec in self.numeric]
        return _float32(np.concatenate(parts), self.features[STATE].names)

    def action(self, frame: Frame) -> Array:
        """Return the command of a frame, float32; raises ExchangeError as `state`."""
        return _float32(frame.command, self.contract.action_names)

    def _camera(self, key: str, image: ImageSpec) -> Feature:
        depth = image.encoding == "depth"
        shape = (image.height, image.width, 1 if depth else 3)
        if self.pictures == "image" and not depth:
            return Feature(key, "image", shape, _PIXEL_NAMES)
        codec = _DEPTH_CODEC if depth else self.codec
        info: dict[str, Any] = {
            "is_depth_map": depth,
            "video.height": image.height,
            "video.width": image.width,
            "video.codec": codec,
            "video.pix_fmt": pixel_format(codec, image.width, image.height),
            "video.fps": self.fps,
            "video.channels": shape[2],
            "has_audio": False,
        }
        info |= {"depth_unit": "m", **self.depth.info()} if depth else {}
        return Feature(key, "video", shape, _PIXEL_NAMES, info)


def arrow_type(feature: Feature) -> Any:
    """Return the Arrow type of a feature's column."""
    arrow = package("pyarrow")
    if feature.dtype == "image":
        return arrow.struct([("bytes", arrow.binary()), ("path", arrow.string())])
    if feature.dtype == "string":
        return arrow.string()
    kind = arrow.bool_() if feature.dtype == "bool" else arrow.from_numpy_dtype(np.dtype(feature.dtype))
    return kind if feature.shape == (1,) else arrow.list_(kind, feature.size)


def arrow_schema(features: Mapping[str, Feature]) -> Any:
    """Return the schema of the data files: all features but videos."""
    arrow = package("pyarrow")
    return arrow.schema([(key, arrow_type(each)) for key, each in features.items() if each.dtype != "video"])


def _float32(values: Array, names: tuple[str, ...]) -> Array:
    with np.errstate(over="ignore"):
        out = values.astype(np.float32)
    wrong = np.flatnonzero(~np.isfinite(out))
    if len(wrong):
        raise ExchangeError(f"{names[wrong[0]]} is {values[wrong[0]]}, which float32 can't hold")
    return out
