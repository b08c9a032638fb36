"""Kills at chosen points: of a recovery, of a write, of a swap, of a training; and what a power cut takes away.

A point is a step of a process, named by its system call and file (`inside/sitecustomize.py`), so that a run repeats.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import learning
from fault import KILL_S, POWER_S, SILENT_S, Fault, NotAsDeclaredError, Run
from made import save_constant
from recorded import STRING
from world import LATCHED, World

from il_ros.episodes import layout
from il_ros.policies.versions import RUNNING
from kinds.messages import text

RECOVERER = "recovery"
RECOVERY_POINTS = (
    "open .*.mcap.recovering 1",  # before the copy
    "os.link *.mcap.orig 1",  # the copy is whole
    "os.rename *.mcap 1",  # the original has two names
    "os.rename metadata.yaml 1",  # the copy is in its place
    "os.rename episode.json 1",
    "os.remove *.mcap.orig 1",  # the last step
)
KILLED = -signal.SIGKILL
_TEMPORARY = re.compile(r"\.(.+)\.\d+")


@contextlib.contextmanager
def armed(world: World, name: str, point: str) -> Iterator[None]:
    """Let a node kill itself at a point."""
    world.point(name).write_text(point)
    try:
        yield
    finally:
        world.point(name).write_text("")


def _ends(world: World, name: str, timeout_s: float = 60.0) -> None:
    """Wait until the armed point has killed the node."""
    world.until(lambda: world.processes[name].poll() is not None, f"the kill of {name}", timeout_s)
    if world.processes[name].returncode != KILLED:
        raise NotAsDeclaredError(f"{name} ended with {world.processes[name].returncode}, not by the kill")


def _open(world: World) -> Path:
    folder = world.open_episode()
    assert folder is not None
    return folder


def _kill_recorder(world: World) -> Path:
    """Kill the recorder; return the folder of its episode."""
    folder = _open(world)
    world.fault_at = time.monotonic()
    world.send_signal("recorder", signal.SIGKILL)
    world.processes["recorder"].wait()
    return folder


# ---- recovery --------------------------------------------------------------------------------------------


def _recover(world: World, folder: Path) -> int:
    """Run `il-ros episodes recover`; return its exit status."""
    words = [sys.executable, "-m", "il_ros", "episodes", "recover", str(folder)]
    log = world.folder / "logs" / f"{RECOVERER}.log"
    with log.open("ab") as opened:
        return subprocess.run(
            words, stdout=opened, stderr=opened, env=world.environment(RECOVERER)
        ).returncode


@contextlib.contextmanager
def _recovery_killed(world: World) -> Iterator[None]:
    """The recorder is killed; the recovery of its episode is killed at each of its steps, then runs whole."""
    folder = _kill_recorder(world)
    for point in RECOVERY_POINTS:
        with armed(world, RECOVERER, point):
            status = _recover(world, folder)
        if status != KILLED:
            raise NotAsDeclaredError(f"the recovery did not come to '{point}': it ended with {status}")
    if status := _recover(world, folder):
        raise NotAsDeclaredError(f"the recovery failed in the end: {status}")
    left = [file.name for file in folder.iterdir() if ".orig" in file.name or "recovering" in file.name]
    if left:
        raise NotAsDeclaredError(f"the recovery left {', '.join(left)}")
    yield


# ---- writing ---------------------------------------------------------------------------------------------


@contextlib.contextmanager
def _killed_in_a_write(world: World) -> Iterator[None]:
    """The recorder is killed while its bag grows, and only half of the last growth is in the file."""
    bag = layout.bag_file(_open(world))
    before = bag.stat().st_size
    world.until(lambda: bag.stat().st_size > before, "a write", 5.0)
    _kill_recorder(world)
    after = bag.stat().st_size
    with bag.open("r+b") as file:
        file.truncate(before + (after - before) // 2)
    yield


def _killed_at_the_end(point: str) -> Run:
    """The recorder is killed while it completes an episode."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        with armed(world, "recorder", point):
            world.fault_at = time.monotonic()
            world.ask("recorder/stop", lambda: world.processes["recorder"].poll() is not None, 30.0)
            _ends(world, "recorder")
            yield

    return run


