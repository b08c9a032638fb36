"""Cache the arrays of episodes beside their bags, one set per contract and label rule.

Path: ROOT/.cache/<contract hash>[-<label rule>][-optional-<keys>][-compressed]/<episode>/*.npy. The arrays are rebuilt
when the contract, the bag or the demonstration's span changes, and for longer windows. A file lock makes concurrent
processes build them only once. Pictures are raw where all of a data set's fit into `RAW_BYTES`, else compressed
(`pictures.py`).
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core.codecs import decoder
from il_ros.core.contract import Contract
from il_ros.core.settings import one_of
from il_ros.episodes import amendments, inferred_labels
from il_ros.episodes.arrays import array_files, pictures
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.arrays.replay import open_replay
from il_ros.episodes.bag.reader import BagError, bag_files, open_bag, require_whole
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.layout import EpisodeInfo, LayoutError
from il_ros.records.labelling import BY_MODE, Rule

FOLDER = ".cache"
PICTURES = ("auto", "raw", "compressed")
RAW_BYTES = 4_000_000_000
"""Raw pictures of a data set up to this size are kept as they are, which trains to the same bits as ever."""
VERSION = 5
"""Increment whenever a code change makes the same bag give different arrays."""


def cache_folder(root: Path) -> Path:
    """Return the array cache of `root`: ROOT/.cache, or a temporary folder when `root` is not writable.

    The temporary folder causes a warning and is removed when the process exits.
    """
    folder = root / FOLDER
    try:
        folder.mkdir(exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return folder
    except OSError as error:
        temporary = Path(tempfile.mkdtemp(prefix="il_ros_cache_"))
        atexit.register(shutil.rmtree, temporary, ignore_errors=True)
        warnings.warn(
            f"{folder} can't be written ({error}); arrays go to {temporary} and are rebuilt next time",
            stacklevel=2,
        )
        return temporary


@dataclass(frozen=True)
class Conversion:
    """How arrays are made of episodes, and in which cache they are kept.

    `folder`: that of the cache (`cache_folder`). `rule`: the label rule. `history`: the ticks of the windows for which
    arrays have all ticks. `optional`: the keys of observations that may be missing, at a tick or in the bag.
    `compressed`: pictures are kept compressed and decoded when they are indexed.
    """

    contract: Contract
    folder: Path
    rule: Rule = BY_MODE
    history: int = 1
    optional: Collection[str] = ()
    compressed: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "optional", tuple(sorted(self.optional)))
        pictured = pictures.raw_bytes(self.contract.observations) > 0
        object.__setattr__(self, "compressed", self.compressed and pictured)

    def load(self, entry: Entry) -> EpisodeArrays:
        """Return an episode's arrays, from the cache if they are up to date, else made anew.

        Raises NoFramesError when no frame is usable, MismatchError when the bag lacks what the contract needs,
        BagError when it can't be read, OSError when the cache can't be written.
        """
        found = self._opened(entry, make=True)
        if found is None:
            raise OSError(
                f"{self.folder}: the arrays of {entry.name} were just written and can't be read back"
            )
        return found

    def prepare(self, entry: Entry) -> None:
        """Make an episode's arrays if they are not in the cache, and no other process makes them now.

        So several computers that share the cache divide the work. Raises as `load`.
        """
        with suppress(BlockingIOError):
            self._opened(entry, make=True, wait=False)

    def ready(self, entry: Entry) -> EpisodeArrays | None:
        """Return an episode's arrays if they are in the cache and up to date, else None."""
        try:
            return self._opened(entry, make=False)
        except MismatchError:  # of its amendments: `load` says so
            return None

    def kept(self, entry: Entry) -> EpisodeArrays:
        """Return an episode's arrays in the form of pictures in which the cache has them, else as `load` does.

        For readers of a few episodes: a data set that training keeps compressed is not kept a second time, raw.
        """
        other = replace(self, compressed=not self.compressed)
        for form in (self, other):
            if (found := form.ready(entry)) is not None:
                return found
        return self.load(entry)

    def _opened(self, entry: Entry, *, make: bool, wait: bool = True) -> EpisodeArrays | None:
        parts = [self.contract.hash]
        parts += [] if self.rule.name == BY_MODE.name else [self.rule.name]
        parts += ["optional", *self.optional] if self.optional else []
        parts += ["compressed"] if self.compressed else []
        among = self.folder / "-".join(parts)
        among.mkdir(parents=True, exist_ok=True)
        folder = among / entry.name
        with _locked(among / f".{entry.name}.lock", wait):
            key = self._key(entry)
            found = self._read(entry, folder, key)
            if found is None and make:
                self._make(entry, folder, key)
                found = self._read(entry, folder, key)
        return found

    def _read(self, entry: Entry, folder: Path, key: dict[str, Any]) -> EpisodeArrays | None:
        """Return the arrays in `folder`; None when they are missing, damaged or made from another bag."""
        manifest = array_files.read_manifest(folder)
        if manifest is None or manifest.get("key") != key:
            return None
        try:
            if manifest.get("history", 1) < self.history:
                return None
            if "span_ns" not in manifest and manifest["skipped"]:
                return None  # arrays of before 2026-12, of whose other ticks nothing is known
            arrays = array_files.read(folder, self.contract, self.optional, self.compressed)
            for part in (arrays, vars(arrays["unlabelled"])):
                _require_fitting(part, self.contract)
            if (
                arrays["commands"].shape[1:] != (self.contract.action_size,)
                or arrays["commands"].dtype != np.float64
            ):
                raise ValueError(f"commands are {arrays['commands'].shape}")
            return EpisodeArrays(
                name=entry.name,
                **arrays,
                period_ns=self.contract.period_ns,
                outcome=entry.outcome,
                task=entry.task,
                authority=tuple(manifest["authority"]),
                skipped=manifest["skipped"],
                takeovers_ns=tuple(manifest["takeovers_ns"]),
                notes=tuple(manifest["notes"]),
                span_ns=tuple(manifest["span_ns"]) if "span_ns" in manifest else None,
                **(_grouped(manifest, self.contract) if self.contract.grouped else {}),
            )
        except Exception:  # a file cut by a power failure, on which NumPy raises many errors; it is rebuilt
            return None

    def _make(self, entry: Entry, folder: Path, key: dict[str, Any]) -> None:
        """Build the arrays in a temporary folder, then rename it to `folder`."""
        fresh = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=folder.parent))
        try:
            require_whole(entry.folder)
            decoders = pictures.compressing if self.compressed else decoder
            replay = open_replay(
                open_bag(entry.folder), self.contract, entry.info, self.rule, self.optional, decoders
            )
            array_files.write(
                fresh,
                self.contract,
                replay,
                key,
                replay.takeovers_ns,
                replay.notes,
                replay.group_takeovers_ns,
                history=self.history,
                optional=self.optional,
                compressed=self.compressed,
            )
            shutil.rmtree(folder, ignore_errors=True)
            fresh.rename(folder)
        except OSError as error:
            where = error.filename or fresh
            raise OSError(
                error.errno, f"the array cache can't be written: {error.strerror}", str(where)
            ) from error
        finally:
            shutil.rmtree(fresh, ignore_errors=True)

    def _key(self, entry: Entry) -> dict[str, Any]:
        """Return everything besides the contract's meaning that the arrays depend on, as JSON values."""
        files = [(file.name, file.stat()) for file in bag_files(entry.folder)]
        info: EpisodeInfo | None = entry.info
        return {
            "version": VERSION,
            "rule": self.rule.name,
            "files": [[name, stat.st_size, stat.st_mtime_ns] for name, stat in files],
            "episode": None
            if info is None
            else [
                info.started_ns,
                info.stopped_ns,
                info.succeeded_ns,
                info.topics,
                info.decision_topic,
                info.contract_hash,
            ],
            **({"amended": amendments.plain(amended)} if (amended := _amended(entry)) else {}),
            **({"inferred": inferred} if (inferred := _inferred(entry)) else {}),
            **(
                {"groups": {group.name: list(group.columns) for group in self.contract.groups}}
                if self.contract.grouped
                else {}
            ),
            **({"quality": pictures.QUALITY} if self.compressed else {}),
        }


