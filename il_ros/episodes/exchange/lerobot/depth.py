"""Depth as 12-bit codes, as LeRobot stores it: logarithmic, finer near the camera.

code = 4095 * log((z + shift) / (least + shift)) / log((most + shift) / (least + shift)), z in metres, rounded.
The video of the codes is lossless; the codes themselves are not. A depth between `least` and `most` comes back
with an error of at most half a code: with the defaults 0.6 mm near the camera, 0.8 mm at 1 m, 2.3 mm at 10 m.
Code 0 stands for no measurement: il_ros has 0 there, and no camera measures at 0.01 m. LeRobot reads 0.01 m.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.episodes.exchange.errors import ExchangeError

Array = np.ndarray[Any, Any]

MOST_CODE = 4095


@dataclass(frozen=True)
class DepthCodes:
    """The conversion; metres. Raises ExchangeError on bounds that no code can have."""

    least: float = 0.01
    most: float = 10.0
    shift: float = 3.5
    logarithmic: bool = True

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, (self.least, self.most, self.shift))) or not self.least < self.most:
            raise ExchangeError(
                f"depth from {self.least} to {self.most} m: the first must be below the second"
            )
        if self.logarithmic and self.least + self.shift <= 0:
            raise ExchangeError(
                f"depth from {self.least} m with shift {self.shift} m: their sum must be positive for use_log"
            )

    @classmethod
    def of(cls, info: Mapping[str, Any], where: str) -> DepthCodes:
        """Read a feature's `info`; keys that it lacks have LeRobot's defaults. Raises ExchangeError."""
        values = {}
        for name, key in (("least", "depth_min"), ("most", "depth_max"), ("shift", "shift")):
            value = info.get(f"video.{key}", getattr(cls, name))
            if isinstance(value, bool) or not isinstance(value, (int, float)):
                raise ExchangeError(f"{where}.info.video.{key} is {value!r}; it must be a number of metres")
            values[name] = float(value)
        return cls(**values, logarithmic=bool(info.get("video.use_log", True)))

    def info(self) -> dict[str, Any]:
        """Return the keys of a feature's `info`."""
        return {
            "video.depth_min": self.least,
            "video.depth_max": self.most,
            "video.shift": self.shift,
            "video.use_log": self.logarithmic,
        }

    def encode(self, metres: Array) -> Array:
        """Return codes (uint16) of depths in metres; 0 (no measurement) and less than `least` become 0."""
        depth = np.maximum(metres.astype(np.float64), self.least)
        if self.logarithmic:
            low, high = math.log(self.least + self.shift), math.log(self.most + self.shift)
            share = (np.log(depth + self.shift) - low) / (high - low)
        else:
            share = (depth - self.least) / (self.most - self.least)
        return np.clip(np.rint(share * MOST_CODE), 0, MOST_CODE).astype(np.uint16)

    def decode(self, codes: Array) -> Array:
        """Return metres (float32) of codes; 0 for code 0, no measurement."""
        return self.table()[np.minimum(codes, MOST_CODE)]

    def table(self) -> Array:
        """Return the metres (float32) of each code, 4096 numbers."""
        share = np.arange(MOST_CODE + 1) / MOST_CODE
        if self.logarithmic:
            low, high = math.log(self.least + self.shift), math.log(self.most + self.shift)
            metres = np.exp(low + share * (high - low)) - self.shift
        else:
            metres = self.least + share * (self.most - self.least)
        metres[0] = 0.0
        return metres.astype(np.float32)

    def error_m(self, metres: float) -> float:
        """Return the largest error of a depth between the bounds, half a code, in metres."""
        if self.logarithmic:
            return (
                (metres + self.shift)
                * math.log((self.most + self.shift) / (self.least + self.shift))
                / MOST_CODE
                / 2
            )
        return (self.most - self.least) / MOST_CODE / 2
