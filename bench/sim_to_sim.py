"""Sim-to-sim transfer: the gap in a policy's success, and the number of labels that closes it.

For both directions between MuJoCo and Gazebo Classic (`make gazebo`): the scripted expert demonstrates a task
in the source, a policy is trained on that and evaluated in both on held-out starts. Then DAgger runs in the
target: in each round of a few episodes, expert and policy alternate, some ticks are labelled, and training
continues on all data. Only labels in the target are counted, in ticks (20 per second). Success is over the
held-out episodes of all seeds together, with the 95 % Wilson interval.
Writes OUT/sim_to_sim_TASK.json and .svg, and prints the summary as one JSON line. Results per direction and
seed are cached in OUT/points and reused with the same settings.

    python bench/sim_to_sim.py --seeds 0,1
"""

import argparse
import json
import os
import sys
import time
from contextlib import ExitStack, closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from il_ros.core import contract
from il_ros.interactive.dagger.interaction import InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import dagger, drive
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task, task_class, task_names
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate

SIMULATORS = ("mujoco", "gazebo_classic")
HOLD_S = 0.5  # seconds that success must hold in a demonstration


class Crossing:
    """One direction and one training seed: from `tasks[0]` to `tasks[1]`."""

    def __init__(self, args, seed, tasks):
        self.args, self.seed = args, seed
        self.source, self.target = tasks
        self.contract = contract.find(task_class(args.task).contract)
        self.expert = make_expert(args.task)

    def run_in(self, task):
        return lambda act, seed: rollout(task, act, self.contract, seed, hold_s=HOLD_S).success

    def interaction(self, options):
        mode = make_mode(options, self.contract, (POLICY, EXPERT), ModeMemory())
        return InteractionLoop(mode, self.contract.period_ns)

    def learner(self, steps):
        return Learner(self.contract, recipes.load(self.args.recipe, [f"seed={self.seed}"]), steps)

    def rated(self, policy, task):
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + self.args.episodes)
        return evaluate(policy, self.contract, task, seeds).successes

    def shown(self):
        first, found, showing = 10_000 * (self.seed + 1), [], self.interaction(ModeOptions("expert"))
        for number in range(self.args.demonstrations):
            driven = drive(self.run_in(self.source), showing, None, self.expert, first + number)
            if driven.success:
                found.append(driven.episode(f"shown_{number:03d}", self.contract))
        return found

    def points(self):
        """Yield (stage, labels in the target, successes there); the first stage is 'home', in the source."""
        args, shown = self.args, self.shown()
        policy = self.learner(args.steps).learn(shown)
        yield "home", 0, self.rated(policy, self.source)
        yield 0, 0, self.rated(policy, self.target)
        first, before = 10_000 * (self.seed + 1) + 5000, sum(map(len, shown))
        mixing = ModeOptions(
            "dagger",
            beta=f"constant:{args.beta}",
            unit="segment",
            segment=10,
            seed=self.seed,
            queried=args.queried,
        )
        rounds = dagger(
            self.run_in(self.target),
            self.expert,
            self.learner(args.round_steps),
            self.interaction(mixing),
            [range(first + args.per_round * i, first + args.per_round * (i + 1)) for i in range(args.rounds)],
            shown,
            policy,
        )
        for done in rounds:
            if done.index + 1 in args.rated:
                yield done.index + 1, done.labels - before, self.rated(done.policy, self.target)


def known(args, seed, tasks, names):
    """Return the results of a direction and a seed: cached ones with the same settings, or new ones."""
    settings = {key: value for key, value in vars(args).items() if key not in ("seeds", "out")}
    settings = json.loads(json.dumps(settings))
    file = args.out / "points" / f"{args.task}_from_{names[0]}_{seed}.json"
    if file.exists() and (found := json.loads(file.read_text(encoding="utf-8")))["settings"] == settings:
        return found["points"]
    points = [
        {"source": names[0], "seed": seed, "stage": stage, "labels": labels, "successes": successes}
        for stage, labels, successes in Crossing(args, seed, tasks).points()
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps({"settings": settings, "points": points}) + "\n", encoding="utf-8")
    return points


