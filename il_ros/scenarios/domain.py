"""Claims a ROS domain that no other demo or test run on this computer uses."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from pathlib import Path
from typing import IO

RANGE_VARIABLE = "ROS_AUTOMATIC_DISCOVERY_RANGE"
_TOLD_OTHERWISE = (RANGE_VARIABLE, "ROS_LOCALHOST_ONLY", "ROS_DISCOVERY_SERVER")
ONLY_HERE = (
    f"the nodes are visible on this computer only; {RANGE_VARIABLE}=SUBNET lets others on the network take part "
    "(docs/security.md)"
)
DOMAINS = range(1, 102)
"""0 is the shared default; above 101 the ports of DDS overlap Linux's ephemeral ports."""

_claimed: list[IO[bytes]] = []


def isolate(folder: Path | None = None) -> int:
    """Put this process and its children on a private domain of this computer, and return the domain.

    The claim, a locked file in `folder` (default: the system's temporary folder), ends with the process.
    Raises OSError when all domains are claimed.
    """
    folder = folder or Path(tempfile.gettempdir())
    for step in range(len(DOMAINS)):
        domain = DOMAINS[(os.getpid() + step) % len(DOMAINS)]
        if _claim(folder / f"il_ros_domain_{domain}.lock"):
            os.environ["ROS_DOMAIN_ID"] = str(domain)
            os.environ[RANGE_VARIABLE] = "LOCALHOST"
            return domain
    raise OSError(
        f"all {len(DOMAINS)} ROS domains are claimed by running programs, with {folder}/il_ros_domain_*.lock; end some"
    )


def keep_local() -> bool:
    """Limit this process's children to this computer, unless the environment says otherwise.

    Returns whether it was limited here; `ONLY_HERE` says so to the user.
    """
    if any(os.environ.get(name) for name in _TOLD_OTHERWISE):
        return False
    os.environ[RANGE_VARIABLE] = "LOCALHOST"
    return True


def _claim(path: Path) -> bool:
    """Claim a domain; its lock file may be another user's, who has ended or not.

    Opened for reading, because others may not write to it, and without O_CREAT where it exists: Linux refuses that for
    another user's file in a folder such as /tmp (fs.protected_regular).
    """
    try:
        with contextlib.suppress(FileExistsError):
            os.close(os.open(path, os.O_RDONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644))
        file = path.open("rb")  # stays open: closing the file ends the claim
    except (PermissionError, FileNotFoundError):  # unreadable, or cleared away just now
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        file.close()
        return False
    _claimed.append(file)
    return True
