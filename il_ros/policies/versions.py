"""A folder of trained versions v1, v2, ...: each is a training run with a checkpoint; none is overwritten."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from il_ros.core.strict_yaml import brief

CHECKPOINT = "checkpoint"
"""The checkpoint folder inside a training run's folder."""
MODEL, CONFIG, CONTRACT = "model.safetensors", "config.json", "contract.yaml"
"""The files that every checkpoint has; `il_ros.policies.checkpoint` has the others."""
RUNNING = ".running"
"""Suffix of a version's folder while it is being trained."""


RUN_FILES = (CHECKPOINT, "reward", "resume", "version.json", "curves.csv", "curves.png")
"""What a training writes into its folder."""
# with the names of incomplete ones, see `il_ros.core.atomic`
_CLAIM = ".training"
"""The file in a run's folder that its training has locked."""
_WRITTEN = re.compile(rf"\.?({'|'.join(map(re.escape, (*RUN_FILES, 'training')))})(\.\d+)?(\.old)?")
_NAME = re.compile(r"v[0-9]{1,9}")
_LONGEST = 100


def named_by(run: Path) -> str:
    """Return the version that a run's folder name denotes, "" if the name is not a version."""
    return run.name if _NAME.fullmatch(run.name) else ""


def number_of(run: Path) -> int:
    """Return the number of a version's folder; 0 if its name is not a version."""
    return int(run.name[1:]) if named_by(run) else 0


def fault_of(version: str) -> str:
    """Return why a version cannot be the name of a policy, "" if it can; proposals hold it as one word."""
    if len(version) > _LONGEST or "=" in version or any(not c.isprintable() or c.isspace() for c in version):
        return f"version {brief(version)} must be one word of at most {_LONGEST} characters, without '='"
    return ""


def versions(folder: Path) -> list[Path]:
    """Return the finished versions, oldest first."""
    found = [run for run in folder.glob("v*") if named_by(run) and (run / CHECKPOINT).is_dir()]
    return sorted(found, key=number_of)


def next_version(folder: Path) -> str:
    """Return the name after the highest existing one, and after those that other trainings are at work on."""
    number = max((int(name[1:]) for name in taken(folder)), default=0) + 1
    while is_claimed(folder / f"v{number}{RUNNING}"):
        number += 1
    return f"v{number}"


def taken(folder: Path) -> list[str]:
    """Return the names of all versions in a folder, also of unfinished ones, oldest first."""
    names = [run.name for run in folder.glob("v*") if named_by(run)]
    return sorted(names, key=lambda name: int(name[1:]))


def begin_next(folder: Path) -> tuple[str, Path]:
    """Return the next version's name, and its folder during its training, which is not a valid version name.

    Remove what an earlier attempt left behind. Raises FileExistsError if its folder holds anything else.
    """
    version = next_version(folder)
    run = folder / f"{version}{RUNNING}"
    remove_unfinished(run)
    return version, run


@contextmanager
def claimed(run: Path) -> Iterator[None]:
    """Hold a run's folder for one training (flock); it is made, and removed again if nothing is written into it.

    Raises FileExistsError if another training has it, OSError if it cannot be written.
    """
    made = [each for each in (run, run.parent) if not each.exists()]
    run.mkdir(parents=True, exist_ok=True)
    folder = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # also after `publish` has renamed it
    try:
        lock = _locked(run, folder)
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                os.unlink(_CLAIM, dir_fd=folder)
            os.close(lock)
            with contextlib.suppress(OSError):  # it is not empty, or renamed
                for each in made:
                    each.rmdir()
    finally:
        os.close(folder)


def is_claimed(run: Path) -> bool:
    """Return whether a training on this computer is at work on a run."""
    return _is_held(run / _CLAIM, os.O_RDWR | os.O_NOFOLLOW, fcntl.LOCK_SH)


def _locked(run: Path, folder: int) -> int:
    """Return the descriptor of the locked file in a folder; raises FileExistsError if another process has it."""
    while True:
        try:
            lock = os.open(
                _CLAIM, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644, dir_fd=folder
            )
        except OSError as error:
            error.filename = os.fspath(run)
            raise
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            raise FileExistsError(
                f"{run}: another training is at work on it; choose another folder"
            ) from None
        except OSError:  # a drive without locks
            return lock
        with contextlib.suppress(FileNotFoundError):
            if os.stat(_CLAIM, dir_fd=folder).st_ino == os.fstat(lock).st_ino:
                return lock
        os.close(lock)  # the training before removed it at this moment


def publish(run: Path, version: str) -> Path:
    """Rename the folder of a finished training to its version's final name, and return it."""
    place = run.with_name(version)
    run.rename(place)
    return place


def remove_unfinished(run: Path) -> None:
    """Delete what an unfinished training left behind; raises FileExistsError if `run` holds anything else."""
    if run.is_symlink() or (run.exists() and not run.is_dir()):
        raise FileExistsError(f"{run}: is not a folder; move it away, a training needs the name")
    if not run.exists():
        return
    for item in sorted(run.iterdir()):
        if not _WRITTEN.fullmatch(item.name):
            raise FileExistsError(f"{item}: no training wrote it; move it away, {run} is to be replaced")
    shutil.rmtree(run, ignore_errors=True)


def occupy(run: Path) -> int:
    """Lock the folder of the version in control (flock, shared); return the descriptor, to be closed afterwards.

    The lock ends with the process. Returns -1 if the folder cannot be locked, as on some network drives.
    """
    try:
        descriptor = os.open(run, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError:
        return -1
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        return -1
    return descriptor


def is_occupied(run: Path) -> bool:
    """Return whether a running policy server of this computer has the version in control."""
    return _is_held(run, os.O_RDONLY | os.O_DIRECTORY, fcntl.LOCK_EX)


def _is_held(path: Path, flags: int, lock: int) -> bool:
    """Return whether another process has a lock (flock) on a path; not where it cannot be opened or locked."""
    try:
        descriptor = os.open(path, flags | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, lock | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # a drive without locks
        return False
    finally:
        os.close(descriptor)  # ends the lock, too
    return False
