"""The layout of an episode on disk, and the contents of `episode.json`.

ROOT/episode_000012/metadata.yaml         rosbag2's description of the bag
                    episode_000012_0.mcap the messages, as received
                    episode.json          EpisodeInfo
                    discarded.json        only when discarded: a tombstone; nothing is deleted
ROOT/.last_episode                        the highest number used so far, so that none is used twice
"""

from __future__ import annotations

import dataclasses
import fcntl
import json
import os
import re
from dataclasses import dataclass, field
from pathlib import Path

from il_ros.core import atomic, files
from il_ros.records import strict_json as check
from il_ros.records.outcomes import OUTCOMES, UNMARKED
from il_ros.records.strict_json import Check, JsonError

SCHEMA = 1
LEVELS = ("good", "fair", "poor")
"""The levels of a grade."""

CLOCKS = ("steady", "node")
"""The clocks of a recording's log times: see `EpisodeInfo.clock`."""

INFO_FILE = "episode.json"
METADATA_FILE = "metadata.yaml"
TOMBSTONE = "discarded.json"
COUNTER_FILE = ".last_episode"
MOST_BYTES = 10_000_000
"""A larger `episode.json` is not read."""
_NAME = re.compile(r"episode_([0-9]{6,18})")


class LayoutError(ValueError):
    """A folder is not an episode, or its `episode.json` can't be used; the message says why."""


@dataclass(frozen=True)
class StreamInfo:
    """Statistics of one topic during an episode, on the node's clock; None: not measurable."""

    topic: str
    type: str
    messages: int = 0
    bytes: int = 0
    lost: int = 0
    """Missing messages: gaps in the publisher's numbering, and messages dropped by a full queue."""
    rate_hz: float | None = None
    age_p50_s: float | None = None
    age_p99_s: float | None = None
    """Age = reception minus header stamp; below zero when the driver's clock is ahead of the recorder's."""
    longest_gap_s: float | None = None
    stale_s: float = 0.0
    """Total time during which the newest message was older than the contract's max_age_s."""
    silent_at_end_s: float | None = None
    backwards: int = 0
    """Number of header stamps earlier than the stamp before."""
    required: bool = False
    ahead: int = 0
    """Number of messages stamped more than a second after their reception; synchronisers set them apart."""
    by_arrival: bool = False
    """Whether the contract ignores the header stamps."""


@dataclass(frozen=True)
class Grade:
    """The quality of an episode as a demonstration, with reasons in words.

    `level` is 'good', 'fair' or 'poor'. Shares are of the episode's decisions or duration; None: unknown.
    `idle_share` is of the labels where a policy drove as well (`CommandCounts.idle_share`).
    """

    level: str
    reasons: tuple[str, ...] = ()
    lost: int = 0
    stale_s: float = 0.0
    clipped_share: float | None = None
    idle_share: float | None = None


