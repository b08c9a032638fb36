"""The time of a training with denormal numbers computed, and with them rounded to 0, as `il-ros train` does it.

The same demonstrations of a task and the same recipe, alternating; CPU seconds, medians. `--set key=value` changes the
recipe. Prints one JSON line.

    python bench/denormals.py --task push --recipe ensemble
"""

import argparse
import json
import os
import statistics
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from learning_bc import contract_of, dataset, demonstrations

from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training import run


@contextmanager
def threads_only(threads):
    """Use one torch thread, and leave denormal numbers as they are."""
    torch.set_num_threads(threads)
    yield


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push")
    parser.add_argument("--recipe", default="ensemble")
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    contract = contract_of(args.task, ())
    starts = range(args.demonstrations)
    shown = list(demonstrations(make_task(args.task), contract, make_expert(args.task), starts))
    recipe = recipes.load(args.recipe, args.set)
    ways = {"computed": threads_only, "rounded_to_0": run.torch_settings}
    spent_s = {name: [] for name in ways}
    for _ in range(args.rounds + 1):
        for name, settings in ways.items():
            run.torch_settings = settings
            began_s = time.process_time()
            with tempfile.TemporaryDirectory() as folder:
                run.train(dataset(contract, shown, recipe.training), recipe, Path(folder))
            spent_s[name].append(time.process_time() - began_s)
    medians = {name: statistics.median(times[1:]) for name, times in spent_s.items()}  # the first one imports
    print(
        json.dumps(
            {
                "bench": "denormals",
                "task": args.task,
                "recipe": args.recipe,
                "settings": args.set,
                "demonstrations": len(shown),
                "cpu_s": {name: round(median, 2) for name, median in medians.items()},
                "ratio": round(medians["computed"] / medians["rounded_to_0"], 2),
                "load": round(os.getloadavg()[0], 1),
            }
        )
    )


if __name__ == "__main__":
    main()
