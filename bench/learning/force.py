"""`press`: what a force sensor is worth where force decides, and no other input tells it.

For each seed: demonstrations of the scripted expert (which feels the force), a policy that reads the force and one that
does not, trained by what `il-ros train` chooses, and trials from held-out starts, the same for both. `--history`: ticks
that the policies see at once. Prints one JSON line per seed and policy, and sums with 95 % intervals.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from learning_bc import contract_of, dataset, demonstrations

from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

INPUTS = {"with force": "[joints, goal, force]", "without": "[joints, goal]"}


def measured(task, own, shown, kind, seed, args):
    began_s = time.process_time()
    changes = (f"inputs={INPUTS[kind]}", f"history={args.history}", f"seed={seed}", *args.set)
    auto = args.recipe == recipes.AUTO
    recipe = rules.chosen(own, shown, changes) if auto else recipes.load(args.recipe, changes)
    with tempfile.TemporaryDirectory() as folder:
        policy = train(dataset(own, shown, recipe.training), recipe, Path(folder) / "v1").policy
    score = evaluate(policy, own, task, range(HELD_OUT_SEED, HELD_OUT_SEED + args.episodes))
    line = {"bench": "force", "kind": kind, "seed": seed, "family": recipe.family, "history": args.history}
    line |= {"demonstrations": len(shown), "successes": score.successes, "episodes": args.episodes}
    print(json.dumps(line | {"cpu_s": round(time.process_time() - began_s)}), flush=True)
    return score.successes


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default=recipes.AUTO)
    parser.add_argument("--demonstrations", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=100, help="trials of each policy")
    parser.add_argument("--history", type=int, default=1)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    task, own = make_task("press"), contract_of("press", ())
    successes = dict.fromkeys(INPUTS, 0)
    for seed in range(args.seeds):
        starts = range(1000 * seed, 1000 * seed + args.demonstrations)
        shown = list(demonstrations(task, own, make_expert("press"), starts))
        for kind in INPUTS:
            successes[kind] += measured(task, own, shown, kind, seed, args)
    trials = args.episodes * args.seeds
    for kind, right in successes.items():
        interval = [round(bound, 3) for bound in success_interval(right, trials)]
        print(
            json.dumps({"bench": "force", "kind": kind, "success": right / trials, "interval_95": interval})
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
