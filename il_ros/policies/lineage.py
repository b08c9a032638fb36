"""What is known of a trained version besides its weights: where it comes from, and how it fared.

RUN/version.json is written by the training before the version gets its place, and afterwards by the policy
server alone; always in one step, so that nobody reads half of it.
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
"""States that a version never leaves: it is neither swapped in by the gate nor learnt from again.

A person may let it drive all the same, by `checkpoint:=` or `~/reload`; that makes it no better.
"""


class LineageError(ValueError):
    """A version.json that can't be used; the message names the file and what is wrong with it."""


@dataclass(frozen=True)
class Lineage:
    """`parent`: the version whose weights it began with, "" for none.

    `data`: names of episodes, 'train' and 'validation'; `labels`: frames in all of them. `metrics`: what the
    training measured. `state` and its `reason`: see STATES; `checks`: what the gate measured, in its own
    words. `driven_s` and `interventions`: how long it had control, and how often somebody stepped in.
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
        """All that it has seen, to learn from or to be measured on."""
        return frozenset(name for names in self.data.values() for name in names)

    @property
    def interventions_per_minute(self) -> float | None:
        """None when it never drove."""
        return 60 * self.interventions / self.driven_s if self.driven_s > 0 else None


def run_of(checkpoint: Path) -> Path | None:
    """Return the training run that a checkpoint's folder belongs to; None when it lies by itself."""
    return checkpoint.parent if checkpoint.name == CHECKPOINT else None


def read(run: Path) -> Lineage:
    """Return what is known of a version; of one without a file, its name alone.

    Raises LineageError when the file is damaged.
    """
    file = run / FILE
    try:
        values = json.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Lineage(run.name)
    except (OSError, ValueError) as error:
        raise LineageError(f"{file}: can't be read: {error}") from error
    if not isinstance(values, dict) or not isinstance(values.get("version"), str):
        raise LineageError(f"{file}: 'version' is missing or no text")
    known = {item.name for item in fields(Lineage)}
    try:
        return Lineage(**{key: value for key, value in values.items() if key in known})
    except (TypeError, LineageError) as error:
        raise LineageError(f"{file}: {error}") from error


def write(run: Path, lineage: Lineage, *, durable: bool = True) -> None:
    """Replace a run's file in one step; raises OSError when it can't be written."""
    atomic.write_text(run / FILE, json.dumps(asdict(lineage), indent=1) + "\n", durable=durable)


def is_good(run: Path) -> bool:
    """Tell whether a version may drive and be learnt from. One whose file is damaged may not."""
    try:
        return read(run).state not in BAD
    except LineageError:
        return False


def newest_good(folder: Path, without: Collection[str] = ()) -> Path | None:
    """Return the newest version that is good and has seen none of the episodes `without`; None: none is."""
    for run in reversed(versions(folder)):
        if is_good(run) and not read(run).episodes & set(without):
            return run
    return None
