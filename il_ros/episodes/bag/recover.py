"""Recover a bag whose recorder was killed, whose disk lost bytes, or that was damaged in another way.

Each file that is not intact is copied: all its intact contents, with a new index. The copy is read back, and
takes the file's place only if it holds the same. The original is then called `.orig`, and is deleted only if
nothing at all was left out. Interrupted at any step, a recovery leaves the original or the whole result under
the file's name, and can be repeated. `metadata.yaml` and `episode.json` are completed from the contents.
"""

from __future__ import annotations

import fcntl
import mmap
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import yaml

from il_ros.core import atomic, files
from il_ros.episodes import layout
from il_ros.episodes.bag.mcap_scan import Scan
from il_ros.episodes.bag.metadata import BagSummary, merge, render
from il_ros.episodes.bag.reader import bag_files
from il_ros.episodes.bag.recovery import episode_info, rewrite
from il_ros.episodes.bag.recovery.damage import DamagedSpan, Harm, span_of
from il_ros.episodes.bag.recovery.rewrite import LIBRARY, Progress
from il_ros.episodes.bag.writer import RESERVE_FILE

ORIGINAL = ".orig"
FAULT = "the recorder ended without finishing the bag; it was recovered"
_METADATA_BYTES = 1 << 26
_BLOCK_BYTES = 1 << 20


class RecoverError(RuntimeError):
    """A bag can't be recovered; the message names the file. Its files are unchanged."""


@dataclass(frozen=True)
class Recovery:
    """The result of a recovery.

    `changed`: False when the episode was intact. `cut_bytes`: bytes left out at the ends of the files.
    `damaged_chunks`: number of chunks left out. `undeclared`: number of messages left out because their
    declaration is lost. `kept`: the originals, which are kept when something was left out.
    """

    folder: Path
    messages: int
    changed: bool
    cut_bytes: int = 0
    damaged_chunks: int = 0
    undeclared: int = 0
    spans: tuple[DamagedSpan, ...] = ()
    kept: tuple[Path, ...] = ()


@dataclass(frozen=True)
class _Part:
    """One file of the bag: `source` is read, `target` is its name; they differ after an interruption.

    `scan`: the contents of `source`, None when no byte of it was written.
    """

    target: Path
    source: Path
    size: int
    scan: Scan | None

    @property
    def intact(self) -> bool:
        return self.source == self.target and self.scan is not None and self.scan.intact

    @property
    def reproduced(self) -> bool:
        """Whether a copy holds everything that the source holds."""
        return not self.size if self.scan is None else not (self.scan.damage or self.scan.undeclared)

    def spans(self) -> list[DamagedSpan]:
        if self.scan is None:
            return [DamagedSpan(self.target.name, 0, self.size, Harm.TAIL, None, None)] if self.size else []
        return [span_of(self.target.name, each, self.scan.start_ns) for each in self.scan.damage]


def recover(folder: Path, progress: Progress = lambda done, total: None) -> Recovery:
    """Make the bag in `folder` readable and its `episode.json` complete; intact files are not changed.

    `progress(bytes written, bytes in total)` is called after each message of a file that is copied.
    Raises RecoverError when there is no MCAP file, or one is being recorded, recovered or not MCAP.
    """
    if not folder.is_dir():
        raise RecoverError(f"{folder}: is not a folder")
    try:
        with _locked(folder) as descriptor, ExitStack() as opened:
            return _recover(folder, descriptor, opened, progress)
    except OSError as error:
        raise RecoverError(f"{folder}: {error}") from error


