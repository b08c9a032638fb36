"""The choices of an export."""

from __future__ import annotations

from dataclasses import dataclass

from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.layout import MOST_FPS
from il_ros.episodes.exchange.lerobot.video import CODECS
from il_ros.records.labelling import BY_MODE, DRIVEN, Rule

HOLES = ("refuse", "leave-out", "split")
ACTIONS = ("sent", "labels")
UNMARKED_AS = ("refuse", "leave-out", "success", "failure")
PICTURES = ("video", "image")


@dataclass(frozen=True)
class ExportOptions:
    """`fps`: frames per second, None: the contract's rate, which is then a whole number.

    `actions`: 'sent', what the robot was commanded at every tick, with the column `intervention`; or 'labels', what
    this package would learn: ticks without a label are holes. `holes`: of an episode with one, 'refuse' the export,
    'leave-out' the episode, or 'split' it there. `unmarked`: of an episode without a verdict beside ones with,
    'refuse' the export, 'leave-out' the episode, or count it as 'success' or 'failure'. `quality`: the codec's
    constant rate factor, None: its default. `jobs`: processes at a time, 0: one per core.
    Raises ExchangeError on any other value.
    """

    fps: int | None = None
    actions: str = "sent"
    holes: str = "refuse"
    unmarked: str = "refuse"
    pictures: str = "video"
    codec: str = "h264"
    quality: int | None = None
    depth_most_m: float = 10.0
    robot_type: str = ""
    jobs: int = 0
    data_mb: float = 100
    video_mb: float = 200

    def __post_init__(self) -> None:
        for name, known in (
            ("actions", ACTIONS),
            ("holes", HOLES),
            ("unmarked", UNMARKED_AS),
            ("pictures", PICTURES),
            ("codec", CODECS),
        ):
            if getattr(self, name) not in known:
                raise ExchangeError(
                    f"{name} is {getattr(self, name)!r}; it must be one of: {', '.join(known)}"
                )
        if self.fps is not None and not (type(self.fps) is int and 1 <= self.fps <= MOST_FPS):
            raise ExchangeError(f"fps is {self.fps!r}; it must be a whole number from 1 to {MOST_FPS}")
        if self.quality is not None and not 0 <= self.quality <= 63:
            raise ExchangeError(f"quality is {self.quality}; it must be from 0 (best) to 63")
        if self.jobs < 0 or self.data_mb <= 0 or self.video_mb <= 0:
            raise ExchangeError("jobs must be 0 or more; data_mb and video_mb must be above 0")

    @property
    def rule(self) -> Rule:
        """The rule that chooses the action of a decision."""
        return DRIVEN if self.actions == "sent" else BY_MODE

    def rate(self, rate_hz: float) -> int:
        """Return the frames per second under a contract of `rate_hz`; raises ExchangeError without a whole number."""
        if self.fps is not None:
            return self.fps
        if rate_hz != round(rate_hz) or not 1 <= rate_hz <= MOST_FPS:
            raise ExchangeError(
                f"the contract's rate is {rate_hz:g} Hz, but a data set has a whole number of frames per second from 1 "
                f"to {MOST_FPS}; choose one: fps={max(1, round(rate_hz))}"
            )
        return round(rate_hz)
