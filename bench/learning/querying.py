"""Demonstrations to 90 %: starts suggested by uncertainty and coverage (`il-ros suggest`) against random ones.

For each seed, both begin with the same `--first` demonstrations of the scripted expert. Then `--add` are added at a
time: from the best of `--candidates` starts, or from starts drawn like all others. After each addition a policy is
trained from scratch and tried from the same `--episodes` held-out starts. Prints one JSON line per seed and way of
choosing, and a summary: demonstrations until the success was at least `--aim` in two successive trials, and the mean
success over the whole course.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from learning_bc import contract_of, dataset, demonstrations

from il_ros.interactive.querying.suggest import Querying
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task, task_names
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

SUGGESTED, RANDOM, ALONE = "suggested", "random", "coverage alone"
CANDIDATE_SEED = 700_000


class Course:
    """The demonstrations of one way of choosing, and the policies that were trained on them."""

    def __init__(self, task, own, seed, args):
        self.task, self.own, self.seed, self.args = task, own, seed, args
        self.shown = []
        self.points = []

    def show(self, starts):
        """Add the expert's demonstrations from these starts; failed ones are discarded."""
        for start in starts:
            for each in demonstrations(self.task, self.own, make_expert(self.task.name), [start]):
                name = f"episode_{len(self.shown):06d}"
                self.shown.append(dataclasses.replace(each, name=name))

    def learn(self):
        """Train on all demonstrations, and note the success."""
        recipe = recipes.load(self.args.recipe, (f"seed={self.seed}", "validation=0", *self.args.set))
        with tempfile.TemporaryDirectory() as folder:
            made = dataset(self.own, self.shown, recipe.training)
            self.policy = train(made, recipe, Path(folder) / "v1").policy
        starts = range(HELD_OUT_SEED, HELD_OUT_SEED + self.args.episodes)
        score = evaluate(self.policy, self.own, self.task, starts)
        self.points.append((len(self.shown), score.rate))

    def suggested(self, first, by_uncertainty):
        """Return the seeds of the best starts."""
        querying = Querying(self.policy, self.shown)
        if not by_uncertainty:
            querying._relative = lambda own: 1.0  # every state counts as equally uncertain
        seeds = range(first, first + self.args.candidates)
        return [each.seed for each in querying.suggested_starts(self.task, seeds, self.args.add)]

    @property
    def needed(self):
        """The demonstrations from which the aim was reached in two successive trials; None: never."""
        rates = [*self.points, self.points[-1]]
        for (count, rate), (_, after) in pairwise(rates):
            if min(rate, after) >= self.args.aim:
                return count
        return None


def measured(task, own, seed, way, args):
    began_s = time.process_time()
    course, first = Course(task, own, seed, args), 10_000 * seed
    course.show(range(first, first + args.first))
    course.learn()
    place = first + args.first
    candidates = CANDIDATE_SEED + first
    while len(course.shown) < args.most:
        if way == RANDOM:
            starts, place = range(place, place + args.add), place + args.add
        else:
            starts = course.suggested(candidates, way == SUGGESTED)
            candidates += args.candidates
        course.show(starts)
        course.learn()
    found = {
        "bench": "querying",
        "task": task.name,
        "seed": seed,
        "way": way,
        "needed": course.needed,
        "success": [[count, round(rate, 3)] for count, rate in course.points],
        "cpu_s": round(time.process_time() - began_s),
    }
    print(json.dumps(found), flush=True)
    return course


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="reach", choices=task_names())
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first", type=int, default=3)
    parser.add_argument("--add", type=int, default=3)
    parser.add_argument("--most", type=int, default=30, help="demonstrations at which a course ends")
    parser.add_argument("--candidates", type=int, default=50)
    parser.add_argument("--episodes", type=int, default=50, help="trials of each policy")
    parser.add_argument("--aim", type=float, default=0.9)
    parser.add_argument("--ways", default=f"{SUGGESTED},{RANDOM}", help=f"also: {ALONE}")
    parser.add_argument("--recipe", default="ensemble")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    task, own = make_task(args.task), contract_of(args.task, ())
    ways = args.ways.split(",")
    courses = {way: [] for way in ways}
    for seed in range(args.seeds):
        for way in ways:
            courses[way].append(measured(task, own, seed, way, args))
    for way, some in courses.items():
        needed = [each.needed for each in some]
        rates = [statistics.mean(rate for _, rate in each.points) for each in some]
        line = {"bench": "querying", "task": args.task, "way": way, "needed": needed}
        print(json.dumps({**line, "mean_success": [round(rate, 3) for rate in rates]}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
