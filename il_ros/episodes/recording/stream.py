"""One received topic: its statistics, its silence, and of joint states the age of each joint."""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence

from il_ros.core import messages
from il_ros.core.codecs.joint_sources import Element, JointSources
from il_ros.core.specs import JOINT_STATE, ObservationSpec
from il_ros.episodes.layout import StreamInfo
from il_ros.episodes.recording.monitor import StreamMonitor
from il_ros.episodes.recording.options import RecordedStream

_HEADER_BYTES = 12
"""CDR encapsulation, seconds and nanoseconds."""
_FEW = 5


class Stream:
    """A received topic, with its live and its per-episode statistics. Times are node clock nanoseconds."""

    def __init__(
        self,
        spec: RecordedStream,
        observations: Sequence[ObservationSpec] = (),
        *,
        simulated: bool = False,
    ):
        self.spec, self._simulated = spec, simulated
        self.fault = ""
        """Why a joint has two publishers at the last message, "" if none has."""
        self._joints = JointSources(observations) if spec.type == JOINT_STATE and observations else None
        self._arrived_ns: dict[Element, int] = {}
        self._stamped_ns: dict[Element, int] = {}
        self._last_ns: int | None = None
        self._live, self._episode = self._monitor(), self._monitor()
        self._before = self._live.info(0)

    def observe(self, log_ns: int, raw: bytes, *, recording: bool) -> None:
        """Count a message; a message too short for a header has no stamp."""
        self._last_ns = log_ns
        stamp_ns = messages.raw_stamp_ns(self.spec.type, raw) if len(raw) >= _HEADER_BYTES else None
        source, oldest_ns = None, None
        if self._joints is not None:
            source, oldest_ns = self._observe_joints(self._joints, log_ns, stamp_ns, raw)
        self._live.observe(log_ns, len(raw), stamp_ns, source=source, oldest_ns=oldest_ns)
        if recording:
            self._episode.observe(log_ns, len(raw), stamp_ns, source=source, oldest_ns=oldest_ns)

    def _observe_joints(
        self, joints: JointSources, log_ns: int, stamp_ns: int | None, raw: bytes
    ) -> tuple[Hashable, float]:
        """Return the source of a message of joint states, and the time of the joint that is oldest by now."""
        time_ns = log_ns if stamp_ns is None or self.spec.by_arrival else min(stamp_ns, log_ns)
        layout = joints.observe(raw, time_ns)
        if layout is not None:
            for element in joints.elements(layout):
                self._arrived_ns[element], self._stamped_ns[element] = log_ns, time_ns
            self.fault = joints.fault(time_ns)
        oldest_ns = min(self._stamped_ns.get(element, -math.inf) for element in joints.wanted)
        return None if layout is None else layout.source, oldest_ns

    def lose(self, count: int, *, recording: bool) -> None:
        """Count messages that the middleware reports as lost."""
        self._live.lose(count)
        if recording:
            self._episode.lose(count)

    def begin_episode(self) -> None:
        """Reset the episode's statistics."""
        self._episode = self._monitor()

    def forget(self) -> None:
        """Reset the live statistics, which are of another time, after the clock was set."""
        if not self.spec.latched:
            self._last_ns = None
            self._arrived_ns.clear()
            self._stamped_ns.clear()
        if self._joints is not None:
            self._joints.clear()
        self.fault = ""
        self._live = self._monitor()
        self._before = self._live.info(0)

    def episode(self, now_ns: int) -> StreamInfo:
        """Return the statistics since the episode began."""
        return self._episode.info(now_ns)

    def recent(self) -> StreamInfo:
        """Return the live statistics, or while they are few those before the last `take_live`."""
        live = self._live.info(self._last_ns or 0)
        return live if live.messages >= _FEW or self._before.messages < live.messages else self._before

    def take_live(self, now_ns: int) -> StreamInfo:
        """Return the live statistics and reset them."""
        self._before = self._live.info(now_ns)
        self._live = self._monitor()
        return self._before

    def silence(self, now_ns: int, allowed_s: float) -> str:
        """Return a description if this required or optional stream is silent, else an empty string."""
        if not (self.spec.required or self.spec.optional):
            return ""
        if self._last_ns is None:
            return f"{self.spec.topic} (never any)"
        silent_s = (now_ns - self._last_ns) / 1e9
        allowed_s = max(allowed_s, self.spec.max_age_s)
        if not self.spec.latched and silent_s > allowed_s:
            return f"{self.spec.topic} (for {silent_s:.1f} s)"
        for part, name in () if self._joints is None else self._joints.wanted:
            arrived_ns = self._arrived_ns.get((part, name))
            if arrived_ns is None:
                return f"{self.spec.topic} ({part} of '{name}', never any)"
            if not self.spec.latched and now_ns - arrived_ns > allowed_s * 1e9:
                return f"{self.spec.topic} ({part} of '{name}', for {(now_ns - arrived_ns) / 1e9:.1f} s)"
        return ""

    def _monitor(self) -> StreamMonitor:
        spec = self.spec
        return StreamMonitor(
            spec.topic,
            spec.type,
            max_age_s=spec.max_age_s,
            required=spec.required,
            by_arrival=spec.by_arrival,
            simulated=self._simulated,
        )
