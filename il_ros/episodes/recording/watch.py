"""Whether the streams can be recorded: silent, ahead of the clock, of two publishers, or useless for learning."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from il_ros.core.contract import Contract
from il_ros.episodes.recording.clock import Clock
from il_ros.episodes.recording.grade import wrong_clock
from il_ros.episodes.recording.options import RecordOptions
from il_ros.episodes.recording.stream import Stream
from il_ros.episodes.recording.usability import UsabilityCheck

CHECK_S = 1.0
"""Interval of the node's clock between checks that the streams give observations."""


class StreamWatch:
    """Watches a recorder's streams, before and while it records.

    `streams`: the recorder's, by topic. `now_ns`: the clock of the log times.
    """

    def __init__(
        self,
        options: RecordOptions,
        contract: Contract | None,
        streams: Mapping[str, Stream],
        now_ns: Clock,
    ) -> None:
        self._options, self._streams, self._now_ns = options, streams, now_ns
        self.publishers: Callable[[str], Sequence[str]] = lambda topic: ()
        """Returns the names of a topic's publishers, where they are known."""
        self._usability = None if contract is None else UsabilityCheck(contract, options.optional)
        self._checked_ns: int | None = None
        self._unusable: dict[str, str] = {}
        self._lost: dict[str, str] = {}

    def receive(self, stream: Stream, raw: bytes, log_ns: int) -> None:
        """Process a serialised message at its reception."""
        if self._usability and stream.spec.contract_topic:
            self._usability.receive(stream.spec.contract_topic, raw, log_ns)

    def begin(self) -> None:
        """Begin an episode: `refused` and `changes` count from here."""
        self._lost = {}
        if self._usability:
            self._usability.begin()

    @property
    def refused(self) -> dict[str, tuple[float, str]]:
        """By observation, the share of the episode's checks in which it was not made, and the last reason."""
        return self._usability.refused if self._usability else {}

    def check(self) -> None:
        """Make each observation from its newest messages."""
        now_ns = self._checked_ns = self._now_ns()
        self._unusable = self._usability.look(now_ns) if self._usability else {}

    def obstacle(self) -> str:
        """Return why no episode can start now; "" when one can. Checks the observations if nothing else is wrong."""
        if silent := self.silent():
            return f"no messages on: {'; '.join(silent)}"
        wrong = self.wrong_clocks()
        wrong += [self.two_publishers(stream) for stream in self._streams.values() if stream.fault]
        if wrong:
            return "; ".join(wrong)
        self.check()
        needed = [why for key, why in self._unusable.items() if key not in self._options.optional]
        return f"nothing could be learnt: {'; '.join(needed)}" if needed else ""

    def check_in_time(self) -> None:
        """Check the observations when CHECK_S passed since the last check, or the clock was set back."""
        if self._checked_ns is None or not 0 <= self._now_ns() - self._checked_ns < CHECK_S * 1e9:
            self.check()

    def changes(self, others: Mapping[str, str]) -> list[tuple[str, str]]:
        """Return an event's kind and text for each stream that is lost or restored since the last call.

        `others`: what else is wrong now, a sentence by its name.
        """
        wrong = dict(self._unusable)
        for stream in self._streams.values():
            if silence := stream.silence(self._now_ns(), self._options.silence_s):
                wrong[f"topic {stream.spec.topic}"] = f"no messages on {silence}"
        wrong |= others
        lost = [("warning", reason) for name, reason in wrong.items() if name not in self._lost]
        restored = [("restored", f"{name} can be used again") for name in self._lost if name not in wrong]
        self._lost = wrong
        return lost + restored

    def silent(self, *, optional: bool = False) -> list[str]:
        """Return a description of each silent stream, of the required or of the `optional` ones.

        Silence is measured on the node's clock, so a paused simulator is not silent.
        """
        now_ns, silence_s = self._now_ns(), self._options.silence_s
        asked = [stream for stream in self._streams.values() if stream.spec.optional == optional]
        return [word for stream in asked if (word := stream.silence(now_ns, silence_s))]

    def wrong_clocks(self) -> list[str]:
        """Return a description of each required stream whose recent stamps are ahead of the clock."""
        words = [wrong_clock(stream.recent(), self._options.ahead_s) for stream in self._streams.values()]
        return [word for word in words if word]

    def two_publishers(self, stream: Stream) -> str:
        """Return the sentence of a stream's joint that two publishers give, with their names."""
        names = ", ".join(self.publishers(stream.spec.topic))
        return f"{stream.spec.topic}: {stream.fault}" + (
            f"; the topic's publishers: {names}" if names else ""
        )

    def problems(self) -> list[str]:
        """Return a sentence for each observation that could not be made at the last check."""
        return list(self._unusable.values())
