"""What `il-ros migrate` cannot settle."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Unsettled:
    """Something that a person must settle: a sentence, with file, line (0: unknown) and field ("": the whole file).

    `path` is "" where the sentence of a reader names the file itself.
    """

    path: str
    line: int
    field: str
    sentence: str

    def __str__(self) -> str:
        """Return 'file:line: field: sentence'."""
        where = f"{self.path}:{self.line}" if self.line else self.path
        return ": ".join(part for part in (where, self.field, self.sentence) if part)
