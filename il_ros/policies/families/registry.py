"""The policy families by name: those that il_ros and other installed packages register.

A checkpoint names its family; unregistered families cannot be loaded.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from il_ros.core import plugins
from il_ros.core.contract import Contract
from il_ros.policies import weights
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import ModelSpec, PolicyModel, PolicySettings


@dataclass(frozen=True)
class Family:
    """`settings`: a frozen dataclass derived from `PolicySettings`. `network`: its class, a `PolicyModel`."""

    settings: type[Any]
    network: Callable[[Any, ModelSpec], PolicyModel]


def family(name: str) -> Family:
    """Return the family called `name`; raises PluginError if it is not registered or cannot be used."""
    found: Family = plugins.load(plugins.FAMILIES, name, _fault)
    return found


def make_network(
    name: str,
    settings: Any,
    contract: Contract,
    normaliser: Normaliser,
    assets: Mapping[str, bytes] | None = None,
) -> PolicyModel:
    """Return a network of the family; its initial weights come from torch's global generator.

    It learns as many numbers per action as the normaliser has (`ActionForm`). `assets`: see `ModelSpec`.
    Raises ValueError, before memory is taken, if its weights are larger than a checkpoint may be.
    """
    try:
        described = describe_network(name, settings, contract, normaliser, assets)
    except (RuntimeError, OverflowError) as error:  # a size beyond 64 bits
        raise ValueError(f"a network of family '{name}' with these settings: {error}") from error
    size = weights.size_of(described.state_dict())
    if size > weights.MOST_BYTES:
        raise ValueError(
            f"a network of family '{name}' with these settings has {size / 2**30:.1f} GiB of weights; at most "
            f"{weights.MOST_BYTES / 2**30:.0f} GiB: choose smaller layers"
        )
    return build_network(name, settings, contract, normaliser, assets)


def describe_network(
    name: str,
    settings: Any,
    contract: Contract,
    normaliser: Normaliser,
    assets: Mapping[str, bytes] | None = None,
) -> PolicyModel:
    """Return a network with all shapes, but without memory and values."""
    with weights.shapes_only():
        return build_network(name, settings, contract, normaliser, assets)


def build_network(
    name: str,
    settings: Any,
    contract: Contract,
    normaliser: Normaliser,
    assets: Mapping[str, bytes] | None = None,
) -> PolicyModel:
    """Return a network of settings whose size was checked before: `make_network` without that."""
    inputs = Inputs.for_policy(contract, settings)
    spec = ModelSpec(contract, inputs, len(normaliser.actions.centre), normaliser, assets or {})
    return family(name).network(settings, spec)


def _fault(loaded: Any) -> str:
    if not isinstance(loaded, Family):
        return f"it is {loaded!r}"
    if not (isinstance(loaded.settings, type) and issubclass(loaded.settings, PolicySettings)):
        return f"its settings {loaded.settings!r} are not derived from PolicySettings"
    if not dataclasses.is_dataclass(loaded.settings):
        return f"its settings {loaded.settings!r} are no dataclass"
    return "" if callable(loaded.network) else f"its network {loaded.network!r} cannot be called"
