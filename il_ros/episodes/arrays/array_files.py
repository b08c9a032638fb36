"""Store an episode's arrays as .npy files: written row by row, read memory-mapped."""

from __future__ import annotations

import json
import resource
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from il_ros.core import files
from il_ros.core.contract import Contract
from il_ros.core.tables import counted
from il_ros.episodes.arrays.replay import Frame, Skipped, count_reasons

Array = np.ndarray[Any, Any]

MANIFEST = "manifest.json"
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


def write(
    folder: Path,
    contract: Contract,
    replay: Iterable[Frame | Skipped],
    key: Mapping[str, Any],
    takeovers_ns: Sequence[int] = (),
    notes: Sequence[str] = (),
    group_takeovers_ns: Mapping[str, Sequence[int]] | None = None,
) -> None:
    """Write the frames of a replay into `folder`; the manifest stores `key`, which identifies their source.

    Raises NoFramesError when there is no frame, OSError when the folder can't be written.
    """
    texts: dict[str, list[str]] = {spec.key: [] for spec in contract.observations if spec.kind == "text"}
    authority: list[str] = []
    authorities: dict[str, list[str]] = {group.name: [] for group in contract.groups}
    skipped: list[Skipped] = []
    with ExitStack() as files:

        def rows(name: str, shape: tuple[int, ...], dtype: Any) -> RowFile:
            return files.enter_context(RowFile(folder / f"{name}.npy", shape, np.dtype(dtype)))

        observed = {
            spec.key: rows(_observed(spec.key), spec.shape, spec.dtype)
            for spec in contract.observations
            if spec.kind != "text"
        }
        commands = rows("commands", (contract.action_size,), np.float64)
        offsets = rows("offsets", (contract.action_size,), np.float64)
        ticks = rows("ticks_ns", (), np.int64)
        for item in replay:
            if isinstance(item, Skipped):
                skipped.append(item)
                continue
            for name, file in observed.items():
                file.append(item.observation.values[name])
            for name, values in texts.items():
                values.append(str(item.observation.values[name]))
            commands.append(item.command)
            offsets.append(item.offset)
            ticks.append(np.array(item.tick_ns))
            authority.append(item.authority)
            for group, names in authorities.items():
                names.append(item.authorities.get(group, item.authority))
    reasons = count_reasons(skipped)
    if not authority:
        listed = "; ".join(f"{reason} ({counted(count, 'time')})" for reason, count in reasons.items())
        raise NoFramesError(f"no usable frame: {listed or 'it has no ticks'}")
    for name, values in texts.items():
        np.save(folder / f"{_observed(name)}.npy", np.array(values, dtype=np.str_))
    manifest = {
        "key": key,
        "skipped": reasons,
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


def read(folder: Path, contract: Contract) -> tuple[dict[str, Array], Array, Array, Array]:
    """Return observations, commands, offsets and ticks as read-only arrays; large ones are memory-mapped."""
    observations = {spec.key: _load(folder / f"{_observed(spec.key)}.npy") for spec in contract.observations}
    return (
        observations,
        _load(folder / "commands.npy"),
        _load(folder / "offsets.npy"),
        _load(folder / "ticks_ns.npy"),
    )


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


def _load(path: Path) -> Array:
    array: Array
    if path.stat().st_size >= _MAP_FROM_BYTES:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    else:
        array = np.load(path, allow_pickle=False)
        array.setflags(write=False)
    return array
