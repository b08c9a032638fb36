"""Named faults on the real graph, in several modes of the supervisor: is it safe, what is lost, does the session go on?

    python bench/faults/campaign.py [--modes policy hg_dagger gated] [--only TEXT ...] [--json FILE]

`drive` in the embedded simulator turns on the spot under a constant policy; every node is a process of its own. For
each fault an episode is begun, the fault happens, and ends; then the policy has to drive again, with dead nodes
started anew. A row per fault and mode:

- stop: time from the fault until the measured angular speed was first below 0.02 rad/s; the declared time in brackets
- limits: largest command as a share of the contract's limits
- lost: how long before the fault the oldest decision lay that the bag lacks; declared: 0.3 s after a kill of the
  recorder, 5.5 s after a power cut, else 0
- episode: complete, interrupted (the recorder ended), or not readable
- goes on: seconds from the end of the fault until the policy drove again
- words: the last warning or error that a node printed meanwhile

A second table has the stops after more than a second: when the supervisor decided to stop, and why. A fault may take
effect late: the clock of a node is seen up to two seconds after it was set, and a node that is started needs its time.

Exits with 1 if a row is not as declared. `--json FILE` keeps the rows of earlier runs that are not repeated, and
`--table FILE` prints them all. A fault of a disk, of /dev/shm or of the wire needs root (it mounts small file systems
and makes network namespaces, which end with it); one of a node's clock needs libfaketime. Without, it is left out,
with the reason.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import multiprocessing
import os
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, replace
from multiprocessing.connection import Connection
from pathlib import Path

import places
from fault import Fault, NotAsDeclaredError
from faults import FAULTS
from scenes import SCENES, Scene, everything
from world import PERIOD_S, SILENCE_S, NotReachedError, World

from il_ros.records.decision import NOBODY

MODES = ("policy", "hg_dagger", "gated")
STOP_S = 10.0
"""Longest wait for a stop that must be, so that a late one is measured, too."""
LATE_S = 1.0
FORK = multiprocessing.get_context("fork")
LIMITS = {"lower": (-0.2, -2.0), "upper": (0.6, 2.0)}
"""Of the contract `drive`, by hand."""


@dataclass
class Row:
    """What one fault did in one mode; `wrong` says what is not as declared."""

    fault: str
    mode: str
    seen: bool = True
    """Whether the motion can be seen: not while the simulator itself is gone."""
    stop_s: float | None = None
    declared_s: float = 0.0
    decided_s: float | None = None
    """When the supervisor decided to stop, in seconds from the fault, and `why`."""
    why: str = ""
    share: float = 0.0
    lost_s: float | None = None
    episode: str = ""
    goes_on_s: float | None = None
    words: str = ""
    day: str = ""
    load: float = 0.0
    """The machine's load average of a minute, at the end."""
    wrong: list[str] = field(default_factory=list)


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--modes", nargs="+", default=list(MODES), choices=MODES)
    parser.add_argument(
        "--only", nargs="+", default=[], help="run the faults whose name contains one of these"
    )
    parser.add_argument(
        "--json", type=Path, help="file for the rows; those in it that are not run again stay"
    )
    parser.add_argument("--logs", type=Path, help="folder for the nodes' logs of each row not as declared")
    parser.add_argument("--one-world", action="store_true", help="run all in one scene that has everything")
    parser.add_argument("--untimed", action="store_true", help="judge no times: for a busy machine")
    parser.add_argument(
        "--table", type=Path, metavar="FILE", help="print the table of such a file, and run nothing"
    )
    arguments = parser.parse_args()
    unknown = [text for text in arguments.only if not any(text in each.name for each in FAULTS)]
    if unknown:
        parser.error(f"--only: no fault's name contains {' or '.join(map(repr, unknown))}")
    if arguments.table:
        if not arguments.table.exists():
            parser.error(f"--table: {arguments.table}: there is no such file")
        _print_tables([Row(**each) for each in json.loads(arguments.table.read_text())])
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # unmount, end the nodes
    mounts = places.own_mounts()
    wanted = [
        each for each in FAULTS if not arguments.only or any(text in each.name for text in arguments.only)
    ]
    kept = [Row(**each) for each in json.loads(arguments.json.read_text())] if _exists(arguments.json) else []
    rows: list[Row] = []
    left, scenes = possible(wanted, mounts=mounts), tuple(SCENES.values())
    if arguments.one_world:
        scenes = (everything(),)
        left = [replace(each, scene=scenes[0].name) for each in left]
    for mode in arguments.modes:
        for row in in_mode(mode, left, scenes, timed=not arguments.untimed, logs=arguments.logs):
            rows.append(row)
            print(line(row), flush=True)
            if arguments.json:
                arguments.json.write_text(json.dumps([asdict(each) for each in merged(kept, rows)], indent=1))
    _print_tables(merged(kept, rows))
    wrong = [row for row in rows if row.wrong]
    names = {row.fault for row in rows}
    size = f"{len(names)} faults x {len(arguments.modes)} modes: {len(rows)} rows"
    print(f"{size}, {len(wrong)} not as declared; load {os.getloadavg()[0]:.1f}")
    return 1 if wrong or not rows else 0


