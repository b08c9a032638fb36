"""A warm interpreter: does the `il-ros` commands that come as JSON lists, one a line, on standard input.

Started by `il_ros.training.trainer.resident`, not typed by people.
"""

from __future__ import annotations

import json
import sys
import traceback

from il_ros.cli.main import main
from il_ros.cli.train import yield_to_others
from il_ros.training.trainer.resident import ENDED


def serve() -> int:
    """Import what training needs, then work until the input ends."""
    import matplotlib.figure  # noqa: F401 - imported early is the point
    import torch

    import il_ros.training.run
    import il_ros.training.trainer.warm_start  # noqa: F401

    torch.set_num_threads(1)
    print(json.dumps({"event": "warm"}), flush=True)
    for line in sys.stdin:
        print(json.dumps({"event": ENDED, "status": _do(json.loads(line))}), flush=True)
    return 0


def _do(words: list[str]) -> int:
    try:
        return main(words)
    except SystemExit as ended:  # of the parser
        return ended.code if isinstance(ended.code, int) else 2
    except Exception as error:  # the next command is another matter
        traceback.print_exc()
        print(f"{type(error).__name__}: {error}", flush=True)
        return 1


if __name__ == "__main__":
    if "--background" in sys.argv[1:]:
        yield_to_others()
    try:
        sys.exit(serve())
    except KeyboardInterrupt:
        sys.exit(130)
