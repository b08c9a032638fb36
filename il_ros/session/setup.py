"""The options of a session, shared by its node, its command plans and the scenarios."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from il_ros.session.takes import TakeOptions

REST_MODE = "expert"
"""The supervisor's mode between episodes: only the operator can drive."""


@dataclass(frozen=True)
class Start:
    """A recorded moment as a start: its description, its episode's seed, the simulator's state (S,).

    Raises ValueError unless the state is finite.
    """

    words: str
    seed: int
    state: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.state)):
            raise ValueError("state: every number must be finite")


@dataclass(frozen=True)
class SessionOptions:
    """The options of a session.

    `mode`: the supervisor's mode while the policy may drive. `simulator`: there is a simulator with random
    starts, a pause and a success flag. `teacher`: a scripted expert drives after a takeover. `time_limit_s`:
    a longer episode in the simulator is a failure; 0: no limit. `seed`: of the first start. `moments`: the
    episodes start at these in order, and only the operator drives. `trainer`, `recorder`: whether there is one.
    `root`: the folder of the episodes, for printed commands. `present`: a person operates the session, and can
    answer a question. `instructions`: what may be said to do, in words. `learns`: policy and trainer run beside;
    otherwise the session only records. `takes`: countdown, reset phase.
    """

    mode: str = "hg_dagger"
    simulator: bool = True
    teacher: bool = True
    time_limit_s: float = 0.0
    seed: int = 0
    moments: tuple[Start, ...] = ()
    trainer: bool = True
    recorder: bool = True
    root: str = "episodes"
    present: bool = True
    learns: bool = True
    instructions: tuple[str, ...] = ()
    takes: TakeOptions = field(default_factory=TakeOptions)

    @property
    def driver(self) -> str:
        """Who drives after a takeover, for the console."""
        return "the scripted expert" if self.teacher else "you"

    @property
    def by_key(self) -> bool:
        """Whether takeovers are made by a user command; otherwise by a device's deadman or by the mode."""
        return self.teacher and self.mode in ("hg_dagger", "priority", "policy")
