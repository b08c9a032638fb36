"""What maximum-entropy IRL has found as a reward model: saved, loaded, and rating episodes like any other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from scipy.ndimage import distance_transform_edt  # type: ignore[import-untyped]

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.irl.corridor_map import CLEARANCES_M
from il_ros.irl.grid import Grid
from il_ros.irl.maximum_entropy import Fit
from il_ros.irl.rewards import TableReward
from il_ros.policies.action_form import ActionForm
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.rewards.cells import CellReward
from il_ros.rewards.checkpoint import LoadedReward
from il_ros.rewards.protocol import RewardModel
from il_ros.rewards.registry import RewardSettings, inputs_of, make_reward
from il_ros.rewards.settings import CellSettings, ClearanceSettings
from il_ros.sim.tasks.corridor_pieces import ROBOT_RADIUS_M


def cell_reward(
    contract: Contract,
    grid: Grid,
    values: Vector,
    settings: CellSettings,
    *,
    version: str = "",
    episodes: Sequence[str] = (),
    found: Fit | None = None,
) -> LoadedReward:
    """Return the rewards of a grid's states (S,) as a model that reads the place from a contract's observation.

    `settings`: where the map lies in it; rows and columns are those of the grid. Cells that are not free get the
    reward of the nearest free one. `episodes`: the names of the demonstrations, and `found`: the fit, to be kept.
    Raises ValueError when the values or the settings do not fit the grid or the contract.
    """
    if values.shape != (len(grid.cells),) or not np.isfinite(values).all():
        raise ValueError(
            f"the rewards have shape {values.shape}; they must be ({len(grid.cells)},) finite numbers, one a state"
        )
    if (settings.rows, settings.columns) != grid.free.shape:
        raise ValueError(
            f"rows and columns are {settings.rows} and {settings.columns}; the grid's map is {grid.free.shape}"
        )
    nearest = distance_transform_edt(~grid.free, return_distances=False, return_indices=True)
    table = grid.on_map(values)[tuple(nearest)]
    kept = {"table": torch.from_numpy(table).float(), "free": torch.from_numpy(grid.free.copy())}
    return _loaded("cells", settings, contract, kept, version, _metrics(episodes, found))


def clearance_reward(
    contract: Contract,
    found: Fit,
    settings: ClearanceSettings | None = None,
    *,
    version: str = "",
    episodes: Sequence[str] = (),
) -> LoadedReward:
    """Return a reward that was fitted to the features of a `CorridorMap` as a model that reads a laser scan.

    Raises ValueError when the number of weights, or the settings, do not fit the contract.
    """
    settings = settings or ClearanceSettings(radius_m=ROBOT_RADIUS_M, limits_m=CLEARANCES_M)
    needed = 1 + len(settings.limits_m)
    if found.parameters.shape != (needed,):
        raise ValueError(
            f"the reward has {len(found.parameters)} parameters; a linear one of a length and "
            f"{len(settings.limits_m)} clearances has {needed}"
        )
    kept = {"weights": torch.from_numpy(found.parameters).float()}
    return _loaded("clearance", settings, contract, kept, version, _metrics(episodes, found))


def require_fitting(family: str, settings: RewardSettings, contract: Contract) -> None:
    """Raise ValueError, naming the setting, unless a reward of these settings reads what the contract has."""
    _network(family, settings, contract)


def heat_of(reward: LoadedReward) -> Vector:
    """Return the rewards of the cells of a map (rows, columns); NaN where nothing can be.

    Raises ValueError when the model is no reward of cells.
    """
    if not isinstance(reward.network, CellReward):
        raise ValueError(f"reward {reward.version} is of the family {reward.family}; only 'cells' has a map")
    table, free = (reward.network.get_buffer(name).numpy() for name in ("table", "free"))
    heat: Vector = np.where(free, table, np.nan).astype(float)
    return heat


def _loaded(
    family: str,
    settings: RewardSettings,
    contract: Contract,
    kept: dict[str, torch.Tensor],
    version: str,
    metrics: dict[str, Any],
) -> LoadedReward:
    network, normaliser = _network(family, settings, contract)
    network.load_state_dict(kept)
    return LoadedReward(contract, family, settings, network, normaliser, version, metrics)


def _network(family: str, settings: RewardSettings, contract: Contract) -> tuple[RewardModel, Normaliser]:
    features = len(inputs_of(contract, settings).groups)
    form = ActionForm(contract)
    state, actions = Affine(np.zeros(features), np.ones(features)), Affine(np.zeros(form.size), _sizes(form))
    normaliser = Normaliser(state, actions)
    return make_reward(family, settings, contract, normaliser), normaliser


def _sizes(form: ActionForm) -> Vector:
    """Return the size (L,) of the largest command that the contract allows; 1 where it says none."""
    contract, sizes = form.contract, np.ones(form.size)
    for action in contract.actions:
        lower, upper, speed, _ = action.limits.arrays()
        bounds = speed if action.is_velocity else np.maximum(np.abs(lower), np.abs(upper))
        for name, bound in zip(
            contract.action_names[contract.action_slices[action.key]], bounds, strict=True
        ):
            if name in form.names and action.mode != "delta" and np.isfinite(bound) and bound > 0:
                sizes[form.names.index(name)] = bound
    return sizes


def _metrics(episodes: Sequence[str], found: Fit | None) -> dict[str, Any]:
    metrics: dict[str, Any] = {"data": {"train": list(episodes), "validation": []}}
    if found is not None:
        metrics["feature_error"] = found.feature_error
        if not isinstance(found.form, TableReward):  # these are the table itself
            metrics["parameters"] = found.parameters.tolist()
    return metrics