def _print_tables(rows: list[Row]) -> None:
    print(*filter(None, (table(rows), late_stops(rows))), sep="\n\n")


def _exists(file: Path | None) -> bool:
    return file is not None and file.exists()


def merged(kept: list[Row], rows: list[Row]) -> list[Row]:
    """Return the rows in the order of the faults, without those of `kept` that were run again."""
    found = {(row.fault, row.mode): row for row in (*kept, *rows)}
    order = [(each.name, mode) for each in FAULTS for mode in MODES]
    return [found[each] for each in order if each in found]


def possible(wanted: list[Fault], *, mounts: bool) -> list[Fault]:
    """Return the faults that this machine can have, and print why it cannot have the others."""
    reasons = {fault.name: SCENES[fault.scene].why_not() for fault in wanted}
    if not mounts:
        reasons |= {
            fault.name: "it needs the right to mount, as root's" for fault in wanted if fault.needs_root
        }
    for name, reason in reasons.items():
        if reason:
            print(f"left out: {name}: {reason}")
    return [fault for fault in wanted if not reasons[fault.name]]


def in_mode(
    mode: str, wanted: list[Fault], scenes: Iterable[Scene], *, timed: bool, logs: Path | None
) -> Iterator[Row]:
    """Run the faults of each scene in a process of its own: Fast DDS remembers the network of its first participant."""
    for scene in scenes:
        left = [fault for fault in wanted if fault.scene == scene.name]
        receiving, sending = FORK.Pipe(duplex=False)
        running = FORK.Process(target=in_scene, args=(mode, left, scene, timed, logs, sending), daemon=True)
        running.start()
        sending.close()
        with contextlib.suppress(EOFError):  # the end
            while True:
                yield receiving.recv()
        running.join()


def in_scene(
    mode: str, left: list[Fault], scene: Scene, timed: bool, logs: Path | None, rows: Connection
) -> None:
    """Run faults one after the other in one world; a world that does not go on is replaced."""
    while left:
        with contextlib.ExitStack() as stack:
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="faults_")))
            stack.enter_context(places.disk(folder / "episodes", places.EPISODES_SIZE))
            for name in ("versions", "learnt", "episodes_report"):
                stack.enter_context(places.disk(folder / name, places.VERSIONS_SIZE))
            world = stack.enter_context(World(folder, mode, scene))
            goes_on = True
            while left and goes_on:
                fault = left.pop(0)
                row = once(world, fault)
                judge(row, fault, timed=timed)
                if row.wrong and logs is not None:
                    kept = logs / f"{fault.name} {mode}".replace("/", "_")
                    shutil.copytree(world.folder / "logs", kept, dirs_exist_ok=True)
                goes_on = row.goes_on_s is not None
                rows.send(row)


def once(world: World, fault: Fault) -> Row:
    """Record an episode with one fault in it."""
    seen = fault.stop != "unseen"
    row = Row(fault.name, world.mode, seen, declared_s=fault.safe_s, day=time.strftime("%Y-%m-%d"))
    world.mark_logs()
    try:
        world.drives()
        folder = world.record()
        begun = time.monotonic()
        time.sleep(0.5)
        world.drives()
        world.fault_at = time.monotonic()
        try:
            with fault.run(world):
                if fault.stop == "must":
                    world.until(lambda: world.stopped_s(world.fault_at) is not None, "the stop", STOP_S)
                    # it may have stood still earlier for another reason, such as a late proposal
                    if fault.says:
                        with contextlib.suppress(NotReachedError):  # judged below
                            world.until(lambda: world.anyone_said(fault.says), "these words", STOP_S)
                row.stop_s = world.stopped_s(world.fault_at) if seen else None
                if row.stop_s is not None:
                    row.decided_s, row.why = why_stopped(world, world.fault_at + row.stop_s)
        except NotAsDeclaredError as error:
            row.wrong.append(str(error))
        ended = time.monotonic()
    except Exception as error:  # whatever it is, it must not end a campaign of an hour
        row.wrong.append(f"{type(error).__name__}: {error}")
        world.forget()
        return row
    world.forget()
    row.share = largest(world, begun)
    row.words = world.last_words()
    try:
        world.replace_dead()
        world.drives()
        row.goes_on_s = time.monotonic() - ended
    except NotReachedError as error:
        row.wrong.append(str(error))
    whole = row.goes_on_s is not None and world.end_episode(folder, 20.0 if fault.kept else 3.0)
    row.lost_s = world.lost_before_s(folder, begun, world.fault_at)
    row.episode = "complete" if whole else "not readable" if row.lost_s is None else "interrupted"
    row.load = round(os.getloadavg()[0], 1)
    if fault.says and not world.anyone_said(fault.says):
        row.wrong.append(f"no log says '{fault.says}'")
    return row