@dataclass(frozen=True)
class EpisodeInfo:
    """The description of an episode, saved as `episode.json`.

    `started_ns`..`stopped_ns` (node's clock, as the bag's log times) is the demonstration. Messages before
    `started_ns` are pre-roll: they serve the first tick's observation and are not frames.
    `topics` maps a contract's topic to its full name in the bag. `complete` is False while recording and
    after a crash. Raises LayoutError on an invalid name or outcome.
    """

    name: str
    outcome: str = UNMARKED
    task: str = ""
    operator: str = ""
    instruction: str = ""
    seed: int | None = None
    contract_name: str = ""
    contract_hash: str = ""
    contract_text: str = field(default="", repr=False)
    topics: dict[str, str] = field(default_factory=dict)
    decision_topic: str = ""
    started_ns: int = 0
    stopped_ns: int | None = None
    recorded_at: str = ""
    """Wall time of the start, ISO 8601 in UTC."""
    stop_reason: str = ""
    faults: tuple[str, ...] = ()
    streams: tuple[StreamInfo, ...] = ()
    grade: Grade | None = None
    complete: bool = False
    made_from: str = ""
    """For an episode recorded from a state of another one: that episode, the time and the reason."""
    outcome_by: str = ""
    """The model that gave the outcome, and how sure it was; "" if a person or a program did."""
    succeeded_ns: int | None = None
    """When the running episode was marked as a success, on the node's clock; later ticks are no frames."""
    clock: str = ""
    """The clock of the log times: 'steady' (tied to ROS time once), 'node' (ROS time, such as simulated time), or
    '' in episodes of earlier versions (the node's, also after it was set). If it is set, the episode ends."""
    schema: int = SCHEMA

    def __post_init__(self) -> None:
        episode_number(self.name)
        if self.outcome not in OUTCOMES:
            raise LayoutError(f"outcome is '{self.outcome}'; it must be one of: {', '.join(OUTCOMES)}")

    @property
    def number(self) -> int:
        """The episode's number under its root."""
        return episode_number(self.name)

    @property
    def duration_s(self) -> float | None:
        """Time from start to stop, without pre-roll; None when the episode has no stop time."""
        return None if self.stopped_ns is None else (self.stopped_ns - self.started_ns) / 1e9

    def to_json(self) -> str:
        """Return the text of `episode.json`."""
        return json.dumps(dataclasses.asdict(self), indent=2, ensure_ascii=False) + "\n"

    def save(self, folder: Path, *, durable: bool = True) -> None:
        """Write `episode.json` into the episode's folder atomically; raises OSError when it can't."""
        atomic.write_text(folder / INFO_FILE, self.to_json(), durable=durable)


def load_info(folder: Path) -> EpisodeInfo:
    """Read `episode.json` of the episode in `folder`.

    Raises LayoutError when it is missing, malformed, of another schema, or holds invalid values.
    """
    path = folder / INFO_FILE
    try:
        text = files.read_text(path, MOST_BYTES)
    except (OSError, ValueError) as error:
        raise LayoutError(f"{path}: can't be read: {error}") from error
    try:
        return info_from_json(text)
    except LayoutError as error:
        raise LayoutError(f"{path}: {error}") from None


def info_from_json(text: str) -> EpisodeInfo:
    """Return the description in the text of `episode.json`; raises LayoutError on any other text."""
    try:
        values = check.loads(text)
    except JsonError as error:
        raise LayoutError(f"can't be read: {error}") from None
    if not isinstance(values, dict):
        raise LayoutError(f"holds {type(values).__name__}, not an object")
    schema = values.get("schema")
    if type(schema) is not int or schema != SCHEMA:
        raise LayoutError(f"schema is {check.shown(schema)}; this version reads {SCHEMA}")
    try:
        made = _INFO(values, "")
        made["streams"] = tuple(StreamInfo(**stream) for stream in made.get("streams", ()))
        made["grade"] = None if made.get("grade") is None else Grade(**made["grade"])
        return EpisodeInfo(**made)
    except JsonError as error:
        raise LayoutError(str(error)) from None


def episode_name(number: int) -> str:
    """Return the folder name of episode `number`: 'episode_000012'."""
    return f"episode_{number:06d}"


def episode_number(name: str) -> int:
    """Return the number in an episode's folder name; raises LayoutError on any other name."""
    match = _NAME.fullmatch(name)
    if match is None:
        raise LayoutError(f"{check.shown(name)} is not an episode name; it must look like 'episode_000012'")
    return int(match[1])


def bag_file(folder: Path) -> Path:
    """Return the path of the episode's MCAP file."""
    return folder / f"{folder.name}_0.mcap"


def episode_folders(root: Path) -> list[Path]:
    """Return the episode folders under `root`, discarded ones included, sorted by number."""
    named = [path for path in root.iterdir() if _NAME.fullmatch(path.name) and path.is_dir()]
    return sorted(named, key=lambda path: episode_number(path.name))


