"""Success versus expert effort on a simulated task: BC, DAgger, HG-DAgger and uncertainty-gated queries.

All in one process, through the contract's codecs. Every method starts with the same few demonstrations and
adds episodes in rounds; BC gets more demonstrations instead. The expert aborts an episode after 1.5 times its
longest demonstration. Effort is counted in ticks (20 per second): `labels`, at which the expert gave a label,
and `expert_ticks`, at which it was in control. Success is over the held-out episodes of all seeds together,
with the 95 % Wilson interval.
Writes OUT/dagger_TASK.json and .svg, and prints the summary as one JSON line. Results per seed and method are
cached in OUT/points and reused with the same settings, so that a long run can be split.
"""

import argparse
import json
import os
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from kept import kept
from success import draw, log_result, numbers, pooled

from il_ros.core import contract
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, typical_motion, velocities
from il_ros.interactive.dagger.interaction import InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import dagger, drive
from il_ros.interactive.modes.gate import GatedOptions
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task, task_class, task_names
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate

HOLD_S = 0.5  # seconds that success must hold in a demonstration; held-out episodes end at success
PATIENCE = 1.5
SCHEDULES = ("exponential:0.5", "linear:4", "step:1", "constant:0.3")
METHODS = ("bc", *(f"dagger {schedule}" for schedule in SCHEDULES), "hg_dagger", "gated")


class Lab:
    """One task and its expert, for one seed, with `demonstrations` demonstrations."""

    def __init__(self, args, seed, count):
        self.args, self.seed = args, seed
        self.contract = contract.find(task_class(args.task).contract)
        self.task, self.expert = make_task(args.task), make_expert(args.task)
        self.rng = np.random.default_rng(seed)
        self.shown, number = [], 0
        showing = self.interaction(ModeOptions("expert"))
        while len(self.shown) < count:
            driven = drive(self.show, showing, None, self.expert, self.first_seed + number)
            number += 1
            if driven.success:  # failed demonstrations are discarded
                self.shown.append(driven.episode(f"shown_{number:03d}", self.contract))
        longest = max(len(episode) for episode in self.shown[: args.first])
        self.driven_episodes = make_task(args.task)
        self.driven_episodes.time_limit_s = PATIENCE * longest / self.contract.rate_hz
        self.motion = typical_motion(self.shown[: args.first], self.contract)

    @property
    def first_seed(self):
        return 10_000 * (self.seed + 1)

    def show(self, act, seed):
        return rollout(self.task, act, self.contract, seed, hold_s=HOLD_S).success

    def teach(self, act, seed):
        return rollout(self.driven_episodes, act, self.contract, seed, hold_s=HOLD_S).success

    def learner(self, steps):
        changes = [f"seed={self.seed}", *self.args.set]
        return Learner(self.contract, recipes.load(self.args.recipe, changes), steps)

    def point(self, method, policy, labels, expert_ticks, takeovers=0):
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + self.args.episodes)
        score = evaluate(policy, self.contract, self.task, seeds)
        point = {
            "method": method,
            "seed": self.seed,
            "labels": labels,
            "expert_ticks": expert_ticks,
            "takeovers": takeovers,
            "successes": score.successes,
            "episodes": self.args.episodes,
        }
        return log_result(point)

    def bc(self):
        for count in self.args.demonstrations:
            shown = self.shown[:count]
            policy = self.learner(self.args.steps).learn(shown)
            frames = sum(map(len, shown))
            yield {**self.point("bc", policy, frames, frames), "stage": count}

    def interactive(self, method):
        args = self.args
        shown = self.shown[: args.first]
        beginning = self.learner(args.steps).learn(shown)
        first = self.first_seed + 5000
        seeds = [
            range(first + args.per_round * i, first + args.per_round * (i + 1)) for i in range(args.rounds)
        ]
        rounds = dagger(
            self.teach,
            self.expert,
            self.learner(args.round_steps),
            self.teaching_of(method),
            seeds,
            shown,
            beginning,
        )
        for done in rounds:
            if done.index + 1 in args.rated:
                found = self.point(method, done.policy, done.labels, done.expert_ticks, done.takeovers)
                yield {**found, "stage": done.index + 1}

    def interaction(self, options, person=None):
        mode = make_mode(options, self.contract, (POLICY, EXPERT), ModeMemory())
        return InteractionLoop(mode, self.contract.period_ns, person)

    def teaching_of(self, method):
        args, (mode, _, beta) = self.args, method.partition(" ")
        if mode == "hg_dagger":
            person = SimulatedHuman(HumanModel(), self.motion, self.rng, velocities(self.contract))
            return self.interaction(ModeOptions(mode), person=person)
        if mode == "gated":
            asking = GatedOptions(takeover="asked", per_hour=args.requests_per_hour, release=args.release)
            return self.interaction(ModeOptions(mode, gated=asking))
        drawn = {"beta": beta, "unit": "segment", "segment": 10, "seed": self.seed}
        return self.interaction(ModeOptions(mode, queried=args.queried, **drawn))


def known(args, seed, method):
    """Return the results of a method and a seed: cached ones with the same settings, or new ones."""
    stages = args.demonstrations if method == "bc" else args.rated

    def points():
        lab = Lab(args, seed, max(args.demonstrations) if method == "bc" else args.first)
        return lab.bc() if method == "bc" else lab.interactive(method)

    name = f"{args.task}_{method.replace(' ', '_').replace(':', '_')}_{seed}.json"
    return kept(args.out / "points" / name, args, stages, points, ("seeds", "methods", "out"))


def summary(args, points):
    """Pool the seeds: one row per method and stage."""
    return {
        "bench": "dagger_tasks",
        "task": args.task,
        "settings": vars(args) | {"out": str(args.out)},
        "rows": [row for row, _ in pooled(points, METHODS, ("labels", "expert_ticks"))],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--seeds", type=numbers, default=(0, 1))
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--episodes", type=int, default=50, help="held-out episodes of each point and seed")
    parser.add_argument("--demonstrations", type=numbers, default=(10, 25, 50, 100), help="for BC")
    parser.add_argument("--first", type=int, default=10, help="demonstrations that the others begin with")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--per-round", type=int, default=8, help="episodes of each round")
    parser.add_argument(
        "--rated", type=numbers, default=(3, 6, 9, 12), help="rounds after which success is measured"
    )
    parser.add_argument("--queried", type=float, default=0.25, help="share of ticks labelled in DAgger")
    parser.add_argument("--requests-per-hour", type=int, default=360, help="budget of 'gated'")
    parser.add_argument("--release", type=float, default=GatedOptions().release, help="see GatedOptions")
    parser.add_argument("--steps", type=int, default=20000, help="gradient steps from fresh weights")
    parser.add_argument("--round-steps", type=int, default=8000, help="gradient steps of a round")
    parser.add_argument("--recipe", default="ensemble", help="of all methods")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes of it")
    parser.add_argument("--quick", action="store_true", help="a one-minute smoke test")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.episodes, args.demonstrations, args.first = (0,), 5, (5, 10), 5
        args.rounds, args.per_round, args.rated, args.steps, args.round_steps = 1, 2, (1,), 500, 200
    points = [
        point
        for seed in args.seeds
        for method in args.methods.split(",")
        for point in known(args, seed, method)
    ]
    found = summary(args, points)
    (args.out / f"dagger_{args.task}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    draw(found["rows"], args.task, args.out / f"dagger_{args.task}.svg")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
