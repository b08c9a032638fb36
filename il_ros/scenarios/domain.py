"""Claims a ROS domain that no other demo or test run on this computer uses."""

from __future__ import annotations

import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

DOMAINS = range(1, 102)
"""0 is the shared default; above 101 the ports of DDS overlap Linux's ephemeral ports."""

_claimed: list[IO[str]] = []


def isolate(folder: Path | None = None) -> int:
    """Put this process and its children on a private domain of this computer, and return the domain.

    The claim, a locked file in `folder` (default: the system's temporary folder), ends with the process.
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
        file = path.open("a")  # stays open: closing the file ends the claim
    except PermissionError:  # claimed by another user
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claimed.append(file)
    return True
