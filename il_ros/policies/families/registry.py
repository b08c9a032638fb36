"""The registry of policy families: the settings class and the network of each.

A checkpoint names its family; unregistered families cannot be loaded.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from il_ros.core.contract import Contract
from il_ros.core.settings import one_of
from il_ros.policies.families.behaviour_cloning import BehaviourCloning, BehaviourCloningNetwork
from il_ros.policies.families.ensemble import Ensemble, EnsembleNetwork
from il_ros.policies.families.flow import Flow, FlowNetwork
from il_ros.policies.families.transformer import Transformer, TransformerNetwork
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import ModelSpec, PolicyModel


@dataclass(frozen=True)
class Family:
    """`settings`: a frozen dataclass derived from `PolicySettings`. `network`: its class, a `PolicyModel`."""

    settings: type[Any]
    network: Callable[[Any, ModelSpec], PolicyModel]


FAMILIES = {
    "bc": Family(BehaviourCloning, BehaviourCloningNetwork),
    "ensemble": Family(Ensemble, EnsembleNetwork),
    "transformer": Family(Transformer, TransformerNetwork),
    "flow": Family(Flow, FlowNetwork),
}


def family(name: str) -> Family:
    """Return the family called `name`; raises ValueError that lists the known names."""
    one_of("family", name, tuple(FAMILIES))
    return FAMILIES[name]


def make_network(
    name: str,
    settings: Any,
    contract: Contract,
    normaliser: Normaliser,
    assets: Mapping[str, bytes] | None = None,
) -> PolicyModel:
    """Return a network of the family; its initial weights come from torch's global generator.

    It learns as many numbers per action as the normaliser has (`ActionForm`). `assets`: see `ModelSpec`.
    """
    inputs = Inputs.for_policy(contract, settings)
    spec = ModelSpec(contract, inputs, len(normaliser.actions.centre), normaliser, assets or {})
    return family(name).network(settings, spec)
