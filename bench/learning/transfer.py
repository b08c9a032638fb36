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
from rows import Rows, read_lines, settings_of, show_each

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


def keys_of(seed, args):
    """Return the keys of a seed's rows."""
    settings = settings_of(args, ("demonstrations", "seeds", "first_seed", "out", "table"))
    return [
        {"seed": seed, "demonstrations": count, "learner": learner, "settings": settings}
        for count in args.demonstrations
        for learner in (SCRATCH, MOVED)
    ]


def measured(seed, keys, args):
    """Yield (key, what was measured) for these keys of one seed."""
    own = contract_of(args.task, ())
    shown = shown_of(args.task, max(args.demonstrations), seed, args.simulator)
    with (
        tempfile.TemporaryDirectory() as root,
        closing(make_task(args.task, simulator=args.simulator)) as task,
    ):
        trained(
            args.source,
            shown_of(args.source, args.before, seed),
            seed,
            args,
            Path(root) / "source",
        )
        for key in keys:
            count, learner = key["demonstrations"], key["learner"]
            folder = Path(root) / f"{learner} {count}".replace(" ", "_")
            begin = Path(root) / "source" if learner == MOVED else None
            policy, kept = trained(args.task, shown[:count], seed, args, folder, begin)
            scored = evaluate(policy, own, task, range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts))
            yield (
                key,
                {
                    "successes": [int(episode.success) for episode in scored.episodes],
                    "kept": kept,
                    "load": round(os.getloadavg()[0], 1),
                },
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
            if not done:
                cells.append("")
                continue
            low, high = success_interval(sum(done), len(done))
            cells.append(f"{100 * np.mean(done):.0f} % ({100 * low:.0f}-{100 * high:.0f})")
        pairs = [
            pair
            for seed in by[SCRATCH].keys() & by[MOVED].keys()
            for pair in zip(by[SCRATCH][seed], by[MOVED][seed], strict=True)
        ]
        p = f"p = {PairedComparison.of(SCRATCH, MOVED, pairs).p_value:.2g}" if pairs else ""
        print(f"| {count} | {len(by[MOVED])} | {' | '.join(cells)} | {p} |")


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
        show_each(read_lines(args.table), show)
        return
    rows = Rows("transfer", args.out)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        if keys := rows.missing(keys_of(seed, args)):
            for key, found in measured(seed, keys, args):
                rows.add(key, found, successes=sum(found["successes"]))
    show_each(rows.rows, show)


if __name__ == "__main__":
    main()
