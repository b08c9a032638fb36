"""Start a node's executable: `python -m il_ros.nodes.start recorder --ros-args ...`, or `ros2 run il_ros recorder`.

Signals that arrive while the node's modules are imported are kept until the node can stop properly. Nothing is
imported here that takes time.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Sequence

from il_ros.core.executables import NODES
from il_ros.core.stopping import hold_signals
from il_ros.core.tables import say


def run(executable: str, args: Sequence[str] | None = None) -> int:
    """Run the node of `executable` with the command line `args` (default: the process's); return its exit code."""
    hold_signals()
    node = importlib.import_module(NODES[executable])
    return int(node.main(args))


def __getattr__(name: str) -> Callable[[], int]:
    """Return the entry point of executable `name`, for the scripts that setup.py declares."""
    if name not in NODES:
        raise AttributeError(name)
    return lambda: run(name)


def _main() -> int:
    if len(sys.argv) < 2 or sys.argv[1] not in NODES:
        say(f"give the executable to start, one of: {', '.join(NODES)}", file=sys.stderr)
        return 2
    executable = sys.argv.pop(1)
    return run(executable)


if __name__ == "__main__":
    sys.exit(_main())
