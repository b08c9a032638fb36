"""The file of recorded moments for the session node: JSON with description, seed and state of each."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from il_ros.core import files
from il_ros.core.settings import build, plain
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError
from il_ros.session.setup import Start

_MOST_BYTES = 256 << 20


def write_starts(path: Path, moments: Sequence[MarkedMoment]) -> None:
    """Write the moments. Raises RelabelError when an episode has no seed, OSError when writing fails."""
    found = []
    for moment in moments:
        if moment.info.seed is None:
            raise RelabelError(f"{moment.info.name}: was recorded without the simulation's seed")
        found.append(plain(Start(moment.words, moment.info.seed, tuple(moment.state.tolist()))))
    path.write_text(json.dumps(found))


def read_starts(path: Path) -> tuple[Start, ...]:
    """Return the moments that `write_starts` wrote.

    Raises ValueError with file, entry and value when the content is invalid, OSError when reading fails.
    """
    try:
        entries = files.read_json(path, _MOST_BYTES)
    except ValueError as error:
        raise ValueError(f"{path}: invalid JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: must be a list of at least one moment")
    return tuple(build(Start, entry, f"{path}: entry {place}") for place, entry in enumerate(entries))