def _recover(folder: Path, descriptor: int, opened: ExitStack, progress: Progress) -> Recovery:
    targets = _targets(folder)
    parts = [_choose(target, len(targets) > 1, opened) for target in targets]
    if all(part.scan is None for part in parts):
        raise RecoverError(f"{folder}: all files are empty; there is nothing to recover")
    results: list[Scan] = []
    originals: list[Path] = []
    changed = False
    for part in parts:
        if part.intact and part.scan is not None:
            results.append(part.scan)
            left = part.target.with_name(part.target.name + ORIGINAL)
            if _is_left_over(part.scan, left, opened):
                originals.append(left)
            continue
        result, original = _renew(part, descriptor, opened, progress)
        results.append(result)
        changed = True
        if part.reproduced:
            originals.append(original)
    if set(targets) >= set(bag_files(folder)):  # beside compressed files, it would leave these out
        changed |= _complete_metadata(folder, targets, results)
    fault = FAULT if any(scan.header.library == LIBRARY for scan in results) else ""
    changed |= episode_info.complete(folder, results, fault)
    os.fsync(descriptor)
    for original in originals:
        original.unlink()
    if changed:
        (folder / RESERVE_FILE).unlink(missing_ok=True)
    scans = [part.scan for part in parts if part.scan is not None]
    kept = sorted(file for target in targets for file in folder.glob(f"{_escaped(target.name)}{ORIGINAL}*"))
    return Recovery(
        folder,
        sum(scan.total for scan in results),
        changed,
        sum(span.end - span.start for part in parts for span in part.spans() if span.harm == Harm.TAIL),
        sum(scan.damaged_chunks for scan in scans),
        sum(scan.undeclared for scan in scans),
        tuple(span for part in parts for span in part.spans()),
        tuple(kept),
    )


# ---- files -----------------------------------------------------------------------------------------------


@contextmanager
def _locked(folder: Path) -> Iterator[int]:
    """Hold the exclusive lock of a folder, so that one process at a time recovers it."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecoverError(f"{folder}: is being recovered by another process") from None
        yield descriptor
    finally:
        os.close(descriptor)


def _targets(folder: Path) -> list[Path]:
    """Return the names of the bag's files, in order, also of those that only exist as `.orig`."""
    moved = {file.with_suffix("") for file in folder.glob(f"*.mcap{ORIGINAL}")}
    found = {file for file in bag_files(folder) if file.suffix == ".mcap"} | moved
    if not found:
        others = ", ".join(file.name for file in bag_files(folder))
        why = f"only {others}, which are read as they are, without recovery" if others else "none"
        raise RecoverError(f"{folder}: must hold an .mcap file; it holds {why}")
    return sorted(found, key=lambda file: (len(file.name), file.name))


def _choose(target: Path, split: bool, opened: ExitStack) -> _Part:
    """Open the file to read: `target`, or its `.orig` that an interrupted recovery left.

    The `.orig` is used if it holds everything that the file of this name holds.
    """
    original = target.with_name(target.name + ORIGINAL)
    if not target.exists():
        return _open(target, original, split, opened)
    if not original.exists() or original.samefile(target):
        return _open(target, target, split, opened)
    try:
        part = _open(target, target, True, opened)
    except RecoverError:
        part = _Part(target, target, target.stat().st_size, None)
    if part.intact:
        return part
    before = _open(target, original, True, opened)
    if before.scan is None:
        return _open(target, target, split, opened)
    if part.scan is None or set(rewrite.digests(part.scan)) <= set(rewrite.digests(before.scan)):
        return before
    return part


def _open(target: Path, source: Path, split: bool, opened: ExitStack) -> _Part:
    """Read a file; without content it is accepted only as a part of a `split` recording."""
    view = opened.enter_context(_mapped(source))
    if split and _is_zero(view):
        return _Part(target, source, len(view), None)
    if not view:
        raise RecoverError(f"{source}: is empty; there is nothing to recover")
    try:
        return _Part(target, source, len(view), Scan(view))
    except ValueError as error:
        raise RecoverError(f"{source}: {error}") from error


def _is_zero(view: memoryview) -> bool:
    parts = (view[place : place + _BLOCK_BYTES] for place in range(0, len(view), _BLOCK_BYTES))
    return all(part == bytes(len(part)) for part in parts)


