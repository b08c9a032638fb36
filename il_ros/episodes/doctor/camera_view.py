"""What a camera shows on average: kept with a policy, so that a camera that was moved since is noticed.

The mean picture of a take blurs what moves and keeps what stands. Two of them are compared where the frames of the
training hardly differ, which is the background of a camera on a stand: how much brighter or darker it is, and by which
shift of the picture it fits best. A camera at the wrist has little that stands, so its shift is rarely known.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.core.codecs.picture_header import read_header
from il_ros.core.specs import Vector

Array = np.ndarray[Any, Any]

VIEWS = "views"
"""The part of a policy's metrics that holds the `CameraView` of each of its cameras."""
HEIGHT, WIDTH = 48, 64
MOST_TAKES, FRAMES = 20, 10
"""Takes of the training, and frames of each take, that are looked at."""
MOST_SHIFT = 6
"""Pixels of the mean picture by which a shift is looked for."""
_NOISE = 4.0
"""Grey values: smaller differences between frames are noise."""
_MOST_TEXT = 20_000


@dataclass(frozen=True)
class Difference:
    """Of two mean pictures, where the training's frames hardly differ.

    `grey`: root mean square difference, of 255. `right`, `down`: the shift with which they fit best, in shares of width
    and height; positive: the scene appears more to the right, lower. `fits`: `grey` divided by what remains with this
    shift; 1 without one.
    """

    grey: float
    right: float
    down: float
    fits: float

    @property
    def shift(self) -> float:
        """The larger of the two shifts, without its sign."""
        return max(abs(self.right), abs(self.down))


@dataclass(frozen=True)
class CameraView:
    """Mean and standard deviation of a training's pictures (HEIGHT, WIDTH), in grey values from 0 to 255.

    `usual`: the largest `Difference.grey` of one of its takes.
    """

    mean: Vector
    deviation: Vector
    usual: float = 0.0

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary; grey values are rounded."""
        return {"mean": _text(self.mean), "deviation": _text(self.deviation), "usual": self.usual}

    @classmethod
    def from_plain(cls, values: Mapping[str, Any]) -> CameraView:
        """Return the inverse of `to_plain`; raises KeyError, TypeError or ValueError on other values."""
        return cls(_picture(values["mean"]), _picture(values["deviation"]), float(values["usual"]))

    def difference(self, now: Vector) -> Difference:
        """Return how a mean picture (HEIGHT, WIDTH) differs from this view."""
        weights = 1 / (np.square(self.deviation) + _NOISE**2)
        costs = np.array(
            [[self._cost(now, right, down, weights) for right in _SHIFTS] for down in _SHIFTS],
            dtype=np.float64,
        )
        down, right = np.unravel_index(int(np.argmin(costs)), costs.shape)
        here, least = float(costs[MOST_SHIFT, MOST_SHIFT]), float(costs.min())
        return Difference(
            float(np.sqrt(here)),
            (int(right) - MOST_SHIFT) / WIDTH,
            (int(down) - MOST_SHIFT) / HEIGHT,
            float(np.sqrt((here + 1) / (least + 1))),
        )

    def _cost(self, now: Vector, right: int, down: int, weights: Vector) -> float:
        """Return the weighted mean square difference to a picture that shows everything shifted."""
        inner = np.s_[MOST_SHIFT:-MOST_SHIFT, MOST_SHIFT:-MOST_SHIFT]
        shifted = now[
            MOST_SHIFT + down : HEIGHT - MOST_SHIFT + down, MOST_SHIFT + right : WIDTH - MOST_SHIFT + right
        ]
        return float(np.average(np.square(shifted - self.mean[inner]), weights=weights[inner]))


_SHIFTS = range(-MOST_SHIFT, MOST_SHIFT + 1)


def small_pictures(frames: Array) -> Vector:
    """Return about FRAMES of a take's pictures (T, H, W, C) as small grey ones (N, HEIGHT, WIDTH)."""
    import cv2

    places = np.unique(np.linspace(0, len(frames) - 1, FRAMES).astype(int)).tolist()
    greys = [np.asarray(frames[place]).mean(axis=2, dtype=np.float32) for place in places]
    return np.array(
        [cv2.resize(each, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA) for each in greys], float
    )


def view_of(takes: Sequence[Array]) -> CameraView:
    """Return the view of a camera in takes of pictures (T, H, W, C)."""
    places = np.unique(np.linspace(0, len(takes) - 1, MOST_TAKES).astype(int)).tolist()
    pictures = [small_pictures(takes[place]) for place in places]
    together = np.concatenate(pictures)
    view = CameraView(together.mean(axis=0), together.std(axis=0))
    usual = max(view.difference(each.mean(axis=0)).grey for each in pictures)
    return CameraView(view.mean, view.deviation, usual)


def _text(picture: Vector) -> str:
    import cv2

    data = cv2.imencode(".png", np.clip(np.rint(picture), 0, 255).astype(np.uint8))[1]
    return base64.b64encode(np.asarray(data).tobytes()).decode()


def _picture(text: Any) -> Vector:
    import cv2

    if not isinstance(text, str) or len(text) > _MOST_TEXT:
        raise ValueError("a picture must be a short text")
    raw = base64.b64decode(text, validate=True)
    header = read_header(raw)
    if header is None or (header.width, header.height) != (WIDTH, HEIGHT):
        raise ValueError(f"a picture must be a png of {WIDTH}x{HEIGHT}")
    found = cv2.imdecode(np.frombuffer(raw, np.uint8), cv2.IMREAD_GRAYSCALE)
    if found is None:
        raise ValueError("a picture is no png")
    return np.asarray(found, dtype=np.float64)
