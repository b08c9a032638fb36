"""Write one episode to the disk in a separate thread, so that a slow disk does not delay reception."""

from __future__ import annotations

import dataclasses
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from il_ros.episodes import layout
from il_ros.episodes.bag.topics import CONTRACT_RECORD
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.layout import EpisodeInfo, StreamInfo
from il_ros.episodes.recording.checks import TakeChecks
from il_ros.episodes.recording.commands import CommandCounts
from il_ros.episodes.recording.disk import FreeBytes, Written
from il_ros.episodes.recording.grade import grade
from il_ros.episodes.recording.options import RecordedStream, RecordOptions
from il_ros.records.outcomes import SUCCESS

CHECK_S = 1.0
"""Interval between checks of the free space and the file."""

OpenBag = Callable[[Path, RecordOptions], BagWriter]


class EpisodeWriter:
    """Queues messages for the writer thread; `finish` makes the thread complete the episode.

    After a disk failure `failure` holds a sentence: no more messages are written, they count as lost, and the
    owner should call `finish`. Call all methods from one thread.
    """

    def __init__(
        self,
        info: EpisodeInfo,
        folder: Path,
        options: RecordOptions,
        streams: Sequence[RecordedStream],
        *,
        command_counts: CommandCounts | None,
        checks: TakeChecks | None = None,
        free_bytes: FreeBytes,
        open_bag: OpenBag,
    ):
        """Open the bag in `folder` and start the thread; raises OSError when it can't be written."""
        self.folder, self.failure = folder, ""
        self.done = threading.Event()
        """Set when writing has ended, whether the episode is complete or not."""
        self.info = info
        """The episode's current description; final once `done` is set."""
        self._options, self._command_counts, self._free_bytes = options, command_counts, free_bytes
        self._checks = checks
        self._queue: deque[tuple[RecordedStream, int, bytes, int]] = deque()
        self._put: Counter[str] = Counter()
        self._put_bytes = self._dequeued_bytes = 0
        self._wake, self._closing = threading.Event(), threading.Event()
        self._saving = threading.Lock()
        self._tombstone: tuple[str, str] | None = None
        self._received: tuple[StreamInfo, ...] = ()
        self._refused: dict[str, tuple[float, str]] = {}
        self._faults: list[str] = []
        self._free: int | None = None
        self._bag = open_bag(folder, options)
        if info.contract_text:
            contract = {"name": info.contract_name, "hash": info.contract_hash, "text": info.contract_text}
            self._bag.add_metadata(CONTRACT_RECORD, contract)
        self._numbers = {
            spec.topic: self._bag.add_stream(spec.topic, spec.type, spec.qos) for spec in streams
        }
        info.save(folder, durable=False)
        self._thread = threading.Thread(target=self._run, name=info.name, daemon=True)
        self._thread.start()

    @property
    def backlog_bytes(self) -> int:
        """Bytes received and not yet taken from the queue."""
        return self._put_bytes - self._dequeued_bytes

    @property
    def written(self) -> Written:
        """How much is written, and what the disk has left."""
        return Written(self._dequeued_bytes, self._bag.written_bytes, self._free)

    @property
    def written_bytes(self) -> int:
        """Size of the bag's file in bytes."""
        return self._bag.written_bytes

    @property
    def discarded(self) -> bool:
        """Whether the episode is, or will be when complete, discarded and not restored since."""
        return self._tombstone is not None and (not self.done.is_set() or layout.is_discarded(self.folder))

    def put(self, spec: RecordedStream, log_ns: int, raw: bytes, publish_ns: int) -> None:
        """Queue a message; after a disk failure or with a full queue, it only counts as lost."""
        self._put[spec.topic] += 1
        if self.failure:
            return
        if self.backlog_bytes > self._options.queue_bytes:
            self.failure = f"the disk can't keep up: {self.backlog_bytes >> 20} MiB wait to be written"
            return
        self._queue.append((spec, log_ns, raw, publish_ns))
        self._put_bytes += len(raw)
        if self.backlog_bytes >= self._options.chunk_bytes:
            self._wake.set()

    def add_fault(self, fault: str) -> None:
        """Keep a sentence about what is wrong with the episode, which makes it poor; writing goes on."""
        self._faults.append(fault)

    def finish(
        self,
        stopped_ns: int,
        reason: str,
        streams: Sequence[StreamInfo],
        refused: Mapping[str, tuple[float, str]],
    ) -> None:
        """Make the thread complete the episode with these statistics and set `done`; `refused`: see `grade`."""
        self._received, self._refused = tuple(streams), dict(refused)
        with self._saving:
            self.info = dataclasses.replace(self.info, stopped_ns=stopped_ns, stop_reason=reason)
        self._closing.set()
        self._wake.set()

    def relabel(self, outcome: str, now_ns: int | None, by: str = "") -> None:
        """Set the outcome, before the end (at `now_ns`) or after it (None); `by`: as of `EpisodeInfo.outcome_by`.

        Raises LayoutError on an unknown outcome, OSError.
        """
        with self._saving:
            when_ns = self.info.succeeded_ns if self.info.succeeded_ns is not None else now_ns
            succeeded_ns = when_ns if outcome == SUCCESS else None
            self.info = dataclasses.replace(
                self.info, outcome=outcome, outcome_by=by, succeeded_ns=succeeded_ns
            )
            if self.done.is_set():
                self.info.save(self.folder)

    def discard(self, reason: str, at: str) -> None:
        """Write the tombstone once the episode is complete; raises OSError."""
        with self._saving:
            self._tombstone = (reason, at)
            if self.done.is_set():
                layout.discard(self.folder, reason, at)

    def _run(self) -> None:
        checked_s = synced_s = time.monotonic()
        while not (self._closing.is_set() and not self._queue):
            self._wake.wait(self._options.flush_s)
            self._wake.clear()
            try:
                self._drain()
                now_s = time.monotonic()
                if now_s - checked_s >= CHECK_S and not self.failure:
                    checked_s = now_s
                    self._check()
                if now_s - synced_s >= self._options.sync_s and not self.failure:
                    synced_s = now_s
                    self._bag.sync()
            except Exception as error:  # any error must end the episode with a fault
                self.failure = self.failure or f"writing failed: {_sentence(error)}"
        with self._saving:
            self._complete()
            self.done.set()

    def _drain(self) -> None:
        """Write all queued messages to the file; after a failure, drop them."""
        while self._queue:
            spec, log_ns, raw, publish_ns = self._queue.popleft()
            self._dequeued_bytes += len(raw)
            if self.failure:
                continue
            if spec.topic not in self._numbers:
                self._numbers[spec.topic] = self._bag.add_stream(spec.topic, spec.type, spec.qos)
            self._bag.write(self._numbers[spec.topic], log_ns, raw, publish_ns)
            if self._checks:
                self._checks.message(spec.contract_topic, raw, log_ns)
            counts = self._command_counts if log_ns >= self.info.started_ns else None  # else it is pre-roll
            if counts and spec.role == "decision":
                made = counts.decision(log_ns, raw)
                if self._checks and made:
                    self._checks.decision(made)
            elif counts and spec.role == "command":
                counts.command(spec.contract_topic, log_ns, raw)
        if not self.failure:
            self._bag.flush()

    def _check(self) -> None:
        self._bag.check()
        free, needed = self._free_bytes(self.folder), self._options.min_free_disk_bytes
        self._free = free
        if free < needed:
            self.failure = (
                f"the disk is nearly full: {free >> 20} MiB free, {needed >> 20} MiB must stay free"
            )

    def _complete(self) -> None:
        faults = [self.failure] if self.failure else []
        faults += self._faults
        try:
            self._bag.close()
            complete = True
        except Exception as error:
            faults.append(f"finishing the bag failed: {_sentence(error)}")
            complete = False
        streams = tuple(self._with_losses(stream) for stream in self._received)
        counts = self._command_counts
        unreadable = [counts.fault] if counts and counts.fault else []
        if counts and self.info.stopped_ns is not None:
            counts.end(self.info.stopped_ns)
        self.info = dataclasses.replace(
            self.info,
            streams=streams,
            faults=(*faults, *unreadable),
            grade=grade(
                streams,
                self.info.duration_s or 0.0,
                clipped_share=counts.clipped_share if counts else None,
                clipped_most=counts.clipped_most if counts else "",
                idle_share=counts.idle_share if counts else None,
                idle_labels=counts is not None and counts.by_labels,
                expired_share=counts.expired_share if counts else None,
                unreadable_share=counts.unreadable_share if counts else None,
                refused=self._refused,
                commanded=counts is None or counts.total > 0,
                driven=counts is None or counts.driven,
                ahead_s=self._options.ahead_s,
                # a correction from a moment of another episode may be a few ticks long
                shortest_s=0.0 if self.info.made_from else self._options.shortest_s,
                faults=faults,
                cautions=self._checks.sentences() if self._checks else (),
            ),
            complete=complete,
        )
        try:
            self.info.save(self.folder)
            if self._tombstone:
                layout.discard(self.folder, *self._tombstone)
        except OSError as error:
            faults.append(f"saving {layout.INFO_FILE} failed: {_sentence(error)}")
            self.info = dataclasses.replace(self.info, faults=(*faults, *unreadable), complete=False)

    def _with_losses(self, stream: StreamInfo) -> StreamInfo:
        missing = self._put[stream.topic] - self._bag.written.get(stream.topic, 0)
        return dataclasses.replace(
            stream, messages=max(0, stream.messages - missing), lost=stream.lost + missing
        )


def _sentence(error: Exception) -> str:
    return str(error) if isinstance(error, OSError) else f"{type(error).__name__}: {error}"
