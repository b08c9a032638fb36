"""A reward model on disk: a folder of data like a policy's checkpoint, whose config.json has `kind: reward`."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from il_ros.core import atomic, settings
from il_ros.core.contract import Contract
from il_ros.core.plugins import PluginError
from il_ros.core.tables import counted
from il_ros.policies import checkpoint, weights
from il_ros.policies.checkpoint import CONFIG, CONTRACT, FORMAT, MODEL, REWARD, CheckpointError, NotHereError
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.versions import fault_of
from il_ros.rewards.folders import FILES as FILES
from il_ros.rewards.folders import FOLDER as FOLDER
from il_ros.rewards.folders import find_reward
from il_ros.rewards.protocol import RewardModel
from il_ros.rewards.registry import RewardSettings, inputs_of, make_reward, reward_family


@dataclass(frozen=True, eq=False)
class LoadedReward:
    """A reward model with everything needed to rate the steps of episodes of its contract.

    `metrics`: what its training measured.
    """

    contract: Contract
    family: str
    settings: RewardSettings
    network: RewardModel
    normaliser: Normaliser
    version: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.network.eval()

    @cached_property
    def inputs(self) -> Inputs:
        """The observations that the model reads."""
        return inputs_of(self.contract, self.settings)


def save(folder: Path, reward: LoadedReward) -> None:
    """Write a reward model to `folder`, replacing one atomically; on failure the old one remains.

    Raises OSError if writing fails or `folder` holds anything else, CheckpointError as `policies.checkpoint.save`.
    """
    checkpoint.require_text(reward.contract)
    if fault := fault_of(reward.version):
        raise CheckpointError(f"{folder}: {fault}")
    model = checkpoint.packed_weights(reward.network, folder)
    config = {
        "format": FORMAT,
        "kind": REWARD,
        "family": reward.family,
        "version": reward.version or f"{reward.family}-{hashlib.sha256(model).hexdigest()[:8]}",
        "settings": settings.plain(reward.settings),
        "normaliser": reward.normaliser.to_plain(),
        "contract_name": reward.contract.name,
        "contract_hash": reward.contract.hash,
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "metrics": dict(reward.metrics),
    }
    with atomic.folder(folder, FILES) as written:
        (written / MODEL).write_bytes(model)
        (written / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        (written / CONTRACT).write_text(reward.contract.text, encoding="utf-8")


def load(path: str | Path, contract: Contract | None = None) -> LoadedReward:
    """Return the reward model at `path`: its folder, or that of the training that learnt it.

    `contract`: the required contract; a different one raises NotHereError with one line per difference.
    Raises CheckpointError naming the file and the fault.
    """
    folder = find_reward(Path(path))
    config = checkpoint.read_config(folder / CONFIG)
    if config.get("kind") != REWARD:
        raise CheckpointError(f"{folder}: is a policy, not a reward model")
    own = checkpoint.read_contract(folder / CONTRACT, config)
    if contract is not None:
        checkpoint.required(folder, own, contract)
    try:
        kind = reward_family(config["family"])
        chosen = settings.build(kind.settings, {**kind.settings.added, **config["settings"]}, "settings")
        normaliser = Normaliser.from_plain(config["normaliser"])
        found, needed = len(normaliser.state.centre), len(inputs_of(own, chosen).groups)
        if found != needed:
            raise ValueError(f"normaliser.state has {counted(found, 'value')}; required: {needed}")
        with weights.shapes_only():
            described = make_reward(config["family"], chosen, own, normaliser)
    except PluginError as error:
        raise NotHereError(f"{folder / CONFIG}: {error}") from error
    except checkpoint.DESCRIBES as error:
        raise CheckpointError(f"{folder / CONFIG}: {checkpoint.sentence(error)}") from error
    tensors = checkpoint.read_weights(folder / MODEL, config["model_sha256"], described)
    with torch.random.fork_rng(devices=[]):
        network = make_reward(config["family"], chosen, own, normaliser)
    network.load_state_dict(tensors)
    return LoadedReward(
        own, config["family"], chosen, network, normaliser, config["version"], config["metrics"]
    )
