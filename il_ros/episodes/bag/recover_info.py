"""Complete the `episode.json` of an episode whose recorder did not come to it, from what its bag holds."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

from il_ros.core import contract, messages
from il_ros.core.contract import ContractError
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.layout import EpisodeInfo, LayoutError, StreamInfo
from il_ros.episodes.recording.grade import grade
from il_ros.episodes.recording.monitor import StreamMonitor

STAMP_BYTES = 12


def complete_info(folder: Path, scan: Scan, fault: str) -> bool:
    """Bring `episode.json` up to what the bag holds; `scan` is unread.

    Returns False when it was complete already, or the folder is not named as an episode.
    """
    try:
        layout.episode_number(folder.name)
    except LayoutError:
        return False
    before = _known(folder)
    if before is not None and before.complete:
        return False
    first_ns, last_ns, monitors = _observe(scan, before)
    info = before or _from_bag(folder.name, scan, first_ns)
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
        grade=grade(streams, duration_s, faults=faults),
        complete=True,
    ).save(folder)
    return True


def _known(folder: Path) -> EpisodeInfo | None:
    try:
        return layout.load_info(folder)
    except LayoutError:
        return None  # it never came to be written, or is cut off: the bag tells most of it


def _observe(scan: Scan, info: EpisodeInfo | None) -> tuple[int, int, dict[str, StreamMonitor]]:
    """Return first and last log time, and each topic's statistics from the start on."""
    ages = _ages(info.contract_text if info else "", info.topics if info else {})
    monitors: dict[str, StreamMonitor] = {}
    first_ns = last_ns = 0
    empty = True
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
        first_ns = message.log_ns if empty else min(first_ns, message.log_ns)
        last_ns, empty = max(last_ns, message.log_ns), False
        if info is None or message.log_ns >= info.started_ns:
            head = bytes(message.data[:STAMP_BYTES])
            known = len(head) == STAMP_BYTES and messages.known(channel.type)
            stamp_ns = messages.raw_stamp_ns(channel.type, head) if known else None
            monitors[channel.topic].observe(message.log_ns, len(message.data), stamp_ns)
    return first_ns, last_ns, monitors


def _ages(contract_text: str, topics: dict[str, str]) -> dict[str, float]:
    """Return the maximal age of every required topic, by its name in the bag."""
    if not contract_text:
        return {}
    try:
        loaded = contract.parse(contract_text, "the episode's contract")
    except ContractError:  # of another version of this package; the bag is worth saving all the same
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


def _from_bag(name: str, scan: Scan, first_ns: int) -> EpisodeInfo:
    """Return what the bag alone tells; it holds the contract."""
    told = scan.metadata.get("il_ros.contract", {})
    return EpisodeInfo(
        name=name,
        contract_name=told.get("name", ""),
        contract_hash=told.get("hash", ""),
        contract_text=told.get("text", ""),
        started_ns=first_ns,
        faults=("episode.json was missing or unreadable; what it said is lost",),
    )
