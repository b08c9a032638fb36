"""How a session is set up: what its node, its rules and the scenarios agree on."""

from __future__ import annotations

import math
from dataclasses import dataclass

REST_MODE = "expert"
"""The supervisor's mode between episodes: nobody drives but the person."""


@dataclass(frozen=True)
class Start:
    """A recorded moment to begin at: its words, its episode's seed, the simulator's state (S,)."""

    words: str
    seed: int
    state: tuple[float, ...]

    def __post_init__(self) -> None:
        if not all(map(math.isfinite, self.state)):
            raise ValueError("state: every number must be finite")


@dataclass(frozen=True)
class SessionOptions:
    """`mode`: the supervisor's while the policy runs.

    `simulator`: starts can be drawn, time held, success told. `teacher`: a scripted expert drives when the
    person takes over. `time_limit_s`: an episode in the simulator that takes longer failed; 0: none.
    `seed`: of the first start. `moments`: episodes begin at these, one after the other, and the person alone
    drives.
    """

    mode: str = "hg_dagger"
    simulator: bool = True
    teacher: bool = True
    time_limit_s: float = 0.0
    seed: int = 0
    moments: tuple[Start, ...] = ()

    @property
    def by_key(self) -> bool:
        """Whether taking over is a wish; else a device's deadman or the mode decides who drives."""
        return self.teacher and self.mode in ("hg_dagger", "priority", "policy")
