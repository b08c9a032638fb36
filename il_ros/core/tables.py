"""Tables and texts for the terminal.

Texts from messages and files may contain control characters, which a terminal obeys. `shown` and `say` print
them as their escapes instead.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Sequence
from typing import TextIO

GAP = "  "
_MOST_NAMES = 4  # that share a reason
# C0 and C1 control characters, DEL; line separators; marks that reorder text; half characters, not encodable
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def shown(text: str, *, lines: bool = False) -> str:
    r"""Return `text` with control characters as their escapes, such as \x1b; `lines`: line ends and tabs are kept."""

    def escape(found: re.Match[str]) -> str:
        character = found.group()
        return character if lines and character in "\n\t" else character.encode("unicode_escape").decode()

    return _CONTROL.sub(escape, text)


class ReaderGoneError(Exception):
    """The reader of the standard output has ended: `il-ros episodes list | head`. This is no failure of the command.

    It is no OSError: those are failures that a command reports with the reason.
    """


def say(text: object = "", *, file: TextIO | None = None, flush: bool = False) -> None:
    """Print `text` on the terminal (default: standard output), with control characters as their escapes.

    Raises ReaderGoneError when nothing reads the standard output any more.
    """
    try:
        print(shown(str(text), lines=True), file=file, flush=flush)
    except BrokenPipeError as error:
        if file is None:
            raise ReaderGoneError from error
        raise


def say_json(**values: object) -> None:
    """Print one JSON object in a line, at once: for the program that reads the output."""
    say(json.dumps(values), flush=True)


def worded(error: BaseException) -> str:
    """Return what went wrong as "FILE: REASON"; the text of the system's own errors begins with a number."""
    if not isinstance(error, OSError) or error.errno is None or not error.strerror:
        return str(error)
    reason = error.strerror[:1].lower() + error.strerror[1:]
    return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return header and rows as aligned columns; the columns named in `right` are right-aligned.

    A cell is one line: its control characters are shown as their escapes.
    """
    lines = [list(header), *([shown(cell) for cell in row] for row in rows)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(header))]
    out = []
    for line in lines:
        cells = [
            cell.rjust(width) if name in right else cell.ljust(width)
            for cell, width, name in zip(line, widths, header, strict=True)
        ]
        out.append(GAP.join(cells).rstrip())
    out.insert(1, GAP.join("-" * width for width in widths))
    return "\n".join(out)


def grouped(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """Return lines "NAMES: REASON" for (name, reason) pairs; names with one reason share a line.

    Reasons are equal if they differ in the name only, such as in a path; the line has the first name's.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for name, reason in pairs:
        groups.setdefault(reason.replace(name, "") if name else reason, []).append((name, reason))
    return [f"{listed([name for name, _ in group], _MOST_NAMES)}: {group[0][1]}" for group in groups.values()]


def listed(names: Sequence[str], most: int = 6, between: str = ", ") -> str:
    """Return 'a, b, c'; of more than `most` names the first `most` and how many more there are."""
    rest = f" and {len(names) - most} more" if len(names) > most else ""
    return between.join(names[:most]) + rest


def listed_by_key(names: Sequence[str], of: Sequence[str], most: int = 6) -> str:
    """Return names such as joints/position/a by key: 'object, joints (position/a)'; a whole key without its parts.

    `of`: all names, of which each key has its parts. At most `most` keys, and parts of one, are named.
    """
    parts: dict[str, list[str]] = {}
    for name in names:
        key, _, part = name.partition("/")
        parts.setdefault(key, []).append(part)
    whole = Counter(name.partition("/")[0] for name in of)
    return listed(
        [key if len(own) == whole[key] else f"{key} ({listed(own, most)})" for key, own in parts.items()],
        most,
    )


def counted(count: int, noun: str) -> str:
    """Return '1 frame', '2 frames'; `noun`: one that takes an s, perhaps with an adjective before it."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def seconds(value: float | None) -> str:
    """Return '12.3', or '-' for None."""
    return "-" if value is None else f"{value:.1f}"


def percent(share: float, digits: int = 0) -> str:
    """Return a share (0..1) in per cent: '62 %'."""
    return f"{100 * share:.{digits}f} %"


def percent_range(low: float, high: float) -> str:
    """Return a range of shares (0..1) in per cent: '40–62 %'."""
    return f"{100 * low:.0f}–{percent(high)}"


def size(count: int) -> str:
    """Return a human-readable count of bytes: '640 B', '12.3 MB'."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
