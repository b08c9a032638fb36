"""Nodes that end, stand still, or get neither processor nor memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from fault import FLOOD_S, FREEZE_S, KILL_S, SILENT_S, UNCOMMANDED_S, Fault, Run
from world import NODES, World

STOPS = {
    "sim": ("unseen", 0.0),
    "policy_server": ("must", SILENT_S),
    "dagger_supervisor": ("must", UNCOMMANDED_S),
}
ENDS = {name: STOPS[name] for name in ("sim", "dagger_supervisor")}
"""Of a node that is asked to end: the policy server may propose until it does."""
MAY = ("may", 0.0)


def ended(name: str, number: int) -> Run:
    """A node gets a signal that ends it, and is started anew after the fault."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.send_signal(name, number)
        world.processes[name].wait(60)
        yield

    return run


def frozen(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.send_signal(name, signal.SIGSTOP)
        time.sleep(FREEZE_S)
        yield
        world.send_signal(name, signal.SIGCONT)

    return run


def starved(*names: str) -> Run:
    """Other processes burn all cores; the nodes named get only what these leave (SCHED_IDLE)."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        for name in names:
            _schedule(world.processes[name].pid, os.SCHED_IDLE)
        cores = len(os.sched_getaffinity(0))
        burning = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * cores)]
        try:
            time.sleep(FREEZE_S)
            yield
        finally:
            for each in burning:
                each.kill()
                each.wait()
            for name in names:
                _schedule(world.processes[name].pid, os.SCHED_OTHER)

    return run


def _schedule(pid: int, policy: int) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):
        with contextlib.suppress(ProcessLookupError):
            os.sched_setscheduler(int(thread), policy, os.sched_param(0))


@contextlib.contextmanager
def limit(pid: int, resource: str, value: int) -> Iterator[None]:
    """Lower a resource's limit of a process."""
    subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}={value}:"], check=True)
    try:
        yield
    finally:
        # it may have ended, and be waited for, meanwhile
        subprocess.run(["prlimit", f"--pid={pid}", f"--{resource}=unlimited:"], capture_output=True)


def limited(name: str, resource: str, value: Callable[[int], int]) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        pid = world.processes[name].pid
        with limit(pid, resource, value(pid)):
            time.sleep(FLOOD_S)
            yield

    return run


def present_bytes(pid: int) -> int:
    """Return the size of a process's address space: with this limit it gets no more memory."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE")


def no_more_memory(name: str) -> Run:
    return limited(name, "as", present_bytes)


def _recorder(name: str, lost_s: float) -> dict[str, object]:
    return {"kept": name != "recorder", "lost_s": lost_s if name == "recorder" else 0.0}


FAULTS = [
    *(
        Fault(f"{name} killed", ended(name, signal.SIGKILL), *STOPS.get(name, MAY), **_recorder(name, KILL_S))  # type: ignore[arg-type]
        for name in NODES
    ),
    *(Fault(f"{name} frozen for {FREEZE_S:g} s", frozen(name), *STOPS.get(name, MAY)) for name in NODES),
    *(
        Fault(f"{name} restarted while it moves", ended(name, signal.SIGTERM), *ENDS.get(name, MAY))
        for name in NODES
    ),
    Fault("all nodes starved of the processor", starved()),
    *(Fault(f"{name} starved of the processor", starved(name)) for name in NODES),
    *(
        Fault(f"{name}: no more memory", no_more_memory(name), **_recorder(name, KILL_S))  # type: ignore[arg-type]
        for name in NODES
    ),
]
