"""A group of child processes that start and stop together, with one log file each.

It replaces `ros2 launch` where nodes run as plain processes: no process outlives its parent, and the first
process that ends determines the result of the group.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO

from il_ros.core.processes.child import GATE_VARIABLE, GO, prepare_child
from il_ros.core.processes.stopping import LAUNCHER_VARIABLE, suspend

OnLine = Callable[[str, str], None]

_STOP_S = 10.0
"""Time for a process to exit after SIGINT, in seconds; then it is killed."""
_ABORT_S = 2.0
"""Time for a process that is killed after `_STOP_S` to write first where its threads are, in seconds."""
_KILLED_S = 10.0
"""Time after which a killed process that has not ended is named, in seconds."""
_SUSPEND_S = 2.0
"""Longest wait for the process that has the terminal to be suspended, in seconds."""
RESPAWN_S = 2.0
"""Time until a failed process that may come back is started again, as of Nav2's launch files."""
MOST_RESPAWNS = 100
INTERRUPTED = (0, -signal.SIGINT, 128 + signal.SIGINT, -signal.SIGALRM)
"""Exit statuses of a process that stopped because of SIGINT. A program that does not handle it has 130; a node that
had stopped, and whose middleware did not end, SIGALRM (`il_ros.nodes.runtime.managed.TEARDOWN_S`)."""
_WAKE = object()


class ChildError(RuntimeError):
    """A process of the group ended unexpectedly; the message contains its last lines and the path of its log."""


@dataclass(frozen=True)
class Ending:
    """The first process that ended, and its exit status (negative: the signal that ended it)."""

    name: str
    status: int


