"""Metadata of a trained version: its origin, its state, and how it performed.

The training process writes RUN/version.json before it publishes the version; afterwards the policy server,
`il-ros policy pardon` and `il-ros policy rollback` do. Every write is atomic. A file of that name that something
else wrote is never replaced.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from il_ros.core import atomic, files
from il_ros.core.strict_yaml import brief
from il_ros.policies.remote.mapping import holds_remote
from il_ros.policies.versions import CHECKPOINT, CONFIG, CONTRACT, MODEL, number_of, versions

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


class CheckpointError(ValueError):
    """An unusable checkpoint; the message names the file, the field and the fault."""


class NotHereError(CheckpointError):
    """The checkpoint is not at fault: another contract is required, its files cannot be read, a plug-in is missing."""


@dataclass(frozen=True)
class Lineage:
    """The content of version.json.

    `parent`: the version that training started from, "" if none. `data`: episode names under 'train' and
    'validation'; `labels`: number of frames in them. `metrics`: training metrics. `state` and `reason`: see
    STATES. `checks`: results of the promotion checks. `driven_s`: seconds in control. `interventions`:
    number of human interventions while in control. `pardons`: how often a person took back a verdict.
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
    pardons: int = 0

    def __post_init__(self) -> None:
        if self.state not in STATES:
            raise LineageError(f"state is {brief(self.state)}; it must be one of: {', '.join(STATES)}")
        for name in ("version", "parent", "contract_hash", "trained_at", "reason"):
            self._require(name, isinstance(getattr(self, name), str), "text")
        for name in ("recipe", "metrics", "checks"):
            self._require(name, isinstance(getattr(self, name), Mapping), "a mapping")
        loss = self.metrics.get("validation_loss")
        if loss is not None and type(loss) not in (int, float):
            raise LineageError(f"metrics.validation_loss is {brief(loss)}; it must be a number")
        self._require("data", _is_data(self.data), "a mapping to lists of episode names")
        for name in ("labels", "interventions", "pardons"):
            self._require(name, type(getattr(self, name)) is int, "a whole number")
        for name in ("labels", "interventions", "pardons", "driven_s"):
            value = getattr(self, name)
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            self._require(name, number and 0 <= value < _MOST and math.isfinite(value), "a number from 0 on")

    @classmethod
    def of_training(
        cls,
        version: str,
        metrics: Mapping[str, Any],
        measured: Collection[str],
        recipe: Mapping[str, Any],
        contract_hash: str,
    ) -> Lineage:
        """Return that of a training that ends now. `metrics`: the policy's; `measured`: those of them that are kept."""
        return cls(
            version,
            metrics["parent"],
            metrics["data"],
            metrics["frames"],
            recipe,
            {key: metrics[key] for key in measured},
            contract_hash,
            datetime.now(timezone.utc).isoformat(timespec="seconds"),
        )

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


def describe(version: str, folder: Path, metrics: Mapping[str, Any]) -> str:
    """Return a policy in one phrase: version, folder, when it was trained, and whether its training was complete.

    `folder`: its run or its checkpoint; `metrics`: those of the checkpoint. What is not recorded is said to be
    unknown: checkpoints from before 2026-11-29 do not say whether training was complete.
    """
    try:
        trained_at = read(run_of(folder) or folder).trained_at
    except LineageError:
        trained_at = ""
    when = f"trained at {trained_at}" if trained_at else "training time unknown"
    finished, training = metrics.get("finished"), metrics.get("training")
    if finished is None:
        how = "whether training was complete is unknown"
    elif finished:
        how = "complete"
    else:
        planned = training.get("epochs", "?") if isinstance(training, Mapping) else "?"
        how = f"training was STOPPED EARLY, after {metrics.get('epochs', '?')} of {planned} epochs"
    return f"{version} ({folder}, {when}, {how})"


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


def pardons_of(run: Path) -> int:
    """Return how often a version was pardoned; 0 without a readable file."""
    try:
        return read(run).pardons
    except LineageError:
        return 0


def pardon(run: Path) -> Lineage:
    """Make a refused or rolled-back version usable again, in its version.json; return what it was.

    The driving record of a rolled-back version is deleted: it is what the roll-back was decided on. Raises
    LineageError if the version is not refused or rolled back, or its file is unusable, OSError if it cannot be
    written.
    """
    was = read(run)
    if was.state not in BAD:
        raise LineageError(f"{run / FILE}: {was.version} is {was.state}, neither {REFUSED} nor {ROLLED_BACK}")
    reason = f"pardoned; it was {was.state}: {was.reason}"
    now = replace(was, state=TRAINED, reason=reason, pardons=was.pardons + 1)
    write(run, replace(now, driven_s=0.0, interventions=0) if was.state == ROLLED_BACK else now)
    return was


def roll_back(run: Path, reason: str) -> Lineage:
    """Record that a person rolled a version back, in its version.json; return what it was.

    Raises LineageError if its file is unusable, OSError if it cannot be written.
    """
    was = read(run)
    write(run, replace(was, state=ROLLED_BACK, reason=reason))
    return was


def good_before(run: Path) -> Path | None:
    """Return the newest good version in the same folder that is older than `run`; None if there is none."""
    older = [each for each in versions(run.parent) if number_of(each) < number_of(run)]
    return next((each for each in reversed(older) if is_good(each)), None)


def newest_good(folder: Path, without: Collection[str] = ()) -> Path | None:
    """Return the newest good version trained on none of the episodes `without`; None if there is none."""
    for run in reversed(versions(folder)):
        if is_good(run) and not read(run).episodes & set(without):
            return run
    return None


def find_checkpoint(path: Path) -> Path:
    """Return the checkpoint folder at or below `path`; raises CheckpointError if there is none.

    In a folder of versions it is that of the newest good one, never a checkpoint that lies beside the versions.
    """
    loose = next((folder for folder in (path, path / CHECKPOINT) if _holds_checkpoint(folder)), None)
    if versions(path):
        good = newest_good(path)
        if good is not None:
            return good / CHECKPOINT
        beside = f"; to use the checkpoint beside them, move it out of here: {loose}" if loose else ""
        raise CheckpointError(
            f"{path}: all its versions are refused, rolled back or damaged (`il-ros policy versions`){beside}"
        )
    if loose is not None:
        return loose
    what = "holds no checkpoint" if path.is_dir() else "is a file" if path.exists() else "no such folder"
    raise CheckpointError(f"{path}: {what}; a checkpoint has {MODEL}, {CONFIG} and {CONTRACT}")


def find_policy(path: Path) -> Path:
    """Return the folder of a remote policy, or of the checkpoint at or below `path`; raises as `find_checkpoint`.

    Only names are looked at, and torch is not imported, which takes seconds: a misspelt folder is named at once.
    """
    return path if holds_remote(path) else find_checkpoint(path)


def is_awaited(checkpoint: str, candidates: str) -> bool:
    """Return whether a policy server begins without a policy, because a trainer is still to make the first one.

    `checkpoint`: the folder that it is given. `candidates`: the topic on which versions are announced, "": none.
    """
    return bool(candidates) and not (checkpoint and Path(checkpoint).exists())


def _holds_checkpoint(folder: Path) -> bool:
    return (folder / CONFIG).exists() or (folder / MODEL).exists()


def _is_data(data: Any) -> bool:
    return isinstance(data, Mapping) and all(
        isinstance(names, Collection)
        and not isinstance(names, str)
        and all(isinstance(name, str) for name in names)
        for names in data.values()
    )


_KNOWN = frozenset(item.name for item in fields(Lineage))
