"""Tables for the console."""

from __future__ import annotations

from collections.abc import Sequence

GAP = "  "


def table(header: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str] = ()) -> str:
    """Return header and rows as aligned columns; the columns named in `right` are right-aligned."""
    lines = [list(header), *(list(row) for row in rows)]
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


def seconds(value: float | None) -> str:
    """Return '12.3', or '-' for None."""
    return "-" if value is None else f"{value:.1f}"


def size(count: int) -> str:
    """Return a human-readable count of bytes: '640 B', '12.3 MB'."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            break
        value /= 1000
    return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
