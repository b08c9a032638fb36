"""The reward models by name, which installed packages register in il_ros.rewards."""

from __future__ import annotations

from typing import Any

from il_ros.core import plugins
from il_ros.policies.protocol import RewardModel


def reward_class(name: str) -> type[RewardModel]:
    """Return the class of a reward model; raises PluginError if it is not registered or cannot be used."""
    found: type[RewardModel] = plugins.load(plugins.REWARDS, name, _fault)
    return found


def _fault(loaded: Any) -> str:
    return "" if isinstance(loaded, type) and issubclass(loaded, RewardModel) else f"it is {loaded!r}"
