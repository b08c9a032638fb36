"""A trained policy on disk: a folder of data that contains no executable code.

    model.safetensors         the weights, and buffers such as running statistics
    assets.safetensors        what else the model consists of, such as a vocabulary: bytes by name, if there is any
    uncertainty.safetensors   demonstrated states, if uncertainty is the distance to them
    config.json               family, settings, normaliser, version, metrics, and checksums
    contract.yaml             what the policy observes and commands
    card.md                   the model card: the same for people, see `card`; nothing reads it

A folder is written completely and then moved into place atomically. `load` validates every file: it reads
regular files only, and compares the sizes with the weights' header before it allocates a network.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor
from torch.nn import Module

from il_ros.core import atomic, files, settings
from il_ros.core.contract import Contract, ContractError
from il_ros.core.contract_differences import differences
from il_ros.core.plugins import PluginError
from il_ros.core.settings import SettingsError
from il_ros.core.tables import counted, shown
from il_ros.policies import card, lineage, weights
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import build_network, describe_network, family
from il_ros.policies.features import Inputs
from il_ros.policies.joint.contracts import JoinedContract
from il_ros.policies.joint.contracts import read as read_joined
from il_ros.policies.joint.part import PartNetwork, part_policy
from il_ros.policies.lineage import CheckpointError as CheckpointError
from il_ros.policies.lineage import NotHereError as NotHereError
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.uncertainty import DISTANCE, RAW, ChunkUse, UncertaintyModel, UncertaintyScale
from il_ros.policies.versions import CONFIG as CONFIG
from il_ros.policies.versions import CONTRACT as CONTRACT
from il_ros.policies.versions import MODEL as MODEL
from il_ros.policies.versions import fault_of
from il_ros.records import strict_json as check
from il_ros.records.strict_json import JsonError

FORMAT = 1
UNCERTAINTY = "uncertainty.safetensors"
FORMER_UNCERTAINTY = "doubt.safetensors"
"""The file name in checkpoints from before 2026-11-29; its key in config.json was "doubt"."""
ASSETS = "assets.safetensors"
REWARD = "reward"
"""The value of `kind` in the config.json of a reward model (`il_ros.rewards.checkpoint`); a policy has no such key."""
FILES = (MODEL, CONFIG, CONTRACT, UNCERTAINTY, FORMER_UNCERTAINTY, ASSETS, card.FILE)
"""The files that a checkpoint may hold; a folder with others is not replaced."""
_MOST_TEXT = 4 << 20
_MOST_STATES = 64 << 20
_MOST_ASSETS = 64 << 20
DESCRIBES = (SettingsError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RuntimeError)
"""What values of config.json can raise; torch raises RuntimeError for a size beyond 64 bits."""


def save(folder: Path, policy: LoadedPolicy) -> None:
    """Write a policy to `folder`, replacing a checkpoint atomically; on failure the old one remains.

    Raises OSError if writing fails or `folder` holds anything but a checkpoint, CheckpointError
    if a weight is not finite, if the contract's text does not describe the contract, if the version is not
    one word, or on a part of a joint policy.
    """
    require_text(policy.contract)
    if isinstance(policy.network, PartNetwork):
        raise CheckpointError(
            f"{folder}: {policy.version} is a part of a joint policy; save the whole policy"
        )
    if fault := fault_of(policy.version):
        raise CheckpointError(f"{folder}: {fault}")
    model = packed_weights(policy.network, folder)
    config: dict[str, Any] = {
        "format": FORMAT,
        "family": policy.family,
        "version": policy.version or f"{policy.family}-{hashlib.sha256(model).hexdigest()[:8]}",
        "settings": settings.plain(policy.settings),
        "normaliser": policy.normaliser.to_plain(),
        "contract_name": policy.contract.name,
        "contract_hash": policy.contract.hash,
        "model_sha256": hashlib.sha256(model).hexdigest(),
        "metrics": dict(policy.metrics),
    }
    uncertainty: dict[str, Any] = {
        "kind": policy.uncertainty_model.kind,
        "scale": policy.uncertainty_model.scale,
    }
    if policy.uncertainty_model.scales:
        uncertainty["scales"] = [
            {"scale": each.value, "group": each.group, **each.use._asdict()}
            for each in policy.uncertainty_model.scales
        ]
    shown = b""
    if policy.uncertainty_model.shown.size:
        shown = save_tensors({"shown": torch.from_numpy(policy.uncertainty_model.shown)})
        uncertainty["sha256"] = hashlib.sha256(shown).hexdigest()
    config["uncertainty"] = uncertainty
    assets = _packed(policy.network.assets(), folder)
    if assets:
        config["assets_sha256"] = hashlib.sha256(assets).hexdigest()
    with atomic.folder(folder, FILES) as written:
        (written / MODEL).write_bytes(model)
        if shown:
            (written / UNCERTAINTY).write_bytes(shown)
        if assets:
            (written / ASSETS).write_bytes(assets)
        (written / CONFIG).write_text(json.dumps(config, indent=1) + "\n", encoding="utf-8")
        (written / CONTRACT).write_text(policy.contract.text, encoding="utf-8")
        (written / card.FILE).write_text(card.card(policy, config["version"]), encoding="utf-8")


def packed_weights(network: Module, folder: Path) -> bytes:
    """Return a network's weights as safetensors; raises CheckpointError naming `folder` if one is not finite."""
    tensors = {  # weights that two layers share are stored twice
        name: value.detach().cpu().clone(memory_format=torch.contiguous_format)
        for name, value in network.state_dict().items()
    }
    refuse_non_finite(tensors, parameters_of(network), str(folder))
    packed: bytes = save_tensors(tensors)
    return packed


