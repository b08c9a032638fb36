"""Store an episode's arrays as .npy files: written row by row, read memory-mapped."""

from __future__ import annotations

import json
import resource
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from il_ros.core import files
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import Observation
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import UnlabelledTicks
from il_ros.episodes.arrays.pictures import CompressedPictures, PictureFile
from il_ros.episodes.arrays.replay import Frame, Skipped, count_reasons

Array = np.ndarray[Any, Any]

MANIFEST = "manifest.json"
UNLABELLED = "unlabelled."
"""How the names of files begin that have the ticks without a label."""
_MOST_MANIFEST = 256 << 20
_HEADER_SIZE = 256
_MAP_FROM_BYTES = 1_000_000
"""Smaller arrays are read into memory: each mapped array holds an open file."""


class NoFramesError(ValueError):
    """An episode has no usable frame; the message lists why its ticks were skipped."""


class RowFile:
    """Write a .npy file row by row, so that an episode of images need not fit in memory."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype[Any]):
        self._file = path.open("wb")
        self._shape, self._dtype, self._rows = shape, dtype, 0
        self._file.write(b" " * _HEADER_SIZE)

    def append(self, row: Array) -> None:
        """Append one row; raises ValueError on a wrong shape, OSError when the disk is full."""
        if row.shape != self._shape:
            raise ValueError(f"{self._file.name}: a row is {row.shape}; it must be {self._shape}")
        self._file.write(np.ascontiguousarray(row, dtype=self._dtype).tobytes())
        self._rows += 1

    def __enter__(self) -> RowFile:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self._file:
            if error is None:
                self._file.seek(0)
                self._file.write(self._header())

    def _header(self) -> bytes:
        """Return a header of numpy.lib.format version 1.0, padded to a fixed size for any row count."""
        fields = {
            "descr": np.lib.format.dtype_to_descr(self._dtype),
            "fortran_order": False,
            "shape": (self._rows, *self._shape),
        }
        lead = np.lib.format.magic(1, 0) + (_HEADER_SIZE - 10).to_bytes(2, "little")
        return lead + repr(fields).encode().ljust(_HEADER_SIZE - 11) + b"\n"


class _TickFiles:
    """Write the observations of ticks row by row: one file per observation, and one of the ticks."""

    def __init__(
        self,
        folder: Path,
        contract: Contract,
        optional: Collection[str],
        prefix: str,
        files: ExitStack,
        compressed: bool,
    ) -> None:
        self._folder, self._prefix, self._optional = folder, prefix, tuple(optional)
        self._specs = {spec.key: spec for spec in contract.observations}
        self._texts: dict[str, list[str]] = {
            key: [] for key, spec in self._specs.items() if spec.kind == "text"
        }

        def rows(name: str, shape: tuple[int, ...], dtype: Any) -> RowFile:
            return files.enter_context(RowFile(folder / f"{prefix}{name}.npy", shape, np.dtype(dtype)))

        self._pictures = {
            key: files.enter_context(PictureFile(folder / f"{prefix}{_observed(key)}"))
            for key, spec in self._specs.items()
            if compressed and spec.image is not None
        }
        self._observed = {
            key: rows(_observed(key), spec.shape, spec.dtype)
            for key, spec in self._specs.items()
            if spec.kind != "text" and key not in self._pictures
        }
        self._absent = {key: rows(_absent(key), (), np.bool_) for key in optional}
        self._ticks = rows("ticks_ns", (), np.int64)

    def append(self, seen: Observation) -> None:
        """Append one tick; zero, or an empty text, where an optional observation is missing."""
        for key, file in self._absent.items():
            file.append(np.array(key not in seen.values))
        for key, spec in self._specs.items():
            missing = key in self._optional and key not in seen.values
            if key in self._texts:
                self._texts[key].append("" if missing else str(seen.values[key]))
            elif key in self._pictures:
                self._pictures[key].append(None if missing else seen.values[key])
            else:
                self._observed[key].append(np.zeros(spec.shape, spec.dtype) if missing else seen.values[key])
        self._ticks.append(np.array(seen.tick_ns))

    def write_texts(self) -> None:
        """Write the texts, whose longest one is known at the end only."""
        for key, values in self._texts.items():
            np.save(self._folder / f"{self._prefix}{_observed(key)}.npy", np.array(values, dtype=np.str_))


def write(
    folder: Path,
    contract: Contract,
    replay: Iterable[Frame | Skipped],
    key: Mapping[str, Any],
    takeovers_ns: Sequence[int] = (),
    notes: Sequence[str] = (),
    group_takeovers_ns: Mapping[str, Sequence[int]] | None = None,
    history: int = 1,
    optional: Collection[str] = (),
    compressed: bool = False,
) -> None:
    """Write the frames of a replay into `folder`; the manifest stores `key`, which identifies their source.

    `history`: the ticks of a window; those without a label that windows of frames hold are written too. `optional`: the
    keys of observations that may be missing; they are zero there. `compressed`: the replay gives compressed pictures
    (`pictures.compressing`).
    Raises NoFramesError when there is no frame, OSError when the folder can't be written.
    """
    authority: list[str] = []
    authorities: dict[str, list[str]] = {group.name: [] for group in contract.groups}
    skipped: list[Skipped] = []
    span_ns: list[int] = []  # of the first and the last tick that is a frame or lacks no more than a label
    before: deque[Observation] = deque(maxlen=history - 1)  # ticks without a label since the last frame
    with ExitStack() as files:
        frames = _TickFiles(folder, contract, optional, "", files, compressed)
        unlabelled = _TickFiles(folder, contract, optional, UNLABELLED, files, compressed)
        size = (contract.action_size,)
        commands = files.enter_context(RowFile(folder / "commands.npy", size, np.dtype(np.float64)))
        offsets = files.enter_context(RowFile(folder / "offsets.npy", size, np.dtype(np.float64)))
        for item in replay:
            if item.tick_ns is not None and (isinstance(item, Frame) or item.missing is not None):
                span_ns = [*span_ns[:1], item.tick_ns]
            if isinstance(item, Skipped):
                skipped.append(item)
                if item.observation is not None:
                    before.append(item.observation)
                    skipped[-1] = replace(item, observation=None)  # may hold images
                continue
            for tick in before:
                unlabelled.append(tick)
            before.clear()
            frames.append(item.observation)
            commands.append(item.command)
            offsets.append(item.offset)
            authority.append(item.authority)
            for group, names in authorities.items():
                names.append(item.authorities.get(group, item.authority))
    reasons = count_reasons(skipped)
    if not authority:
        listed = "; ".join(f"{reason} ({counted(count, 'time')})" for reason, count in reasons.items())
        raise NoFramesError(f"no usable frame: {listed or 'it has no ticks'}")
    frames.write_texts()
    unlabelled.write_texts()
    manifest = {
        "key": key,
        "history": history,
        "skipped": reasons,
        "span_ns": [span_ns[0], span_ns[-1]],
        "authority": authority if any(authority) else [],
        "takeovers_ns": list(takeovers_ns),
        "notes": list(notes),
    }
    if contract.grouped:
        manifest["authorities"] = authorities if any(authority) else {}
        manifest["group_takeovers_ns"] = {
            group: list(ticks_ns) for group, ticks_ns in (group_takeovers_ns or {}).items()
        }
    (folder / MANIFEST).write_text(json.dumps(manifest), encoding="utf-8")


def read_manifest(folder: Path) -> dict[str, Any] | None:
    """Return the manifest that `write` saved; None when it is missing or damaged."""
    try:
        manifest = files.read_json(folder / MANIFEST, _MOST_MANIFEST)
    except (OSError, ValueError):
        return None
    return manifest if isinstance(manifest, dict) else None


def read(
    folder: Path, contract: Contract, optional: Collection[str] = (), compressed: bool = False
) -> dict[str, Any]:
    """Return fields of `EpisodeArrays`: observations, absent, commands, offsets and ticks, and unlabelled ticks.

    Arrays are read-only; large ones are memory-mapped, and `compressed` pictures are decoded when they are indexed. An
    observation that is always there is not in `absent`.
    """
    unlabelled = UnlabelledTicks()
    if (folder / f"{UNLABELLED}ticks_ns.npy").exists():  # arrays of before 2026-12 have none
        unlabelled = UnlabelledTicks(**_ticks(folder, contract, optional, UNLABELLED, compressed))
    return {
        **_ticks(folder, contract, optional, "", compressed),
        "unlabelled": unlabelled,
        "commands": _load(folder / "commands.npy"),
        "offsets": _load(folder / "offsets.npy"),
    }


def _ticks(
    folder: Path, contract: Contract, optional: Collection[str], prefix: str, compressed: bool
) -> dict[str, Any]:
    """Return what `_TickFiles` has written."""

    def observed(spec: ObservationSpec) -> Any:
        stem = folder / f"{prefix}{_observed(spec.key)}"
        if compressed and spec.image is not None:
            return CompressedPictures(stem, spec.shape, spec.dtype)
        return _load(stem.with_name(f"{stem.name}.npy"))

    absent = {key: _load(folder / f"{prefix}{_absent(key)}.npy") for key in optional}
    return {
        "ticks_ns": _load(folder / f"{prefix}ticks_ns.npy"),
        "observations": {spec.key: observed(spec) for spec in contract.observations},
        "absent": {key: missing for key, missing in absent.items() if missing.any()},
    }


def allow_open_files(count: int) -> None:
    """Raise the process's soft limit by `count` open files, up to the hard limit.

    The usual soft limit of 1024 serves programs that call select(); each mapped array holds one file.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = count + 1024
    if soft != resource.RLIM_INFINITY and soft < wanted:
        most = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, most), hard))


def _observed(key: str) -> str:
    return f"observation.{key}"


def _absent(key: str) -> str:
    return f"absent.{key}"


def _load(path: Path) -> Array:
    array: Array
    if path.stat().st_size >= _MAP_FROM_BYTES:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        array = np.load(path, allow_pickle=False)
        array.setflags(write=False)
    return array