def why_stopped(world: World, stood: float) -> tuple[float, str]:
    """Return when the standstill at `stood` was decided, in seconds from the fault, and why.

    It was decided by the first of the decisions without a source that lasted until then; or by none, when the last
    one is older than the watchdog allows: then the base ended the motion by itself.
    """
    before = [(at, each) for at, each in world.decisions if at <= stood]
    last_at, last = before[-1]
    if stood - last_at > SILENCE_S + 2 * PERIOD_S:
        return max(0.0, last_at - world.fault_at), "no command any more"
    if last.authority != NOBODY:
        return stood - world.fault_at, f"{last.authority} commands it"
    decided_at, decided = last_at, last
    for at, each in reversed(before):
        if each.authority != NOBODY:
            break
        decided_at, decided = at, each
    return max(0.0, decided_at - world.fault_at), decided.reason


def largest(world: World, begun: float) -> float:
    """Return the largest command since `begun`, as a share of the limits."""
    shares = [0.0]
    for at, *values in world.commands:
        if at > begun:
            for value, lower, upper in zip(values, LIMITS["lower"], LIMITS["upper"], strict=True):
                shares.append(value / upper if value > 0 else value / lower)
    return max(shares)


def judge(row: Row, fault: Fault, *, timed: bool) -> None:
    """Add what is not as declared; `timed`: also the times that load prolongs, of the stop and of what may be lost."""
    if fault.stop == "must" and (row.stop_s is None or (timed and row.stop_s > fault.safe_s)):
        row.wrong.append(f"stopped after {row.stop_s}, declared {fault.safe_s:.2f} s")
    if row.share > 1.0 + 1e-9:
        row.wrong.append(f"a command of {row.share:.3g} times the limit")
    if row.lost_s is None:
        row.wrong.append("the bag is not readable")
    elif row.lost_s > fault.lost_s and (timed or not fault.lost_s):
        row.wrong.append(f"lost what was {row.lost_s:.2f} s before the fault")
    if fault.kept and row.episode != "complete":
        row.wrong.append(f"the episode is {row.episode or 'not begun'}")


def line(row: Row) -> str:
    lost = "?" if row.lost_s is None else f"{row.lost_s:.2f} s"
    goes_on = "no" if row.goes_on_s is None else f"{row.goes_on_s:.1f} s"
    cells = [
        row.fault,
        row.mode,
        _motion(row),
        f"{row.share:.2f}",
        lost,
        row.episode,
        goes_on,
        row.words[:160],
    ]
    return "| " + " | ".join(cells) + " |" + (f"  <-- {'; '.join(row.wrong)}" if row.wrong else "")


def _motion(row: Row) -> str:
    if not row.seen:
        return "no simulator"
    if row.stop_s is None:
        return "drives on"
    return f"stops in {row.stop_s:.2f} s" + (f" ({row.declared_s:.2f})" if row.declared_s else "")


def table(rows: list[Row]) -> str:
    """Return a row per fault and a column per mode: what the motion did, what was lost, when the policy drove again.

    The declared time of a stop is in brackets; without, the robot need not stop.
    """
    modes = list(dict.fromkeys(row.mode for row in rows))
    cells = {(row.fault, row.mode): _cell(row) for row in rows}
    lines = ["| fault | " + " | ".join(modes) + " |", "|---" * (1 + len(modes)) + "|"]
    for fault in dict.fromkeys(row.fault for row in rows):
        lines.append(f"| {fault} | " + " | ".join(cells.get((fault, mode), "") for mode in modes) + " |")
    return "\n".join(lines)


def late_stops(rows: list[Row]) -> str:
    """Return a table of the stops after more than LATE_S: when the supervisor decided to stop, and why; "" for none."""
    lines = []
    for row in rows:
        if row.stop_s is not None and row.decided_s is not None and row.stop_s > LATE_S:
            times = f"{row.decided_s:.2f} s | {row.stop_s:.2f} s"
            lines.append(f"| {row.fault} | {row.mode} | {times} | {row.why} |")
    head = ["| stops late | mode | decided | stands | why |", "|---|---|---|---|---|"]
    return "\n".join([*head, *lines]) if lines else ""


def _cell(row: Row) -> str:
    parts = [_motion(row)]
    parts += [f"lost {row.lost_s:.2f} s"] if row.lost_s else []
    parts += [] if row.episode == "complete" else [row.episode or "no episode"]
    parts += ["does not go on"] if row.goes_on_s is None else []
    parts += [f"again in {row.goes_on_s:.0f} s"] if row.goes_on_s is not None and row.goes_on_s >= 1.0 else []
    return ("**" + ", ".join(parts) + "**") if row.wrong else ", ".join(parts)


if __name__ == "__main__":
    sys.exit(main())
