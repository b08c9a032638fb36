"""What ends a process of this package: a signal, or the end of the process that launched it.

A robot must not go on when nobody can stop it from the terminal any more. `il-ros run` and the launch files name
themselves in the environment variable IL_ROS_LAUNCHER; a node that `ros2 launch` or `ros2 run` started otherwise
watches its parent. When that process ends, even by SIGKILL, the node stops as after a signal.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import selectors
import signal
import sys
import termios
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

LAUNCHER_VARIABLE = "IL_ROS_LAUNCHER"
"""Process id of the launcher, with whose end the process stops; 'none': it has none."""
_ROS2_VERBS = ("launch", "run")
_JOIN_S = 10.0
"""Longest wait at the end for the thread that calls `wake`: mostly microseconds, on a crowded machine seconds."""


def launcher() -> int | None:
    """Return the process id of this process's launcher: as declared, or a parent `ros2 launch` or `ros2 run`.

    None: there is none, as for a node that was started in a shell. Raises ValueError on an invalid declaration.
    """
    declared = os.environ.get(LAUNCHER_VARIABLE, "")
    if declared == "none":
        return None
    if declared:
        if not (declared.isdecimal() and int(declared) > 0):
            raise ValueError(f"{LAUNCHER_VARIABLE}={declared}: a process id is needed, or none")
        return int(declared)
    parent = os.getppid()
    return parent if _is_ros2(_command_line(parent)) else None


def leave_lost_terminal() -> bool:
    """Point standard output and error to /dev/null if their terminal was closed; return whether it was.

    Otherwise each further word, also one that Python still holds at the exit, is an error.
    """
    lost = [descriptor for descriptor in (1, 2) if _is_hung_up(descriptor)]
    if lost:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for descriptor in lost:
            os.dup2(nowhere, descriptor)
        os.close(nowhere)
    return bool(lost)


def _is_hung_up(descriptor: int) -> bool:
    """Return whether a descriptor is a terminal that was closed; False for files, pipes and a closed descriptor."""
    try:
        termios.tcgetattr(descriptor)
    except termios.error as error:
        return bool(error.args[0] == errno.EIO)
    return False


def suspend() -> None:
    """Suspend this process as Ctrl-Z does by default; return when it is continued, or at once where nobody could.

    The kernel does not suspend a process whose group has no shell with job control above it, as in `ssh -t HOST
    COMMAND` or a container: SIGSTOP would suspend it for good. Call from the main thread.
    """
    before = signal.signal(signal.SIGTSTP, signal.SIG_DFL)
    os.kill(os.getpid(), signal.SIGTSTP)
    signal.signal(signal.SIGTSTP, before)


def hold_signals() -> None:
    """Keep the signals that stop a process until `stop_signals` handles them."""
    signal.pthread_sigmask(signal.SIG_BLOCK, STOP_SIGNALS)


@contextlib.contextmanager
def signals_end_process() -> Iterator[None]:
    """Let the signals that stop a process end it at once, with status 0: while it imports, nothing has begun.

    SIGHUP stays ignored where it was (`nohup`). At the end the previous handlers are restored. Main thread only.
    """
    numbers = [n for n in STOP_SIGNALS if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    before = {number: signal.signal(number, lambda *_: os._exit(0)) for number in numbers}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def stop_signals(
    wake: Callable[[], object],
    numbers: Sequence[signal.Signals] = STOP_SIGNALS,
    launched_by: int | None = None,
    ending: bool = False,
    suspended: Callable[[], object] = lambda: None,
) -> Iterator[Callable[[], bool]]:
    r"""Turn SIGINT, SIGTERM and SIGHUP into a flag; yield the function that reads it.

    The first signal calls `wake` in another thread. Later ones are reported and change nothing: launch forwards
    a second SIGINT where there is no terminal, and sends SIGTERM while a slow disk still takes an episode.
    SIGQUIT (Ctrl-\) and SIGKILL end the process at once. SIGHUP stays ignored where it was (`nohup`).
    The end of the process `launched_by` counts as a signal.
    SIGTSTP (Ctrl-Z) calls `suspended` in the other thread and does not suspend the process, because a robot would
    keep its last velocity; a process that has its own handler, such as one that reads keys, keeps it.

    Python runs signal handlers only between two bytecodes of the main thread, which may stay in the
    executor's C++ code; the C handler itself writes the wake-up descriptor.
    Call from the main thread only. At the end the previous handlers are restored; after a signal, or if the
    process is `ending` anyway, the signals are ignored instead: launch's second SIGINT may arrive that late.
    """
    handled = [n for n in numbers if n != signal.SIGHUP or signal.getsignal(n) != signal.SIG_IGN]
    stopped = threading.Event()
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    handlers = {number: signal.signal(number, lambda *_: None) for number in handled}
    tstp_before = signal.getsignal(signal.SIGTSTP)
    if tstp_before is signal.SIG_DFL:
        signal.signal(signal.SIGTSTP, lambda *_: None)
    descriptor_before = signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, handled)  # see `hold_signals`

    def stop() -> None:
        stopped.set()
        wake()

    def on_signal(number: int) -> None:
        if number == signal.SIGTSTP and tstp_before is signal.SIG_DFL:
            suspended()
        if number not in handlers:
            return
        if not stopped.is_set():
            stop()
        elif number == signal.SIGINT:
            _tell("still stopping; Ctrl-\\ ends at once and loses what is not closed")

    def on_launchers_end() -> None:
        if not stopped.is_set():
            _tell(f"the process that launched this one ({launched_by}) has ended: stopping")
            stop()

    watcher = threading.Thread(
        target=_watch, args=(reader, launched_by, on_signal, on_launchers_end), name="signals", daemon=True
    )
    watcher.start()
    try:
        yield stopped.is_set
    finally:
        signal.set_wakeup_fd(descriptor_before)
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_IGN if ending or stopped.is_set() else handler)
        if tstp_before is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
        os.close(writer)  # ends the watcher: its read returns nothing
        # a thread in the executor's C++ code when the interpreter ends aborts the process (signal 6)
        watcher.join(_JOIN_S)
        if not watcher.is_alive():  # otherwise it still reads
            os.close(reader)


def _watch(
    reader: int,
    launched_by: int | None,
    on_signal: Callable[[int], None],
    on_launchers_end: Callable[[], None],
) -> None:
    """Report received signals and the launcher's end, until the other end of the pipe `reader` is closed."""
    with selectors.DefaultSelector() as selector:
        selector.register(reader, selectors.EVENT_READ)
        process = -1
        if launched_by is not None:
            try:
                process = os.pidfd_open(launched_by)
            except ProcessLookupError:
                on_launchers_end()
            else:
                selector.register(process, selectors.EVENT_READ)
        while True:
            ready = {key.fd for key, _ in selector.select()}
            if process in ready:
                selector.unregister(process)
                os.close(process)
                process = -1
                on_launchers_end()
            if reader in ready:
                received = os.read(reader, 1)
                if not received:
                    break
                on_signal(received[0])
        if process >= 0:
            os.close(process)


def _tell(sentence: str) -> None:
    with contextlib.suppress(OSError):  # the terminal, or the launcher that reads this, may be gone
        print(sentence, file=sys.stderr, flush=True)


def _command_line(process: int) -> list[str]:
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes().decode(errors="replace").split("\0")
    except OSError:
        return []


def _is_ros2(words: Sequence[str]) -> bool:
    return any(Path(word).name == "ros2" and verb in _ROS2_VERBS for word, verb in itertools.pairwise(words))
