"""Complete the `episode.json` of a recovered episode from the contents of its bag."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path

from il_ros.core import contract, messages
from il_ros.core.contract import ContractError
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.bag.topics import CONTRACT_RECORD
from il_ros.episodes.layout import EpisodeInfo, LayoutError, StreamInfo
from il_ros.episodes.recording.grade import grade
from il_ros.episodes.recording.monitor import StreamMonitor

UNREADABLE = ".unreadable"
STAMP_BYTES = 12
"""CDR encapsulation, seconds and nanoseconds at the start of a stamped message."""


def complete(folder: Path, scans: Sequence[Scan], fault: str) -> bool:
    """Complete `episode.json` from the `scans` of the bag's files; an unreadable one is kept.

    Returns False when it was complete already, or the folder is not named as an episode. Raises OSError.
    """
    try:
        layout.episode_number(folder.name)
    except LayoutError:
        return False
    before = _info_or_none(folder)
    if before is not None and before.complete:
        return False
    if before is None:
        _set_aside(folder / layout.INFO_FILE)
    first_ns = min((scan.start_ns for scan in scans if scan.total), default=0)
    last_ns = max((scan.end_ns for scan in scans if scan.total), default=0)
    monitors = _observe(scans, before)
    info = before or _from_bag(folder.name, scans, first_ns)
    stopped_ns = max(last_ns, info.started_ns)
    streams = _streams(monitors, stopped_ns, info)
    faults = (*info.faults, *([fault] if fault else []))
    duration_s = (stopped_ns - info.started_ns) / 1e9
    dataclasses.replace(
        info,
        stopped_ns=stopped_ns,
        stop_reason=info.stop_reason or "the recorder was interrupted",
        faults=faults,
        streams=streams,
        grade=grade(streams, duration_s, faults=info.faults, cautions=[fault] if fault else []),
        complete=True,
    ).save(folder)
    return True


def _set_aside(path: Path) -> None:
    """Rename a file, if it exists, to its name with `.unreadable` and, if necessary, a number."""
    free, number = path.with_name(path.name + UNREADABLE), 0
    while free.exists():
        number += 1
        free = path.with_name(f"{path.name}{UNREADABLE}.{number}")
    if path.exists():
        path.rename(free)


def _info_or_none(folder: Path) -> EpisodeInfo | None:
    try:
        return layout.load_info(folder)
    except LayoutError:
        return None  # missing or truncated; most of it is restored from the bag


def _observe(scans: Sequence[Scan], info: EpisodeInfo | None) -> dict[str, StreamMonitor]:
    """Return each topic's statistics since the episode's start."""
    ages = _ages(info.contract_text if info else "", info.topics if info else {})
    monitors: dict[str, StreamMonitor] = {}
    for scan in scans:
        for message in scan.messages():
            channel = scan.channels[message.channel]
            if channel.topic not in monitors:
                age_s = ages.get(channel.topic)
                monitors[channel.topic] = StreamMonitor(
                    channel.topic,
                    channel.type,
                    max_age_s=math.inf if age_s is None else age_s,
                    required=age_s is not None,
                )
            if info is None or message.log_ns >= info.started_ns:
                head = bytes(message.data[:STAMP_BYTES])
                known = len(head) == STAMP_BYTES and messages.known(channel.type)
                stamp_ns = messages.raw_stamp_ns(channel.type, head) if known else None
                monitors[channel.topic].observe(message.log_ns, len(message.data), stamp_ns)
    return monitors


def _ages(contract_text: str, topics: dict[str, str]) -> dict[str, float]:
    """Return the maximum age of every required topic, by its name in the bag."""
    if not contract_text:
        return {}
    try:
        loaded = contract.parse(contract_text, "the episode's contract")
    except ContractError:  # written by another version of this package; the bag is recovered anyway
        return {}
    return {
        topics.get(spec.topic, spec.topic): spec.max_age_s
        for spec in sorted(loaded.observations, key=lambda spec: -spec.max_age_s)
    }


def _streams(
    monitors: dict[str, StreamMonitor], stopped_ns: int, info: EpisodeInfo
) -> tuple[StreamInfo, ...]:
    found = {topic: monitor.info(stopped_ns) for topic, monitor in monitors.items()}
    for topic in _ages(info.contract_text, info.topics):
        found.setdefault(topic, StreamInfo(topic, "", required=True))
    return tuple(found.values())


def _from_bag(name: str, scans: Sequence[Scan], first_ns: int) -> EpisodeInfo:
    """Return the description that can be restored from the bag, which holds the contract."""
    recorded = next(
        (scan.metadata[CONTRACT_RECORD] for scan in scans if CONTRACT_RECORD in scan.metadata), {}
    )
    return EpisodeInfo(
        name=name,
        contract_name=recorded.get("name", ""),
        contract_hash=recorded.get("hash", ""),
        contract_text=recorded.get("text", ""),
        started_ns=first_ns,
        faults=("episode.json was missing or unreadable; its contents are lost",),
    )
