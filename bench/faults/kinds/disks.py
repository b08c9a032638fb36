"""Disks that are full or read-only, for each node that writes; /dev/shm; the folder of versions; odd versions."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import learning
import places
from fault import FLOOD_S, KILL_S, SILENT_S, Fault, NotAsDeclaredError, Run
from made import save_constant
from recorded import STRING
from world import LATCHED, World

from il_ros.core import files
from kinds.messages import published, text
from kinds.processes import limit, limited, present_bytes

Breakage = Callable[[World], contextlib.AbstractContextManager[None]]


def _no_writes(name: str) -> Run:
    return limited(name, "fsize", lambda _pid: 1)


@contextlib.contextmanager
def _full_disk(world: World) -> Iterator[None]:
    with places.full(world.root):
        time.sleep(FLOOD_S)
        yield


@contextlib.contextmanager
def _read_only(world: World) -> Iterator[None]:
    """Between two episodes: no file can be open for writing when a disk becomes read-only."""
    folder = world.open_episode()
    assert folder is not None
    if not world.end_episode(folder):
        raise NotAsDeclaredError("the episode before the fault is not complete")
    with places.read_only(world.root):
        world.ask("recorder/start", lambda: world.said("recorder", "not started.*[Rr]ead-only file system"))
        world.drives()
        yield
    world.end_episode(world.record())


@contextlib.contextmanager
def _full_shared_memory(world: World) -> Iterator[None]:
    with places.full(places.SHARED):
        time.sleep(FLOOD_S)
        yield


@contextlib.contextmanager
def _started_without_shared_memory(world: World) -> Iterator[None]:
    world.send_signal("policy_server", signal.SIGTERM)
    world.processes["policy_server"].wait(60)
    world.fault_at = time.monotonic()
    with places.full(places.SHARED):
        world.begin("policy_server")
        world.drives()
        yield


# ---- the trainer -----------------------------------------------------------------------------------------


def _while_it_trains(breakage: Callable[[World, learning.Learner], dict[str, Any]]) -> Run:
    """The broken training fails with a reason and leaves no half version; afterwards one succeeds."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        with learning.learner(world) as learner:
            before = set(learning.good_versions(world))
            event = breakage(world, learner)
            if event["event"] != "failed" or not event.get("reason"):
                raise NotAsDeclaredError(f"the training did not fail: {event}")
            yield
            learning.require_whole(world)
            event = learner.train()
            if event["event"] != "announced" or set(learning.good_versions(world)) == before:
                raise NotAsDeclaredError(f"no training after the fault: {event}")
            learning.require_whole(world)

    return run


@contextlib.contextmanager
def _versions_full(world: World) -> Iterator[None]:
    with places.full(world.versions):
        yield


@contextlib.contextmanager
def _versions_read_only(world: World) -> Iterator[None]:
    with places.read_only(world.versions):
        yield


def _train_when_full(world: World, learner: learning.Learner) -> dict[str, Any]:
    with places.full(world.learnt):
        return learner.train()


def _train_when_read_only(world: World, learner: learning.Learner) -> dict[str, Any]:
    with places.read_only(world.learnt):
        return learner.train()


def _train_without_memory(_world: World, learner: learning.Learner) -> dict[str, Any]:
    """The training's process gets no more memory than it has soon after its start."""
    count = len(learner.events)
    learner.begin()
    number = learner.process()
    with limit(number, "as", present_bytes(number)):
        return learner.end(count)


# ---- versions --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _versions_deleted(world: World) -> Iterator[None]:
    for each in world.versions.iterdir():  # the folder itself may be a mounted disk
        shutil.rmtree(each)
    time.sleep(1.0)
    yield
    save_constant(world.contract, world.versions / "v1" / "checkpoint")


def announced(change: Callable[[Path], None]) -> Run:
    """The trainer announces a version that somebody changed."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        made = world.versions / "v2"
        save_constant(world.contract, made / "checkpoint")
        change(made)
        publish = world.publisher("trainer/checkpoint", STRING, LATCHED)
        publish(text(str(made / "checkpoint")))
        time.sleep(FLOOD_S)
        yield
        shutil.rmtree(made)

    return run


def _announced_while(breakage: Breakage) -> Run:
    """A version is announced, examined and swapped in while its verdict cannot be written."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        made = world.versions / "v2"
        save_constant(world.contract, made / "checkpoint")
        publish = world.publisher("trainer/checkpoint", STRING, LATCHED)
        with breakage(world):
            publish(text(str(made / "checkpoint")))
            world.until(
                lambda: world.said("policy_server", "v2 (in control|refused)|version v"), "the verdict on v2"
            )
            time.sleep(1.5)  # it notes the driving record each second
            yield
        for file in world.versions.glob("v*/version.json"):
            files.read_text(file, 10**6)  # raises if it is broken
        world.go_back_to_v1()
        shutil.rmtree(made)

    return run


