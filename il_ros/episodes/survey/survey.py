"""What was seen of the running graph within a few seconds, topic by topic. Needs no ROS; `nodes/survey` looks."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from il_ros.core import messages
from il_ros.core.messages import Message, MessageError
from il_ros.core.units import UnitSuspicion
from il_ros.episodes.layout import StreamInfo


@dataclass(frozen=True)
class GraphEndpoint:
    """A publisher or subscriber by its node's full name. `latched`: transient local."""

    node: str
    reliable: bool = True
    latched: bool = False


@dataclass(frozen=True)
class SeenTopic:
    """One topic. `info`: statistics of its messages; `samples`: some of them (CDR), the newest last.

    `joints`: names that the node behind the topic declares in its parameter `joints`, as controllers of ros2_control
    do.
    `fault`: why a joint has two publishers, "" if none has.
    """

    name: str
    types: tuple[str, ...]
    publishers: tuple[GraphEndpoint, ...] = ()
    subscribers: tuple[GraphEndpoint, ...] = ()
    info: StreamInfo | None = None
    samples: tuple[bytes, ...] = ()
    joints: tuple[str, ...] = ()
    fault: str = ""

    @property
    def type(self) -> str:
        """Its type, the first of several."""
        return self.types[0]

    @property
    def messages(self) -> int:
        """How many messages arrived."""
        return 0 if self.info is None else self.info.messages

    @property
    def rate_hz(self) -> float:
        """Messages per second, 0 while unknown."""
        return 0.0 if self.info is None or self.info.rate_hz is None else self.info.rate_hz

    @property
    def newest(self) -> Message | None:
        """The newest of the kept messages that can be read, None without one."""
        for raw in reversed(self.samples):
            with contextlib.suppress(MessageError):
                return messages.decode(self.type, raw)
        return None


@dataclass(frozen=True)
class GraphSurvey:
    """The topics by full name, watched for `seconds`.

    `description`: the robot's URDF from `/robot_description`, "" if nobody publishes it. `unusable`: by observation
    key of a contract, why it cannot be made from the newest messages. `simulated`: time is that of /clock.
    `suspicions`: by observation key, a number that looks like one of another unit.
    """

    topics: Mapping[str, SeenTopic]
    seconds: float
    description: str = field(default="", repr=False)
    unusable: Mapping[str, str] = field(default_factory=dict)
    simulated: bool = False
    suspicions: Mapping[str, UnitSuspicion] = field(default_factory=dict)