def _power_cut(lose: Callable[[Path, int], None]) -> Run:
    """What was not flushed to the disk is gone: the recorder is killed, and its files are cut to what was."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        bag, noted = layout.bag_file(_open(world)), world.folder / "points" / "recorder.synced"
        world.until(lambda: str(bag) in _flushed(noted), "the first flush of the bag to the disk", 30.0)
        time.sleep(2.0)
        folder = _kill_recorder(world)
        safe = _flushed(noted)
        for file in sorted(folder.iterdir()):
            lose(file, safe.get(str(file), 0))
        yield

    return run


def _flushed(noted: Path) -> dict[str, int]:
    """Return the flushed size of each file; a temporary one counts under its final name."""
    found: dict[str, int] = {}
    for line in noted.read_text().splitlines() if noted.exists() else ():
        size, path = line.split(" ", 1)
        place = Path(path)
        written = _TEMPORARY.fullmatch(place.name)  # of il_ros.core.atomic, renamed afterwards
        found[str(place.with_name(written[1]) if written else place)] = int(size)
    return found


def _cut(file: Path, flushed: int) -> None:
    with file.open("r+b") as opened:
        opened.truncate(min(flushed, file.stat().st_size))


def _zeroed(file: Path, flushed: int) -> None:
    """The file system knows the file's size already, but its pages never came: they are zeros."""
    size = file.stat().st_size
    with file.open("r+b") as opened:
        opened.truncate(min(flushed, size))
        opened.truncate(size)


# ---- versions --------------------------------------------------------------------------------------------


def _swap_killed(point: str) -> Run:
    """The policy server is killed while it takes a new version."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        made = world.versions / "v2"
        save_constant(world.contract, made / "checkpoint")
        publish = world.publisher("trainer/checkpoint", STRING, LATCHED)
        with armed(world, "policy_server", point):
            publish(text(str(made / "checkpoint")))
            _ends(world, "policy_server")
            world.fault_at = time.monotonic()
            yield
        world.forget()
        shutil.rmtree(made)

    return run


def _training_killed(point: str) -> Run:
    """The trainer is killed while it trains or publishes; the next training succeeds, and no version is half."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        with learning.learner(world) as learner:
            before = learning.good_versions(world)
            with armed(world, learning.LEARNER, point):
                learner.begin()
                ended = world.until(
                    lambda: _killed_or_ended(world, learner), "the kill of the training", 120.0
                )
                yield
            if ended and ended["event"] == "announced":
                raise NotAsDeclaredError(f"the training did not come to '{point}'")
            if learning.good_versions(world) != before:
                raise NotAsDeclaredError("a half version is among the good ones")
            world.send_signal(learning.LEARNER, signal.SIGKILL)
            world.processes[learning.LEARNER].wait()
        with learning.learner(world) as learner:
            event = learner.train()
            if event["event"] != "announced":
                raise NotAsDeclaredError(f"no training after the kill: {event}")
            left = [each.name for each in world.learnt.glob(f"*{RUNNING}")]
            if left:
                raise NotAsDeclaredError(f"left behind: {', '.join(left)}")

    return run


def _killed_or_ended(world: World, learner: learning.Learner) -> dict[str, object]:
    """Return what tells that the point was met: the node is dead, or its job failed; {} if neither."""
    if world.processes[learning.LEARNER].poll() is not None:
        return {"event": "killed"}
    return learner.event(("announced", "failed")) or {}


FAULTS = [
    Fault("recovery killed at each of its steps", _recovery_killed, lost_s=KILL_S),
    Fault("recorder killed in the middle of a write", _killed_in_a_write, kept=False, lost_s=2 * KILL_S),
    *(
        Fault(f"recorder killed as it completes an episode: {words}", _killed_at_the_end(point), kept=False)
        for words, point in (
            ("metadata.yaml", "os.rename metadata.yaml 1"),
            ("episode.json", "os.rename episode.json 1"),
            ("the reserve", "os.remove .reserve 1"),
        )
    ),
    Fault("power cut: unsynced bytes of the recorder cut off", _power_cut(_cut), kept=False, lost_s=POWER_S),
    Fault("power cut: unsynced bytes of the recorder zero", _power_cut(_zeroed), kept=False, lost_s=POWER_S),
    *(
        Fault(f"policy_server killed in a swap: {words}", _swap_killed(point), "must", SILENT_S)
        for words, point in (
            ("as it loads the weights", "open model.safetensors 1"),
            ("as it notes the old version", "os.rename version.json 1"),
            ("as it notes the new version", "os.rename version.json 2"),
        )
    ),
    *(
        Fault(f"trainer killed: {words}", _training_killed(point))
        for words, point in (
            ("as it writes the weights", "open model.safetensors 1"),
            ("as it publishes the version", "os.rename v[0-9]* 1"),
        )
    ),
]
