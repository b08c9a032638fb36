"""A tabular reward: what it is worth to be in a cell of a map, as maximum-entropy IRL finds it on a grid."""

from __future__ import annotations

import torch
from torch import Tensor

from il_ros.policies.protocol import ModelSpec, Window
from il_ros.rewards.protocol import RewardModel, Transition
from il_ros.rewards.registry import RewardFamily
from il_ros.rewards.settings import CellSettings


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
