"""The families of reward models by name, which il_ros and other installed packages register in il_ros.rewards."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from il_ros.core import plugins
from il_ros.core.contract import Contract
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import ModelSpec
from il_ros.rewards.protocol import RewardModel
from il_ros.rewards.settings import RewardSettings as RewardSettings


@dataclass(frozen=True)
class RewardFamily:
    """`settings`: a frozen dataclass derived from `RewardSettings`. `network(settings, spec, seeds)`: a `RewardModel`.

    `seeds`: K models in one, evaluated in one product, see `il_ros.policies.networks.seeded_mlp`; 1 for all other uses.
    """

    settings: type[Any]
    network: Callable[[Any, ModelSpec, int], RewardModel]


def reward_family(name: str) -> RewardFamily:
    """Return the family called `name`; raises PluginError if it is not registered or cannot be used."""
    found: RewardFamily = plugins.load(plugins.REWARDS, name, _fault)
    return found


def inputs_of(contract: Contract, settings: RewardSettings) -> Inputs:
    """Return the observations that a reward model with these settings reads; raises ValueError as `Inputs.of`."""
    return Inputs.of(contract, settings.inputs, image=settings.reads_images)


def make_reward(
    name: str, settings: RewardSettings, contract: Contract, normaliser: Normaliser, seeds: int = 1
) -> RewardModel:
    """Return a model of the family; its initial weights come from torch's global generator."""
    inputs = inputs_of(contract, settings)
    spec = ModelSpec(contract, inputs, len(normaliser.actions.centre), normaliser)
    return reward_family(name).network(settings, spec, seeds)


def _fault(loaded: Any) -> str:
    if not isinstance(loaded, RewardFamily):
        return f"it is {loaded!r}"
    if not (isinstance(loaded.settings, type) and issubclass(loaded.settings, RewardSettings)):
        return f"its settings {loaded.settings!r} are not derived from RewardSettings"
    if not dataclasses.is_dataclass(loaded.settings):
        return f"its settings {loaded.settings!r} are no dataclass"
    return "" if callable(loaded.network) else f"its network {loaded.network!r} cannot be called"
