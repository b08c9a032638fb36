"""The intact pieces and the damaged spans of an MCAP file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Harm(Enum):
    """What is damaged in a span of bytes; the value says it to people."""

    START = "the start of the file is damaged"
    CHUNK = "a chunk is damaged and left out"
    HEAD = "the head of a chunk is damaged; its messages are kept"
    RECORDS = "records are damaged and left out"
    TAIL = "the end of the file is cut off or damaged"
    INDEX = "an index or a declaration is wrong; no message is lost"
    UNKNOWN = "a byte is wrong, for the checksum of the data is; all messages are kept"


@dataclass(frozen=True)
class Damage:
    """A damaged span, from byte `start` to before byte `end`.

    `after_ns`, `before_ns`: log times of the last message before and the first message after it, if any.
    """

    start: int
    end: int
    harm: Harm
    after_ns: int | None = None
    before_ns: int | None = None


class Form(Enum):
    """How an intact piece of a file is read."""

    RECORDS = "records one after the other"
    CHUNK = "one chunk, whose opcode or lengths may be wrong"
    PART = "a chunk that is cut off by the end of the file"


@dataclass(frozen=True)
class Piece:
    """An intact part of a file, from byte `start` to before byte `end`."""

    start: int
    end: int
    form: Form