class ProcessGroup:
    """Starts processes, writes their output to `logs/NAME.log`, and stops all at the end of the context.

    `on_line(name, line)` is called with every printed line. The process named `terminal` keeps the terminal
    and receives Ctrl-C; it has no log. `stop_s`: the time that a process gets after SIGINT, by name; the default
    is 10 s. `respawn`: processes that are started again `RESPAWN_S` after they fail, up to `MOST_RESPAWNS` times.
    `gated`: processes that wait in `pass_gate` (`child.py`) after their imports; until `open_gate`, no other one is
    started, and nothing is logged.

    If this process is killed, each child receives SIGTERM. Nodes also watch the process that
    `LAUNCHER_VARIABLE` names (`il_ros/core/processes/stopping.py`), which is this one.
    """

    def __init__(
        self,
        commands: Mapping[str, Sequence[str]],
        logs: Path,
        on_line: OnLine,
        terminal: str = "",
        stop_s: Mapping[str, float] | None = None,
        respawn: Sequence[str] = (),
        gated: Collection[str] = (),
    ) -> None:
        self._terminal = terminal
        self._stop_s = dict.fromkeys(commands, _STOP_S) | dict(stop_s or {})
        self._logs = logs
        self._on_line = on_line
        self._commands = dict(commands)
        self._respawn, self._respawns = frozenset(respawn), dict.fromkeys(respawn, 0)
        self._due_s: dict[str, float] = {}  # when a failed process starts again (monotonic clock)
        self._selector = selectors.DefaultSelector()
        self._failed: tuple[Ending, ...] | None = None  # after `stop`
        self._wake_fd = os.eventfd(0)
        self._selector.register(self._wake_fd, selectors.EVENT_READ, _WAKE)
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._partial: dict[str, bytes] = {}
        self._files: dict[str, IO[bytes]] = {}
        self._gates: dict[str, socket.socket] = {}
        self._opened = False
        try:
            for name in gated:
                self._start_gated(name)
            if not gated:
                self.open_gate()
        except BaseException:
            self.stop()
            raise

    def __enter__(self) -> ProcessGroup:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()

    def at_gate(self) -> bool:
        """Return whether each gated process waits at the gate or has ended."""
        return all(map(_has_arrived, self._gates.values()))

    def open_gate(self) -> None:
        """Let the gated processes go on, and start the others; raises OSError if there can be no logs."""
        self._logs.mkdir(parents=True, exist_ok=True)
        for name in self._commands:
            if name != self._terminal:
                self._files[name] = (self._logs / f"{name}.log").open("wb", buffering=0)
        self._opened = True
        for gate in self._gates.values():
            with gate, contextlib.suppress(OSError):  # it has ended, which `wait` reports
                gate.sendall(GO)
        self._gates.clear()
        for name, command in self._commands.items():
            if name not in self._processes:
                self._start(name, command)

    def wake(self) -> None:
        """Have `wait_unless` look at `stopped` now; callable from another thread."""
        if self._failed is None:
            os.eventfd_write(self._wake_fd, 1)

    def wait(self, timeout_s: float | None = None) -> Ending:
        """Return the first process that ends for good; raises TimeoutError when none ends within `timeout_s`."""
        ending = self.wait_unless(lambda: False, timeout_s)
        assert ending is not None
        return ending

    def wait_unless(self, stopped: Callable[[], bool], timeout_s: float | None = None) -> Ending | None:
        """As `wait`; return None when `stopped()`, which is looked at after `wake`."""
        deadline = None if timeout_s is None else time.monotonic() + timeout_s
        while not stopped():
            for name, process in self._processes.items():
                status = process.poll()
                if status is not None and not self._comes_back(name, status):
                    self._drain()
                    return Ending(name, status)
            now_s = time.monotonic()
            left = None if deadline is None else deadline - now_s
            if left is not None and left <= 0:
                raise TimeoutError(f"none of {', '.join(self._processes)} ended within {timeout_s:g} s")
            waits = [due_s - now_s for due_s in self._due_s.values()] + ([] if left is None else [left])
            self._pump(max(0.0, min(waits)) if waits else None)
        return None

    def stop(self) -> tuple[Ending, ...]:
        """Send SIGINT to every process, kill those that do not exit in time, and reap all.

        A process that is late receives SIGABRT first: a node then writes to its log where each of its threads is.

        Returns the endings after the signal that are failures: an exit status above 0, or death by a signal
        other than SIGINT. A second call does nothing.
        """
        if self._failed is not None:
            return self._failed
        if not self._opened:
            self._kill(tuple(self._gates))  # they have done nothing yet, and may import for long
        asked = [name for name, process in self._processes.items() if process.poll() is None]
        for name in asked:
            self._processes[name].send_signal(signal.SIGINT)
        began_s = time.monotonic()
        while running := [name for name, process in self._processes.items() if process.poll() is None]:
            passed_s = time.monotonic() - began_s
            late = [name for name in running if passed_s >= self._stop_s[name]]
            if late:
                self._abort(late)
                self._kill(late)
            else:
                self._pump(min(self._stop_s[name] for name in running) - passed_s)
        self._drain()
        self._selector.close()
        for file in self._files.values():
            file.close()
        endings = [Ending(name, self._processes[name].returncode) for name in asked]
        self._failed = tuple(each for each in endings if each.status not in INTERRUPTED)
        os.close(self._wake_fd)
        return self._failed

    def suspend(self, *_: object) -> None:
        """Send SIGTSTP (Ctrl-Z) to every process that the terminal does not reach, then suspend this process.

        The process that has the terminal restores it before: afterwards the shell has it. To be used as a signal
        handler.
        """
        for name, process in self._processes.items():
            if name != self._terminal and process.poll() is None:
                process.send_signal(signal.SIGTSTP)
        own = self._processes.get(self._terminal)
        changed = os.WSTOPPED | os.WEXITED | os.WNOHANG | os.WNOWAIT
        end_s = time.monotonic() + _SUSPEND_S
        while own is not None and own.returncode is None and time.monotonic() < end_s:
            if os.waitid(os.P_PID, own.pid, changed) is not None:
                break
            time.sleep(0.01)
        suspend()

    def failure(self, ending: Ending, lines: int = 20) -> ChildError:
        """Return the error for a process that ended unexpectedly, with its last `lines` of output.

        0 `lines`: without, because the output is on the screen.
        """
        how = f"killed by signal {-ending.status}" if ending.status < 0 else f"exit status {ending.status}"
        if ending.name == self._terminal:
            return ChildError(f"{ending.name} ended ({how}); its output is above")
        log = self._logs / f"{ending.name}.log"
        if lines == 0:
            return ChildError(f"{ending.name} ended ({how}); its output is above and in {log}")
        tail = log.read_text(errors="replace").splitlines()[-lines:]
        printed = "\n".join(f"    {line}" for line in tail) or "    (no output)"
        return ChildError(f"{ending.name} ended ({how}); its last lines:\n{printed}\n  full log: {log}")

    def _start_gated(self, name: str) -> None:
        self._gates[name], childs = socket.socketpair()
        with childs:
            self._start(name, self._commands[name], childs.fileno())

    def _start(self, name: str, command: Sequence[str], gate: int | None = None) -> None:
        own = name == self._terminal
        environment = {**os.environ, "PYTHONUNBUFFERED": "1", LAUNCHER_VARIABLE: str(os.getpid())}
        if gate is not None:
            environment[GATE_VARIABLE] = str(gate)
        process = subprocess.Popen(
            command,
            stdin=None if own else subprocess.DEVNULL,
            stdout=None if own else subprocess.PIPE,
            stderr=None if own else subprocess.STDOUT,
            start_new_session=not own,  # only the parent receives Ctrl-C, and forwards it once
            preexec_fn=_prepare_group_child,
            env=environment,
            pass_fds=() if gate is None else (gate,),
        )
        self._processes[name] = process
        self._selector.register(os.pidfd_open(process.pid), selectors.EVENT_READ, None)
        if own:
            return
        self._partial[name] = b""
        assert process.stdout is not None
        os.set_blocking(process.stdout.fileno(), False)
        self._selector.register(process.stdout, selectors.EVENT_READ, name)

    def _comes_back(self, name: str, status: int) -> bool:
        """Return whether a failed process is started again; start it when it is time."""
        if name not in self._respawn or status == 0 or self._respawns[name] >= MOST_RESPAWNS:
            return False
        now_s = time.monotonic()
        if now_s >= self._due_s.setdefault(name, now_s + RESPAWN_S):
            del self._due_s[name]
            self._respawns[name] += 1
            self._read(name)
            self._on_line(name, f"starts again ({self._respawns[name]} of at most {MOST_RESPAWNS} times)")
            self._start(name, self._commands[name])
        return True

    def _pump(self, timeout_s: float | None) -> None:
        """Wait until a process prints or ends, and read its output."""
        for key, _ in self._selector.select(timeout_s):
            if key.data is _WAKE:
                os.eventfd_read(self._wake_fd)
            elif key.data is None:
                self._selector.unregister(key.fd)
                os.close(key.fd)
            else:
                self._read(key.data)

    def _drain(self) -> None:
        for name in self._processes if self._opened else ():
            self._read(name)

    def _read(self, name: str) -> None:
        stream = self._processes[name].stdout
        if stream is None or stream.closed:
            return
        while block := stream.read(65536):
            self._files[name].write(block)
            *lines, self._partial[name] = (self._partial[name] + block).split(b"\n")
            for line in lines:
                self._on_line(name, line.decode(errors="replace"))
        if block == b"":  # None: no data yet; empty: end of the stream
            self._selector.unregister(stream)
            stream.close()
            if self._partial[name]:
                self._on_line(name, self._partial[name].decode(errors="replace"))

    def _abort(self, names: Sequence[str]) -> None:
        """Send SIGABRT to processes that did not stop, and wait until they have ended, at most `_ABORT_S`."""
        for name in names:
            self._on_line(name, f"has not ended within {self._stop_s[name]:g} s and is killed")
            self._processes[name].send_signal(signal.SIGABRT)
        end_s = time.monotonic() + _ABORT_S
        while any(self._processes[name].poll() is None for name in names):
            left_s = end_s - time.monotonic()
            if left_s <= 0:
                break
            self._pump(left_s)

    def _kill(self, names: Sequence[str]) -> None:
        killed = {name: self._processes[name] for name in names if self._processes[name].poll() is None}
        for process in killed.values():
            process.kill() if process.stdout is None else os.killpg(process.pid, signal.SIGKILL)
        for name, process in killed.items():
            try:
                process.wait(_KILLED_S)
            except subprocess.TimeoutExpired:  # a crowded machine, or a disk that does not answer
                self._on_line(name, "was killed and has not ended yet")
                process.wait()


def _has_arrived(gate: socket.socket) -> bool:
    """Return whether the process at the other end has reached the gate or ended."""
    try:
        gate.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False
    return True


def _prepare_group_child() -> None:
    prepare_child(signal.SIGTERM)  # not SIGKILL: a supervisor stops its robot, a recorder closes its episode
