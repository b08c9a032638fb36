"""A warm interpreter that runs `il-ros` commands read from standard input, one JSON list per line.

`il_ros.training.trainer.resident` starts it; it is not a user command.
"""

from __future__ import annotations

import json
import sys
import traceback

from il_ros.cli.main import main
from il_ros.cli.train import lower_priority
from il_ros.core.tables import say
from il_ros.training.trainer.resident import ENDED


def serve() -> int:
    """Import the modules of training, then run commands until the input ends."""
    import matplotlib.figure  # noqa: F401 - imported early on purpose
    import torch

    import il_ros.training.run
    import il_ros.training.trainer.warm_start  # noqa: F401

    torch.set_num_threads(1)
    say(json.dumps({"event": "warm"}), flush=True)
    for line in sys.stdin:
        say(json.dumps({"event": ENDED, "status": _do(json.loads(line))}), flush=True)
    return 0


def _do(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as ended:  # raised by the parser
        return ended.code if isinstance(ended.code, int) else 2
    except Exception as error:  # one failed command must not end the process
        traceback.print_exc()
        say(f"{type(error).__name__}: {error}", flush=True)
        return 1


if __name__ == "__main__":
    if "--background" in sys.argv[1:]:
        lower_priority()
    try:
        sys.exit(serve())
    except KeyboardInterrupt:
        sys.exit(130)