def claim_next(root: Path) -> Path:
    """Create the folder of the next episode and return it.

    Numbers increase and are never reused, even when the last folder was deleted by hand or another process
    records into the same root. Raises OSError when the root can't be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    file = root / COUNTER_FILE
    with os.fdopen(
        os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644), "r+b", buffering=0
    ) as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        text = counter.read(100).strip()
        numbers = [int(text) if re.fullmatch(rb"[0-9]{1,17}", text) else 0]
        numbers += [episode_number(folder.name) for folder in episode_folders(root)]
        number = max(numbers) + 1
        folder = root / episode_name(number)
        counter.seek(0)
        try:  # before the folder is made, and over the old number: a full disk leaves no empty episode and keeps it
            counter.write(line := f"{number}\n".encode())
            counter.truncate(len(line))
        except OSError as error:
            error.filename = str(file)
            raise
        folder.mkdir()
    return folder


def discard(folder: Path, reason: str, at: str) -> None:
    """Write the tombstone (`at`: wall time, ISO 8601); nothing is deleted. Raises OSError."""
    atomic.write_text(folder / TOMBSTONE, json.dumps({"reason": reason, "at": at}) + "\n")


def undo_discard(folder: Path) -> None:
    """Remove the tombstone, if there is one. Raises OSError."""
    (folder / TOMBSTONE).unlink(missing_ok=True)


def is_discarded(folder: Path) -> bool:
    """Return whether the episode has a tombstone."""
    return (folder / TOMBSTONE).exists()


def _fields(kind: type, what: str, checks: dict[str, Check]) -> Check:
    """Return the check of an object (`what`) that becomes a `kind`; fields with a default may be absent."""
    unset = dataclasses.MISSING
    optional = [
        item.name
        for item in dataclasses.fields(kind)
        if item.default is not unset or item.default_factory is not unset
    ]
    return check.record(what, checks, optional)


_SECONDS = check.number(0.0)
_SHARE = check.or_null(check.number(0.0, 1.0))
_COUNT = check.whole()
_LOG_NS = check.whole(0, 2**64 - 1)  # log times of MCAP are unsigned
_STREAM = _fields(
    StreamInfo,
    "a stream",
    {
        "topic": check.text,
        "type": check.text,
        "messages": _COUNT,
        "bytes": _COUNT,
        "lost": _COUNT,
        "rate_hz": check.or_null(_SECONDS),
        "age_p50_s": check.or_null(check.number()),
        "age_p99_s": check.or_null(check.number()),
        "longest_gap_s": check.or_null(_SECONDS),
        "stale_s": _SECONDS,
        "silent_at_end_s": check.or_null(_SECONDS),
        "backwards": _COUNT,
        "required": check.flag,
        "ahead": _COUNT,
        "by_arrival": check.flag,
    },
)
_GRADE = _fields(
    Grade,
    "a grade",
    {
        "level": check.one_of(*LEVELS),
        "reasons": check.several(check.text),
        "lost": _COUNT,
        "stale_s": _SECONDS,
        "clipped_share": _SHARE,
        "idle_share": _SHARE,
    },
)
_INFO = _fields(
    EpisodeInfo,
    "a description",
    {
        "name": check.text,
        "outcome": check.text,
        "outcome_by": check.text,
        "task": check.text,
        "operator": check.text,
        "instruction": check.text,
        "seed": check.or_null(check.whole(-check.MOST_NS - 1)),
        "contract_name": check.text,
        "contract_hash": check.text,
        "contract_text": check.text,
        "topics": check.mapping(check.text),
        "decision_topic": check.text,
        "started_ns": _LOG_NS,
        "stopped_ns": check.or_null(_LOG_NS),
        "recorded_at": check.text,
        "stop_reason": check.text,
        "faults": check.several(check.text),
        "streams": check.several(_STREAM),
        "grade": check.or_null(_GRADE),
        "complete": check.flag,
        "made_from": check.text,
        "succeeded_ns": check.or_null(_LOG_NS),
        "clock": check.one_of("", *CLOCKS),
        "schema": _COUNT,
    },
)
