"""Run the node of an executable: `python -m il_ros.nodes.begin NAME ARGUMENTS`.

Importing ROS takes half a second, in which the node does not handle signals yet: until then SIGINT and SIGHUP
end the process quietly.
"""

from __future__ import annotations

import importlib
import signal
import sys
from types import FrameType

from il_ros.core.executables import NODES


def begin() -> int:
    """Import and run the node; return its exit code."""
    for number in (signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _end)
    node = importlib.import_module(NODES[sys.argv.pop(1)])
    return int(node.main())


def _end(_number: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)  # not os._exit: the terminal's settings are restored on the way


if __name__ == "__main__":
    sys.exit(begin())