def require_text(own: Contract) -> None:
    """Raise CheckpointError if the contract's text, which is stored, does not describe the contract."""
    try:
        kept = read_joined(own.text, f"text of contract '{own.name}'").hash
    except ContractError as error:
        raise CheckpointError(f"contract '{own.name}' cannot be stored: {error}") from error
    if kept != own.hash:
        raise CheckpointError(f"contract '{own.name}' cannot be stored: its text describes another contract")


def load(path: str | Path, contract: Contract | None = None, device: str = "cpu") -> LoadedPolicy:
    """Return the policy at `path`: a checkpoint, a training run, or a folder of runs (the newest good one).

    `contract`: the required contract; a different one raises NotHereError with one line per difference. Of a joint
    policy, its part for this contract is returned.
    Raises CheckpointError naming the file and the fault.
    """
    folder = lineage.find_checkpoint(Path(path))
    config = read_config(folder / CONFIG)
    own = read_contract(folder / CONTRACT, config)
    part = None if contract is None else required(folder, own, contract)
    if config.get("kind") == REWARD:
        raise CheckpointError(f"{folder}: is a reward model (`il-ros reward`), not a policy")
    try:
        kind = family(config["family"])
        chosen = settings.build(kind.settings, config["settings"], "settings")
        normaliser = Normaliser.from_plain(config["normaliser"])
        assets = _assets(folder, config)
        built = (config["family"], chosen, own, normaliser, assets)
        described = describe_network(*built)
    except CheckpointError:
        raise
    except PluginError as error:
        raise NotHereError(f"{folder / CONFIG}: {error}") from error
    except DESCRIBES as error:
        raise CheckpointError(f"{folder / CONFIG}: {sentence(error)}") from error
    _check_sizes(folder / CONFIG, normaliser, own, Inputs.for_policy(own, chosen))
    tensors = read_weights(folder / MODEL, config["model_sha256"], described)
    network = build_network(*built)
    network.load_state_dict(tensors)
    uncertainty_model = _uncertainty_model(folder, config, len(normaliser.state.centre))
    named = (config["version"], config["metrics"], device, uncertainty_model)
    policy = LoadedPolicy(own, config["family"], chosen, network, normaliser, *named)
    return policy if part is None or part is own else part_policy(policy, part)


def required(folder: Path, own: Contract, wanted: Contract) -> Contract:
    """Return the contract, or the part of it, that is interchangeable with the wanted one; raises NotHereError."""
    different = differences(wanted, own)
    try:
        if different and isinstance(own, JoinedContract):
            return own.part(wanted)
    except ContractError as error:
        different = [str(error)]
    if different:
        lines = "\n  ".join(different)
        raise NotHereError(
            f"{folder}: trained under another contract (here: the required one, '{wanted.name}'; there: the "
            f"checkpoint's, '{own.name}'):\n  {lines}"
        )
    return own


