"""A tabular reward: what it is worth to be in a cell of a map, as maximum-entropy IRL finds it on a grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from il_ros.core.settings import at_least
from il_ros.policies.protocol import ModelSpec, RewardModel, Transition, Window
from il_ros.rewards.registry import RewardFamily, RewardSettings

_MOST_CELLS = 1 << 20


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


class CellReward(RewardModel):
    """Looks a place up in a table (rows, columns); a place outside of the map counts as its nearest cell."""

    def __init__(self, settings: CellSettings, spec: ModelSpec, seeds: int = 1) -> None:
        super().__init__()
        if seeds != 1:
            raise ValueError("a reward of cells is not learnt beside a policy, with several seeds in one")
        features = len(spec.inputs.groups)
        if max(settings.axes) >= features:
            raise ValueError(
                f"axes are {list(settings.axes)}; the inputs have {features} features, from 0 on"
            )
        self._settings, self._scale = settings, spec.normaliser.state
        self.register_buffer("table", torch.zeros(settings.rows, settings.columns))
        self.register_buffer("free", torch.ones(settings.rows, settings.columns, dtype=torch.bool))

    def cells(self, window: Window) -> Tensor:
        """Return row and column (B, 2) of the newest tick's place, where coordinates count in cells."""
        return torch.floor(self._places(window) / self._settings.cell).long()

    @torch.no_grad()
    def reward(self, transition: Transition) -> Tensor:
        """Return the reward (B,) of the cell that each step begins in, 0 in the absorbing state."""
        place = self.cells(transition.observation)
        rows, columns = (
            place[:, axis].clamp(0, size - 1)
            for axis, size in enumerate((self._settings.rows, self._settings.columns))
        )
        table: Tensor = self.get_buffer("table")
        worth = table[rows, columns]
        if self._settings.per_distance:
            moved = self._places(transition.following) - self._places(transition.observation)
            worth = worth * moved.norm(dim=1)
        return torch.where(transition.absorbing, torch.zeros_like(worth), worth)

    def _places(self, window: Window) -> Tensor:
        """Return the coordinates (B, 2) along rows and columns, from the map's corner on."""
        axes = list(self._settings.axes)
        centre, scale = (
            torch.from_numpy(part[axes]).float() for part in (self._scale.centre, self._scale.scale)
        )
        return window.state[:, -1][:, axes] * scale + centre - torch.tensor(self._settings.low)


CELLS = RewardFamily(CellSettings, CellReward)
