"""The file of a recipe: found by its name, and read without the modules of training, which take seconds to import."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from il_ros.core import files, share, strict_yaml
from il_ros.core.settings import SettingsError
from il_ros.core.strict_yaml import YamlError

AUTO = "auto"
"""Names no file, but the recipe that `il_ros.training.auto.rules` chooses by the episodes."""
OWN_STEPS = "imitation"
"""The section of recipes that train with own steps."""


def read(name: str | Path, parts: Sequence[str]) -> tuple[dict[str, Any], str]:
    """Return the values of a recipe's file, whose sections are `parts`, and its path; raises SettingsError."""
    path = _path(name)
    try:
        text = files.read_text(path, 4 * strict_yaml.MOST_CHARACTERS)
        top = strict_yaml.parse(text, str(path))
        for part in parts:
            top.section(part, required=False)  # rejects duplicate keys, with line numbers
        values: dict[str, Any] = strict_yaml.load(text, str(path))
    except YamlError as error:
        raise SettingsError(str(error)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: the recipe cannot be read: {error}") from error
    return values, str(path)


def has_own_steps(name: str | Path) -> bool:
    """Return whether a recipe trains with own steps (`il_ros.rl.recipe`); raises SettingsError."""
    return OWN_STEPS in read(name, ("policy",))[0]


def shipped() -> list[str]:
    """Return the names of the recipes in config/training."""
    return sorted(file.stem for file in share.path("config", "training").glob("*.yaml"))


def _path(name: str | Path) -> Path:
    if Path(name).suffix:
        return Path(name)
    known = shipped()
    if str(name) not in known:
        raise SettingsError(
            f"recipe '{name}' is neither a .yaml file nor one of config/training: {', '.join(known)}"
        )
    return share.path("config", "training", f"{name}.yaml")
