"""Where a reward model is on disk: found without the modules that load it, which take seconds to import."""

from __future__ import annotations

from pathlib import Path

from il_ros.policies.lineage import CheckpointError
from il_ros.policies.versions import CONFIG, CONTRACT, MODEL, taken

FILES = (MODEL, CONFIG, CONTRACT)
FOLDER = "reward"
"""The folder of the reward in that of a training that learnt it beside a policy."""


def find_reward(path: Path) -> Path:
    """Return the folder of the reward model at or below `path`, of versions the newest; raises CheckpointError."""
    runs = [path / name for name in reversed(taken(path))] if path.is_dir() else []
    for folder in (path, path / FOLDER, *(run / FOLDER for run in runs)):
        if (folder / CONFIG).exists():
            return folder
    what = "holds no reward model" if path.is_dir() else "is a file" if path.exists() else "no such folder"
    raise CheckpointError(f"{path}: {what}; one has {', '.join(FILES)}")
