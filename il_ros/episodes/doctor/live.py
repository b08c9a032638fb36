"""The doctor's cheap checks on a take that is being recorded, for its grade, with the doctor's thresholds and words.

Joints in another unit, labels beside the measured state, late robots, jumps, numbers that stand still or are
clipped, impossible numbers, frozen and dark cameras.
A take is kept in memory as numbers; of pictures only whether one repeats the last, and its brightness.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core.codecs import decoder
from il_ros.core.codecs.base import CodecError
from il_ros.core.contract import Contract
from il_ros.core.messages import MessageError, decode
from il_ros.core.specs import LASER_SCAN, ObservationSpec
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor import cameras, magnitude, numbers, tracking, units
from il_ros.episodes.doctor.cameras import Look
from il_ros.episodes.doctor.findings import Finding
from il_ros.episodes.doctor.takes import MOST_ELEMENTS, TakeSet
from il_ros.records.decision import Decision

MOST_TICKS = 20_000
"""Ticks of a take that are examined; its rest is left to `il-ros episodes doctor`."""
LEAST_TICKS = 10
MOST_TAKES = 8
"""Takes that are compared with each other: the newest ones of this recorder."""
BRIGHTNESS_S = 1.0
"""Interval at which a camera's picture is decoded, which costs milliseconds."""
_STAMP_BYTES = 12
"""CDR encapsulation and stamp, which differ in pictures that are equal otherwise."""
_SPARSE = 997


def is_examined(spec: ObservationSpec) -> bool:
    """Return whether the numbers of an observation are examined: few, each with a meaning, and no transforms."""
    return (
        spec.kind == "numeric" and spec.size <= MOST_ELEMENTS and spec.type != LASER_SCAN and not spec.frames
    )


class TakeHistory:
    """The newest takes of one recorder, with which the next one is compared. Threads may share it."""

    def __init__(self, contract: Contract) -> None:
        self._lock = threading.Lock()
        self._takes: deque[tuple[EpisodeArrays, float]] = deque(maxlen=MOST_TAKES)
        observations = tuple(spec for spec in contract.observations if is_examined(spec))
        self._contract = replace(contract, observations=observations)

    def findings(self, take: EpisodeArrays, looks: dict[str, Look], started_ns: int) -> list[Finding]:
        """Return what is wrong with a take, alone and beside those before it, which it then joins.

        One with a number that nothing can compute with has that finding only, and joins none.
        `started_ns`: the start of its demonstration, from which times are counted.
        """
        new = take, (int(take.ticks_ns[0]) - started_ns) / 1e9
        alone = self._set((new,))
        if boundless := magnitude.boundless(alone):
            return boundless
        with self._lock:
            self._takes.append(new)
            several = self._set(tuple(self._takes))
        found = [*units.other_units(alone), *tracking.offsets_and_lags(alone)]
        for key, look in looks.items():
            found += cameras.faults_of(alone, key, [look])
        for check in (numbers.dead_numbers, numbers.saturated_numbers, numbers.jumps):
            found += [finding for finding in check(several) if take.name in finding.episodes]
        return found

    def _set(self, takes: tuple[tuple[EpisodeArrays, float], ...]) -> TakeSet:
        return TakeSet(
            self._contract,
            tuple(take for take, _ in takes),
            {take.name: Path(take.name) for take, _ in takes},
            {take.name: started_s for take, started_s in takes},
        )


