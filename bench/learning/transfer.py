"""Demonstrations saved by transfer: a task learnt from a policy of another task or simulator, and from scratch.

For each seed: a policy of `--source` from its demonstrations in MuJoCo; then, from each number of demonstrations of
`--task`, the recipe from scratch and from that policy (`il-ros train --from`), with the same budget, tried from the
same held-out starts. `--simulator`: where `--task` is shown and tried.
One JSON line each; then the paired comparison of both for each number. What `--out` has already is not measured again.

    python bench/learning/transfer.py --out transfer.jsonl
    python bench/learning/transfer.py --source pick_place --simulator gazebo_classic --out to_gazebo.jsonl
    python bench/learning/transfer.py --table transfer.jsonl
"""

import argparse
import os
import tempfile
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
from every_family import recipe_of, shown_of
from learning_bc import contract_of, dataset
from rows import keeping, read_lines, rows_before

from il_ros.records.comparison import PairedComparison
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import SIMULATORS, make_task, task_names
from il_ros.training import transfer
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

SCRATCH, MOVED = "from scratch", "transferred"


def trained(name, shown, seed, args, folder, begin=None):
    """Return the policy, and what its transfer kept."""
    own = contract_of(name, ())
    chosen = recipe_of(args.recipe, own, shown, seed)
    data = dataset(own, shown, chosen.training)
    start, chosen, refusal = transfer.begin(begin, data, chosen, 0, 0.0)
    if refusal:
        raise SystemExit(refusal)
    policy = train(data, chosen, folder, version=folder.name, start=start).policy
    return policy, policy.metrics.get("transfer", "")


def measure(seed, args, done, write):
    """Measure one seed, but for what is `done`: its (seed, demonstrations, learner)."""
    wanted = [
        (count, learner)
        for count in args.demonstrations
        for learner in (SCRATCH, MOVED)
        if (seed, count, learner) not in done
    ]
    if not wanted:
        return
    own = contract_of(args.task, ())
    shown = shown_of(args.task, max(args.demonstrations), seed, args.simulator)
    with (
        tempfile.TemporaryDirectory() as root,
        closing(make_task(args.task, simulator=args.simulator)) as task,
    ):
        trained(
            args.source,
            shown_of(args.source, args.before, seed)[: args.before],
            seed,
            args,
            Path(root) / "source",
        )
        for count, learner in wanted:
            folder = Path(root) / f"{learner} {count}".replace(" ", "_")
            begin = Path(root) / "source" if learner == MOVED else None
            policy, kept = trained(args.task, shown[:count], seed, args, folder, begin)
            scored = evaluate(policy, own, task, range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts))
            write(
                {
                    "bench": "transfer",
                    "task": args.task,
                    "source": args.source,
                    "simulator": args.simulator,
                    "seed": seed,
                    "demonstrations": count,
                    "learner": learner,
                    "successes": [int(episode.success) for episode in scored.episodes],
                    "kept": kept,
                    "load": round(os.getloadavg()[0], 1),
                }
            )


def show(rows):
    """Print success by number of demonstrations, and the paired comparison."""
    print("| shown | seeds | from scratch | transferred | paired |\n|---|---|---|---|---|")
    for count in sorted({row["demonstrations"] for row in rows}):
        by = {
            name: {
                row["seed"]: row["successes"]
                for row in rows
                if (row["demonstrations"], row["learner"]) == (count, name)
            }
            for name in (SCRATCH, MOVED)
        }
        cells = []
        for each in by.values():
            done = [one for seed in each.values() for one in seed]
            low, high = success_interval(sum(done), len(done))
            cells.append(f"{100 * np.mean(done):.0f} % ({100 * low:.0f}-{100 * high:.0f})")
        pairs = [
            pair
            for seed in by[SCRATCH].keys() & by[MOVED].keys()
            for pair in zip(by[SCRATCH][seed], by[MOVED][seed], strict=True)
        ]
        p = PairedComparison.of(SCRATCH, MOVED, pairs).p_value
        print(f"| {count} | {len(by[MOVED])} | {' | '.join(cells)} | p = {p:.2g} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--source", default="push", choices=task_names())
    parser.add_argument("--task", default="pick_place", choices=task_names())
    parser.add_argument("--simulator", default="mujoco", choices=SIMULATORS)
    parser.add_argument("--before", type=int, default=50, help="demonstrations of the source task")
    parser.add_argument("--demonstrations", type=int, nargs="+", default=[5, 10, 25])
    parser.add_argument(
        "--recipe", default="ensemble", help="of both tasks; not auto, which may choose two families"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=100, help="held-out starts of each policy")
    parser.add_argument("--out", type=Path, help="a file to which a JSON line is added for each policy")
    parser.add_argument("--table", type=Path, nargs="+", help="only print the table of these files")
    args = parser.parse_args()
    if args.table:
        show(read_lines(args.table))
        return
    rows = rows_before(args.out)
    done = {(row["seed"], row["demonstrations"], row["learner"]) for row in rows}

    for seed in range(args.first_seed, args.first_seed + args.seeds):
        measure(seed, args, done, keeping(rows, args.out))
    show(rows)


if __name__ == "__main__":
    main()
