"""The hidden folder of an export: converted episodes are kept in it, so that an interrupted export goes on there.

The result appears under its name when it is complete.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from il_ros.core import atomic
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.jobs import mapped

Work = TypeVar("Work")
Result = TypeVar("Result")
Progress = Callable[[str, Sequence[object]], Iterable[object]]
"""Wraps the sequence that a step works through, as tqdm does; the first argument names the step."""
SEGMENTS, DATASET, LOCK = "segments", "dataset", "lock"
"""What the hidden folder of an export holds."""


@contextmanager
def staging_of(out: Path) -> Iterator[Path]:
    """Yield the hidden folder of the export, for one process at a time; it is deleted when all went well."""
    staging = out.with_name(f".{out.name}.exporting")
    ours = staging.is_dir() and not staging.is_symlink()
    strange = (
        [each for each in staging.iterdir() if each.name not in (SEGMENTS, DATASET, LOCK)] if ours else []
    )
    if strange or (os.path.lexists(staging) and not ours):
        raise ExchangeError(
            f"{(*strange, staging)[0]}: no export wrote it; move it away, an export deletes {staging}"
        )
    atomic.require_folder(out.parent if out.exists() else out)  # an error names it, and not the hidden folder
    staging.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(staging / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ExchangeError(f"{staging}: another process exports to {out}") from None
        yield staging
        shutil.rmtree(staging)
    finally:
        os.close(descriptor)


def segments_of(entry: Entry) -> str:
    """Return the name under which an episode is kept there: episodes of several roots may have one name."""
    place = hashlib.sha256(str(entry.folder.resolve()).encode()).hexdigest()[:16]
    return f"{entry.name}-{place}"


def digest_of(entry: Entry) -> str:
    """Return a hash of an episode's description and the sizes of its files, which are equal on all computers."""
    sizes = [[file.name, file.stat().st_size] for file in bag_files(entry.folder)]
    info = "" if entry.info is None else entry.info.to_json()
    return hashlib.sha256(json.dumps([sizes, info]).encode()).hexdigest()


def each_converted(
    function: Callable[[Work], Result], work: Sequence[Work], jobs: int, progress: Progress
) -> Iterator[Result]:
    """Yield what `function` makes of each item, in order, by up to `jobs` processes.

    Raises ExchangeError when a process was killed.
    """
    try:
        with mapped(function, work, jobs) as results:
            for _ in progress("converting", work):
                yield next(results)
    except BrokenProcessPool as error:
        raise ExchangeError(
            f"one of the {min(jobs, len(work))} processes that convert was killed, perhaps because the memory was used "
            "up; the same export with fewer jobs goes on where it stopped"
        ) from error


def publish(folder: Path, out: Path) -> None:
    """Give the complete data set its name; an older one is exchanged and then deleted."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    if out.exists():
        atomic.exchange(folder, out)
        shutil.rmtree(folder)
    else:
        folder.rename(out)
