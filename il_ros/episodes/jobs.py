"""Work by all cores, such as on episodes: processes that end with the one that started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Future, ProcessPoolExecutor
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from il_ros.core.processes.child import prepare_child
from il_ros.episodes.bag.reader import bag_files

Work = TypeVar("Work")
Result = TypeVar("Result")


def cores() -> int:
    """Return the number of cores that this process may use."""
    return len(os.sched_getaffinity(0))


WORTH_PROCESSES = 32_000_000
"""Bytes of bags to convert from which several processes, which take a second to start, are faster."""


def jobs_for(episodes: Sequence[Path]) -> int:
    """Return by how many processes the bags of these episodes are converted."""
    stored = sum(file.stat().st_size for episode in episodes for file in bag_files(episode))
    return min(cores(), len(episodes)) if stored >= WORTH_PROCESSES else 1


_AHEAD = 3
"""Items for each process that are taken before their results are asked for."""


@contextmanager
def mapped(function: Callable[[Work], Result], work: Iterable[Work], jobs: int) -> Iterator[Iterator[Result]]:
    """Yield the results of `function`, in the order of `work`, computed by up to `jobs` processes.

    An item of `work` is taken when it is its turn, a few ahead of the results. Each process gets `function` once, so
    that files it opens stay open for the next item. The processes are started anew, not forked: a library that this one
    uses, such as for rendering, may have threads. With one job, or one item, everything happens in this process.
    The iterator raises BrokenProcessPool when a process is killed.
    """
    jobs = min(jobs, len(work)) if isinstance(work, Sized) else jobs
    if jobs <= 1:
        yield map(function, work)
        return
    pool = Pool(function, jobs)
    try:
        rest = iter(work)
        yield _results(pool, deque(pool.submit(islice(rest, _AHEAD * jobs))), rest)
    finally:
        pool.close()


class Pool:
    """Up to `jobs` processes that compute `function`; they start with their first item and are kept until `close`."""

    def __init__(self, function: Callable[[Any], Any], jobs: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        ignored = signal.getsignal(signal.SIGINT) is signal.SIG_IGN  # in a background job of a shell's script
        self._pool = ProcessPoolExecutor(
            jobs, mp_context=spawn, initializer=_begin, initargs=(ignored, function)
        )

    def submit(self, items: Iterable[Any]) -> list[Future[Any]]:
        """Return the results to come; they raise BrokenProcessPool when a process is killed."""
        # the processes inherit this mask: Ctrl-C also goes to them, and would print a traceback from their imports
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            return [self._pool.submit(_call, item) for item in items]
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def close(self) -> None:
        """End the processes, after the work that they have begun."""
        self._pool.shutdown(cancel_futures=True)


def _results(pool: Pool, ahead: deque[Future[Any]], rest: Iterator[Any]) -> Iterator[Any]:
    while ahead:
        done = ahead.popleft().result()
        ahead.extend(pool.submit(islice(rest, 1)))
        yield done


_function: list[Callable[[Any], Any]] = []
"""That of a process of a `Pool`."""


def _begin(ignored: bool, function: Callable[[Any], Any]) -> None:
    _end_with_the_parent(ignored)
    _function.append(function)


def _call(item: Any) -> Any:
    return _function[0](item)


def _end_with_the_parent(ignored: bool) -> None:
    """Let a process end without a word when its parent is killed, and on Ctrl-C unless that is `ignored`."""
    prepare_child()
    if ignored:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    if os.getppid() == 1:  # its parent ended before
        os._exit(1)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
