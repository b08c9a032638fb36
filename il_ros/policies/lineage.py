"""Metadata of a trained version: its origin, its state, and how it performed.

The training process writes RUN/version.json before it publishes the version; afterwards only the policy
server writes it. Every write is atomic. A file of that name that something else wrote is never replaced.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from il_ros.core import atomic, files
from il_ros.core.strict_yaml import brief
from il_ros.policies.versions import CHECKPOINT, versions

FILE = "version.json"
TRAINED, ACTIVE, REPLACED, REFUSED, ROLLED_BACK = "trained", "active", "replaced", "refused", "rolled back"
STATES = (TRAINED, ACTIVE, REPLACED, REFUSED, ROLLED_BACK)
BAD = (REFUSED, ROLLED_BACK)
"""Terminal states: such a version is neither promoted nor used as a warm start.

An operator can still load it with `checkpoint:=` or `~/reload`; its state does not change.
"""

_MOST_BYTES = 8 << 20
_ALWAYS = ("version", "data", "trained_at", "state")
"""Keys that every version.json of this package has."""
_MOST = 1 << 53


class LineageError(ValueError):
    """An unusable version.json; the message names the file and the fault."""


@dataclass(frozen=True)
class Lineage:
    """The content of version.json.

    `parent`: the version that training started from, "" if none. `data`: episode names under 'train' and
    'validation'; `labels`: number of frames in them. `metrics`: training metrics. `state` and `reason`: see
    STATES. `checks`: results of the promotion checks. `driven_s`: seconds in control. `interventions`:
    number of human interventions while in control.
    """

    version: str
    parent: str = ""
    data: Mapping[str, Collection[str]] = field(default_factory=dict)
    labels: int = 0
    recipe: Mapping[str, Any] = field(default_factory=dict)
    metrics: Mapping[str, Any] = field(default_factory=dict)
    contract_hash: str = ""
    trained_at: str = ""
    state: str = TRAINED
    reason: str = ""
    checks: Mapping[str, Any] = field(default_factory=dict)
    driven_s: float = 0.0
    interventions: int = 0

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise LineageError(f"state is {brief(self.state)}; it must be one of: {', '.join(STATES)}")
        for name in ("version", "parent", "contract_hash", "trained_at", "reason"):
            self._require(name, isinstance(getattr(self, name), str), "text")
        for name in ("recipe", "metrics", "checks"):
            self._require(name, isinstance(getattr(self, name), Mapping), "a mapping")
        self._require("data", _is_data(self.data), "a mapping to lists of episode names")
        for name in ("labels", "interventions"):
            self._require(name, type(getattr(self, name)) is int, "a whole number")
        for name in ("labels", "interventions", "driven_s"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            self._require(name, number and 0 <= value < _MOST and math.isfinite(value), "a number from 0 on")

    def _require(self, name: str, holds: bool, kind: str) -> None:
        if not holds:
            raise LineageError(f"{name} is {brief(getattr(self, name))}; it must be {kind}")

    @property
    def episodes(self) -> frozenset[str]:
        """The names of all training and validation episodes."""
        return frozenset(name for names in self.data.values() for name in names)

    @property
    def interventions_per_minute(self) -> float | None:
        """The number of interventions per minute in control; None if it was never in control."""
        return 60 * self.interventions / self.driven_s if self.driven_s > 0 else None


def run_of(checkpoint: Path) -> Path | None:
    """Return the training run that contains a checkpoint folder; None if it is outside a run."""
    return checkpoint.parent if checkpoint.name == CHECKPOINT else None


def read(run: Path) -> Lineage:
    """Return the lineage of a run; without a file, one with the folder's name as its version.

    Raises LineageError if the file is damaged.
    """
    file = run / FILE
    try:
        values = files.read_json(file, _MOST_BYTES)
    except FileNotFoundError:
        return Lineage(run.name)
    except (OSError, ValueError) as error:
        raise LineageError(f"{file}: cannot be read: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("version"), str):
        raise LineageError(f"{file}: 'version' is missing or not a string")
    try:
        return Lineage(**{key: value for key, value in values.items() if key in _KNOWN})
    except LineageError as error:
        raise LineageError(f"{file}: {error}") from error


def is_ours(run: Path) -> bool:
    """Return whether a run has a version.json that this package wrote: a regular file with its keys only."""
    if not files.is_regular(run / FILE):
        return False
    try:
        values = files.read_json(run / FILE, _MOST_BYTES)
    except (OSError, ValueError):
        return False
    return isinstance(values, dict) and _KNOWN.issuperset(values) and set(_ALWAYS).issubset(values)


def require_ours(run: Path) -> None:
    """Raise LineageError if a run has a version.json that this package did not write."""
    if os.path.lexists(run / FILE) and not is_ours(run):
        raise LineageError(f"{run / FILE}: is damaged, or not a version.json of il_ros; it is not replaced")


def write(run: Path, lineage: Lineage, *, durable: bool = True) -> None:
    """Replace a run's version.json atomically.

    Raises LineageError if the present file is not one of this package, OSError if it cannot be written.
    """
    require_ours(run)
    atomic.write_text(run / FILE, json.dumps(asdict(lineage), indent=1) + "\n", durable=durable)


def is_good(run: Path) -> bool:
    """Return whether a version may be run and used as a warm start; False if its file is damaged."""
    try:
        return read(run).state not in BAD
    except LineageError:
        return False


def recorded_bad(run: Path) -> str:
    """Return why a version must not be promoted by its version.json, else ""."""
    try:
        record = read(run)
    except LineageError as error:
        return f"{REFUSED}: {error}"
    return f"{record.state}: {record.reason}" if record.state in BAD else ""


def newest_good(folder: Path, without: Collection[str] = ()) -> Path | None:
    """Return the newest good version trained on none of the episodes `without`; None if there is none."""
    for run in reversed(versions(folder)):
        if is_good(run) and not read(run).episodes & set(without):
            return run
    return None


def _is_data(data: Any) -> bool:
    return isinstance(data, Mapping) and all(
        isinstance(names, Collection)
        and not isinstance(names, str)
        and all(isinstance(name, str) for name in names)
        for names in data.values()
    )


_KNOWN = frozenset(item.name for item in fields(Lineage))
