"""The state of a session: an immutable record, from which the status line and the user commands are computed."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, auto

from il_ros.core.tables import percent
from il_ros.records.decision import NOBODY
from il_ros.records.takeovers import NO_DRIVERS, LastDrivers

YOU = "you"
"""The person at the keys, if no scripted expert drives for them."""
UNDONE = "undone"
"""The outcome of a discarded episode."""


class SessionEnd(Enum):
    """How far the end of the session is."""

    NONE = auto()
    ASKED = auto()
    """The operator asked for it while a training runs."""
    WAITING = auto()
    """The session ends when the training has."""
    DUE = auto()
    """It has."""


@dataclass(frozen=True)
class SessionState:
    """The input of the status line and of the user commands; "" and None: unknown.

    `expert`: who drives after a takeover. `training_share`: of the epochs (None: reading the episodes).
    `training_left_s`: estimated time to the end, None if unknown. `training_command`: trains the same later.
    `phase`: countdown or reset phase, in words. `discarded`: the last episode that was discarded; `discarding`: the
    one that is being discarded.
    `has_policy`: a policy has proposed. `policy`: the first policy with its origin. `running`: the policy may
    drive. `at_rest`: the supervisor waits until a person lets the sources drive. `helping`: the scripted expert is
    engaged. `judged`: the task was unfinished since the start, so that its success counts. `wanted`: reason of
    the open expert request. `labels`: labels of the session, without discarded episodes; `episode_labels`: of
    the running episode; `last_labels`: of the last one. `done`: number of ended episodes without discarded ones;
    `last_kept`: the last one is among them. `moment`: number of recorded moments returned to, of `moments` to label
    (0: the session labels none). `taken_ns`: stamp from which the expert drives. `started_ns`: stamp of the episode's
    first decision. `warned`: the recorder's warnings about the running episode. `disk_h`: hours until the recorder's
    disk is full, at the present rate. `success_share`: how likely the success is there, by a model; None: none says
    it. `learns`: policy and trainer run beside; otherwise demonstrations are recorded. `instruction`: the present one.
    """

    expert: str = YOU
    now_ns: int = 0
    recording: str = ""
    started_ns: int = 0
    last: str = ""
    outcome: str = ""
    driver: str = NOBODY
    why: str = ""
    mode: str = ""
    uncertainty: float | None = None
    threshold: float | None = None
    version: str = ""
    policy: str = ""
    has_policy: bool = False
    disagreement: float | None = None
    estop: str = ""
    wanted: str = ""
    training: str = ""
    training_share: float | None = None
    training_began_s: float | None = None
    training_left_s: float | None = None
    training_command: str = ""
    ending: SessionEnd = SessionEnd.NONE
    phase: str = ""
    discarded: str = ""
    discarding: str = ""
    running: bool = False
    at_rest: bool = False
    helping: bool = False
    paused: bool = False
    judged: bool = False
    success: bool = False
    failed: bool = False
    seed: int | None = None
    moment: int = 0
    moments: int = 0
    labels: int = 0
    episode_labels: int = 0
    last_labels: int = 0
    taken_ns: int | None = None
    taken_labels: int = 0
    interventions: int = 0
    last_drivers: LastDrivers = NO_DRIVERS
    held: tuple[str, ...] = ()
    done: int = 0
    last_kept: bool = False
    recorder_known: bool = False
    supervisor_known: bool = False
    warned: tuple[str, ...] = ()
    disk_h: float | None = None
    success_share: float | None = None
    learns: bool = True
    instruction: str = ""

    @property
    def recorded_s(self) -> float:
        """The duration of the running episode up to the newest decision, in s."""
        return max(0.0, (self.now_ns - self.started_ns) / 1e9) if self.recording and self.started_ns else 0.0

    @property
    def counts(self) -> bool:
        """Whether the running episode counts: it neither was nor is being discarded."""
        return bool(self.recording) and self.recording not in (self.discarding, self.discarded)

    @property
    def ready(self) -> bool:
        """Whether recorder and supervisor have published a status."""
        return self.recorder_known and self.supervisor_known


def training_words(state: SessionState) -> str:
    """Return the running training with its progress, such as 'training v1 (25 %, 40 s left)'; "" without one."""
    if not state.training:
        return ""
    parts = [] if state.training_share is None else [percent(state.training_share)]
    parts += [] if state.training_left_s is None else [f"{short_time(state.training_left_s)} left"]
    return state.training + (f" ({', '.join(parts)})" if parts else "")


def short_number(number: float) -> str:
    """Return two digits, such as '0.013', and from 100 on all before the point: '183' instead of '1.8e+02'."""
    return f"{number:.0f}" if 99.5 <= abs(number) < 1e6 else f"{number:.2g}"


def short_time(seconds: float) -> str:
    """Return '40 s', or '3 min' from 90 s on."""
    return f"{seconds:.0f} s" if seconds < 90 else f"{seconds / 60:.0f} min"