def compresses(entries: Iterable[Entry], contract: Contract, wanted: str = "auto") -> bool:
    """Return whether the pictures of these episodes are kept compressed.

    `wanted`: 'raw', 'compressed', or 'auto': compressed if raw they would be more than `RAW_BYTES`, by the length of
    the episodes and the contract's rate; so the same episodes always get the same form.
    Raises ValueError on another word.
    """
    one_of("pictures", wanted, PICTURES)
    per_tick = pictures.raw_bytes(contract.observations)
    if wanted != "auto" or not per_tick:
        return wanted == "compressed" and per_tick > 0
    total_s = sum(_duration_s(entry) for entry in entries)
    return total_s * contract.rate_hz * per_tick > RAW_BYTES


def _duration_s(entry: Entry) -> float:
    """Return an episode's length; 0 if its bag can't be read, which its conversion says."""
    known = None if entry.info is None else entry.info.duration_s
    if known is not None:
        return known
    try:
        return open_bag(entry.folder).duration_s
    except BagError:
        return 0.0


def _grouped(manifest: dict[str, Any], contract: Contract) -> dict[str, Any]:
    """Return the fields of episodes under a contract with several action groups."""
    return {
        "groups": contract.groups,
        "authorities": {group: tuple(names) for group, names in manifest["authorities"].items()},
        "group_takeovers_ns": {
            group: tuple(ticks_ns) for group, ticks_ns in manifest["group_takeovers_ns"].items()
        },
    }


def _require_fitting(ticks: Mapping[str, Any], contract: Contract) -> None:
    """Raise ValueError unless arrays of ticks have the shapes and types of the contract."""
    wanted = {spec.key: (spec.shape, spec.dtype.kind) for spec in contract.observations}
    found = {key: (array.shape[1:], array.dtype.kind) for key, array in ticks["observations"].items()}
    if found and found != wanted:
        raise ValueError(f"arrays are {found}; {wanted} are required")
    if ticks["ticks_ns"].ndim != 1 or ticks["ticks_ns"].dtype != np.int64:
        raise ValueError(f"ticks_ns is {ticks['ticks_ns'].dtype} {ticks['ticks_ns'].shape}")
    for key, missing in ticks["absent"].items():
        if missing.shape != ticks["ticks_ns"].shape or missing.dtype != np.bool_:
            raise ValueError(f"absent '{key}' is {missing.dtype} {missing.shape}")


def _amended(entry: Entry) -> amendments.Amendments:
    try:
        return amendments.read(entry.folder)
    except LayoutError as error:
        raise MismatchError(str(error)) from error


def _inferred(entry: Entry) -> list[int]:
    """Return what identifies a file of inferred labels; empty without one."""
    try:
        stat = (entry.folder / inferred_labels.INFERRED).stat()
    except FileNotFoundError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


@contextmanager
def _locked(path: Path, wait: bool) -> Iterator[None]:
    """Hold a file's lock; raises BlockingIOError when another process holds it, unless it may `wait`."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(descriptor)
