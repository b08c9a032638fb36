"""A thread in which a policy computes beside the node's executor, one computation at a time."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, NamedTuple

Deliver = Callable[[Callable[[], None]], None]
"""Has a function called in the thread of the node's executor; called in the thread of the computation."""


class Computed(NamedTuple):
    """What a computation returned or raised, and how long it took."""

    value: Any
    error: BaseException | None
    seconds: float


Done = Callable[[Computed], None]


def computed(compute: Callable[[], Any]) -> Computed:
    """Return the outcome of `compute()`, computed at once."""
    started_s = time.perf_counter()
    try:
        value, error = compute(), None
    except Exception as raised:
        value, error = None, raised
    return Computed(value, error, time.perf_counter() - started_s)


class InferenceThread:
    """Computes in a thread of its own; the methods belong to the executor's thread.

    It is a thread and not a process: torch releases Python's lock while it computes, and the interpreter passes it on
    every half millisecond otherwise (docs/figures/driving.md), a policy is in memory once, and an exchange of policies
    stays one assignment. `threads`: number of torch's threads, which it keeps for each calling thread. The thread
    starts with the first computation. It inherits the executor's scheduling: at a lower priority, it could be stopped
    by other processes while it holds Python's lock, and the executor would wait for them.
    """

    def __init__(self, deliver: Deliver, threads: int) -> None:
        self._deliver, self._threads = deliver, threads
        self._work: SimpleQueue[tuple[Callable[[], Any], Done] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._computed = threading.Event()
        self._done: Done | None = None
        """What is called with the outcome of the running computation; None: nothing computes."""

    @property
    def busy(self) -> bool:
        """Whether a computation runs, or its outcome has not been delivered yet."""
        return self._done is not None

    def run(self, compute: Callable[[], Any], done: Done) -> None:
        """Start a computation; `done` gets its outcome, in the executor's thread. Raises RuntimeError while busy."""
        if self._done is not None:
            raise RuntimeError("a computation runs already")
        if self._thread is None:
            self._thread = threading.Thread(target=self._loop, name="inference", daemon=True)
            self._thread.start()
        self._computed.clear()
        self._done = done
        self._work.put((compute, done))

    def settle(self, timeout_s: float) -> bool:
        """Wait until nothing computes, and drop the outcome; return whether that was so within the time."""
        if self._done is not None and not self._computed.wait(timeout_s):
            return False
        self._done = None
        return True

    def close(self, timeout_s: float) -> None:
        """End the thread; one that still computes then ends with its process."""
        thread, self._thread, self._done = self._thread, None, None
        if thread is not None:
            self._work.put(None)
            thread.join(timeout_s)

    def _loop(self) -> None:
        torch = sys.modules.get("torch")  # a policy without it is possible
        if torch is not None:
            torch.set_num_threads(self._threads)
        while (work := self._work.get()) is not None:
            compute, done = work
            outcome = computed(compute)
            self._computed.set()
            self._deliver(lambda done=done, outcome=outcome: self._finish(done, outcome))  # type: ignore[misc]

    def _finish(self, done: Done, outcome: Computed) -> None:
        if self._done is done:  # else it was dropped
            self._done = None
            done(outcome)
