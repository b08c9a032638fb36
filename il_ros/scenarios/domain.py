"""A ROS domain that no other demonstration or test run on this machine is using."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

DOMAINS = range(1, 102)
"""0 is everybody's; above 101 the ports of DDS are among those that Linux hands out by itself."""

_claimed: list[IO[str]] = []


def isolate(folder: Path | None = None) -> int:
    """Put this process and its children on a domain of their own, seen by this machine only; return it.

    The claim, a locked file in `folder` (default: the system's temporary one), ends with the process.
    Raises RuntimeError when all domains are claimed.
    """
    folder = folder or Path(tempfile.gettempdir())
    for step in range(len(DOMAINS)):
        domain = DOMAINS[(os.getpid() + step) % len(DOMAINS)]
        if _claim(folder / f"il_ros_domain_{domain}.lock"):
            os.environ["ROS_DOMAIN_ID"] = str(domain)
            os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
            return domain
    raise RuntimeError(f"all {len(DOMAINS)} ROS domains are claimed by il_ros_domain_*.lock in {folder}")


def _claim(path: Path) -> bool:
    try:
        file = path.open("a")  # kept open: closing it would end the claim
    except PermissionError:  # another user's
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claimed.append(file)
    return True
