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
    FILE = "the whole file can't be read"
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


@dataclass(frozen=True)
class DamagedSpan:
    """A damaged span of the file called `file`, from byte `start` to before byte `end`.

    `after_s`, `before_s`: times of the last message before it and of the first one after it, in seconds since
    the file's first message; None when there is no such message.
    """

    file: str
    start: int
    end: int
    harm: Harm
    after_s: float | None
    before_s: float | None

    @property
    def words(self) -> str:
        """The span in bytes and seconds, and what is damaged in it."""
        times = [
            f"{word} {time_s:.3f} s"
            for word, time_s in (("after", self.after_s), ("before", self.before_s))
            if time_s is not None
        ]
        where = f" ({' and '.join(times)})" if times else ""
        return f"{self.file}, bytes {self.start} to {self.end}{where}: {self.harm.value}"


def span_of(file: str, damage: Damage, start_ns: int) -> DamagedSpan:
    """Return the span of a file whose first message has the log time `start_ns`."""
    after_s, before_s = (
        None if time_ns is None else (time_ns - start_ns) / 1e9
        for time_ns in (damage.after_ns, damage.before_ns)
    )
    return DamagedSpan(file, damage.start, damage.end, damage.harm, after_s, before_s)


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
