"""Parquet files that others may have written, read one row group at a time and within bounds."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from il_ros.core.tables import counted, listed
from il_ros.episodes.exchange.errors import ExchangeError, package
from il_ros.episodes.exchange.lerobot.layout import Feature

Array = np.ndarray[Any, Any]

ROWS_PER_BYTE, GROWTH = 8, 400
"""A file of N bytes holds at most ROWS_PER_BYTE * N rows, and GROWTH * N bytes when decompressed.

Snappy grows at most 21-fold. Constant columns and zstd grow more, but each row has an index of its own.
"""
_LEAST = 1 << 20


class ParquetReader:
    """One open file. `rows`: their number. Raises ExchangeError when it is not Parquet or claims too much."""

    def __init__(self, path: Path):
        self.path = path
        parquet = package("pyarrow.parquet")
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC)
        except FileNotFoundError:
            raise ExchangeError(
                f"{path}: there is no such file, but meta/episodes or meta/info.json needs it"
            ) from None
        self._file = os.fdopen(descriptor, "rb")
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode):
                raise ExchangeError(f"{path}: is not a regular file")
            self._read = parquet.ParquetFile(self._file)
            metadata = self._read.metadata
            self.starts = [0]
            grown = 0
            for group in range(metadata.num_row_groups):
                self.starts.append(self.starts[-1] + metadata.row_group(group).num_rows)
                grown += metadata.row_group(group).total_byte_size
            if self.starts[-1] > ROWS_PER_BYTE * found.st_size:
                raise ExchangeError(
                    f"{path}: {counted(found.st_size, 'byte')} claim {counted(self.starts[-1], 'row')}; it is damaged"
                )
            if grown > GROWTH * found.st_size + _LEAST:
                raise ExchangeError(
                    f"{path}: {counted(found.st_size, 'byte')} claim to hold {grown}; it is damaged"
                )
            self.schema = self._read.schema_arrow
            self.columns = tuple(self.schema.names)
        except ExchangeError:
            self._file.close()
            raise
        except Exception as error:  # pyarrow raises many errors on damaged files
            self._file.close()
            raise ExchangeError(
                f"{path}: is not a whole Parquet file: {error}; a writer that was killed leaves such files"
            ) from error
        self._cached: dict[tuple[int, str], Any] = {}

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.starts[-1]

    def require(self, columns: Sequence[str]) -> None:
        """Raise ExchangeError naming the first of `columns` that the file lacks."""
        missing = [name for name in columns if name not in self.columns]
        if missing:
            raise ExchangeError(
                f"{self.path}: has no column '{missing[0]}'; it has: {listed(self.columns, 20)}"
            )

    def table(self, columns: Sequence[str], start: int = 0, stop: int | None = None) -> Any:
        """Return rows `start` to `stop` of some columns as a pyarrow table.

        What was read of a row group stays in memory until another one is read: one group may hold many episodes.
        """
        self.require(columns)
        stop = self.rows if stop is None else stop
        if not 0 <= start <= stop <= self.rows:
            raise ExchangeError(
                f"{self.path}: has {counted(self.rows, 'row')}; rows {start} to {stop} are needed"
            )
        wanted = [
            group
            for group in range(len(self.starts) - 1)
            if self.starts[group] < stop and self.starts[group + 1] > start
        ]
        self._cached = {key: column for key, column in self._cached.items() if key[0] in wanted}
        arrow = package("pyarrow")
        parts = []
        for group in wanted:
            first = self.starts[group]
            whole = arrow.table({name: self._column(group, name) for name in columns})
            parts.append(
                whole.slice(max(0, start - first), min(stop, self.starts[group + 1]) - max(start, first))
            )
        return arrow.concat_tables(parts) if parts else self.schema.empty_table().select(list(columns))

    def _column(self, group: int, name: str) -> Any:
        if (group, name) not in self._cached:
            try:
                # columns=["action"] also reads a column "action.x"
                table = self._read.read_row_group(group, columns=[name])
                self._cached[group, name] = table.column(name)
            except Exception as error:
                raise ExchangeError(f"{self.path}: row group {group} can't be read: {error}") from error
        return self._cached[group, name]

    def close(self) -> None:
        """Close the file."""
        self._cached = {}
        self._file.close()

    def __enter__(self) -> ParquetReader:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def numbers_of(column: Any, feature: Feature, path: Path) -> Array:
    """Return a column of a table as (T, *shape); lists in it may be of fixed or free size, and nested.

    Raises ExchangeError on a null, and on a value of another type or size than the feature declares.
    """
    arrow = package("pyarrow")
    where = f"{path}, column '{feature.key}'"
    values = column.combine_chunks() if hasattr(column, "combine_chunks") else column
    if isinstance(values, arrow.ChunkedArray):
        values = arrow.concat_arrays(values.chunks) if values.num_chunks else values.type.storage_type
    rows = len(values)
    while True:
        if values.null_count:
            raise ExchangeError(
                f"{where}: {counted(values.null_count, 'value')} missing (null); each frame needs one"
            )
        kind = values.type
        if not (
            arrow.types.is_list(kind)
            or arrow.types.is_large_list(kind)
            or arrow.types.is_fixed_size_list(kind)
        ):
            break
        values = values.flatten()
    if not (arrow.types.is_integer(kind) or arrow.types.is_floating(kind) or arrow.types.is_boolean(kind)):
        raise ExchangeError(f"{where}: holds {kind}; features.{feature.key}.dtype is {feature.dtype}")
    if len(values) != rows * feature.size:
        found = f"{counted(rows, 'frame')} with {counted(len(values), 'number')}"
        raise ExchangeError(f"{where}: {found}; shape {list(feature.shape)} needs {rows * feature.size}")
    array = values.to_numpy(zero_copy_only=False)
    return np.asarray(array).reshape(rows, *feature.shape)


def values_of(table: Any, name: str, path: Path) -> list[Any]:
    """Return a column's values as Python has them; raises ExchangeError when a text is not UTF-8."""
    try:
        values: list[Any] = table.column(name).to_pylist()
    except Exception as error:  # pyarrow raises different errors on damaged values
        raise ExchangeError(f"{path}, column '{name}': can't be read: {error}") from error
    return values


def column_numbers(table: Any, name: str, path: Path) -> list[int]:
    """Return a column of whole numbers; raises ExchangeError on anything else."""
    values = values_of(table, name, path)
    for row, value in enumerate(values):
        if type(value) is not int or value < 0:
            raise ExchangeError(
                f"{path}: {name} of row {row} is {value!r}; it must be a whole number of at least 0"
            )
    return values
