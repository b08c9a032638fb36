"""The `metadata.yaml` of a rosbag2 directory.

Format version 8 is the newest that stores QoS profiles as text: `ros2 bag` of Humble and later distributions
(rosbag2_storage/yaml.hpp), `rosbags` and Foxglove read it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import yaml

VERSION = 8
_FOREVER = {"sec": 2147483647, "nsec": 4294967295}


@dataclass(frozen=True)
class Qos:
    """The quality of service that a publisher offers, as the enumerators of rmw/types.h.

    history: 1 keep last, 2 keep all, 3 unknown. reliability: 1 reliable, 2 best effort. durability:
    1 transient local, 2 volatile. Deadline, lifespan and liveliness are written as unlimited.
    """

    reliability: int = 1
    durability: int = 2
    history: int = 3
    depth: int = 0

    def __post_init__(self) -> None:
        for name, allowed in (("reliability", (1, 2)), ("durability", (1, 2)), ("history", (1, 2, 3))):
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be one of {allowed}")

    def to_yaml(self) -> str:
        """Return the text of `offered_qos_profiles`."""
        profile = {
            "history": self.history,
            "depth": self.depth,
            "reliability": self.reliability,
            "durability": self.durability,
            "deadline": dict(_FOREVER),
            "lifespan": dict(_FOREVER),
            "liveliness": 1,
            "liveliness_lease_duration": dict(_FOREVER),
            "avoid_ros_namespace_conventions": False,
        }
        return yaml.safe_dump([profile], sort_keys=False).strip()


@dataclass(frozen=True)
class Topic:
    """One topic of a bag. `hash` is the type's RIHS01 hash, empty when unknown; `encoding` that of its data."""

    name: str
    type: str
    messages: int = 0
    qos: str = ""
    hash: str = ""
    encoding: str = "cdr"


@dataclass(frozen=True)
class BagSummary:
    """The contents of a bag; times are log times in nanoseconds, zero when it holds no message.

    `parts`: the files of a split recording; `file` is then empty. `compression`: format and mode ('zstd',
    'MESSAGE') of messages that rosbag2 compressed one by one; empty otherwise.
    """

    file: str
    topics: Sequence[Topic] = ()
    start_ns: int = 0
    end_ns: int = 0
    distro: str = "jazzy"
    custom: Mapping[str, str] = field(default_factory=dict)
    parts: Sequence[BagSummary] = ()
    compression: tuple[str, str] = ("", "")

    @property
    def messages(self) -> int:
        """Number of messages on all topics."""
        return sum(topic.messages for topic in self.topics)


def render(summary: BagSummary) -> str:
    """Return the text of `metadata.yaml`."""
    return yaml.safe_dump({"rosbag2_bagfile_information": _information(summary)}, sort_keys=False)


def render_information(summary: BagSummary) -> str:
    """Return the text that rosbag2 also stores in the MCAP file, as the metadata record 'rosbag2'."""
    return yaml.safe_dump(_information(summary), sort_keys=False).strip()


def merge(parts: Sequence[BagSummary]) -> BagSummary:
    """Return the summary of a recording that consists of one or more files."""
    if len(parts) == 1:
        return parts[0]
    topics: dict[str, Topic] = {}
    for topic in (topic for part in parts for topic in part.topics):
        before = topics.get(topic.name)
        count = topic.messages + (before.messages if before else 0)
        topics[topic.name] = replace(before or topic, messages=count)
    filled = [part for part in parts if part.messages]
    return BagSummary(
        "",
        list(topics.values()),
        min((part.start_ns for part in filled), default=0),
        max((part.end_ns for part in filled), default=0),
        parts[0].distro,
        parts[0].custom,
        parts,
    )


def _information(summary: BagSummary) -> dict[str, Any]:
    duration, start = _times(summary)
    parts = summary.parts or (summary,)
    return {
        "version": VERSION,
        "storage_identifier": "mcap",
        "duration": duration,
        "starting_time": start,
        "message_count": summary.messages,
        "topics_with_message_count": [_topic(topic) for topic in summary.topics],
        "compression_format": summary.compression[0],  # rosbag2 does not list that of chunks in the file
        "compression_mode": summary.compression[1],
        "relative_file_paths": [part.file for part in parts],
        "files": [_file(part) for part in parts],
        "custom_data": dict(summary.custom),
        "ros_distro": summary.distro,
    }


def _file(part: BagSummary) -> dict[str, Any]:
    duration, start = _times(part)
    return {
        "path": part.file,
        "starting_time": start,
        "duration": duration,
        "message_count": part.messages,
    }


def _times(summary: BagSummary) -> tuple[dict[str, int], dict[str, int]]:
    """Return duration and starting time."""
    return (
        {"nanoseconds": max(0, summary.end_ns - summary.start_ns)},
        {"nanoseconds_since_epoch": summary.start_ns},
    )


def _topic(topic: Topic) -> dict[str, Any]:
    return {
        "topic_metadata": {
            "name": topic.name,
            "type": topic.type,
            "serialization_format": topic.encoding,
            "offered_qos_profiles": topic.qos,
            "type_description_hash": topic.hash,
        },
        "message_count": topic.messages,
    }
