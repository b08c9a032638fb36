"""A recorder's inputs: options, the label of the next episode, and the streams to record."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import dataclass
from numbers import Integral
from pathlib import Path

from il_ros.core.contract import Contract
from il_ros.episodes.bag.mcap_file import CHUNK_BYTES, COMPRESSIONS
from il_ros.episodes.bag.metadata import Qos
from il_ros.episodes.recording.grade import SHORTEST_S

MIB = 1024 * 1024
AHEAD_S, AHEAD_SIMULATED_S = 0.02, 0.2
"""Defaults of `RecordOptions.ahead_s`; simulated time may be published less often than the sensors."""


@dataclass(frozen=True)
class RecordOptions:
    """Where and how to record. Byte limits are of memory unless their names say disk."""

    root: Path
    pre_roll_s: float = 0.5
    """Time before the start whose messages are written to the bag, outside the demonstration."""
    pre_roll_bytes: int = 256 * MIB
    max_duration_s: float = math.inf
    min_free_disk_bytes: int = 1024 * MIB
    """With less free space no episode is started, and a running one ends."""
    disk_warning_s: float = 1800.0
    """Less time until the disk is full, at the present rate, is a warning; 0: none."""
    compression: str = "none"
    chunk_bytes: int = CHUNK_BYTES
    checksums: bool = True
    flush_s: float = 0.25
    """Maximum time of messages lost when the process is killed."""
    sync_s: float = 5.0
    """Approximate maximum time of messages lost in a power failure."""
    queue_bytes: int = 1024 * MIB
    """Maximum size of queued messages; a longer queue ends the episode."""
    silence_s: float = 1.0
    """A required stream is silent after this time without a message, or after its max_age_s if longer."""
    ahead_s: float = AHEAD_S
    """A required stream whose stamps are further ahead of the recorder's clock (median) has a wrong clock."""
    shortest_s: float = SHORTEST_S
    """A shorter episode is graded poor."""
    simulated: bool = False
    """Time is simulated: a stream is stale by its stamps, however late the recorder handles its messages."""
    optional: tuple[str, ...] = ()
    """Keys of observations that may be missing: their silence is a warning, and an episode starts without them."""

    def __post_init__(self) -> None:
        if self.compression not in COMPRESSIONS:
            raise ValueError(
                f"compression is '{self.compression}'; it must be one of: {', '.join(COMPRESSIONS)}"
            )
        for name in ("pre_roll_s", "min_free_disk_bytes", "disk_warning_s", "ahead_s", "shortest_s"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it can't be negative")
        for name in ("pre_roll_bytes", "max_duration_s", "chunk_bytes", "flush_s", "sync_s", "queue_bytes"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be positive")
        if self.flush_s > 1:
            raise ValueError(f"flush_s is {self.flush_s}; a kill must cost at most 1 s")


@dataclass(frozen=True)
class Label:
    """The description of the next episode that the operator or the simulator gives.

    Raises ValueError unless all are texts, and the seed a whole number or None.
    """

    task: str = ""
    operator: str = ""
    instruction: str = ""
    seed: int | None = None
    made_from: str = ""

    def __post_init__(self) -> None:
        for name in ("task", "operator", "instruction", "made_from"):
            if not isinstance(value := getattr(self, name), str):
                raise ValueError(f"{name} is {value!r}; it must be a text")
        if self.seed is not None:
            if not isinstance(self.seed, Integral) or isinstance(self.seed, bool):
                raise ValueError(f"seed is {self.seed!r}; it must be a whole number or None")
            object.__setattr__(self, "seed", int(self.seed))  # NumPy's integers are not JSON


@dataclass(frozen=True)
class RecordedStream:
    """A topic to record, by its full name. `contract_topic`: its name in the contract; may be empty.

    `required`: no episode starts while it is silent. `optional`: its silence is a warning.
    `latched`: its last message stays valid until the next,
    and is written at the beginning of every episode. `role`: 'decision' for the supervisor's decisions,
    'command' for a topic that the contract commands, else 'data'. `by_arrival`: the contract ignores its stamps.
    """

    topic: str
    type: str
    required: bool = False
    optional: bool = False
    max_age_s: float = math.inf
    latched: bool = False
    qos: Qos | None = None
    contract_topic: str = ""
    role: str = "data"
    by_arrival: bool = False


def contract_streams(
    contract: Contract, resolve: dict[str, str], optional: Collection[str] = ()
) -> list[RecordedStream]:
    """Return the streams of a contract; `resolve` gives each contract topic its full name.

    Observed topics are required, but those of `optional` observations alone; command topics may be silent before the
    demonstration, and static transforms need not exist. Raises ValueError if `optional` names no observation.
    """
    known = [spec.key for spec in contract.observations]
    unknown = sorted(set(optional) - set(known))
    if unknown:
        raise ValueError(
            f"optional: '{unknown[0]}' is no observation of contract '{contract.name}'; it has: {', '.join(known)}"
        )
    required = {topic for spec in contract.observations if spec.key not in optional for topic in spec.topics}
    ages: dict[str, float] = {}
    for spec in contract.observations:
        ages[spec.topic] = min(spec.max_age_s, ages.get(spec.topic, math.inf))
    commanded = {spec.topic for spec in contract.actions}
    by_header = {spec.topic for spec in contract.observations if spec.stamp == "header"}
    return [
        RecordedStream(
            resolve[topic],
            type_name,
            required=topic in ages and topic in required,
            optional=topic in ages and topic not in required,
            max_age_s=ages.get(topic, math.inf),
            contract_topic=topic,
            role="command" if topic in commanded else "data",
            by_arrival=topic in ages and topic not in by_header,
        )
        for topic, type_name in contract.topics.items()
    ]
