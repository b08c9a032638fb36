"""Which episodes of other data were imported as which folders, so that an interrupted import goes on."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Sequence
from pathlib import Path

from il_ros.core import atomic, files
from il_ros.episodes import layout
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.shards import Shard, complete, write_record

FOLDER = ".imports"
MOST_JSON = 64_000_000


KIND = "import"
"""The kind of conversion of an import's shards."""


class Journal:
    """The journal of one source of episodes under a root. `source`: a text that names it and its content.

    With a `shard`, the root is this shard's own: its episodes get the numbers that an import without shards gives, by
    their places in `wanted`, the indices of all episodes.
    """

    def __init__(self, root: Path, source: str, wanted: Sequence[int] = (), shard: Shard | None = None):
        self._root, self._source, self._wanted, self._shard = root, source, wanted, shard
        if shard is not None:
            self._require_own()
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
        folder = self._numbered(index) if self._shard is not None else layout.claim_next(self._root)
        self._folders[str(index)] = folder.name
        self._path.parent.mkdir(exist_ok=True)
        numbers = {key: layout.episode_number(value) for key, value in self._folders.items()}
        atomic.write_text(self._path, json.dumps(numbers))
        return folder

    def finish(self, what: str) -> None:
        """Write the record of a finished shard, of a source that `what` describes wherever it lies; else nothing."""
        if self._shard is not None:
            whole = {"source": what, "episodes": list(self._wanted)}
            write_record(
                self._root, KIND, self._shard, whole, {"folders": self._folders, "journal": self._path.name}
            )

    def _numbered(self, index: int) -> Path:
        folder = self._root / layout.episode_name(self._wanted.index(index) + 1)
        folder.mkdir(parents=True)
        return folder

    def _require_own(self) -> None:
        """Raise ExchangeError when the root holds what no import of this shard wrote."""
        assert self._shard is not None
        folder = self._root / FOLDER
        marks = sorted(folder.glob("shard-*")) if folder.is_dir() else []
        name = f"shard-{self._shard.number}-of-{self._shard.of}"
        if [mark.name for mark in marks] != [name] and self._root.exists() and any(self._root.iterdir()):
            raise ExchangeError(f"{self._root}: is not empty; a shard is imported into a folder of its own")
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def merge_imports(shards: Sequence[Path], root: Path) -> int:
    """Put the roots of all shards of an import together as the new folder `root`; return the number of episodes.

    Files are linked where the file system can, else copied; the shards stay as they are. Raises ExchangeError when a
    shard is missing, given twice or of another import, lacks an episode, or `root` exists; OSError when the disk is
    full.
    """
    if root.exists():
        raise ExchangeError(f"{root}: exists already; give the name of a new folder")
    records = complete(shards, KIND)
    wanted = [int(index) for index in records[0].whole["episodes"]]
    numbers = {int(index): place for place, index in enumerate(wanted, start=1)}
    found: dict[int, Path] = {}
    for record in records:
        for index in record.shard.part(wanted):
            folder = record.folder / layout.episode_name(numbers[index])
            if not (folder / layout.INFO_FILE).exists() or not layout.load_info(folder).complete:
                raise ExchangeError(f"{folder}: the shard's episode is missing; repeat its import")
            found[index] = folder
    fresh = root.with_name(f".{root.name}.merging")
    shutil.rmtree(fresh, ignore_errors=True)
    (fresh / FOLDER).mkdir(parents=True)
    for folder in found.values():
        atomic.link_files(folder, fresh / folder.name)
    journal = {str(index): numbers[index] for index in wanted}
    atomic.write_text(fresh / FOLDER / Path(str(records[0].own["journal"])).name, json.dumps(journal))
    (fresh / layout.COUNTER_FILE).write_text(f"{len(wanted)}\n", encoding="utf-8")
    fresh.rename(root)
    return len(wanted)


def _is_unfinished(folder: Path) -> bool:
    """Return whether a folder holds nothing but an import that did not end."""
    known = {layout.bag_file(folder).name, layout.METADATA_FILE, layout.INFO_FILE, ".reserve"}
    return {path.name for path in folder.iterdir()} <= known
