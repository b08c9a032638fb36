"""Named faults on the real graph, in several modes of the supervisor: is it safe, what is lost, does the session go on?

    python bench/faults/campaign.py [--modes policy hg_dagger gated] [--only SUBSTRING ...] [--json FILE]

`drive` in the embedded simulator turns on the spot under a constant policy; every node is a process of its own. For
each fault an episode is begun, the fault happens, and ends; then the policy has to drive again, with dead nodes
started anew. A row per fault and mode:

- stop: time from the fault until the measured angular speed was below 0.02 rad/s; the declared time in brackets
- limits: largest command as a share of the contract's limits (speed; acceleration in brackets, by the commands'
  arrival here, so a late message looks like a jump: it is shown, not judged)
- lost: how long before the fault the oldest decision lay that the bag lacks (declared: 0.3 s after a kill, else 0)
- episode: complete, interrupted (the recorder ended), or not readable
- goes on: seconds from the end of the fault until the policy drove again

Exits with 1 if a row is not as declared. Faults of a disk need a root user (a small file system is mounted).
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path

from faults import FAULTS, Fault
from world import NotReachedError, World

MODES = ("policy", "hg_dagger", "gated")
LOST_S = 0.3
"""Declared: what a killed recorder may lose."""
DISK = "256m"
LIMITS = {"lower": (-0.2, -2.0), "upper": (0.6, 2.0)}
"""Of the contract `drive`, by hand."""


@dataclass
class Row:
    """What one fault did in one mode; `wrong` says what is not as declared."""

    fault: str
    mode: str
    stop_s: float | None = None
    declared_s: float = 0.0
    share: float = 0.0
    lost_s: float | None = None
    episode: str = ""
    goes_on_s: float | None = None
    words: str = ""
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument(
        "--only", nargs="+", default=[], help="run the faults whose name contains one of these"
    )
    parser.add_argument("--json", type=Path, help="file for all rows")
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="print the table of such a file, and run nothing"
    )
    arguments = parser.parse_args()
    if arguments.table:
        print(table([Row(**each) for each in json.loads(arguments.table.read_text())]))
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmount, end the nodes
    wanted = [
        each for each in FAULTS if not arguments.only or any(text in each.name for text in arguments.only)
    ]
    rows: list[Row] = []
    for mode in arguments.modes:
        for row in in_mode(mode, wanted):
            rows.append(row)
            print(line(row), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps([asdict(each) for each in rows], indent=1))
    print(table(rows))
    wrong = [row for row in rows if row.wrong]
    names = {row.fault for row in rows}
    size = f"{len(names)} faults x {len(arguments.modes)} modes: {len(rows)} rows"
    print(f"{size}, {len(wrong)} not as declared; load {os.getloadavg()[0]:.1f}")
    return 1 if wrong else 0


def in_mode(mode: str, wanted: list[Fault]) -> Iterator[Row]:
    """Run faults one after the other in one world; a world that does not go on is replaced."""
    left = list(wanted)
    while left:
        with (
            tempfile.TemporaryDirectory(prefix="faults_") as folder,
            disk(Path(folder) / "w"),
            World(Path(folder) / "w", mode) as world,
        ):
            world.drives()
            while left:
                fault = left.pop(0)
                if fault.needs_root and os.geteuid() != 0:
                    continue
                row = once(world, fault)
                yield row
                if row.goes_on_s is None:
                    break


@contextmanager
def disk(folder: Path) -> Iterator[None]:
    """Mount a small file system at `folder`, if this user may; a disk can then be full."""
    folder.mkdir()
    if os.geteuid() != 0:
        yield
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


def once(world: World, fault: Fault) -> Row:
    """Record an episode with one fault in it."""
    row = Row(fault.name, world.mode, declared_s=fault.safe_s)
    logs = world.log_size()
    try:
        folder = world.record()
        begun = time.monotonic()
        time.sleep(0.5)
        world.drives()
        world.fault_at = time.monotonic()
        with fault.run(world):
            if fault.stop == "must":
                world.until(lambda: world.stopped_s(world.fault_at) is not None, "the stop", 5.0)
            row.stop_s = world.stopped_s(world.fault_at)
        ended = time.monotonic()
    except NotReachedError as error:
        row.wrong.append(str(error))
        world.forget()
        return row
    world.forget()
    row.share = largest(world, begun)
    row.words = world.last_words(logs)
    try:
        world.replace_dead()
        world.drives()
        row.goes_on_s = time.monotonic() - ended
    except NotReachedError as error:
        row.wrong.append(str(error))
    whole = row.goes_on_s is not None and world.end_episode(folder, 20.0 if fault.kept else 3.0)
    row.lost_s = world.lost_before_s(folder, begun, world.fault_at)
    row.episode = "complete" if whole else "not readable" if row.lost_s is None else "interrupted"
    judge(row, fault)
    return row


def largest(world: World, begun: float) -> float:
    """Return the largest command since `begun`, as a share of the limits."""
    shares = [0.0]
    for at, *values in world.commands:
        if at > begun:
            for value, lower, upper in zip(values, LIMITS["lower"], LIMITS["upper"], strict=True):
                shares.append(value / upper if value > 0 else value / lower)
    return max(shares)


def judge(row: Row, fault: Fault) -> None:
    """Add what is not as declared."""
    if fault.stop == "must" and (row.stop_s is None or row.stop_s > fault.safe_s):
        row.wrong.append(f"stopped after {row.stop_s}, declared {fault.safe_s:.2f} s")
    if row.share > 1.0 + 1e-9:
        row.wrong.append(f"a command of {row.share:.3g} times the limit")
    if row.lost_s is None:
        row.wrong.append("the bag is not readable")
    elif row.lost_s > (0.0 if fault.kept else LOST_S):
        row.wrong.append(f"lost what was {row.lost_s:.2f} s before the fault")
    if fault.kept and row.episode != "complete":
        row.wrong.append(f"the episode is {row.episode}")


def line(row: Row) -> str:
    stop = (
        "drives on"
        if row.stop_s is None
        else f"{row.stop_s:.2f} s" + (f" ({row.declared_s:.2f})" if row.declared_s else "")
    )
    lost = "?" if row.lost_s is None else f"{row.lost_s:.2f} s"
    goes_on = "no" if row.goes_on_s is None else f"{row.goes_on_s:.1f} s"
    cells = [row.fault, row.mode, stop, f"{row.share:.2f}", lost, row.episode, goes_on, row.words[:160]]
    return "| " + " | ".join(cells) + " |" + (f"  <-- {'; '.join(row.wrong)}" if row.wrong else "")


def table(rows: list[Row]) -> str:
    """Return a row per fault and a column per mode: what the motion did, what was lost, when the policy drove again."""
    modes = list(dict.fromkeys(row.mode for row in rows))
    cells = {(row.fault, row.mode): _cell(row) for row in rows}
    lines = ["| fault | " + " | ".join(modes) + " |", "|---" * (1 + len(modes)) + "|"]
    for fault in dict.fromkeys(row.fault for row in rows):
        lines.append(f"| {fault} | " + " | ".join(cells.get((fault, mode), "") for mode in modes) + " |")
    return "\n".join(lines)


def _cell(row: Row) -> str:
    parts = ["drives on" if row.stop_s is None else f"stops in {row.stop_s:.2f} s"]
    parts += [f"lost {row.lost_s:.2f} s"] if row.lost_s else []
    parts += [] if row.episode == "complete" else [row.episode or "no episode"]
    parts += ["does not go on"] if row.goes_on_s is None else []
    parts += [f"again in {row.goes_on_s:.0f} s"] if row.goes_on_s is not None and row.goes_on_s >= 1.0 else []
    return ("**" + ", ".join(parts) + "**") if row.wrong else ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
