"""A child process that runs for the duration of a benchmark."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator


@contextlib.contextmanager
def started(command: list[str], stdout=sys.stderr, stderr=None, env=None) -> Iterator[subprocess.Popen]:
    """Yield the process; interrupt it at the end, and kill it after ten seconds."""
    process = subprocess.Popen(command, stdout=stdout, stderr=stderr, env=env)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
