"""The trainer's process: carries out plans read from standard input, one JSON document per line.

`il_ros.training.trainer` starts it; it is not a user command. It prints one JSON object per line. Without arguments it
carries out one plan, whose status is its exit status. With `--resident` it first imports what trainings need, then
carries out plan after plan; each ends with an event that has its status.
"""

from __future__ import annotations

import argparse
import sys
import traceback

from il_ros.cli.evaluation import command as evaluation
from il_ros.cli.long_runs import lower_priority
from il_ros.cli.train import command as train
from il_ros.cli.train.report import JsonReporter
from il_ros.core.tables import say, say_json, worded
from il_ros.training.trainer import plans
from il_ros.training.trainer.plans import EvaluationPlan, PlanError
from il_ros.training.trainer.resident import ENDED


def main() -> int:
    """Run the process; return the exit status."""
    parser = argparse.ArgumentParser(description="Carry out the trainer's plans from standard input.")
    parser.add_argument("--resident", action="store_true", help="carry out plan after plan")
    parser.add_argument("--background", action="store_true", help="run at idle priority from the start")
    args = parser.parse_args()
    if args.background:
        lower_priority()
    try:
        return _serve() if args.resident else _carry_out(sys.stdin.readline())
    except KeyboardInterrupt:
        return 130


def _serve() -> int:
    """Import the modules of training, then carry out plans until the input ends."""
    import matplotlib.figure  # noqa: F401 - imported early on purpose
    import torch

    import il_ros.training.run
    import il_ros.training.trainer.warm_start  # noqa: F401

    torch.set_num_threads(1)
    say_json(event="warm")
    for line in sys.stdin:
        say_json(event=ENDED, status=_carry_out(line))
    return 0


def _carry_out(document: str) -> int:
    try:
        plan = plans.decode(document)
    except PlanError as error:
        say(f"not a plan: {worded(error)}", file=sys.stderr)
        return 2
    try:
        if isinstance(plan, EvaluationPlan):
            return evaluation.carry_out(plan, for_programs=True)
        return train.carry_out(plan, JsonReporter())
    except KeyboardInterrupt:
        say("interrupted", file=sys.stderr)
        return 130
    except Exception as error:  # one failed plan must not end a resident process
        traceback.print_exc()
        say(f"{type(error).__name__}: {error}", flush=True)
        return 1


if __name__ == "__main__":
    sys.exit(main())
