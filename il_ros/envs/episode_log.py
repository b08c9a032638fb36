"""Records the episodes of one process as ordinary bags, on simulated time; reading and training need nothing else.

Of an environment that ends after a few steps, a short episode is a whole one: the grade has no shortest length.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.specs import STRING
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder, RecordError
from il_ros.episodes.recording.stream import Stream
from il_ros.records.decision import Decision, to_json
from il_ros.records.outcomes import FAILURE, SUCCESS, UNMARKED

DECISIONS = "/dagger_supervisor/decision"
SAVED_WITHIN_S = 60.0


class EpisodeLog:
    """A `Tap` that records: `begin`, then messages and one decision per tick, then `end`.

    `root`: the folder of the episodes. `types`: type by topic of further messages to record, such as a reward.
    An episode without any decision leaves no bag. Raises RecordError when the disk is full or can't be written.
    """

    def __init__(self, contract: Contract, root: str | Path, types: Mapping[str, str] | None = None) -> None:
        self.contract, self.root = contract, Path(root)
        self._now_ns = 0
        options = RecordOptions(self.root, pre_roll_s=0.0, shortest_s=0.0, simulated=True)
        self._recorder = EpisodeRecorder(options, contract, lambda: self._now_ns)
        self._streams: dict[str, Stream] = {}
        for spec in contract_streams(contract, {topic: _full(topic) for topic in contract.topics}):
            self._streams[spec.contract_topic] = self._recorder.add_stream(spec)
        for topic, type_name in (types or {}).items():
            if topic not in self._streams:
                self._streams[topic] = self._recorder.add_stream(RecordedStream(_full(topic), type_name))
        self._decisions = self._recorder.add_stream(RecordedStream(DECISIONS, STRING, role="decision"))
        self._label = Label()
        self._held: list[tuple[str, bytes]] = []
        self._started = self._decided = False

    @property
    def recording(self) -> bool:
        """Whether an episode has begun with a decision and has not ended."""
        return self._started

    def begin(self, label: Label) -> None:
        """Begin an episode; raises RecordError while one is being recorded."""
        if self._started:
            raise RecordError("an episode is being recorded; end it first")
        self._label, self._decided = label, False
        self._held.clear()

    def message(self, topic: str, type_name: str, raw: bytes, time_ns: int) -> None:
        """Record a message; of topics that are neither the contract's nor in `types`, nothing is recorded."""
        if time_ns != self._now_ns:
            self._write_held()
            self._now_ns, self._decided = time_ns, False
        if topic in self._streams:
            self._held.append((topic, raw))
            if self._decided:
                self._write_held()

    def decision(self, decision: Decision) -> None:
        """Record the decision of the present tick, at whose time it is stamped; the first one begins the recording."""
        if not self._started:
            for topic, raw in self._held:  # an episode begins only when every stream has a message
                self._recorder.receive(self._streams[topic], raw)
            self._recorder.start(self._label)
            self._started = True
        self._write_held()
        stamped = replace(decision, stamp_ns=self._now_ns, sent_ns=self._now_ns)
        raw = messages.encode(STRING, messages.make(STRING, data=to_json(stamped)))
        self._recorder.receive(self._decisions, raw)
        self._decided = True

    def end(self, outcome: str = UNMARKED, reason: str = "ended") -> Path | None:
        """End the episode and wait until it is saved; return its folder, None without a decision.

        Raises RecordError when it could not be saved completely.
        """
        self._write_held()
        if not self._started:
            return None
        self._started = False
        if outcome != UNMARKED:
            self._recorder.mark(outcome)
        self._recorder.stop(reason)
        writer = self._recorder.last
        assert writer is not None
        if not writer.done.wait(SAVED_WITHIN_S):
            raise RecordError(f"{writer.folder}: not saved within {SAVED_WITHIN_S:g} s")
        self._recorder.poll()
        if not writer.info.complete:
            raise RecordError(f"{writer.folder}: {'; '.join(writer.info.faults) or 'not complete'}")
        return writer.folder

    def close(self, reason: str = "closed") -> None:
        """End an episode that is being recorded, unmarked."""
        self.end(UNMARKED, reason)

    def _write_held(self) -> None:
        """Record the messages of the present tick, the trigger last: it starts the tick, with what came before it."""
        if self._started:
            for topic, raw in sorted(self._held, key=lambda each: each[0] == self.contract.trigger):
                self._recorder.receive(self._streams[topic], raw)
        self._held.clear()


def outcome_of(success: bool | None) -> str:
    """Return the word for an episode's success; None: not known."""
    return UNMARKED if success is None else SUCCESS if success else FAILURE


def _full(topic: str) -> str:
    return f"/{topic.lstrip('/')}"
