"""Imitation with reinforcement learning on the arm's tasks: does it exceed the clone, and is it ever below it?

The scripted expert shows some episodes (with `--noise`, smooth noise on its commands), from which the actor is cloned.
Each method then acts for a number of episodes with a sparse reward: 1 for the success. `scratch` has neither clone nor
a good start, but the demonstrations in each batch (recipe rlpd); the others begin with the clone (recipes rlpd, bc_rl,
ibrl, residual). With `--corrected`, a simulated person watches the first own episodes and takes over where the learner
goes wrong (HIL-SERL, Luo et al. 2024). "Served" is the policy that the gate lets through: the clone, until another is
better on the same starts. All seeds of a run share demonstrations and clone. Held-out success is that of other starts
than the gate's.
With `--delta` the arm's actions are differences to the measured joints (`mode: delta` of the contract).
Prints one JSON line per method, and writes OUT/bc_rl_TASK.json and .svg: success against own episodes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from noisy_expert import NoisyExpert
from tqdm import tqdm

from il_ros.core import contract as contracts
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.corrector import Corrector
from il_ros.interactive.dagger.human import typical_motion
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.records.outcomes import SUCCESS
from il_ros.records.trials import success_interval
from il_ros.rl import recipe as recipes
from il_ros.rl.run import train
from il_ros.rl.steps.environments import Environments
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import task_class
from il_ros.training import recipe as cloning
from il_ros.training.evaluate import evaluate
from il_ros.training.metrics.seeds import interval
from il_ros.training.run import train as train_clone

FINAL_SEED = 90_000
METHODS = {
    "scratch": ("rlpd", False),
    "rlpd": ("rlpd", True),
    "bc_rl": ("bc_rl", True),
    "ibrl": ("ibrl", True),
    "residual": ("residual", True),
}


def task_contract(task, *, delta):
    """Return a task's contract; `delta`: with differences to the measured joints as actions."""
    own = contracts.find(task_class(task).contract)
    return contracts.parse(own.text.replace("mode: absolute", "mode: delta"), task) if delta else own


def demonstrations(root, task, contract, count, noise_rad, seed):
    """Record episodes until `count` succeeded; return the successes, and the demonstrator's rate."""
    run, tried, succeeded = TaskEpisodes(task, contract, root), 0, 0
    with tqdm(total=count, desc="demonstrations", leave=False, disable=None) as bar:
        while succeeded < count:
            start = 1000 + 10_000 * seed + tried
            (done,) = demonstrate(
                run, NoisyExpert(task.name, noise_rad, np.random.default_rng(start)), [start]
            )
            tried, succeeded = tried + 1, succeeded + done.success
            bar.update(done.success)
    found = Dataset.open(root, contract, validation=0.0)
    kept = tuple(episode for episode in found.train if episode.outcome == SUCCESS)
    return type(found)(**{**vars(found), "train": kept}), succeeded / tried


def corrector(data, task, episodes):
    """Return a simulated person who corrects in the first own episodes, with the commands of the task's expert."""
    motion = typical_motion(data.train, data.contract)
    return Corrector(data.contract, motion, lambda: make_expert(task), most_episodes=episodes)


def held_out(policy, task, tests):
    return evaluate(policy, policy.contract, task, range(FINAL_SEED, FINAL_SEED + tests)).successes


def one_method(args, method, data, clone, task, place):
    name, begins = METHODS[method]
    changes = [f"seeds={args.seeds}", f"seed={args.seed}", f"every={args.every}", f"tests={args.tests}"]
    changes += [
        f"steps={args.episodes * round(task.time_limit_s / (task.control_period_ns / 1e9))}",
        *args.set,
    ]
    changes += ["random_steps=0", f"frozen_steps={args.frozen}"] if begins else []
    start = clone if begins else None
    recipe = recipes.load(name, changes).going_on_from(start, changes)
    persons = []

    def person(_):
        persons.append(corrector(data, args.task, args.corrected))
        return persons[-1]

    environments = Environments(
        args.task,
        data.contract,
        lambda: make_any_task(args.task, data.contract)[0],
        args.seeds,
        person if args.corrected else None,
    )
    bar = tqdm(total=args.episodes * args.seeds, desc=f"{args.task}, {method}", leave=False, disable=None)
    began_s, wall_s = time.process_time(), time.monotonic()

    def on_step(progress):
        bar.update(progress.episodes - bar.n)
        return progress.episodes < args.episodes * args.seeds

    def on_scores(scores):
        told = ", ".join(f"{score.success:.2f} {score.verdict}".strip() for score in scores)
        print(f"  {method} {scores[0].step}: {told}", file=sys.stderr, flush=True)

    with closing(environments):
        done = train(
            data,
            recipe,
            place / method,
            environments,
            start=start,
            on_step=on_step,
            on_scores=on_scores,
        )
    bar.close()
    steps = sorted({score.step for score in done.scores})
    rows = {step: [score for score in done.scores if score.step == step] for step in steps}
    return {
        "method": method,
        "episodes": args.episodes,
        "steps": steps[-1],
        "served": [held_out(policy, task, args.final) / args.final for policy in done.served],
        "promoted": sum(score.verdict == "promoted" for score in done.scores),
        "rolled_back": sum(score.verdict == "rolled back" for score in done.scores),
        "takeovers": [each.takeovers for each in persons],
        "ticks_driven_by_person": [each.ticks for each in persons],
        "cpu_s": round(time.process_time() - began_s, 1),
        "wall_s": round(time.monotonic() - wall_s, 1),
        "curve": [
            (round(row[0].episodes / args.seeds), [score.success for score in row]) for row in rows.values()
        ],
        "verdicts": [[score.verdict for score in row] for row in rows.values()],
    }


