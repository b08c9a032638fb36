"""Record received messages as episodes, one bag each. The recorder node is a thin shell around this module.

recorder = EpisodeRecorder(options, contract, clock_ns)
joints = recorder.add_stream(RecordedStream("/joint_states", "sensor_msgs/msg/JointState", required=True))
recorder.receive(joints, raw)        # on every message, recording or not
recorder.start(Label(task="push")); ...; recorder.stop()
for event in recorder.poll(): ...    # periodically: ends episodes at their limits, returns events
"""

from __future__ import annotations

import shlex
import shutil
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.episodes import layout
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo, StreamInfo
from il_ros.episodes.recording.commands import CommandCounts
from il_ros.episodes.recording.episode_writer import EpisodeWriter, FreeBytes, OpenBag
from il_ros.episodes.recording.monitor import StreamMonitor
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions

_HEADER_BYTES = 12
"""CDR encapsulation, seconds and nanoseconds."""


class RecordError(RuntimeError):
    """An episode can't be started, stopped or marked; the message is for the operator."""


@dataclass(frozen=True)
class Event:
    """An event to report to the operator; `kind` is started, ended, saved or fault."""

    kind: str
    episode: str
    text: str


class Stream:
    """A received topic, with its live and its per-episode statistics. Times are node clock nanoseconds."""

    def __init__(self, spec: RecordedStream):
        self.spec = spec
        self._last_ns: int | None = None
        self._live, self._episode = self._monitor(), self._monitor()

    def observe(self, log_ns: int, raw: bytes, *, recording: bool) -> None:
        """Count a message; a message too short for a header has no stamp."""
        self._last_ns = log_ns
        stamp_ns = messages.raw_stamp_ns(self.spec.type, raw) if len(raw) >= _HEADER_BYTES else None
        self._live.observe(log_ns, len(raw), stamp_ns)
        if recording:
            self._episode.observe(log_ns, len(raw), stamp_ns)

    def lose(self, count: int, *, recording: bool) -> None:
        """Count messages that the middleware reports as lost."""
        self._live.lose(count)
        if recording:
            self._episode.lose(count)

    def begin_episode(self) -> None:
        """Reset the episode's statistics."""
        self._episode = self._monitor()

    def episode(self, now_ns: int) -> StreamInfo:
        """Return the statistics since the episode began."""
        return self._episode.info(now_ns)

    def take_live(self, now_ns: int) -> StreamInfo:
        """Return the live statistics and reset them."""
        info = self._live.info(now_ns)
        self._live = self._monitor()
        return info

    def silence(self, now_ns: int, allowed_s: float) -> str:
        """Return a description if this required stream is silent, else an empty string."""
        if not self.spec.required:
            return ""
        if self._last_ns is None:
            return f"{self.spec.topic} (never any)"
        silent_s = (now_ns - self._last_ns) / 1e9
        if self.spec.latched or silent_s <= max(allowed_s, self.spec.max_age_s):
            return ""
        return f"{self.spec.topic} (for {silent_s:.1f} s)"

    def _monitor(self) -> StreamMonitor:
        spec = self.spec
        return StreamMonitor(spec.topic, spec.type, max_age_s=spec.max_age_s, required=spec.required)


class PreRoll:
    """Buffers the messages of the last `span_s` seconds within `most_bytes`, and latched topics' newest."""

    def __init__(self, span_s: float, most_bytes: int):
        self._span_ns, self._most_bytes = round(span_s * 1e9), most_bytes
        self._recent: deque[tuple[RecordedStream, int, bytes]] = deque()
        self._latched: dict[str, tuple[RecordedStream, int, bytes]] = {}
        self.bytes = 0

    def add(self, spec: RecordedStream, log_ns: int, raw: bytes) -> None:
        """Add a message and drop old ones; when the clock jumps back, drop all earlier messages."""
        entry = (spec, log_ns, raw)
        if spec.latched:
            self._latched[spec.topic] = entry
        self._recent.append(entry)
        self.bytes += len(raw)
        while self._recent and not self._keeps(self._recent[0][1], log_ns):
            self.bytes -= len(self._recent.popleft()[2])

    def at(self, now_ns: int) -> list[tuple[RecordedStream, int, bytes, int]]:
        """Return the first messages of a bag started now: (spec, log time, bytes, publish time).

        An older latched message gets the first log time and keeps its reception as publish time.
        """
        recent = [entry for entry in self._recent if now_ns - self._span_ns < entry[1] <= now_ns]
        first_ns = min((log_ns for _, log_ns, _ in recent), default=now_ns)
        held = {id(entry) for entry in recent}
        older = [entry for entry in self._latched.values() if id(entry) not in held]
        return [(spec, first_ns, raw, log_ns) for spec, log_ns, raw in older] + [
            (spec, log_ns, raw, log_ns) for spec, log_ns, raw in recent
        ]

    def _keeps(self, oldest_ns: int, now_ns: int) -> bool:
        return now_ns - self._span_ns < oldest_ns <= now_ns and self.bytes <= self._most_bytes