class TakeWatch:
    """Collects what is examined of one take, in the order of its messages."""

    def __init__(self, contract: Contract, name: str) -> None:
        self._contract, self._name = contract, name
        self._specs = [spec for spec in contract.observations if is_examined(spec)]
        self._synchroniser = Synchroniser(self._specs)
        self._topics = {topic for spec in self._specs for topic in spec.topics}
        seen = [each for each in contract.observations if each.image and each.image.encoding != "depth"]
        self._cameras = {spec.topic: _WatchedCamera(spec) for spec in seen}
        self._ticks_ns: list[int] = []
        self._commands: list[tuple[float, ...]] = []
        self._rows: dict[str, list[NDArray[Any]]] = {spec.key: [] for spec in self._specs}

    def message(self, topic: str, raw: bytes, log_ns: int) -> None:
        """Take a message on one of the contract's topics."""
        if len(self._ticks_ns) >= MOST_TICKS:
            return
        if topic in self._topics:
            try:
                self._synchroniser.push(topic, raw, log_ns)
            except MessageError:  # too short for a header: the usability check says so
                return
        elif topic in self._cameras:
            self._cameras[topic].message(raw, log_ns)

    def decision(self, made: Decision) -> None:
        """Take a decision: its tick is a row if something was sent and the numbers are there."""
        after_last = not self._ticks_ns or made.stamp_ns > self._ticks_ns[-1]
        if made.sent is None or not after_last or len(self._ticks_ns) >= MOST_TICKS:
            return
        seen = self._synchroniser.sample(made.stamp_ns)
        if isinstance(seen, NoObservation):
            return
        self._ticks_ns.append(made.stamp_ns)
        self._commands.append(tuple(made.sent))
        for key, rows in self._rows.items():
            rows.append(seen.values[key])
        for camera in self._cameras.values():
            camera.tick()

    def take(self) -> tuple[EpisodeArrays, dict[str, Look]] | None:
        """Return the numbers of the take, and what was measured of its cameras by key; None if it is too short."""
        if len(self._ticks_ns) < LEAST_TICKS:
            return None
        commands = np.array(self._commands, dtype=np.float64)
        episode = EpisodeArrays(
            self._name,
            {key: np.array(rows, dtype=np.float64) for key, rows in self._rows.items()},
            commands,
            np.zeros_like(commands),
            np.array(self._ticks_ns, dtype=np.int64),
            self._contract.period_ns,
        )
        looks = {camera.key: camera.look(episode) for camera in self._cameras.values() if camera.is_known}
        return episode, looks


class _WatchedCamera:
    """Whether each tick's picture repeats the last tick's, and how bright it is, by the last one decoded."""

    def __init__(self, spec: ObservationSpec) -> None:
        self.key, self._spec = spec.key, spec
        self._decode = decoder(spec)
        self._newest: NDArray[np.uint8] | None = None
        self._decoded_ns: int | None = None
        self._picture, self._brightness = 0, np.nan
        self._pictures: list[int] = []
        self._values: list[float] = []

    @property
    def is_known(self) -> bool:
        """Whether a picture could be decoded."""
        return bool(np.isfinite(self._brightness))

    def message(self, raw: bytes, log_ns: int) -> None:
        content = np.frombuffer(raw, dtype=np.uint8)[_STAMP_BYTES:]
        last, self._newest = self._newest, content
        same = (
            last is not None
            and last.size == content.size
            and np.array_equal(last[::_SPARSE], content[::_SPARSE])  # nearly always enough
            and np.array_equal(last, content)
        )
        self._picture += not same
        since_ns = None if self._decoded_ns is None else log_ns - self._decoded_ns
        if since_ns is None or not 0 <= since_ns < BRIGHTNESS_S * 1e9:
            self._decoded_ns = log_ns
            try:
                self._brightness = float(
                    np.mean(self._decode(decode(self._spec.type, raw)), dtype=np.float64)
                )
            except (CodecError, ValueError):  # the usability check says so
                return

    def tick(self) -> None:
        self._pictures.append(self._picture)
        self._values.append(self._brightness)

    def look(self, episode: EpisodeArrays) -> Look:
        values = np.array(self._values)
        known = values[np.isfinite(values)]
        values[~np.isfinite(values)] = (
            known[0] if len(known) else self._brightness
        )  # before the first picture
        return Look(episode, values, np.ones(len(values)), np.diff(self._pictures) == 0)
