"""A topic that a recorder receives, with what is known of it now and since the episode's start."""

from __future__ import annotations

from il_ros.core import messages
from il_ros.episodes.layout import StreamInfo
from il_ros.episodes.recording.monitor import StreamMonitor
from il_ros.episodes.recording.options import RecordedStream

_HEADER_BYTES = 12
"""CDR's own four, seconds, nanoseconds."""


class Stream:
    """One topic's statistics. Times are of the node's clock, in nanoseconds."""

    def __init__(self, spec: RecordedStream):
        self.spec = spec
        self._last_ns: int | None = None
        self._live, self._episode = self._monitor(), self._monitor()

    def observe(self, log_ns: int, raw: bytes, *, recording: bool) -> None:
        """Take note of a message; one too short for its header has no stamp."""
        self._last_ns = log_ns
        stamp_ns = messages.raw_stamp_ns(self.spec.type, raw) if len(raw) >= _HEADER_BYTES else None
        self._live.observe(log_ns, len(raw), stamp_ns)
        if recording:
            self._episode.observe(log_ns, len(raw), stamp_ns)

    def lose(self, count: int, *, recording: bool) -> None:
        """Take note of messages that the middleware says it lost."""
        self._live.lose(count)
        if recording:
            self._episode.lose(count)

    def begin_episode(self) -> None:
        """Forget the last episode's statistics."""
        self._episode = self._monitor()

    def episode(self, now_ns: int) -> StreamInfo:
        """Return the statistics since the episode began."""
        return self._episode.info(now_ns)

    def look(self, now_ns: int) -> StreamInfo:
        """Return the statistics since the last look."""
        info = self._live.info(now_ns)
        self._live = self._monitor()
        return info

    def silence(self, now_ns: int, allowed_s: float) -> str:
        """Return in words that this required stream is silent, else nothing."""
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