class EpisodeRecorder:
    """Receives streams and records episodes. Call all methods from one thread.

    `clock_ns`: the node's clock, real or simulated. `wall`: returns the wall time.
    """

    def __init__(
        self,
        options: RecordOptions,
        contract: Contract | None,
        clock_ns: Callable[[], int],
        *,
        wall: Callable[[], datetime] = lambda: datetime.now(timezone.utc),
        free_bytes: FreeBytes = lambda path: shutil.disk_usage(path).free,
        open_bag: OpenBag | None = None,
    ):
        self.options, self.contract = options, contract
        self.streams: dict[str, Stream] = {}
        self.saved = 0
        """Episodes completed so far."""
        self.last: EpisodeWriter | None = None
        """The last stopped episode."""
        self._clock_ns, self._wall, self._free_bytes = clock_ns, wall, free_bytes
        self._open_bag = open_bag or _open_bag
        self._writer: EpisodeWriter | None = None
        self._unsaved: list[EpisodeWriter] = []
        self._events: list[Event] = []
        self._pre_roll = PreRoll(options.pre_roll_s, options.pre_roll_bytes)

    def add_stream(self, spec: RecordedStream) -> Stream:
        """Add a topic; a known topic gets the new spec (for another QoS) and keeps its statistics.

        Raises ValueError when the type is unknown.
        """
        messages.definition(spec.type)
        known = self.streams.get(spec.topic)
        if known:
            known.spec = spec
            return known
        self.streams[spec.topic] = Stream(spec)
        return self.streams[spec.topic]

    def receive(self, stream: Stream, raw: bytes) -> None:
        """Process a serialised message at its reception."""
        log_ns = self._clock_ns()
        stream.observe(log_ns, raw, recording=self._writer is not None)
        if self._writer:
            self._writer.put(stream.spec, log_ns, raw, log_ns)
        self._pre_roll.add(stream.spec, log_ns, raw)

    def start(self, label: Label = Label()) -> str:  # noqa: B008 - frozen
        """Begin an episode and return its name.

        Raises RecordError while one is running, when a required stream is silent, and when the disk is full
        or can't be written.
        """
        if self._writer:
            raise RecordError(f"{self._writer.info.name} is being recorded; stop or discard it first")
        silent = self.silent_streams()
        if silent:
            raise RecordError(f"not started, no messages on: {'; '.join(silent)}")
        now_ns = self._clock_ns()
        try:
            folder = self._claim()
            self._writer = self._begin(folder, label, now_ns)
        except OSError as error:
            raise RecordError(f"not started, {self.options.root} can't be written: {error}") from error
        for stream in self.streams.values():
            stream.begin_episode()
        for spec, log_ns, raw, publish_ns in self._pre_roll.at(now_ns):
            self._writer.put(spec, log_ns, raw, publish_ns)
        self._add_event("started", self._writer, f"recording into {folder}")
        return folder.name

    def stop(self, reason: str = "stopped") -> str:
        """End the episode and return its name; the writer thread saves it, and `poll` reports when done.

        Raises RecordError when none is running.
        """
        if not self._writer:
            raise RecordError("nothing is being recorded")
        writer, now_ns = self._writer, self._clock_ns()
        writer.finish(now_ns, reason, [stream.episode(now_ns) for stream in self.streams.values()])
        self._writer, self.last = None, writer
        self._unsaved.append(writer)
        self._add_event("fault" if writer.failure else "ended", writer, f"ended: {reason}")
        return writer.info.name

    def mark(self, outcome: str) -> str:
        """Set the outcome of the running or else the last episode; return the episode's name.

        Raises RecordError when there is none or it can't be saved.
        """
        writer = self._current("mark")
        if writer.discarded:
            undo = shlex.join(["il-ros", "episodes", "undo", str(writer.folder)])
            raise RecordError(
                f"{writer.info.name} is discarded and can't be marked; this restores it: {undo}"
            )
        try:
            writer.relabel(outcome)
        except (OSError, layout.LayoutError) as error:
            raise RecordError(f"{writer.info.name} not marked: {error}") from error
        return writer.info.name

    def discard(self, reason: str = "discarded") -> str:
        """Discard the running episode, which ends it, or else the last one; return the episode's name.

        Raises RecordError when there is none or it can't be saved.
        """
        writer = self._current("discard")
        if writer is self._writer:
            self.stop(reason)
        try:
            writer.discard(reason, self._wall().isoformat(timespec="seconds"))
        except OSError as error:
            raise RecordError(f"{writer.info.name} not discarded: {error}") from error
        return writer.info.name

    def poll(self) -> list[Event]:
        """End a failed or too long episode; return the events since the last call."""
        writer = self._writer
        if writer and writer.failure:
            self.stop(writer.failure)
        elif writer and self._clock_ns() - writer.info.started_ns >= self.options.max_duration_s * 1e9:
            self.stop(f"after max_duration_s = {self.options.max_duration_s:g}")
        for saved in [writer for writer in self._unsaved if writer.done.is_set()]:
            self._unsaved.remove(saved)
            self.saved += saved.info.complete
            grade = saved.info.grade
            words = "" if grade is None else "; ".join((grade.level, *grade.reasons))
            kind = "fault" if saved.info.faults else "saved"
            state = "saved" if saved.info.complete else "NOT COMPLETE"
            discarded = saved.info.complete and saved.discarded
            self._add_event(kind, saved, "discarded" if discarded else f"{state}, {words}")
        events, self._events = self._events, []
        return events

    def silent_streams(self) -> list[str]:
        """Return a description of each silent required stream.

        Silence is measured on the node's clock, so a paused simulator is not silent.
        """
        now_ns = self._clock_ns()
        words = [stream.silence(now_ns, self.options.silence_s) for stream in self.streams.values()]
        return [word for word in words if word]

    def live(self) -> list[StreamInfo]:
        """Return each stream's statistics since the last call."""
        now_ns = self._clock_ns()
        return [stream.take_live(now_ns) for stream in self.streams.values()]

    def lose(self, stream: Stream, count: int) -> None:
        """Count messages that the middleware reports as lost."""
        stream.lose(count, recording=self._writer is not None)

    @property
    def writer(self) -> EpisodeWriter | None:
        """The episode being recorded, or None."""
        return self._writer

    @property
    def saving(self) -> list[str]:
        """Names of the ended episodes that are not yet saved."""
        return [writer.info.name for writer in self._unsaved]

    def duration_s(self) -> float:
        """Return the running episode's duration on the node's clock; 0 when there is none."""
        return (self._clock_ns() - self._writer.info.started_ns) / 1e9 if self._writer else 0.0

    def close(self, timeout_s: float = 30.0) -> None:
        """End the running episode and wait until all episodes are saved.

        Raises RecordError naming the episodes not saved within `timeout_s`.
        """
        if self._writer:
            self.stop("the recorder was shut down")
        late = [writer.info.name for writer in self._unsaved if not writer.done.wait(timeout_s)]
        if late:
            raise RecordError(f"not saved within {timeout_s:g} s: {', '.join(late)}")

    def _claim(self) -> Path:
        root = self.options.root
        root.mkdir(parents=True, exist_ok=True)
        free, needed = self._free_bytes(root), self.options.min_free_disk_bytes
        if free < needed:
            raise RecordError(
                f"not started, {root} has {free >> 20} MiB free; {needed >> 20} MiB must stay free"
            )
        return layout.claim_next(root)

    def _begin(self, folder: Path, label: Label, now_ns: int) -> EpisodeWriter:
        contract = self.contract
        specs = [stream.spec for stream in self.streams.values()]
        info = EpisodeInfo(
            name=folder.name,
            task=label.task,
            operator=label.operator,
            instruction=label.instruction,
            seed=label.seed,
            made_from=label.made_from,
            contract_name=contract.name if contract else "",
            contract_hash=contract.hash if contract else "",
            contract_text=contract.text if contract else "",
            topics={spec.contract_topic: spec.topic for spec in specs if spec.contract_topic},
            decision_topic=next((spec.topic for spec in specs if spec.role == "decision"), ""),
            started_ns=now_ns,
            recorded_at=self._wall().isoformat(timespec="seconds"),
        )
        try:
            return EpisodeWriter(
                info,
                folder,
                self.options,
                specs,
                command_counts=CommandCounts(contract) if contract else None,
                free_bytes=self._free_bytes,
                open_bag=self._open_bag,
            )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # it is new and holds no message
            raise

    def _current(self, verb: str) -> EpisodeWriter:
        writer = self._writer or self.last
        if writer is None:
            raise RecordError(f"there is no episode to {verb} yet")
        return writer

    def _add_event(self, kind: str, writer: EpisodeWriter, text: str) -> None:
        self._events.append(Event(kind, writer.info.name, text))


def _open_bag(folder: Path, options: RecordOptions) -> BagWriter:
    return BagWriter(
        folder,
        chunk_bytes=options.chunk_bytes,
        compression=options.compression,
        checksums=options.checksums,
    )
