"""Every family on the simulated tasks, from few and from more demonstrations, beside what `auto` chooses.

For each task, seed and number of demonstrations: each learner trains on the same ones, and is tried from the same
held-out starts. A learner is a recipe, with changes after colons: `auto`, `ensemble`, `bc_mlp:loss=mse:epochs=9`.
`textbook` is a perceptron 256x256 on standardised actions, squared error, 4,000 steps of 256 at 1e-3 falling to 0.
`wide` is what `auto` chooses for efforts. `imitation`, `robomimic_mlp` and `robomimic_rnn_gmm` are peers, see
`cloning_peers.py`. `held_out`: mean absolute error of the first action on five further demonstrations, in
demonstrated half-ranges. What `--out` has already is not measured again.

The table has the success of each learner, and what each other one has more or fewer than `auto` on the same starts,
in points; `*`: it is better or worse, by the exact sign test corrected for the number compared (Holm 1979).

    python bench/learning/every_family.py --out families.jsonl                          # all; many hours on one core
    python bench/learning/every_family.py --only push --demonstrations 10 --seeds 1 --starts 20 --learners auto wide
    python bench/learning/every_family.py --table families.jsonl                        # the table of what was measured
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cloning_peers
import numpy as np
from learning_bc import contract_of, dataset, demonstrations
from rows import Rows, read_lines, settings_of, show_each

from il_ros.records.comparison import LEVEL, PairedComparison, corrected
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

AUTO = recipes.AUTO
TASKS = ("push", "pick_place", "drive", "reach")
STEPS = {"wide": (4000, 128), "textbook": (4000, 256), "moe": (3000, 256)}
"""Optimiser steps of a training, and frames of a step, of those whose epochs depend on the amount of data."""
NAMED = {
    "wide": "ensemble:loss=mse:hidden=[128, 128]:batch_size=128:learning_rate=0.003:still_every=1",
    "textbook": "bc_mlp:loss=mse:hidden=[256, 256]:action_scale=std:batch_size=256:learning_rate=0.001:still_every=1",
    "moe": "moe:batch_size=256:still_every=1",
}
LEARNERS = (
    AUTO,
    "ensemble",
    "wide",
    "textbook",
    "bc_mlp",
    "bc_gaussian",
    "bc_mixture",
    "bc_categorical",
    "moe",
    "two_step",
    "flow",
    "diffusion",
    "transformer",
    "act",
)
CHECKED, CHECKED_SEED = 5, 900_000
"""Demonstrations on which the error is measured, and the first of their seeds; none of them is trained on."""


def recipe_of(learner, own, shown, seed):
    """Return a learner's recipe for these demonstrations."""
    name, *changes = NAMED.get(learner, learner).split(":")
    if learner in STEPS:
        steps, batch = STEPS[learner]
        changes.append(f"epochs={max(1, round(steps / -(-sum(map(len, shown)) // batch)))}")
    changes.append(f"seed={seed}")
    return rules.chosen(own, shown, changes) if name == AUTO else recipes.load(name, changes)


def error_of(policy, episodes):
    """Return the mean absolute error of the first action, in demonstrated half-ranges."""
    ranges = np.ptp(np.concatenate([episode.commands for episode in episodes]), axis=0) / 2
    ranges = np.maximum(ranges, 1e-3)
    found = []
    for episode in episodes:
        act = policy.in_episode()
        for frame in range(len(episode)):
            answer = act({key: values[frame] for key, values in episode.observations.items()})[0]
            found.append(np.abs(answer - episode.commands[frame]) / ranges)
    return float(np.mean(found))


def keys_of(name, count, seed, args):
    """Return the keys of the rows of one task, amount of data and seed."""
    others = ("only", "demonstrations", "learners", "seeds", "first_seed", "out", "table")
    common = {"task": name, "demonstrations": count, "seed": seed, "settings": settings_of(args, others)}
    return [{**common, "learner": learner} for learner in args.learners]


