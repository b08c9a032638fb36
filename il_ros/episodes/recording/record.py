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
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timezone
from functools import partial
from pathlib import Path

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.episodes import layout
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.doctor.live import TakeHistory
from il_ros.episodes.layout import EpisodeInfo, StreamInfo
from il_ros.episodes.recording.checks import TakeChecks
from il_ros.episodes.recording.clock import Clock, RecordingClock, said
from il_ros.episodes.recording.commands import CommandCounts
from il_ros.episodes.recording.disk import DiskTime, FreeBytes
from il_ros.episodes.recording.episode_writer import EpisodeWriter, OpenBag
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions
from il_ros.episodes.recording.pre_roll import PreRoll
from il_ros.episodes.recording.stream import Stream
from il_ros.episodes.recording.watch import StreamWatch
from il_ros.records.outcomes import SUCCESS, UNMARKED
from il_ros.records.rating import Rating


class RecordError(RuntimeError):
    """An episode can't be started, stopped or marked; the message is for the operator."""


@dataclass(frozen=True)
class Event:
    """An event to report to the operator; `kind` is started, ended, saved, fault, warning or restored.

    warning: a stream is lost or can't be used while an episode is recorded. restored: it can be used again.
    """

    kind: str
    episode: str
    text: str


class EpisodeRecorder:
    """Receives streams and records episodes. Call all methods from one thread.

    `clock_ns`: the node's clock, real or simulated. `steady_ns`: a clock that cannot be set, where time is not
    simulated; see RecordingClock. When the node's clock is set, a running episode ends with a fault.
    `wall`: returns the wall time.
    """

    def __init__(
        self,
        options: RecordOptions,
        contract: Contract | None,
        clock_ns: Clock,
        *,
        steady_ns: Clock | None = None,
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
        self.disk = DiskTime(options.root, options.min_free_disk_bytes, free_bytes)
        self._clock = RecordingClock(clock_ns, steady_ns)
        self.watch = StreamWatch(options, contract, self.streams, self._clock.now_ns)
        self._wall, self._free_bytes = wall, free_bytes
        self._open_bag = open_bag or _open_bag
        self._writer: EpisodeWriter | None = None
        self._unsaved: list[EpisodeWriter] = []
        self._events: list[Event] = []
        self._told: set[str] = set()
        self.two_clocks: Callable[[], str] = lambda: ""
        """Returns a sentence if two nodes publish simulated time, else ""."""
        self._pre_roll = PreRoll(options.pre_roll_s, options.pre_roll_bytes)
        self._new_checks = partial(TakeChecks, contract, TakeHistory(contract)) if contract else None

    def add_stream(self, spec: RecordedStream) -> Stream:
        """Add a topic; a known topic gets the new spec (for another QoS) and keeps its statistics.

        Raises ValueError when the type is unknown.
        """
        messages.definition(spec.type)
        known = self.streams.get(spec.topic)
        if known:
            known.spec = spec
            return known
        every = self.contract.observations if self.contract else ()
        observations = [each for each in every if each.topic == spec.contract_topic]
        self.streams[spec.topic] = Stream(spec, observations, simulated=self.options.simulated)
        return self.streams[spec.topic]

    def receive(self, stream: Stream, raw: bytes) -> None:
        """Process a serialised message at its reception."""
        self._notice_step()
        log_ns = self._clock.now_ns()
        self.disk.count(len(raw))
        stream.observe(log_ns, raw, recording=self._writer is not None)
        if self._writer:
            self._writer.put(stream.spec, log_ns, raw, log_ns)
            if stream.fault and stream.spec.topic not in self._told:
                self._told.add(stream.spec.topic)
                fault = self.watch.two_publishers(stream)
                self._writer.add_fault(fault)
                self._add_event("fault", self._writer, fault)
        self._pre_roll.add(stream.spec, log_ns, raw)
        self.watch.receive(stream, raw, log_ns)

    def start(self, label: Label = Label()) -> str:  # noqa: B008 - frozen
        """Begin an episode and return its name.

        Raises RecordError while one is running, when a required stream or joint is silent or gives no observation,
        when its stamps are ahead of the clock, when a joint has two publishers, and when the disk is full or can't
        be written. What an optional stream lacks is a warning of `poll`.
        """
        self._notice_step()
        if self._writer:
            raise RecordError(f"{self._writer.info.name} is being recorded; stop or discard it first")
        if why := self.watch.obstacle():
            raise RecordError(f"not started, {why}")
        now_ns = self._clock.now_ns()
        try:
            folder = self._claim()
            self._writer = self._begin(folder, label, now_ns)
        except OSError as error:
            raise RecordError(f"not started, {self.options.root} can't be written: {error}") from error
        self._told.clear()
        self.watch.begin()
        for stream in self.streams.values():
            stream.begin_episode()
        for spec, log_ns, raw, publish_ns in self._pre_roll.at(now_ns):
            self._writer.put(spec, log_ns, raw, publish_ns)
        self._add_event("started", self._writer, f"recording into {folder}")
        return folder.name

    def stop(self, reason: str = "stopped", *, fault: str = "") -> str:
        """End the episode and return its name; the writer thread saves it, and `poll` reports when done.

        `fault`: a sentence that makes the episode poor.
        Raises RecordError when none is running.
        """
        if not self._writer:
            ended = f"; {self.last.info.name} ended: {self.last.info.stop_reason}" if self.last else ""
            raise RecordError(f"nothing is being recorded{ended}")
        writer, now_ns = self._writer, self._clock.now_ns()
        if fault:
            writer.add_fault(fault)
        self.watch.check()
        writer.finish(
            now_ns, reason, [stream.episode(now_ns) for stream in self.streams.values()], self.watch.refused
        )
        self._writer, self.last = None, writer
        self._unsaved.append(writer)
        self._add_event("fault" if writer.failure or fault else "ended", writer, f"ended: {reason}")
        return writer.info.name

    def mark(self, outcome: str, by: str = "") -> str:
        """Set the outcome of the running or else the last episode; return the episode's name.

        `by`: the model that gave it; "": a person or a program.

        Raises RecordError when there is none or it can't be saved.
        """
        writer = self._current("mark")
        if writer.discarded:
            undo = shlex.join(["il-ros", "episodes", "undo", str(writer.folder)])
            raise RecordError(
                f"{writer.info.name} is discarded and can't be marked; this restores it: {undo}"
            )
        try:
            writer.relabel(outcome, self._clock.now_ns() if writer is self._writer else None, by)
        except (OSError, layout.LayoutError) as error:
            raise RecordError(f"{writer.info.name} not marked: {error}") from error
        return writer.info.name

    def end_as_judged(self, rating: Rating) -> bool:
        """End the running episode as a success if a model is sure of it; return whether it ends.

        A person's verdict stays: an episode that has one is ended by the person.
        """
        running = self._writer
        if not rating.ends or running is None or rating.episode != running.info.name:
            return False
        if running.info.outcome != UNMARKED:
            return False
        self.mark(SUCCESS, by=rating.words())
        self.stop(f"success by model {rating.words()}")
        return True

    def discard(self, reason: str = "") -> str:
        """Discard the running episode, which ends it, or else the last one; return the episode's name.

        Raises RecordError when there is none or it can't be saved.
        """
        writer = self._current("discard")
        if writer is self._writer:
            self.stop(reason or "discarded")
        try:
            writer.discard(reason, self._wall().isoformat(timespec="seconds"))
        except OSError as error:
            raise RecordError(f"{writer.info.name} not discarded: {error}") from error
        return writer.info.name

    def poll(self) -> list[Event]:
        """Check the streams, end a failed or too long episode, or one whose clock was set; return the new events."""
        self._notice_step()
        self.watch.check_in_time()
        writer = self._writer
        if writer:
            full = self.disk.warning(self.options.disk_warning_s)
            for kind, text in self.watch.changes({"the disk": full} if full else {}):
                self._add_event(kind, writer, text)
        if writer and writer.failure:
            self.stop(writer.failure)
        elif writer and self._clock.now_ns() - writer.info.started_ns >= self.options.max_duration_s * 1e9:
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

    def live(self) -> list[StreamInfo]:
        """Return each stream's statistics since the last call."""
        now_ns = self._clock.now_ns()
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
        return (self._clock.now_ns() - self._writer.info.started_ns) / 1e9 if self._writer else 0.0

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
            clock=self._clock.kind,
            recorded_at=self._wall().isoformat(timespec="seconds"),
        )
        try:
            return EpisodeWriter(
                info,
                folder,
                self.options,
                specs,
                command_counts=CommandCounts(contract) if contract else None,
                checks=self._new_checks(folder.name, now_ns) if self._new_checks else None,
                free_bytes=self._free_bytes,
                open_bag=self._open_bag,
            )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # it is new and holds no message
            raise

    def _notice_step(self) -> None:
        """End the episode with a fault when the clock was set: stamps and log times no longer agree."""
        step_ns = self._clock.step_ns()
        if not step_ns:
            return
        if self._writer:
            why = said(step_ns) + (f": {cause}" if (cause := self.two_clocks()) else "")
            self.stop(why, fault=why)
        self._pre_roll.clear()
        self._clock.tie()
        for stream in self.streams.values():
            stream.forget()

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