def _flip_weights(made: Path) -> None:
    file = made / "checkpoint" / "model.safetensors"
    raw = bytearray(file.read_bytes())
    raw[-5] ^= 0x10
    file.write_bytes(raw)


def _pipe(made: Path) -> None:
    (made / "version.json").unlink()
    os.mkfifo(made / "version.json")


def _foreign(made: Path) -> None:
    (made / "version.json").write_text('{"version": "1.2.3", "build": 7}')


# ---- the session -----------------------------------------------------------------------------------------


def _session_report(breakage: Breakage) -> Run:
    """A session ends, and its report cannot be written: it says so and ends."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        folder = world.open_episode()
        assert folder is not None
        if not world.end_episode(folder):
            raise NotAsDeclaredError("the episode before the fault is not complete")
        session = world.begin("session", report=str(world.root))
        world.until(lambda: world.said("session", "no terminal: keys"), "the session")
        with breakage(world):
            session.send_signal(signal.SIGINT)
            status = session.wait(60)
            if not world.said("session", "no (report|page): "):
                raise NotAsDeclaredError(
                    f"the session did not say why there is no report; it ended with {status}"
                )
            yield
        del world.processes["session"]
        # without a console that a person left, the robot stops; there was none on a terminal

    return run


@contextlib.contextmanager
def _report_full(world: World) -> Iterator[None]:
    with places.full(world.report):
        yield


@contextlib.contextmanager
def _report_read_only(world: World) -> Iterator[None]:
    with places.read_only(world.report):
        yield


@contextlib.contextmanager
def _session_without_memory(world: World) -> Iterator[None]:
    pid = world.processes["session"].pid
    with limit(pid, "as", present_bytes(pid)):
        yield


FAULTS = [
    Fault("recorder: disk full", _full_disk, lost_s=KILL_S, needs_root=True),
    Fault("recorder: disk read-only", _read_only, needs_root=True),
    Fault("recorder: writes refused", _no_writes("recorder"), kept=False, lost_s=KILL_S),
    Fault("trainer: writes refused", _no_writes("trainer")),
    Fault(
        "trainer: disk full while it trains",
        _while_it_trains(_train_when_full),
        needs_root=True,
        says="No space",
    ),
    Fault(
        "trainer: disk read-only while it trains",
        _while_it_trains(_train_when_read_only),
        needs_root=True,
        says="[Rr]ead-only",
    ),
    Fault(
        "trainer: no memory while it trains",
        _while_it_trains(_train_without_memory),
        says="training v. failed",
    ),
    Fault(
        "policy_server: disk full at a swap",
        _announced_while(_versions_full),
        needs_root=True,
        says="No space",
    ),
    Fault(
        "policy_server: disk read-only at a swap",
        _announced_while(_versions_read_only),
        needs_root=True,
        says="[Rr]ead-only",
    ),
    Fault(
        "session: disk full at its report", _session_report(_report_full), needs_root=True, says="No space"
    ),
    Fault(
        "session: disk read-only at its report",
        _session_report(_report_read_only),
        needs_root=True,
        says="[Rr]ead-only",
    ),
    Fault(
        "session: no memory for its report",
        _session_report(_session_without_memory),
        says="no (report|page): ",
    ),
    Fault("/dev/shm full", _full_shared_memory, needs_root=True),
    Fault(
        "policy_server restarted while /dev/shm is full",
        _started_without_shared_memory,
        "must",
        SILENT_S,
        needs_root=True,
        says="/dev/shm",
    ),
    Fault("folder of versions deleted", _versions_deleted),
    Fault("announced: flipped bits in the weights", announced(_flip_weights)),
    Fault("announced: version.json is a pipe", announced(_pipe)),
    Fault("announced: version.json of somebody else", announced(_foreign)),
    Fault(
        "announced: control characters",
        published("trainer/checkpoint", STRING, [text("\x1b]0;x\x07\n")], 3, True),
    ),
]
