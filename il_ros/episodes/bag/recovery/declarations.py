"""The declarations of an MCAP file's schemas and channels, of which a damaged file may hold different copies."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Generic, TypeVar

from il_ros.episodes.bag import mcap_parse
from il_ros.episodes.bag.mcap_parse import Channel, Content, Malformed, Schema


class Trust(IntEnum):
    """How far a declaration is confirmed by the bytes around it; the greater the better."""

    DAMAGED = 0
    """It lies in a damaged span."""
    PLAIN = 1
    """It is a whole record, but no checksum covers it."""
    CHECKED = 2
    """A checksum covers it, and is right."""


_Declared = TypeVar("_Declared", Schema, Channel)


@dataclass(frozen=True)
class _Copy(Generic[_Declared]):
    record: _Declared
    trust: Trust
    extent: tuple[int, int]


@dataclass
class Declarations:
    """Collects all copies; `resolve` selects one for each number: the most trusted, then the first.

    `numbers`: the channels that are known so far.
    """

    numbers: set[int] = field(default_factory=set)
    schemas: dict[int, Schema] = field(default_factory=dict)
    channels: dict[int, Channel] = field(default_factory=dict)
    _of_schemas: dict[int, list[_Copy[Schema]]] = field(default_factory=dict)
    _of_channels: dict[int, list[_Copy[Channel]]] = field(default_factory=dict)

    def add(self, record: Schema | Channel, trust: Trust, extent: tuple[int, int]) -> None:
        """Add a copy; `extent`: the span of bytes that it, or its chunk, takes."""
        if isinstance(record, Schema):
            self._of_schemas.setdefault(record.number, []).append(_Copy(record, trust, extent))
            return
        self._of_channels.setdefault(record.number, []).append(_Copy(record, trust, extent))
        if trust > Trust.DAMAGED:
            self.numbers.add(record.number)

    def add_bytes(self, opcode: int, content: Content, trust: Trust, extent: tuple[int, int]) -> None:
        """Add a copy in its encoding; bytes that are no declaration are ignored.

        In a damaged span, so are names with other than printable ASCII characters.
        """
        try:
            record = mcap_parse.parse(opcode, content)
        except Malformed:
            return
        name: str = record.name if isinstance(record, Schema) else record.topic
        if trust > Trust.DAMAGED or (name.isascii() and name.isprintable()):
            self.add(record, trust, extent)

    def resolve(self, used: Collection[int]) -> list[tuple[int, int]]:
        """Select `schemas` and `channels`; return the extents of whole records that contradict them.

        A channel whose schema is not declared anywhere is left out, and so is what only a damaged span
        declares, unless it is one of the `used` channels or its schema.
        """
        wrong: list[tuple[int, int]] = []
        self.schemas = {number: _best(copies, wrong) for number, copies in self._of_schemas.items()}
        self.channels = {}
        for number, copies in self._of_channels.items():
            usable = [copy for copy in copies if not copy.record.schema or copy.record.schema in self.schemas]
            if number not in used:
                usable = [copy for copy in usable if copy.trust > Trust.DAMAGED]
            wrong += [copy.extent for copy in copies if copy not in usable and copy.trust > Trust.DAMAGED]
            if usable:
                self.channels[number] = _best(usable, wrong)
        needed = {channel.schema for channel in self.channels.values()}
        for number, schemas in self._of_schemas.items():
            if number not in needed and all(copy.trust == Trust.DAMAGED for copy in schemas):
                del self.schemas[number]
        return wrong


def _best(copies: list[_Copy[_Declared]], wrong: list[tuple[int, int]]) -> _Declared:
    """Return the most trusted record, the first of equals; add the extents of those that differ to `wrong`."""
    best = max(copies, key=lambda copy: copy.trust).record
    wrong += [copy.extent for copy in copies if copy.record != best and copy.trust > Trust.DAMAGED]
    return best