def draw(path, task, clone, rows):
    import matplotlib
    from matplotlib.figure import Figure

    from il_ros.core.plot_style import QUIET, STYLE

    with matplotlib.rc_context(STYLE):
        figure = Figure(figsize=(7, 4), layout="constrained")
        axes = figure.subplots()
        axes.axhline(clone, color=QUIET, linestyle="--", label="clone, on held-out starts")
        for row in rows:
            episodes = [point[0] for point in row["curve"]]
            mean, low, high = np.array([interval(point[1]) for point in row["curve"]]).T
            (line,) = axes.plot(episodes, mean, label=row["method"])
            if np.isfinite(low).any():
                axes.fill_between(
                    episodes, low.clip(0, 1), high.clip(0, 1), color=line.get_color(), alpha=0.15
                )
        axes.set(
            xlabel="own episodes of each seed", ylabel=f"success on {task}, as it learns", ylim=(-0.03, 1.03)
        )
        axes.legend(frameon=False)
        figure.savefig(path)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=("reach", "push", "pick_place"), default="push")
    parser.add_argument(
        "--methods", default=",".join(METHODS), help=f"of {', '.join(METHODS)}; '': the clone alone"
    )
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--noise", type=float, default=0.0, help="of the demonstrator's commands (rad)")
    parser.add_argument("--episodes", type=int, default=300, help="own episodes of each seed")
    parser.add_argument("--corrected", type=int, default=0, help="of them, those that a person corrects")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--seed", type=int, default=0, help="of demonstrations, clone and draws")
    parser.add_argument("--every", type=int, default=6000, help="own steps between evaluations")
    parser.add_argument("--frozen", type=int, default=3000, help="steps in which only the critics learn")
    parser.add_argument("--tests", type=int, default=100, help="starts of the gate")
    parser.add_argument("--final", type=int, default=100, help="held-out starts of a served policy")
    parser.add_argument("--delta", action="store_true", help="actions are differences to the measured joints")
    parser.add_argument(
        "--clone", action="append", default=[], metavar="KEY=VALUE", help="change the clone's recipe"
    )
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipes")
    parser.add_argument("--out", type=Path, default=Path("bench_out"))
    args = parser.parse_args()
    contract = task_contract(args.task, delta=args.delta)
    task, _ = make_any_task(args.task, contract)
    rows = []
    with closing(task), tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        data, shown = demonstrations(
            place / "episodes", task, contract, args.demonstrations, args.noise, args.seed
        )
        changes = [f"seed={args.seed}", "validation=0", *args.clone]
        cloned = train_clone(data, cloning.load("actor", changes), place / "clone")
        clone = held_out(cloned.policy, task, args.final)
        low, high = success_interval(clone, args.final)
        about = {
            "bench": "bc_rl",
            "task": args.task,
            "seed": args.seed,
            "demonstrations": args.demonstrations,
            "demonstrator": round(shown, 3),
            "clone": clone / args.final,
            "clone_95": [round(low, 3), round(high, 3)],
        }
        print(json.dumps(about), flush=True)
        for method in filter(None, args.methods.split(",")):
            rows.append(one_method(args, method, data, cloned.policy, task, place))
            print(json.dumps(rows[-1]), flush=True)
    args.out.mkdir(parents=True, exist_ok=True)
    file = args.out / f"bc_rl_{args.task}_{args.seed}"
    file.with_suffix(".json").write_text(json.dumps({**about, "rows": rows}, indent=1) + "\n")
    draw(file.with_suffix(".svg"), args.task, clone / args.final, rows)


if __name__ == "__main__":
    main()