@contextmanager
def _mapped(path: Path) -> Iterator[memoryview]:
    """Memory-map a file that no recorder writes to, and lock it against recorders."""
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise RecoverError(f"{path}: is still being recorded") from None
        if os.fstat(file.fileno()).st_size == 0:
            yield memoryview(b"")
            return
        # The map is not closed here: the traceback of an error may still hold views of it.
        yield memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))


def _renew(part: _Part, descriptor: int, opened: ExitStack, progress: Progress) -> tuple[Scan, Path]:
    """Put a checked copy in the place of a file; return the copy's contents and the original's path."""
    temporary = part.target.with_name(f".{part.target.name}.recovering")
    temporary.unlink(missing_ok=True)  # of an interrupted recovery
    try:
        if part.scan is None:
            rewrite.write_empty(temporary)
        else:
            rewrite.copy(part.scan, temporary, part.target.name, progress, part.size)
        result = Scan(opened.enter_context(_mapped(temporary)))
        if part.scan is not None and not rewrite.is_copy(result, part.scan):
            raise RecoverError(f"{part.target}: its copy differs; the file is unchanged")
        original = _set_aside(part)
        temporary.replace(part.target)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    os.fsync(descriptor)
    return result, original


def _set_aside(part: _Part) -> Path:
    """Give the file that is called `target` a second name, under which it stays; return the source's path."""
    original = part.target.with_name(part.target.name + ORIGINAL)
    if not part.target.exists() or (original.exists() and original.samefile(part.target)):
        return original
    free, number = original, 0
    while free.exists():
        number += 1
        free = original.with_name(f"{original.name}.{number}")
    try:
        os.link(part.target, free)
    except OSError:  # a file system without links
        part.target.rename(free)
    return free if part.source == part.target else part.source


def _is_left_over(result: Scan, original: Path, opened: ExitStack) -> bool:
    """Return whether an interrupted recovery left the original of a file that reproduces it whole."""
    if result.header.library != LIBRARY or not original.exists():
        return False
    try:
        part = _open(original, original, True, opened)
    except RecoverError:
        return False
    if part.scan is None:
        return not part.size
    return part.reproduced and rewrite.is_copy(result, part.scan)


# ---- metadata.yaml ---------------------------------------------------------------------------------------


def _complete_metadata(folder: Path, targets: list[Path], scans: list[Scan]) -> bool:
    """Write `metadata.yaml` unless it describes these files; return whether it was written."""
    summaries = [rewrite.summarise(scan, target.name) for target, scan in zip(targets, scans, strict=True)]
    summary = merge(summaries)
    before = _metadata_or_none(folder / layout.METADATA_FILE)
    if before is not None:
        names, count = before.get("relative_file_paths"), before.get("message_count")
        if (names, count) == ([target.name for target in targets], summary.messages):
            return False
        summary = _with_custom(summary, before)
    atomic.write_text(folder / layout.METADATA_FILE, render(summary))
    return True


def _with_custom(summary: BagSummary, before: dict[object, object]) -> BagSummary:
    """Return the summary with what the old metadata say of distribution, custom data and compression."""
    distro, custom = before.get("ros_distro"), before.get("custom_data")
    mode, packed = before.get("compression_mode"), before.get("compression_format")
    if isinstance(mode, str) and mode.upper() == "MESSAGE" and isinstance(packed, str):
        summary = replace(summary, compression=(packed, mode))
    if isinstance(distro, str) and distro:
        summary = replace(summary, distro=distro)
    if isinstance(custom, dict) and all(isinstance(text, str) for pair in custom.items() for text in pair):
        summary = replace(summary, custom=custom)
    return summary


def _metadata_or_none(path: Path) -> dict[object, object] | None:
    try:
        values = yaml.safe_load(files.read_text(path, _METADATA_BYTES))
    except (OSError, ValueError, TypeError, RecursionError, yaml.YAMLError):
        return None
    values = values.get("rosbag2_bagfile_information") if isinstance(values, dict) else None
    return values if isinstance(values, dict) else None


def _escaped(name: str) -> str:
    return "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
