"""Moments on their way to the session's node: a JSON file of words, seeds and states."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from il_ros.core.settings import build, plain
from il_ros.session.moments import MarkedMoment, RelabelError
from il_ros.session.setup import Start


def write_starts(path: Path, moments: Sequence[MarkedMoment]) -> None:
    """Write the moments; raises RelabelError when an episode was recorded without its seed, OSError."""
    found = []
    for moment in moments:
        if moment.info.seed is None:
            raise RelabelError(f"{moment.info.name}: was recorded without its simulation's seed")
        found.append(plain(Start(moment.words, moment.info.seed, tuple(moment.state.tolist()))))
    path.write_text(json.dumps(found))


def read_starts(path: Path) -> tuple[Start, ...]:
    """Return what `write_starts` wrote; raises ValueError naming file, entry and value, OSError."""
    try:
        entries = json.loads(path.read_text())
    except json.JSONDecodeError as error:
        raise ValueError(f"{path}: no JSON: {error}") from error
    if not isinstance(entries, list) or not entries:
        raise ValueError(f"{path}: must be a list of moments, with one at least")
    return tuple(build(Start, entry, f"{path}: entry {place}") for place, entry in enumerate(entries))
