"""An opened bag, its messages, and the errors of its readers."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from il_ros.episodes.bag import clock_steps
from il_ros.episodes.bag.clock_steps import Step
from il_ros.episodes.bag.recovery.damage import DamagedSpan

RECOVER = "il-ros episodes recover"


class BagError(ValueError):
    """A bag can't be read; the message names the file and says what to do."""


class UnfinishedBagError(BagError):
    """The recorder never closed the file; `il-ros episodes recover` makes it readable."""


class BeingRecordedError(UnfinishedBagError):
    """A process still writes the file."""


class BagMessage(NamedTuple):
    """One message of a bag: `raw` is CDR, `log_ns` the time of reception on the recorder's clock."""

    topic: str
    type: str
    raw: bytes
    log_ns: int


@dataclass(frozen=True)
class TopicSummary:
    """Type and number of messages of one topic in a bag, and the type's definition there, "" without one.

    `language`: that of the definition, as in MCAP: 'ros2msg' or 'ros2idl'.
    """

    type: str
    messages: int
    definition: str = field(default="", repr=False, compare=False)
    language: str = field(default="", repr=False, compare=False)


Messages = Callable[[Collection[str] | None], Iterator[BagMessage]]


@dataclass(frozen=True)
class Bag:
    """A readable bag. `start_ns`..`end_ns`: first and last log time, zero when the bag is empty.

    `metadata`: named texts inside the file, such as the contract. `damage`: what is missing of a recording
    that is split into several files. `files`: the whole files, in order, in which a step of the clock can show.
    """

    path: Path
    topics: Mapping[str, TopicSummary]
    start_ns: int
    end_ns: int
    source: Messages = field(repr=False, compare=False)
    metadata: Mapping[str, Mapping[str, str]] = field(default_factory=dict, repr=False)
    damage: tuple[DamagedSpan, ...] = ()
    files: tuple[Path, ...] = ()

    @property
    def messages_total(self) -> int:
        """Number of messages on all topics."""
        return sum(topic.messages for topic in self.topics.values())

    @property
    def duration_s(self) -> float:
        """Time from the first message to the last."""
        return (self.end_ns - self.start_ns) / 1e9

    def messages(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield the messages, or those of `topics`, by log time; messages of equal time in file order.

        Raises BagError, possibly after some messages, when the file is damaged.
        """
        return self.source(topics)

    @cached_property
    def step(self) -> Step | None:
        """The first moment at which the recorder's clock was set back, None if it never was.

        Raises BagError when the file is damaged.
        """
        try:
            return clock_steps.find(self.files)
        except Exception as error:  # the parser raises whatever its step ran into
            raise BagError(
                f"{self.path}: is damaged ({type(error).__name__}: {error}); "
                f"to save what can be read: {RECOVER} {self.path}"
            ) from error

    def before_step(self, topics: Collection[str] | None = None) -> Iterator[BagMessage]:
        """Yield as `messages` does, but only what was written before the recorder's clock was set back.

        Later log times are of a time that had been recorded already: sorted, the two would be mixed.
        """
        if self.step is None:
            return self.messages(topics)
        keep = self.step.filter()
        return (message for message in self.messages(topics) if keep(message.topic, message.log_ns))
