"""Success versus expert effort on a simulated task, through the real nodes.

    python bench/learning/through_nodes.py [--task push] [--methods "bc,hg_dagger"] [--seeds 1]

`dagger_tasks.py` measures the same in one process. Here every method runs like in production: `il-ros run
record` for the demonstrations, `il-ros train` for the first policy, and the scenario `dagger` in rounds, with
simulator (in lockstep), policy server, scripted expert, supervisor, recorder, trainer and conductor as
separate processes. In a round the recorder keeps `--per-round` episodes, the trainer continues from the
newest good version's weights, and the policy server decides on the promotion of the result. In hg_dagger the
expert proposes only where a simulated human would take over (its parameter `demonstrations`). Labels are the
frames that the package extracts from the bags by the labelling rule of the recorded mode; `expert_ticks` are
the decisions with the expert in control. Versions are evaluated over held-out starts in process; the last
one of a method also runs the same starts through the nodes (`agreement`). Results are cached under
OUT/through_nodes_TASK and reused with the same settings, so that a long run can be split. Writes
OUT/through_nodes_TASK.json and .svg, and prints the summary as one JSON line.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from counting import driving_after, effort, linked, refused
from kept import kept
from scenario_run import conduct, node_parameters
from success import draw, log_result, numbers, pooled

from il_ros.core import contract
from il_ros.episodes.catalogue import scan
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import CHECKPOINT
from il_ros.scenarios import domain
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import make_task, task_class, task_names
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate

SCHEDULES = ("exponential:0.5", "linear:4", "step:1", "constant:0.3")
METHODS = ("bc", *(f"dagger {schedule}" for schedule in SCHEDULES), "hg_dagger", "gated")
PATIENCE = 1.5


class Lab:
    """One task and one seed: its folder, demonstrations and methods."""

    def __init__(self, args, seed):
        self.args, self.seed = args, seed
        self.folder = args.out / f"through_nodes_{args.task}" / f"seed_{seed}"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.task = make_task(args.task)
        self.contract = contract.find(task_class(args.task).contract)
        self.parameters = self.folder / "parameters.yaml"

    @property
    def first_seed(self):
        return 10_000 * (self.seed + 1)

    def measure(self, method):
        """Return the results of a method, cached or new."""
        args, file = self.args, self.folder / f"{method.replace(' ', '_')}.json"
        stages = args.demonstrations if method == "bc" else args.rated

        def points():
            how = {"queried": args.queried, "warm_epochs": args.warm_epochs, "changes": args.set}
            self.parameters.write_text(json.dumps(node_parameters(self.seed, **how)), encoding="utf-8")
            return self.bc() if method == "bc" else self.interactive(method)

        return kept(file, args, stages, points, without_effect(method), args.measured)

    # ---- methods -----------------------------------------------------------------------------------------

    def bc(self):
        for count in self.args.demonstrations:
            run = self.trained(count)
            point = self.rated("bc", run, self.shown(count), count)
            yield self.agreement(point, run) if count == max(self.args.demonstrations) else point

    def interactive(self, method):
        args, place = self.args, self.folder / method.replace(" ", "_").replace(":", "_")
        shutil.rmtree(place, ignore_errors=True)
        episodes, policies = place / "episodes", place / "policies"
        linked(self.shown(args.first), episodes)
        shutil.copytree(self.trained(args.first), policies / "v1")
        mode, _, beta = method.partition(" ")
        done = self.conduct(
            "dagger",
            method,
            args.rounds * args.per_round,
            self.first_seed + 5000,
            self.patience_s(),
            place / "log",
            mode=mode,
            **({"beta": beta} if beta else {}),
            unit="segment",
            session="false",
            person="simulated",
            per_hour=str(args.requests_per_hour),
            per_round=str(args.per_round),
            root=str(episodes),
            policies=str(policies),
            checkpoint=str(policies / "v1"),
            recipe=args.recipe,
        )
        names = [trial.episode for trial in done.done]
        shown = {entry.name for entry in scan(episodes).usable} - set(names)
        for stage in args.rated:
            run = driving_after(policies, stage)
            point = self.rated(method, run, episodes, stage, shown | set(names[: stage * args.per_round]))
            last = stage == max(args.rated)
            yield self.agreement(point, run) if last else point

    # ---- demonstrations ----------------------------------------------------------------------------------

    def shown(self, count):
        """Return the folder of the first `count` demonstrations that succeeded, recorded once."""
        root, some = self.folder / "shown", self.folder / f"shown_{count}"
        most = max(*self.args.demonstrations, self.args.first)
        if not (self.folder / "shown.done").exists():
            shutil.rmtree(root, ignore_errors=True)
            limit_s = self.task.time_limit_s
            log = self.folder / "log_shown"
            tried = most + 1 + most // 20  # a margin for failed demonstrations
            self.conduct("record", "show", tried, self.first_seed, limit_s, log, root=str(root))
            (self.folder / "shown.done").touch()
        if not some.exists():
            linked(root, some, count)
        return some

    def patience_s(self):
        """Return the time limit of an episode: 1.5 times the longest demonstration."""
        entries = scan(self.shown(self.args.first)).usable
        return round(PATIENCE * max(entry.info.duration_s for entry in entries), 2)

    def trained(self, count):
        """Return the run trained on `count` demonstrations from fresh weights."""
        run = self.folder / f"trained_{count}" / "v1"
        if not (run / lineage.FILE).exists():
            shown = self.shown(count)
            frames = effort(shown, self.contract)[0]
            size = recipes.load(self.args.recipe, self.args.set).training.batch_size
            epochs = max(1, round(self.args.steps / np.ceil(frames / size)))
            words = ["train", str(shown), "--out", str(run), "--version", "v1", "--overwrite"]
            words += ["--recipe", self.args.recipe]
            for change in (f"epochs={epochs}", f"seed={self.seed}", *self.args.set):
                words += ["--set", change]
            subprocess.run([sys.executable, "-m", "il_ros", *words], check=True, stdout=subprocess.DEVNULL)
        return run

    def conduct(self, scenario, title, episodes, seed, limit_s, log, **given):
        """Run a scenario's episodes of the task from consecutive starts, beginning at `seed`."""
        given |= {"task": self.args.task, "episodes": str(episodes), "seed": str(seed)}
        given |= {"time_limit_s": str(limit_s), "params_file": str(self.parameters)}
        return conduct(scenario, title, log, **given)

    def rated(self, method, run, root, stage, names=None):
        labels, driven, takeovers = effort(root, self.contract, names)
        seeds = range(HELD_OUT_SEED, HELD_OUT_SEED + self.args.episodes)
        policy = checkpoint.load(run / CHECKPOINT, self.contract)
        score = evaluate(policy, self.contract, self.task, seeds)
        return log_result(
            {
                "method": method,
                "seed": self.seed,
                "stage": stage,
                "version": run.name,
                "refused": refused(run.parent),
                "labels": labels,
                "expert_ticks": driven,
                "takeovers": takeovers,
                "successes": score.successes,
                "episodes": self.args.episodes,
                "succeeded": [episode.seed for episode in score.episodes if episode.success],
                "load": round(os.getloadavg()[0], 1),
            }
        )

    def agreement(self, point, run):
        """Run the held-out starts of an evaluated version through the nodes too."""
        count = self.args.through_nodes
        if not count:
            return point
        done = self.conduct(
            "deploy",
            f"{point['method']} {run.name}",
            count,
            HELD_OUT_SEED,
            self.task.time_limit_s,
            self.folder / f"log_perform_{point['method'].replace(' ', '_')}",
            checkpoint=str(run),
            record="false",
        )
        there = {trial.seed for trial in done.done if trial.outcome == "success"}
        here = {seed for seed in point["succeeded"] if seed < HELD_OUT_SEED + count}
        found = {"episodes": count, "through_nodes": len(there), "in_process": len(here)}
        found["alike"] = count - len(there ^ here)
        return point | {"agreement": log_result(found)}


