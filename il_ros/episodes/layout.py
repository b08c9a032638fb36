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
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from il_ros.core import atomic
from il_ros.records.outcomes import OUTCOMES, UNMARKED

SCHEMA = 1

INFO_FILE = "episode.json"
METADATA_FILE = "metadata.yaml"
TOMBSTONE = "discarded.json"
COUNTER_FILE = ".last_episode"


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
    """Age = reception minus header stamp."""
    longest_gap_s: float | None = None
    stale_s: float = 0.0
    """Total time during which the newest message was older than the contract's max_age_s."""
    silent_at_end_s: float | None = None
    backwards: int = 0
    """Number of header stamps earlier than the stamp before."""
    required: bool = False


@dataclass(frozen=True)
class Grade:
    """The quality of an episode as a demonstration, with reasons in words.

    `level` is 'good', 'fair' or 'poor'. Shares are of the episode's decisions or duration; None: unknown.
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
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise LayoutError(f"{path}: can't be read: {error}") from error
    if not isinstance(values, dict):
        raise LayoutError(f"{path}: holds {type(values).__name__}, not an object")
    if values.get("schema") != SCHEMA:
        raise LayoutError(f"{path}: schema is {values.get('schema')!r}; this version reads {SCHEMA}")
    try:
        return EpisodeInfo(
            **{
                **values,
                "faults": tuple(values.get("faults", ())),
                "streams": tuple(StreamInfo(**stream) for stream in values.get("streams", ())),
                "grade": _grade(values.get("grade")),
            }
        )
    except (TypeError, LayoutError) as error:
        raise LayoutError(f"{path}: {error}") from error


def episode_name(number: int) -> str:
    """Return the folder name of episode `number`: 'episode_000012'."""
    return f"episode_{number:06d}"


def episode_number(name: str) -> int:
    """Return the number in an episode's folder name; raises LayoutError on any other name."""
    match = re.fullmatch(r"episode_(\d{6,})", name)
    if match is None:
        raise LayoutError(f"'{name}' is not an episode name; it must look like 'episode_000012'")
    return int(match[1])


def bag_file(folder: Path) -> Path:
    """Return the path of the episode's MCAP file."""
    return folder / f"{folder.name}_0.mcap"


def episode_folders(root: Path) -> list[Path]:
    """Return the episode folders under `root`, discarded ones included, sorted by number."""
    named = [path for path in root.iterdir() if re.fullmatch(r"episode_\d{6,}", path.name) and path.is_dir()]
    return sorted(named, key=lambda path: episode_number(path.name))


def claim_next(root: Path) -> Path:
    """Create the folder of the next episode and return it.

    Numbers increase and are never reused, even when the last folder was deleted by hand or another process
    records into the same root. Raises OSError when the root can't be written.
    """
    root.mkdir(parents=True, exist_ok=True)
    with (root / COUNTER_FILE).open("a+", encoding="utf-8") as counter:
        fcntl.flock(counter, fcntl.LOCK_EX)
        counter.seek(0)
        text = counter.read().strip()
        numbers = [int(text) if text.isdigit() else 0]
        numbers += [episode_number(folder.name) for folder in episode_folders(root)]
        number = max(numbers) + 1
        folder = root / episode_name(number)
        folder.mkdir()
        counter.truncate(0)
        counter.write(f"{number}\n")
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


def _grade(values: dict[str, Any] | None) -> Grade | None:
    return None if values is None else Grade(**{**values, "reasons": tuple(values["reasons"])})