def summary(args, points):
    """Pool the seeds: one row per direction and stage."""
    rows = []
    for source, target in (SIMULATORS, SIMULATORS[::-1]):
        for stage in ("home", 0, *args.rated):
            some = [point for point in points if (point["source"], point["stage"]) == (source, stage)]
            if not some:
                continue
            successes, count = sum(point["successes"] for point in some), args.episodes * len(some)
            rows.append(
                {
                    "learnt_in": source,
                    "run_in": source if stage == "home" else target,
                    "rounds": 0 if stage == "home" else stage,
                    "labels": round(np.mean([point["labels"] for point in some])),
                    "successes": successes,
                    "episodes": count,
                    "success": round(successes / count, 3),
                    "interval_95": [round(bound, 3) for bound in success_interval(successes, count)],
                }
            )
    return rows


def draw(file, task, rows):
    import matplotlib
    from matplotlib.figure import Figure

    matplotlib.rcParams["svg.fonttype"] = "none"  # keep text as text
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    names = {"mujoco": "MuJoCo", "gazebo_classic": "Gazebo"}
    for axes, source in zip(figure.subplots(1, 2, sharey=True), SIMULATORS, strict=True):
        mine = [row for row in rows if row["learnt_in"] == source]
        home, away = mine[0], mine[1:]
        success = np.array([row["success"] for row in away])
        low, high = np.array([row["interval_95"] for row in away]).T
        spread = np.maximum([success - low, high - success], 0)
        target = names[away[0]["run_in"]]
        (native,) = (row for row in rows if row["learnt_in"] == row["run_in"] == away[0]["run_in"])
        axes.axhline(home["success"], color="0.5", ls="--", label=f"the same policy in {names[source]}")
        axes.axhline(native["success"], color="C1", ls=":", label=f"one demonstrated in {target}")
        axes.errorbar(
            [r["labels"] for r in away], success, spread, marker="o", capsize=3, label=f"in {target}"
        )
        axes.set(
            title=f"demonstrated in {names[source]}, run in {target}",
            xlabel=f"labels in {target} (20 per second)",
            ylim=(0, 1.03),
        )
        axes.grid(alpha=0.3)
        axes.legend(loc="lower right", fontsize=8)
    figure.suptitle(task)
    figure.axes[0].set_ylabel("success, 95 % interval")
    figure.savefig(file)


def numbers(text):
    return tuple(int(part) for part in text.split(","))


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2))
    parser.add_argument("--recipe", default="ensemble")
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--episodes", type=int, default=30, help="held-out episodes of each point and seed")
    parser.add_argument("--rounds", type=int, default=4)
    parser.add_argument("--per-round", type=int, default=2, help="episodes of each round")
    parser.add_argument("--rated", type=numbers, default=(2, 4), help="rounds after which it is measured")
    parser.add_argument("--beta", type=float, default=0.3, help="the expert's share of driving")
    parser.add_argument("--queried", type=float, default=0.5, help="share of the policy's ticks labelled")
    parser.add_argument("--steps", type=int, default=5000, help="gradient steps from fresh weights")
    parser.add_argument("--round-steps", type=int, default=1000, help="gradient steps of a round")
    parser.add_argument("--quick", action="store_true", help="a one-minute smoke test")
    parser.add_argument("--out", type=Path, default=Path("out/sim_to_sim"))
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.demonstrations, args.episodes, args.rounds, args.rated = (0,), 5, 5, 1, (1,)
        args.steps, args.round_steps = 500, 200
    started_s, points = time.monotonic(), []
    args.out.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        tasks = {
            name: stack.enter_context(closing(make_task(args.task, simulator=name))) for name in SIMULATORS
        }
        for seed in args.seeds:
            for names in (SIMULATORS, SIMULATORS[::-1]):
                points += known(args, seed, [tasks[name] for name in names], names)
                print(json.dumps(points[-1]), file=sys.stderr, flush=True)
    rows = summary(args, points)
    found = {
        "bench": "sim_to_sim",
        "settings": vars(args) | {"out": str(args.out)},
        "rows": rows,
        "wall_s": round(time.monotonic() - started_s),
    }
    (args.out / f"sim_to_sim_{args.task}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    draw(args.out / f"sim_to_sim_{args.task}.svg", args.task, rows)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
