"""Playing a chunk: which of its steps is due now, and what overlapping chunks say together."""

from __future__ import annotations

import numpy as np

from il_ros.control.proposal import Proposal
from il_ros.specs import Vector


def step_due(stamp_ns: int, time_ns: int, period_ns: int) -> int:
    """Return the step k >= 0 that is in force at `time_ns`, of a chunk whose step 0 is for `stamp_ns`.

    Step k holds from `stamp_ns` + k periods until the next. A tick that comes up to a tenth of a period early
    (timers jitter) counts as its own.
    """
    return max(0, (time_ns - stamp_ns + period_ns // 10) // period_ns)


def remaining(proposal: Proposal, time_ns: int, period_ns: int) -> Vector | None:
    """Return the steps from the one due at `time_ns` on, (h, A); None when the chunk is played."""
    step = step_due(proposal.stamp_ns, time_ns, period_ns)
    return None if step >= len(proposal.chunk) else proposal.chunk[step:]


class TemporalEnsemble:
    """The weighted mean of all that recent chunks said about a tick (ACT, Zhao et al. 2023, section IV-B).

    Chunk i (0 the oldest still speaking) weighs exp(-decay * i): the larger `decay`, the slower new
    observations count. Stamps must ascend; `clear` at a new epoch.
    """

    def __init__(self, period_ns: int, decay: float = 0.01):
        if period_ns <= 0 or decay < 0:
            raise ValueError(f"period_ns must be above 0 and decay at least 0, not {period_ns} and {decay}")
        self._period_ns, self._decay = period_ns, decay
        self._chunks: list[tuple[int, Vector]] = []

    def clear(self) -> None:
        """Forget all chunks."""
        self._chunks.clear()

    def add(self, stamp_ns: int, chunk: Vector) -> None:
        """Take in the chunk (H, A) whose step 0 is for `stamp_ns`.

        Raises ValueError when it isn't newer than the one before.
        """
        if self._chunks and stamp_ns <= self._chunks[-1][0]:
            raise ValueError(f"chunk of {stamp_ns} after that of {self._chunks[-1][0]}")
        self._chunks.append((stamp_ns, np.array(chunk, dtype=np.float64)))

    def at(self, time_ns: int) -> Vector | None:
        """Return the mean action (A,) for the tick `time_ns`; None when no chunk speaks about it."""
        due = [
            (stamp, chunk, step_due(stamp, time_ns, self._period_ns))
            for stamp, chunk in self._chunks
            if stamp <= time_ns + self._period_ns // 10
        ]
        said = [chunk[step] for _, chunk, step in due if step < len(chunk)]
        self._chunks = [(stamp, chunk) for stamp, chunk, step in due if step < len(chunk)] + [
            (stamp, chunk) for stamp, chunk in self._chunks if stamp > time_ns + self._period_ns // 10
        ]
        if not said:
            return None
        weights = np.exp(-self._decay * np.arange(len(said)))
        mean: Vector = weights @ np.stack(said) / weights.sum()
        return mean