def read_config(file: Path) -> dict[str, Any]:
    """Return the content of a config.json; raises CheckpointError naming the missing or wrong key."""
    raw = _bytes(file, _MOST_TEXT)
    try:
        config = files.json_of(raw)
    except ValueError as error:
        raise CheckpointError(f"{file}: not JSON: {error}") from error
    kinds = {"format": int, "family": str, "version": str, "settings": dict, "normaliser": dict}
    kinds |= {"contract_hash": str, "model_sha256": str, "metrics": dict}
    for key, kind in kinds.items():
        if not isinstance(config, dict) or not isinstance(config.get(key), kind):
            raise CheckpointError(f"{file}: '{key}' is missing or not a {kind.__name__}")
    if fault := fault_of(config["version"]):
        raise CheckpointError(f"{file}: {fault}")
    try:
        _METRICS(config["metrics"], "metrics")
    except JsonError as error:
        raise CheckpointError(f"{file}: {error}") from error
    if config["format"] != FORMAT:
        raise CheckpointError(f"{file}: format {config['format']} is unknown; this version reads {FORMAT}")
    return dict(config)


def _episode_name(value: Any, name: str) -> str:
    """Check an episode's name: the name of a folder among the episodes, which leads nowhere else."""
    text: str = check.name_text(value, name)
    if "/" in text or "\0" in text or text in (".", ".."):
        raise JsonError(f"{name} is {shown(text)}; it must be the name of an episode's folder")
    return text


_TRAINING = {"batch_size": check.whole(1)}
_METRICS = check.record(
    "metrics",
    {
        "data": check.mapping(check.several(_episode_name)),
        "tasks": check.several(check.text),
        "frames": check.or_null(check.whole()),
        "corrections": check.or_null(check.whole()),
        "steps": check.or_null(check.whole()),
        "duration_s": check.or_null(check.number(0.0)),
        "training": check.record("training", _TRAINING, others=True),
    },
    optional=("data", "tasks", "frames", "corrections", "steps", "duration_s", "training"),
    others=True,
)
"""The metrics that other parts of the package use."""


def read_contract(file: Path, config: Mapping[str, Any]) -> Contract:
    """Return the stored contract; raises CheckpointError if it is not the one that config.json records."""
    try:
        own = read_joined(_bytes(file, _MOST_TEXT).decode("utf-8"), str(file))
    except (ContractError, UnicodeDecodeError) as error:
        kind = NotHereError if isinstance(error.__cause__, PluginError) else CheckpointError
        raise kind(f"{file}: {error}") from error
    if own.hash != config["contract_hash"]:
        raise CheckpointError(
            f"{file}: was edited: its hash is {own.hash}, {CONFIG} records {config['contract_hash']}"
        )
    return own


def _uncertainty_model(folder: Path, config: Mapping[str, Any], features: int) -> UncertaintyModel:
    """Return the uncertainty model; older checkpoints without that key have kind RAW."""
    former = "doubt" in config
    stated = config["doubt"] if former else config.get("uncertainty", {"kind": RAW, "scale": 1.0})
    file = folder / (FORMER_UNCERTAINTY if former else UNCERTAINTY)
    try:
        if stated["kind"] != DISTANCE:
            scales = tuple(
                UncertaintyScale(each["scale"], each["group"], ChunkUse(each["ticks"], each["committed"]))
                for each in stated.get("scales", ())
            )
            return UncertaintyModel(stated["kind"], stated["scale"], scales=scales)
        stored = _bytes(file, _MOST_STATES)
        if hashlib.sha256(stored).hexdigest() != stated["sha256"]:
            raise CheckpointError(f"{file}: its checksum differs from the one in {CONFIG}")
        shown = load_tensors(stored)["shown"].numpy()
        if shown.ndim != 2 or shown.shape[1] != features:
            raise CheckpointError(f"{file}: states have shape {shown.shape}; (K, {features}) is required")
        return UncertaintyModel(DISTANCE, stated["scale"], shown)
    except CheckpointError:
        raise
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{folder / CONFIG}: uncertainty: {sentence(error)}") from error


