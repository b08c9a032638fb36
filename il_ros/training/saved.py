"""What a training run keeps to go on from after an interruption: tensors and JSON, nothing that runs code."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from il_ros.core import atomic
from il_ros.training.loop import TrainingError, TrainingLoop
from il_ros.training.recipe import RENAMED

FOLDER = "resume"
STATE, TENSORS = "state.json", "state.safetensors"


def save(run: Path, fit: TrainingLoop, what: Mapping[str, Any]) -> None:
    """Write where a run is; `what` says of what run: recipe, data, contract."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in fit.tensors().items()}
    with atomic.folder(run / FOLDER) as folder:
        (folder / TENSORS).write_bytes(save_tensors(tensors))
        (folder / STATE).write_text(json.dumps({"run": what, "curves": fit.curves_plain()}), encoding="utf-8")


def exists(run: Path) -> bool:
    """Tell whether there is a run to take up."""
    return (run / FOLDER / STATE).exists()


def take_up(run: Path, fit: TrainingLoop, what: Mapping[str, Any]) -> None:
    """Bring `fit` to where the run in the folder was.

    Raises TrainingError when that was another run (naming what differs), or its files are damaged.
    """
    folder = run / FOLDER
    try:
        state = json.loads((folder / STATE).read_text(encoding="utf-8"))
        tensors = load_tensors((folder / TENSORS).read_bytes())
        different = _differences(_renamed(state["run"]), json.loads(json.dumps(what)))
        if not different:
            fit.take_up(tensors, state["curves"])
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError) as error:
        raise TrainingError(f"{folder}: can't go on from it: {error}") from error
    if different:
        lines = "\n  ".join(different)
        raise TrainingError(
            f"{folder}: is of another run; use another --out, or the same settings:\n  {lines}"
        )


def _renamed(run: Any) -> Any:
    """Return what `save` wrote, with the keys of a recipe of before as they are called now."""
    training = run["recipe"]["training"]
    now = {RENAMED.get(key, key): value for key, value in training.items()}
    return {**run, "recipe": {**run["recipe"], "training": now}}


def _differences(before: Any, now: Any, path: str = "") -> list[str]:
    if isinstance(before, dict) and isinstance(now, dict):
        keys = dict.fromkeys((*before, *now))
        return [
            line
            for key in keys
            for line in _differences(before.get(key), now.get(key), f"{path}.{key}" if path else str(key))
        ]
    return [] if before == now else [f"{path}: {before} then, {now} now"]
