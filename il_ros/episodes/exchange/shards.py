"""Conversions in parts: each of n computers converts one shard, and the shards are put together exactly.

A finished shard has a `shard.json` that says which part of what it is. Only all parts of one conversion, each once, are
merged: a missing, repeated or foreign part is an error that names it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from il_ros.core import atomic, files
from il_ros.core.tables import worded
from il_ros.episodes.exchange.errors import ExchangeError

Item = TypeVar("Item")

FILE = "shard.json"
SCHEMA = 1
MOST_SHARDS = 10_000
_MOST_JSON = 256 << 20


@dataclass(frozen=True)
class Shard:
    """Part `number` of `of`, counted from 1; raises ExchangeError on other numbers."""

    number: int
    of: int

    def __post_init__(self) -> None:
        if not 1 <= self.number <= self.of <= MOST_SHARDS:
            raise ExchangeError(
                f"shard {self.number}/{self.of}: must be I/N with I from 1 to N, and N at most {MOST_SHARDS}"
            )

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Return the shard that a text such as '2/4' names; raises ExchangeError."""
        found = re.fullmatch(r"(\d{1,6})/(\d{1,6})", text)
        if found is None:
            raise ExchangeError(f"shard {text}: must be I/N, such as 2/4")
        return cls(int(found[1]), int(found[2]))

    def __str__(self) -> str:
        return f"{self.number}/{self.of}"

    def part(self, items: Sequence[Item]) -> Sequence[Item]:
        """Return this shard's part; all parts together are all items in their order, and differ by one item at most."""
        return items[self._start(self.number - 1, len(items)) : self._start(self.number, len(items))]

    def first(self, count: int) -> int:
        """Return the place of the part's first item among `count` items."""
        return self._start(self.number - 1, count)

    def folder(self, out: Path) -> Path:
        """Return the folder of this shard of `out`."""
        return out.with_name(f"{out.name}.shard-{self.number}-of-{self.of}")

    def _start(self, number: int, count: int) -> int:
        return number * count // self.of


@dataclass(frozen=True)
class ShardRecord:
    """A finished shard in `folder`.

    `kind`: the conversion; `whole`: what all its shards have in common; `own`: of this one.
    """

    folder: Path
    kind: str
    shard: Shard
    whole: dict[str, Any]
    own: dict[str, Any]


def write_record(folder: Path, kind: str, shard: Shard, whole: dict[str, Any], own: dict[str, Any]) -> None:
    """Write the record of a finished shard into its folder; raises OSError."""
    values = {"schema": SCHEMA, "kind": kind, "shard": str(shard), "whole": whole, "own": own}
    atomic.write_text(folder / FILE, json.dumps(values))


def read_record(folder: Path) -> ShardRecord:
    """Return the record of a shard; raises ExchangeError when the folder is no finished shard."""
    path = folder / FILE
    if not folder.is_dir():
        what = "is a file" if folder.exists() else "there is no such folder"
        raise ExchangeError(f"{folder}: {what}; a finished shard is a folder with {FILE}")
    try:
        values = files.read_json(path, _MOST_JSON)
        if values["schema"] != SCHEMA:
            raise ValueError(f"schema is {values['schema']}; {SCHEMA} is read here")
        whole, own = values["whole"], values["own"]
        if not (isinstance(whole, dict) and isinstance(own, dict) and isinstance(values["kind"], str)):
            raise TypeError("whole and own must be objects, kind a text")
        return ShardRecord(folder, values["kind"], Shard.parse(values["shard"]), whole, own)
    except FileNotFoundError:
        raise ExchangeError(
            f"{folder}: is no finished shard: it has no {FILE}; repeat its conversion"
        ) from None
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ExchangeError(
            f"{path}: can't be read: {worded(error)}; repeat the shard's conversion"
        ) from error


def complete(folders: Sequence[Path], kind: str) -> list[ShardRecord]:
    """Return the records of all shards of one conversion of this kind, in order.

    Raises ExchangeError when one is missing, given twice, or of another conversion.
    """
    if not folders:
        raise ExchangeError("no shards are given")
    records = [read_record(folder) for folder in folders]
    first, by_number = records[0], dict[int, ShardRecord]()
    if first.kind != kind:
        raise ExchangeError(f"{first.folder}: is a shard of '{first.kind}', not of '{kind}'")
    for record in records:
        for what, its, others in (
            ("kind of conversion", record.kind, first.kind),
            ("number of shards", record.shard.of, first.shard.of),
        ):
            if its != others:
                raise ExchangeError(
                    f"{record.folder}: its {what} is {its}, that of {first.folder} is {others}"
                )
        differing = [
            key for key in {**first.whole, **record.whole} if first.whole.get(key) != record.whole.get(key)
        ]
        if differing:
            raise ExchangeError(
                f"{record.folder}: is not of the same conversion as {first.folder}: they differ in "
                f"{', '.join(differing)}"
            )
        before = by_number.setdefault(record.shard.number, record)
        if before is not record:
            raise ExchangeError(
                f"{record.folder}: is shard {record.shard}, as is {before.folder}; give each once"
            )
    missing = [number for number in range(1, first.shard.of + 1) if number not in by_number]
    if missing:
        listed = ", ".join(f"{number}/{first.shard.of}" for number in missing[:5]) + (
            "..." if missing[5:] else ""
        )
        raise ExchangeError(f"{first.folder}: is shard {first.shard}; shards are missing: {listed}")
    return [by_number[number] for number in sorted(by_number)]