def _check_sizes(file: Path, normaliser: Normaliser, own: Contract, inputs: Inputs) -> None:
    state, learnt, needed = normaliser.state.centre, normaliser.actions.centre, len(inputs.groups)
    if state.shape != (needed,):
        raise CheckpointError(
            f"{file}: normaliser.state has {counted(state.size, 'value')}; required: {needed}"
        )
    try:
        ActionForm.of_size(own, learnt.size if learnt.ndim == 1 else 0)
    except ValueError as error:
        raise CheckpointError(f"{file}: normaliser.{error}") from error


def _packed(assets: Mapping[str, bytes], folder: Path) -> bytes:
    """Return assets as safetensors, b"" if there are none; raises CheckpointError if they are empty or too large."""
    for name, data in assets.items():
        if not isinstance(data, bytes) or not data:
            raise CheckpointError(f"{folder}: asset '{name}' must be bytes, at least one")
    if not assets:
        return b""
    packed: bytes = save_tensors(
        {name: torch.frombuffer(bytearray(data), dtype=torch.uint8) for name, data in assets.items()}
    )
    if len(packed) > _MOST_ASSETS:
        raise CheckpointError(
            f"{folder}: the assets have {counted(len(packed), 'byte')}; at most {_MOST_ASSETS}"
        )
    return packed


def _assets(folder: Path, config: Mapping[str, Any]) -> dict[str, bytes]:
    """Return the model's assets; checkpoints without them, as of before 2026-11-29, have none."""
    if "assets_sha256" not in config:
        return {}
    file = folder / ASSETS
    stored = _bytes(file, _MOST_ASSETS)
    if hashlib.sha256(stored).hexdigest() != config["assets_sha256"]:
        raise CheckpointError(f"{file}: its checksum differs from the one in {CONFIG}")
    try:
        return {name: bytes(tensor.numpy().tobytes()) for name, tensor in load_tensors(stored).items()}
    except (SafetensorError, RuntimeError, TypeError) as error:
        raise CheckpointError(f"{file}: {error}") from error


def read_weights(file: Path, checksum: str, network: Module) -> dict[str, Tensor]:
    """Return the weights, after comparing them with the tensors of a network that needs no memory."""
    described = network.state_dict()
    most = min(weights.MOST_BYTES, weights.size_of(described) + weights.MOST_HEADER)
    model = _bytes(file, most)
    if hashlib.sha256(model).hexdigest() != checksum:
        raise CheckpointError(
            f"{file}: its checksum differs from the one in {CONFIG}: damaged, or from another checkpoint"
        )
    if wrong := weights.mismatch(model, described):
        raise CheckpointError(f"{file}: {wrong}")
    try:
        tensors: dict[str, Tensor] = load_tensors(model)
    except (SafetensorError, RuntimeError) as error:
        raise CheckpointError(f"{file}: {error}") from error
    refuse_non_finite(tensors, parameters_of(network), str(file))
    return tensors


def parameters_of(network: Module) -> set[str]:
    """Return the names of all parameters, of shared ones all names."""
    return {name for name, _ in network.named_parameters(remove_duplicate=False)}


def refuse_non_finite(tensors: Mapping[str, Tensor], parameters: set[str], where: str) -> None:
    """Raise CheckpointError on NaN, and on infinity in a parameter; a buffer, such as a mask, may be infinite."""
    for name, tensor in tensors.items():
        if not tensor.is_floating_point():
            continue
        if tensor.isnan().any() or (name in parameters and tensor.isinf().any()):
            raise CheckpointError(f"{where}: weight '{name}' contains NaN or infinity")


def _bytes(file: Path, most: int) -> bytes:
    try:
        return files.read_bytes(file, most)
    except OSError as error:
        lasting = isinstance(error, (FileNotFoundError, files.UnreadableFileError))
        kind = CheckpointError if lasting else NotHereError
        raise kind(f"{file}: cannot be read: {error.strerror or error}") from error


def sentence(error: Exception) -> str:
    """Return what an error of `DESCRIBES` says, as a sentence."""
    return f"{error} is missing" if isinstance(error, KeyError) else str(error)
