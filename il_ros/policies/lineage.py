"""Metadata of a trained version: its origin, its state, and how it performed.

The training process writes RUN/version.json before it publishes the version; afterwards only the policy
server writes it. Every write is atomic.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from il_ros.core import atomic
from il_ros.policies.versions import CHECKPOINT, versions

FILE = "version.json"
TRAINED, ACTIVE, REPLACED, REFUSED, ROLLED_BACK = "trained", "active", "replaced", "refused", "rolled back"
STATES = (TRAINED, ACTIVE, REPLACED, REFUSED, ROLLED_BACK)
BAD = (REFUSED, ROLLED_BACK)
"""Terminal states: such a version is neither promoted nor used as a warm start.

An operator can still load it with `checkpoint:=` or `~/reload`; its state does not change.
"""


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
            raise LineageError(f"state is '{self.state}'; it must be one of: {', '.join(STATES)}")

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
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Lineage(run.name)
    except (OSError, ValueError) as error:
        raise LineageError(f"{file}: cannot be read: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("version"), str):
        raise LineageError(f"{file}: 'version' is missing or not a string")
    known = {item.name for item in fields(Lineage)}
    try:
        return Lineage(**{key: value for key, value in values.items() if key in known})
    except (TypeError, LineageError) as error:
        raise LineageError(f"{file}: {error}") from error


def write(run: Path, lineage: Lineage, *, durable: bool = True) -> None:
    """Replace a run's version.json atomically; raises OSError if it cannot be written."""
    atomic.write_text(run / FILE, json.dumps(asdict(lineage), indent=1) + "\n", durable=durable)


def is_good(run: Path) -> bool:
    """Return whether a version may be run and used as a warm start; False if its file is damaged."""
    try:
        return read(run).state not in BAD
    except LineageError:
        return False


def newest_good(folder: Path, without: Collection[str] = ()) -> Path | None:
    """Return the newest good version trained on none of the episodes `without`; None if there is none."""
    for run in reversed(versions(folder)):
        if is_good(run) and not read(run).episodes & set(without):
            return run
    return None
