"""Work on episodes by all cores: processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from typing import TypeVar

from il_ros.core.processes import prepare_child

Work = TypeVar("Work")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


@contextmanager
def mapped(function: Callable[[Work], Result], work: Sequence[Work], jobs: int) -> Iterator[Iterator[Result]]:
    """Yield the results of `function`, in the order of `work`, computed by up to `jobs` processes.

    The processes are started anew, not forked: a library that this one uses, such as for rendering, may have threads.
    With one job everything happens in this process. The iterator raises BrokenProcessPool when a process is killed.
    """
    jobs = min(jobs, len(work))
    if jobs <= 1:
        yield map(function, work)
        return
    spawn = multiprocessing.get_context("spawn")
    ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # in a background job of a shell's script
    pool = ProcessPoolExecutor(jobs, mp_context=spawn, initializer=_end_with_the_parent, initargs=(ignored,))
    try:
        # the processes inherit this mask: Ctrl-C also goes to them, and would print a traceback from their imports
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            results = pool.map(function, work)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        yield results
    finally:
        pool.shutdown(cancel_futures=True)


def _end_with_the_parent(ignored: bool) -> None:
    """Let a process end without a word when its parent is killed, and on Ctrl-C unless that is `ignored`."""
    prepare_child()
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() == 1:  # its parent ended before
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
