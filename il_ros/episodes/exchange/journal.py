"""Which episodes of other data were imported as which folders, so that an interrupted import goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

from il_ros.core import atomic, files
from il_ros.episodes import layout

FOLDER = ".imports"
MOST_JSON = 64_000_000


class Journal:
    """The journal of one source of episodes under a root. `source`: a text that names it and its content."""

    def __init__(self, root: Path, source: str):
        self._root = root
        name = hashlib.sha256(source.encode()).hexdigest()[:16]
        self._path = root / FOLDER / f"{name}.json"
        self._folders: dict[str, str] = {}
        try:
            saved = files.read_json(self._path, MOST_JSON)
            self._folders = {str(index): layout.episode_name(int(number)) for index, number in saved.items()}
        except (
            OSError,
            ValueError,
            AttributeError,
            TypeError,
            OverflowError,
        ):  # none yet, or damaged: all are imported anew
            pass

    def has(self, index: int) -> bool:
        """Return whether an episode was imported completely, and is still there."""
        name = self._folders.get(str(index))
        try:
            return name is not None and layout.load_info(self._root / name).complete
        except layout.LayoutError:
            return False

    def claim(self, index: int) -> Path:
        """Return an empty folder for an episode: a new one, or the one of an import that was interrupted."""
        name = self._folders.get(str(index))
        folder = None if name is None else self._root / name
        if folder is not None and folder.is_dir() and _is_unfinished(folder):
            shutil.rmtree(folder)
            folder.mkdir()
            return folder
        folder = layout.claim_next(self._root)
        self._folders[str(index)] = folder.name
        self._path.parent.mkdir(exist_ok=True)
        numbers = {key: layout.episode_number(value) for key, value in self._folders.items()}
        atomic.write_text(self._path, json.dumps(numbers))
        return folder


def _is_unfinished(folder: Path) -> bool:
    """Return whether a folder holds nothing but an import that did not end."""
    known = {layout.bag_file(folder).name, layout.METADATA_FILE, layout.INFO_FILE, ".reserve"}
    return {path.name for path in folder.iterdir()} <= known
