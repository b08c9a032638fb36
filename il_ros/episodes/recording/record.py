"""Record episodes: messages in, one bag per episode out. The recorder node is a thin shell around this.

recorder = EpisodeRecorder(options, contract, clock_ns)
joints = recorder.add_stream(StreamSpec("/joint_states", "sensor_msgs/msg/JointState", required=True))
recorder.receive(joints, raw)        # on every message, recording or not
recorder.start(Label(task="push")); ...; recorder.stop()
for event in recorder.poll(): ...    # often: ends episodes that must end, tells what happened
"""

from __future__ import annotations

import shutil
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
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions
from il_ros.episodes.recording.pre_roll import PreRoll
from il_ros.episodes.recording.streams import Stream


class RecordError(RuntimeError):
    """Why an episode can't be started, stopped or marked; a sentence for the person at the robot."""


@dataclass(frozen=True)
class Event:
    """Something to tell people: `kind` is started, ended, saved or fault."""

    kind: str
    episode: str
    text: str


class EpisodeRecorder:
    """Receives streams and records episodes of them. All methods are for one thread.

    `clock_ns` is the node's clock: real time, or the simulator's. `wall` gives the wall time.
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
        """The episode stopped last."""
        self._clock_ns, self._wall, self._free_bytes = clock_ns, wall, free_bytes
        self._open_bag = open_bag or _open_bag
        self._writer: EpisodeWriter | None = None
        self._unsaved: list[EpisodeWriter] = []
        self._events: list[Event] = []
        self._pre_roll = PreRoll(options.pre_roll_s, options.pre_roll_bytes)

    def add_stream(self, spec: RecordedStream) -> Stream:
        """Receive one more topic; a known topic gets the new spec (another QoS) and keeps its statistics.

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
        """Take in a serialised message that has just come."""
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
        self._tell("started", self._writer, f"recording into {folder}")
        return folder.name

    def stop(self, reason: str = "stopped") -> str:
        """End the episode and return its name; it is being saved from now on, `poll` tells when it is.

        Raises RecordError when none is running.
        """
        if not self._writer:
            raise RecordError("nothing is being recorded")
        writer, now_ns = self._writer, self._clock_ns()
        writer.finish(now_ns, reason, [stream.episode(now_ns) for stream in self.streams.values()])
        self._writer, self.last = None, writer
        self._unsaved.append(writer)
        self._tell("fault" if writer.failure else "ended", writer, f"ended: {reason}")
        return writer.info.name

    def mark(self, outcome: str) -> str:
        """Set the outcome of the running episode, else of the last one; return its name.

        Raises RecordError when there is none or it can't be saved.
        """
        writer = self._current("mark")
        try:
            writer.relabel(outcome)
        except (OSError, layout.LayoutError) as error:
            raise RecordError(f"{writer.info.name} not marked: {error}") from error
        return writer.info.name

    def discard(self, reason: str = "discarded") -> str:
        """End the running episode, if any, and put up the tombstone of it or the last one; return its name.

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
        """End the episode if it must end, and return what happened since the last call."""
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
            self._tell(kind, saved, f"saved, {words}" if saved.info.complete else f"NOT COMPLETE, {words}")
        events, self._events = self._events, []
        return events

    def silent_streams(self) -> list[str]:
        """Return which required streams are silent, with what is known, in words.

        Silence is measured on the node's clock: a simulator that is paused is not silent.
        """
        now_ns = self._clock_ns()
        words = [stream.silence(now_ns, self.options.silence_s) for stream in self.streams.values()]
        return [word for word in words if word]

    def live(self) -> list[StreamInfo]:
        """Return each stream's statistics since the last call."""
        now_ns = self._clock_ns()
        return [stream.look(now_ns) for stream in self.streams.values()]

    def lose(self, stream: Stream, count: int) -> None:
        """Take note of messages that the middleware says it lost."""
        stream.lose(count, recording=self._writer is not None)

    @property
    def writer(self) -> EpisodeWriter | None:
        """The episode being recorded."""
        return self._writer

    @property
    def saving(self) -> list[str]:
        """Names of the episodes that are ended and not yet complete on the disk."""
        return [writer.info.name for writer in self._unsaved]

    def duration_s(self) -> float:
        """Return how long the running episode has lasted, on the node's clock; 0 when there is none."""
        return (self._clock_ns() - self._writer.info.started_ns) / 1e9 if self._writer else 0.0

    def close(self, timeout_s: float = 30.0) -> None:
        """End the running episode and wait until all are on the disk.

        Raises RecordError naming those that are not there in time.
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
                tally=CommandCounts(contract) if contract else None,
                free_bytes=self._free_bytes,
                open_bag=self._open_bag,
            )
        except OSError:
            shutil.rmtree(folder, ignore_errors=True)  # just made, and no message is in it
            raise

    def _current(self, verb: str) -> EpisodeWriter:
        writer = self._writer or self.last
        if writer is None:
            raise RecordError(f"there is no episode to {verb} yet")
        return writer

    def _tell(self, kind: str, writer: EpisodeWriter, text: str) -> None:
        self._events.append(Event(kind, writer.info.name, text))


def _open_bag(folder: Path, options: RecordOptions) -> BagWriter:
    return BagWriter(
        folder,
        chunk_bytes=options.chunk_bytes,
        compression=options.compression,
        checksums=options.checksums,
    )
