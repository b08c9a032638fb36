"""Execution of chunks: when the next one is computed, and what is played at each tick.

A chunk is played from the step that belongs to the tick, counted on the grid of ticks since the one that it observed.
The time that its computation took is thereby accounted for as it was, without an estimate. The chunk before goes on
meanwhile. Where there is none, the robot holds, and ticks in which nothing was played do not count: the first chunk
after a start or a handover begins with its first step, whenever it comes. The later one would be a jump by all that
the robot has not done.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from il_ros.control.chunks.steps import steps_left
from il_ros.core.actions import command_difference
from il_ros.core.contract import Contract
from il_ros.core.settings import at_least
from il_ros.core.specs import POSE, XYZ, XYZW, Vector

ALONE = -1.0
"""Instead of an ensemble's exponent: the newest chunk is played alone."""
MEASURED = -1
"""Instead of a number of committed steps: as many as are played during a computation, by its measured time."""
MOST_CHUNKS = 256


@dataclass(frozen=True)
class Execution:
    """How chunks are played.

    `every`: ticks from one computation to the next; a chunk that ends earlier is followed at once. `ensemble`: from 0
    on, all chunks that reach a tick are averaged with the weights exp(-ensemble * i), i = 0 for the oldest (temporal
    ensembling, Zhao et al. 2023, arXiv 2304.13705); below 0 the newest chunk is played alone. `commit`: the number of
    steps of the chunk before that are handed to the policy as the committed beginning of the next chunk, or MEASURED.
    Raises ValueError on a value out of range.
    """

    every: int = 1
    ensemble: float = ALONE
    commit: int = MEASURED

    def __post_init__(self) -> None:
        at_least("every", self.every, 1)
        at_least("commit", self.commit, MEASURED)
        if not np.isfinite(self.ensemble):
            raise ValueError(f"ensemble is {self.ensemble}; it must be a finite number")


class ChunkPlayer:
    """The chunks (H, A) of absolute commands that are being played under a contract."""

    def __init__(self, contract: Contract, execution: Execution) -> None:
        self._contract, self._execution, self._period_ns = contract, execution, contract.period_ns
        self._chunks: deque[tuple[int, Vector]] = deque(maxlen=MOST_CHUNKS)
        self._begun_ns: int | None = None
        self._played = (0, 0)
        """The ticks from the first to before the second have had a step to be played, without a gap."""
        self._observed_ns = self._from_ns = 0
        """The tick that the newest chunk observed, and that of the newest handover."""
        self._alone = False

    def clear(self) -> None:
        """Forget all chunks; the next computation is due at once."""
        self._chunks.clear()
        self._begun_ns, self._played = None, (0, 0)
        self._observed_ns = self._from_ns = 0

    def renew(self) -> None:
        """Have the next computation due at once; its chunk replaces all others, which are played until then."""
        self._begun_ns, self._alone = None, True

    def interrupt(self, from_ns: int) -> None:
        """As `renew`, after a handover at the tick `from_ns`: a chunk that observed an earlier one is not played."""
        self.renew()
        self._from_ns = from_ns
        if self._observed_ns < from_ns:
            self._played = (0, 0)

    def due(self, tick_ns: int) -> bool:
        """Return whether a computation is due at a tick."""
        if self._execution.every == 1 or self._begun_ns is None or not len(self.left(tick_ns)):
            return True
        return round((tick_ns - self._begun_ns) / self._period_ns) >= self._execution.every

    def begin(self, observed_ns: int) -> None:
        """A computation begins, for the observation of this tick."""
        self._begun_ns = observed_ns

    def committed(self, tick_ns: int, measured: int = 0) -> Vector:
        """Return the first steps (K, A) of a chunk computed for this tick that are decided already.

        `measured`: the ticks that begin until the chunk can be there.
        """
        commit = measured if self._execution.commit == MEASURED else self._execution.commit
        commit -= max(0, round((self._played[0] - tick_ns) / self._period_ns))  # before it, the robot held
        if self._alone or commit <= 0:
            return np.empty((0, self._contract.action_size))
        return self.left(tick_ns)[:commit]

    def add(self, observed_ns: int, chunk: Vector, next_ns: int | None = None) -> None:
        """Play a chunk (H, A) whose first step is for the tick that it observed.

        `next_ns`: the next tick to be played; None: the observed one. Ticks before it that no chunk reached do not
        count, if the chunk is longer than its computation took.
        """
        first_ns, (begun_ns, ended_ns) = observed_ns, self._played
        if next_ns is not None and len(steps_left(chunk, observed_ns, next_ns, self._period_ns)):
            before_ns = max(0, min(begun_ns, next_ns) - observed_ns)
            after_ns = max(0, next_ns - max(ended_ns, observed_ns))
            first_ns += round((before_ns + after_ns) / self._period_ns) * self._period_ns
        if self._execution.ensemble < 0 or self._alone:
            self._chunks.clear()
        self._alone = False
        self._chunks.append((first_ns, chunk))
        self._observed_ns = observed_ns
        if observed_ns >= self._from_ns:
            whole = first_ns <= ended_ns + self._period_ns // 2
            self._played = begun_ns if whole else first_ns, first_ns + len(chunk) * self._period_ns

    def left(self, tick_ns: int) -> Vector:
        """Return the steps (K, A) from a tick on; K is 0 if no chunk reaches it."""
        rests = [
            steps_left(chunk, observed_ns, tick_ns, self._period_ns) for observed_ns, chunk in self._chunks
        ]
        while rests and not len(rests[0]):  # the oldest ends first
            rests.pop(0)
            self._chunks.popleft()
        if not rests:
            return np.empty((0, self._contract.action_size))
        return rests[-1] if len(rests) == 1 else self._averaged(rests)

    def _averaged(self, rests: list[Vector]) -> Vector:
        """Return the weighted mean of chunks, oldest first, at the steps of the newest one."""
        newest = rests[-1]
        total, weights = np.zeros_like(newest), np.zeros((len(newest), 1))
        for place, rest in enumerate(rests):
            count, weight = min(len(rest), len(newest)), np.exp(-self._execution.ensemble * place)
            total[:count] -= weight * command_difference(self._contract, newest[:count], rest[:count])
            weights[:count] += weight
        mean = newest + total / weights
        for action in self._contract.actions:
            if action.type == POSE:
                first = self._contract.action_slices[action.key].start + len(XYZ)
                part = mean[:, first : first + len(XYZW)]
                part /= np.linalg.norm(part, axis=1, keepdims=True)
        return mean
