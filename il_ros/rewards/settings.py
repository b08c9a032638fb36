"""The settings of the reward models of il_ros, without torch: a wrong one is named before that is imported."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, ClassVar

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.settings import at_least, check_widths, one_of
from il_ros.core.tables import counted
from il_ros.policies.window import MOST_HISTORY

PATTERN, POSITION = "pattern", "position"
ENCODERS = (PATTERN, POSITION)
MOST_MEMBERS = 16
UNFOUND = 0.5
_MOST_CELLS = 1 << 20


@dataclass(frozen=True)
class RewardSettings:
    """The settings that all reward models have; a family adds its own.

    `inputs`: keys of the contract's observations; (): all. `reads_images`: whether the model reads cameras. `added`:
    the settings that files of earlier versions lack, and the values that those worked by.
    """

    reads_images: ClassVar[bool] = False
    added: ClassVar[Mapping[str, Any]] = MappingProxyType({})

    inputs: tuple[str, ...] = ()


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


@dataclass(frozen=True)
class SuccessSettings(FrameSettings):
    """`hold_s`: the episode is judged a success when the probability was `threshold` or more for so long.

    A `threshold` of 0 is found by the training (`il_ros.training.rewards.calibration`); 0.5 where it finds none.

    `unsure_s`: of the labels: in the seconds before the last `shown_s` of an episode that was marked a success, it may
    already be there, depending on how late it was marked.
    `scale` and `offset`: of the logit; with several members the training finds them, so that the probability is that of
    the verdict on an episode whose success was seen so clearly for `hold_s`.
    """

    threshold: float = 0.0
    hold_s: float = 0.2
    unsure_s: float = 0.6
    scale: float = 1.0
    offset: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 0 <= self.threshold < 1:
            raise ValueError(f"threshold is {self.threshold:g}; it must be above 0 and below 1, or 0: found")
        if not (self.scale > 0 and math.isfinite(self.scale) and math.isfinite(self.offset)):
            raise ValueError(
                f"scale is {self.scale:g} and offset {self.offset:g}; they must be finite, scale above 0"
            )
        self.require_seconds("hold_s", "unsure_s")

    @property
    def decides_at(self) -> float:
        """The probability from which on the success is there."""
        return self.threshold or UNFOUND


@dataclass(frozen=True)
class ProgressSettings(FrameSettings):
    """The settings; in the last `shown_s` of a success the progress is 1.

    `stall_s`: the longest time without progress in a success, which the training finds if there are several members;
    0: unknown.
    """

    stall_s: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not (self.stall_s >= 0 and math.isfinite(self.stall_s)):
            raise ValueError(f"stall_s is {self.stall_s:g}; it must be a time of 0 or more")


@dataclass(frozen=True)
class CellSettings(RewardSettings):
    """The map of `rows` x `columns` cells of size `cell`, in the units of what is observed.

    `axes`: the places of the row's and the column's coordinate among the features of the inputs. `low`: their values
    at the map's corner, where row and column 0 begin. `per_distance`: whether the table has rewards per distance moved
    (from a robot that passes a cell in several steps), or of a step.
    """

    axes: tuple[int, int] = (0, 1)
    low: tuple[float, float] = (-0.5, -0.5)
    cell: float = 1.0
    rows: int = 1
    columns: int = 1
    per_distance: bool = False

    def __post_init__(self) -> None:
        at_least("rows", self.rows, 1)
        at_least("columns", self.columns, 1)
        if self.rows * self.columns > _MOST_CELLS:
            raise ValueError(f"rows x columns are {self.rows * self.columns}; at most {_MOST_CELLS} cells")
        if not (np.isfinite(self.cell) and self.cell > 0):
            raise ValueError(f"cell is {self.cell:g}; it must be above 0")
        if len(self.axes) != 2 or min(self.axes) < 0 or self.axes[0] == self.axes[1]:
            raise ValueError(f"axes are {list(self.axes)}; they must be two different places, from 0 on")
        if len(self.low) != 2 or not np.isfinite(self.low).all():
            raise ValueError(f"low is {list(self.low)}; it must be two finite numbers")


@dataclass(frozen=True)
class ClearanceSettings(RewardSettings):
    """`inputs`: the laser scan alone. `speed`: the action that is the speed ahead, in m/s.

    `radius_m`: of the robot, whose centre has the scanner. `limits_m`: the clearances that are fallen short of.
    `least_m_s`: a step at a lower speed counts as one at this speed: standing still is no way out of a long way.
    """

    inputs: tuple[str, ...] = ("scan",)
    speed: str = "base/linear.x"
    radius_m: float = 0.16
    limits_m: tuple[float, ...] = (0.1, 0.2, 0.3)
    least_m_s: float = 0.5

    def __post_init__(self) -> None:
        if len(self.inputs) != 1:
            raise ValueError(f"inputs are {list(self.inputs)}; the key of one laser scan is needed")
        for name in ("radius_m", "least_m_s"):
            if not 0 <= getattr(self, name) <= 100:
                raise ValueError(f"{name} is {getattr(self, name):g}; it must be from 0 to 100")
        if not self.limits_m or not all(0 < limit <= 100 for limit in self.limits_m):
            raise ValueError(f"limits_m are {list(self.limits_m)}; they must be above 0, and at most 100")