def measured(keys, args, shown, checked):
    """Yield (key, what was measured) for learners on one task, amount of data and seed.

    `shown`: the demonstrations to learn from, and more. `checked`: those on which the error is measured.
    """
    name, count, seed = (keys[0][part] for part in ("task", "demonstrations", "seed"))
    own, task = contract_of(name, ()), make_task(name)
    for key in keys:
        learner = key["learner"]
        began_s, why = time.process_time(), ""
        if learner in cloning_peers.STEPS:
            policy = cloning_peers.trained(learner, shown[:count], seed)
        else:
            chosen = recipe_of(learner, own, shown[:count], seed)
            why = chosen.reason
            with tempfile.TemporaryDirectory() as folder:
                policy = train(dataset(own, shown[:count], chosen.training), chosen, Path(folder)).policy
        spent_s = time.process_time() - began_s
        tries = []
        for start in range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts):
            tries += evaluate(SimpleNamespace(act=policy.in_episode()), own, task, [start]).episodes
        yield (
            key,
            {
                "successes": [int(episode.success) for episode in tries],
                "held_out": round(error_of(policy, checked), 5),
                "train_cpu_s": round(spent_s, 1),
                "why": why,
                "load": round(os.getloadavg()[0], 1),
            },
        )


def shown_of(name, count, seed, simulator="mujoco", first=0):
    """Return `count` demonstrations of a task's expert; `first`: the start of seed 0."""
    start = first + 1000 * seed
    seeds = range(start, start + 2 * count + 10)
    found = []
    with closing(make_task(name, simulator=simulator)) as task:
        for episode in demonstrations(task, contract_of(name, ()), make_expert(name), seeds):
            found.append(dataclasses.replace(episode, name=f"episode_{len(found):06d}"))
            if len(found) == count:
                return found
    raise SystemExit(f"{name}: the expert succeeded {len(found)} times in {len(seeds)} episodes")


def show(rows):
    """Print success by learner, and the paired differences to `auto`."""
    cells = {}
    for row in rows:
        cell = cells.setdefault((row["task"], row["demonstrations"]), {})
        cell.setdefault(row["learner"], {})[row["seed"]] = row["successes"]
    learners = [name for name in LEARNERS if any(name in cell for cell in cells.values())]
    learners += sorted({row["learner"] for row in rows} - set(learners))
    print(f"| task | shown | seeds | {' | '.join(learners)} |\n|{'---|' * (len(learners) + 3)}")
    totals = {name: [] for name in learners}
    for (task, count), cell in cells.items():
        pairs = {}
        for name in learners:
            seeds = cell.get(AUTO, {}).keys() & cell.get(name, {}).keys()
            both = [
                (a, b)
                for seed in sorted(seeds)
                for a, b in zip(cell[AUTO][seed], cell[name][seed], strict=True)
            ]
            if both and name != AUTO:
                pairs[name] = PairedComparison.of(AUTO, name, both)
        significant = dict(zip(pairs, corrected([pair.p_value for pair in pairs.values()]), strict=True))
        texts = []
        for name in learners:
            if name not in cell:
                texts.append("")
                continue
            rate = 100 * float(np.mean(list(cell[name].values())))
            totals[name].append(rate)
            text = f"{rate:.0f}"
            if name in pairs:
                pair = pairs[name]
                points = 100 * (pair.wins - pair.losses) / len(pair.signs)
                text += f" ({points:+.0f}{'*' if significant[name] <= LEVEL else ''})"
            texts.append(text)
        seeds = max(len(each) for each in cell.values())
        print(f"| {task} | {count} | {seeds} | {' | '.join(texts)} |")
    means = " | ".join(f"{np.mean(each):.1f}" if len(each) == len(cells) else "" for each in totals.values())
    print(f"| mean | | | {means} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(TASKS), choices=TASKS, help="tasks")
    parser.add_argument("--demonstrations", type=int, nargs="+", default=[10, 25, 50])
    parser.add_argument("--learners", nargs="+", default=list(LEARNERS))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=100, help="held-out starts of each policy")
    parser.add_argument("--out", type=Path, help="a file to which a JSON line is added for each policy")
    parser.add_argument("--table", type=Path, nargs="+", help="only print the table of these files")
    args = parser.parse_args()
    if args.table:
        show_each(read_lines(args.table), show)
        return
    rows = Rows("every_family", args.out)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name in args.only:
            keys = [rows.missing(keys_of(name, count, seed, args)) for count in args.demonstrations]
            if not any(keys):
                continue
            shown = shown_of(name, max(args.demonstrations), seed)  # the same ones for every amount
            checked = shown_of(name, CHECKED, seed, first=CHECKED_SEED)
            for some in filter(None, keys):
                for key, found in measured(some, args, shown, checked):
                    success = round(float(np.mean(found["successes"])), 3)
                    rows.add(key, found, successes=None, why=None, success=success)
    show_each(rows.rows, show)


if __name__ == "__main__":
    main()
