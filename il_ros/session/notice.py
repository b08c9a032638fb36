"""Event lines of a session's console, each with its kind."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto


class NoticeKind(Enum):
    """The kinds of events; the console selects colour and bell by them, never by the text."""

    INFO = auto()
    SUCCESS = auto()
    FAILURE = auto()
    EXPERT = auto()
    POLICY = auto()
    REQUEST = auto()
    """A request for the expert, which rings the bell."""


@dataclass(frozen=True)
class Notice:
    """An event: one line of text and its kind."""

    text: str
    kind: NoticeKind = NoticeKind.INFO
