"""Cache the arrays of episodes beside their bags, one set per contract and label rule.

Path: ROOT/.cache/<contract hash>[-<label rule>][-optional-<keys>]/<episode>/*.npy. The arrays are rebuilt when the
contract, the bag or the demonstration's span changes, and for longer windows. A file lock makes concurrent processes
build them only once.
"""

from __future__ import annotations

import atexit
import fcntl
import os
import shutil
import tempfile
import warnings
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from il_ros.core.contract import Contract
from il_ros.episodes import amendments, inferred_labels
from il_ros.episodes.arrays import array_files
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.arrays.replay import open_replay
from il_ros.episodes.bag.reader import bag_files, open_bag, require_whole
from il_ros.episodes.bag.topics import MismatchError
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.layout import EpisodeInfo, LayoutError
from il_ros.records.labelling import BY_MODE, Rule

FOLDER = ".cache"
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


def load(
    entry: Entry,
    contract: Contract,
    cache: Path,
    rule: Rule = BY_MODE,
    *,
    history: int = 1,
    optional: Collection[str] = (),
) -> EpisodeArrays:
    """Return an episode's arrays, from the cache if they are up to date.

    `history`: the ticks of the windows for which they have all ticks. `optional`: the keys of observations that may be
    missing, at a tick or in the bag.
    Raises NoFramesError when no frame is usable, MismatchError when the bag lacks what the contract needs,
    BagError when it can't be read, OSError when the cache can't be written.
    """
    parts = [contract.hash]
    parts += [] if rule.name == BY_MODE.name else [rule.name]
    parts += ["optional", *sorted(optional)] if optional else []
    folder_of_contract = cache / "-".join(parts)
    folder_of_contract.mkdir(parents=True, exist_ok=True)
    folder = folder_of_contract / entry.name
    with _locked(folder_of_contract / f".{entry.name}.lock"):
        wanted = Conversion(rule, history, tuple(sorted(optional)), _key(entry, rule, contract))
        found = _read(entry, contract, folder, wanted)
        if found is None:
            _make(entry, contract, folder, wanted)
            found = _read(entry, contract, folder, wanted)
    if found is None:
        raise OSError(f"{folder}: the arrays just written can't be read back")
    return found


class Conversion(NamedTuple):
    """How arrays are made: rule, length of windows, optional observations (sorted), and the key of their source."""

    rule: Rule
    history: int
    optional: tuple[str, ...]
    key: dict[str, Any]


def _read(entry: Entry, contract: Contract, folder: Path, wanted: Conversion) -> EpisodeArrays | None:
    """Return the arrays in `folder`; None when they are missing, damaged or made from another bag."""
    manifest = array_files.read_manifest(folder)
    if manifest is None or manifest.get("key") != wanted.key:
        return None
    try:
        if manifest.get("history", 1) < wanted.history:
            return None
        arrays = array_files.read(folder, contract, wanted.optional)
        for part in (arrays, vars(arrays["unlabelled"])):
            _require_fitting(part, contract)
        if arrays["commands"].shape[1:] != (contract.action_size,) or arrays["commands"].dtype != np.float64:
            raise ValueError(f"commands are {arrays['commands'].shape}")
        return EpisodeArrays(
            name=entry.name,
            **arrays,
            period_ns=contract.period_ns,
            outcome=entry.outcome,
            task=entry.task,
            authority=tuple(manifest["authority"]),
            skipped=manifest["skipped"],
            takeovers_ns=tuple(manifest["takeovers_ns"]),
            notes=tuple(manifest["notes"]),
            **(_grouped(manifest, contract) if contract.grouped else {}),
        )
    except Exception:  # a file cut by a power failure, on which NumPy raises many errors; it is rebuilt
        return None


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


def _make(entry: Entry, contract: Contract, folder: Path, wanted: Conversion) -> None:
    """Build the arrays in a temporary folder, then rename it to `folder`."""
    fresh = Path(tempfile.mkdtemp(prefix=f".{entry.name}.", dir=folder.parent))
    try:
        require_whole(entry.folder)
        replay = open_replay(open_bag(entry.folder), contract, entry.info, wanted.rule, wanted.optional)
        array_files.write(
            fresh,
            contract,
            replay,
            wanted.key,
            replay.takeovers_ns,
            replay.notes,
            replay.group_takeovers_ns,
            history=wanted.history,
            optional=wanted.optional,
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


def _key(entry: Entry, rule: Rule, contract: Contract) -> dict[str, Any]:
    """Return everything besides the contract's meaning that the arrays depend on, as JSON values."""
    files = [(file.name, file.stat()) for file in bag_files(entry.folder)]
    info: EpisodeInfo | None = entry.info
    return {
        "version": VERSION,
        "rule": rule.name,
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
            {"groups": {group.name: list(group.columns) for group in contract.groups}}
            if contract.grouped
            else {}
        ),
    }


def _amended(entry: Entry) -> amendments.Amendments:
    try:
        return amendments.read(entry.folder)
    except LayoutError as error:
        raise MismatchError(str(error)) from error


def _inferred(entry: Entry) -> list[int]:
    """Return what tells one file of inferred labels from another; empty without."""
    try:
        stat = (entry.folder / inferred_labels.INFERRED).stat()
    except FileNotFoundError:
        return []
    return [stat.st_size, stat.st_mtime_ns]


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)
