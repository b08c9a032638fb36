"""The saved state of a training run: tensors and JSON, without executable code."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors
from torch import Tensor

from il_ros.core import atomic, files, settings
from il_ros.core.tables import listed
from il_ros.policies.families.registry import family
from il_ros.training.loop import TrainingError
from il_ros.training.recipe import ADDED, RENAMED, Recipe

FOLDER = "resume"
_DAMAGED = (ValueError, KeyError, TypeError, AttributeError, IndexError, OverflowError, RuntimeError)
"""What a value of another type raises; torch raises RuntimeError, and deep JSON RecursionError, which is one."""
DATA, EPISODES = "data", "episodes"
"""The keys of a run's identity that have the names of its episodes, and their digests."""
STATE, TENSORS = FILES = ("state.json", "state.safetensors")
_MOST_STATE, _MOST_TENSORS = 256 << 20, 8 << 30


class Resumable(Protocol):
    """A training whose state can be saved: `training.loop.TrainingLoop`, and that of `il_ros.rl`."""

    def tensors(self) -> Mapping[str, Tensor]:
        """Return the state that, together with `curves_plain`, `restore` needs."""

    def curves_plain(self) -> list[dict[str, Any]]:
        """Return the curves for JSON."""

    def restore(self, tensors: Mapping[str, Tensor], curves: list[dict[str, Any]]) -> None:
        """Continue from the results of `tensors` and `curves_plain`; damaged ones raise an error of `_DAMAGED`."""


def save(run: Path, loop: Resumable, identity: Mapping[str, Any]) -> None:
    """Write the state of a run; `identity`: its recipe, data and contract, which `restore` compares."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in loop.tensors().items()}
    with atomic.folder(run / FOLDER, FILES) as folder:
        (folder / TENSORS).write_bytes(save_tensors(tensors))
        state = json.dumps({"run": identity, "curves": loop.curves_plain()})
        (folder / STATE).write_text(state, encoding="utf-8")


def exists(run: Path) -> bool:
    """Return whether `run` contains a saved state."""
    return (run / FOLDER / STATE).exists()


def data(run: Path) -> Mapping[str, list[str]]:
    """Return the names of the `train` and `validation` episodes of a saved run.

    Raises TrainingError when there is no saved state, or it is damaged.
    """
    path = run / FOLDER / STATE
    try:
        names = json.loads(files.read_text(path, _MOST_STATE))["run"]["data"]
        return {part: [str(name) for name in names[part]] for part in ("train", "validation")}
    except FileNotFoundError:
        raise TrainingError(f"{run}: holds no training that --resume could continue") from None
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"{path.parent}: cannot resume: {error}") from error


def tensors(run: Path) -> Mapping[str, Tensor] | None:
    """Return the tensors of a saved run, None where there are none; raises TrainingError when they are damaged."""
    path = run / FOLDER / TENSORS
    try:
        return load_tensors(files.read_bytes(path, _MOST_TENSORS))
    except FileNotFoundError:
        return None
    except (*_DAMAGED, OSError, SafetensorError) as error:
        raise TrainingError(f"{path}: cannot be read: {error}") from error


def recipe(run: Path) -> Recipe:
    """Return the recipe of a saved run; raises TrainingError as `data`, SettingsError when it is no recipe."""
    path = run / FOLDER / STATE
    try:
        plain = files.read_json(path, _MOST_STATE)["run"]["recipe"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise TrainingError(f"{path.parent}: cannot resume: {error}") from error
    training = plain.get("training") if isinstance(plain, dict) else None
    if isinstance(training, dict):
        training.setdefault("pictures", "raw")  # of a run from before they could be compressed
    return Recipe.from_plain(plain, str(path))


def require_same(run: Path, identity: Mapping[str, Any]) -> None:
    """Raise TrainingError if the saved state of `run` belongs to another run, naming the differences, or is damaged.

    `identity["episodes"]`: their digests by name. Names alone do not tell: those of another folder are alike, and
    labels may have been changed. A state from before digests were kept is compared without them.
    """
    folder = run / FOLDER
    try:
        before = files.read_json(folder / STATE, _MOST_STATE)["run"]
        now = json.loads(json.dumps(identity))
        digests, own = before.pop(EPISODES, {}), now.pop(EPISODES, {})
        changed = [name for name in own if digests.get(name, own[name]) != own[name]]
        now = _comparable(now)
        different = _differences(_completed(_comparable(before), now), now)
    except (*_DAMAGED, OSError) as error:
        raise TrainingError(f"{folder}: cannot resume: {error}") from error
    if different:
        lines = "\n  ".join(different)
        raise TrainingError(
            f"{folder}: belongs to another run; use another --out or the same settings:\n  {lines}"
        )
    if changed:
        raise TrainingError(
            f"{folder}: was trained on other numbers or labels of {listed(changed)}; give the folder that it used, or "
            "train anew with another --out"
        )


def restore(run: Path, loop: Resumable) -> None:
    """Restore `loop` to the saved state of the run, after `require_same`; raises TrainingError if it is damaged."""
    folder = run / FOLDER
    try:
        state = files.read_json(folder / STATE, _MOST_STATE)
        loop.restore(load_tensors(files.read_bytes(folder / TENSORS, _MOST_TENSORS)), state["curves"])
    except (*_DAMAGED, OSError, SafetensorError) as error:
        raise TrainingError(f"{folder}: cannot resume: {error}") from error


def _comparable(run: Any) -> Any:
    """Return an identity with former keys renamed and values of later ones, without the device: any may continue."""
    if "training" not in run["recipe"]:  # own steps, `il_ros.rl`
        return run
    training = run["recipe"]["training"]
    former = {key: value for key, value in ADDED.items() if value is not None}
    now = {**former, **{RENAMED.get(key, key): value for key, value in training.items()}}
    now.pop("device", None)
    return {**run, "recipe": {**run["recipe"], "training": now}}


def _completed(run: Any, now: Any) -> Any:
    """Return the saved identity with the later keys: of the training as they are now, of the policy the defaults."""
    if "training" not in run["recipe"] or "training" not in now["recipe"]:
        return run
    training, given = run["recipe"]["training"], now["recipe"]["training"]
    policy = {**_defaults(run["recipe"]), **run["recipe"]["policy"]}
    added = {
        key: given[key]
        for key, former in ADDED.items()
        if former is None and key in given and key not in training
    }
    return {**run, "recipe": {**run["recipe"], "policy": policy, "training": {**training, **added}}}


def _defaults(recipe: Any) -> dict[str, Any]:
    """Return the settings of the recipe's family with their defaults, as in JSON."""
    return settings.plain(family(recipe["family"]).settings())


def _differences(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys((*before, *now))
        return [
            line
            for key in keys
            for line in _differences(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
        ]
    if before == now:
        return []
    if path.startswith(f"{DATA}."):
        return [f"{path}: {_named_otherwise(before, now)}"]
    return [f"{path}: was {before}, is now {now}"]


def _named_otherwise(before: Sequence[str], now: Sequence[str]) -> str:
    """Return which episodes of a run are not there now, and which are there that it had not."""
    missing = [name for name in before if name not in now]
    added = [name for name in now if name not in before]
    kinds = (("without", missing), ("with also", added))
    return " and ".join(f"now {word} {listed(names)}" for word, names in kinds if names) or "in another order"