def without_effect(method):
    """Return the arguments that do not affect a method's results."""
    others = ["seeds", "methods", "measured", "out"]
    others += [] if method.startswith("dagger") else ["queried"]
    return others + ([] if method == "gated" else ["requests_per_hour"])


def summary(args, points):
    """Pool the seeds: one row per method and stage."""
    methods = dict.fromkeys(point["method"] for point in points)
    rows = [
        row | {key: [point[key] for point in some if key in point] for key in ("agreement", "load")}
        for row, some in pooled(points, methods, ("labels", "expert_ticks", "takeovers", "refused"))
    ]
    settings = {key: value for key, value in vars(args).items() if key != "out"}
    return {"bench": "through_nodes", "task": args.task, "settings": settings, "rows": rows}


def arguments(words=None):
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--seeds", type=numbers, default=(0,), help="such as 0,1")
    parser.add_argument("--methods", default=",".join(METHODS), help="'bc', or a mode; 'dagger SCHEDULE'")
    parser.add_argument("--episodes", type=int, default=50, help="held-out episodes of each point and seed")
    parser.add_argument("--through-nodes", type=int, default=20, help="of them through the nodes too")
    parser.add_argument("--demonstrations", type=numbers, default=(25, 50, 100), help="for BC")
    parser.add_argument("--first", type=int, default=10, help="demonstrations that the others begin with")
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--per-round", type=int, default=8, help="episodes of each round")
    parser.add_argument("--rated", type=numbers, default=(3, 6, 9, 12), help="rounds after which to measure")
    parser.add_argument("--queried", type=float, default=0.25, help="share of the policy's ticks labelled")
    parser.add_argument("--requests-per-hour", type=int, default=360, help="budget of 'gated'")
    parser.add_argument("--steps", type=int, default=20000, help="gradient steps from fresh weights, about")
    parser.add_argument("--warm-epochs", type=int, default=100, help="of a round's training")
    parser.add_argument("--recipe", default="ensemble", help="of all methods")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="changes of it")
    parser.add_argument("--measured", action="store_true", help="pool cached results, run nothing")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    return parser.parse_args(words)


def main():
    args = arguments()
    domain.isolate()
    began_s = time.monotonic()
    labs = [Lab(args, seed) for seed in args.seeds]
    points = [point for lab in labs for method in args.methods.split(",") for point in lab.measure(method)]
    found = summary(args, points) | {"wall_s": round(time.monotonic() - began_s)}
    (args.out / f"through_nodes_{args.task}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    draw(found["rows"], f"{args.task}, through the nodes", args.out / f"through_nodes_{args.task}.svg")
    print(json.dumps(found))


if __name__ == "__main__":
    main()
