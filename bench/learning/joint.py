"""One policy for several tasks and robots, beside one policy for each: success from the same held-out starts.

`alone`: a policy for each task. `arm`: one for reach and push, two tasks of one robot. `robots`: one for reach, push
and drive, two robots with different observations and actions. All learn from the same demonstrations with one recipe.
One JSON line for each policy and task; what `--out` has already is not measured again. Then the table, in which each
joint policy is compared with the single ones on paired starts.

    python bench/learning/joint.py --out joint.jsonl
    python bench/learning/joint.py --table joint.jsonl
"""

import argparse
import os
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from every_family import recipe_of, shown_of
from learning_bc import contract_of, dataset
from rows import Rows, read_lines, settings_of, show_each

from il_ros.policies.joint.contracts import joined
from il_ros.policies.joint.part import part_policy
from il_ros.records.comparison import PairedComparison
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import make_task
from il_ros.training.evaluate import evaluate
from il_ros.training.joint.opening import EpisodeSource, joint_dataset, joint_recipe
from il_ros.training.run import train

TASKS = {"reach": 25, "push": 25, "drive": 10}
"""The demonstrations of each task."""
ALONE = "alone"
POLICIES = {ALONE: tuple(TASKS), "arm": ("reach", "push"), "robots": tuple(TASKS)}


def joint_policy(names, shown, seed, args):
    """Return the policy for several tasks."""
    own = joined([contract_of(name, ()) for name in names])
    chosen = recipe_of(args.recipe, own, [], seed)
    parts, found = own.parts, []
    for name, part in zip(names, parts, strict=True):
        found.append(dataset(part, shown[name], chosen.training))
    sources = [
        EpisodeSource(Path(), part, tuple(each.summary.train + each.summary.validation), part.name)
        for part, each in zip(parts, found, strict=True)
    ]
    with tempfile.TemporaryDirectory() as folder:
        made = joint_dataset(own, sources, found, {})
        return train(made, joint_recipe(chosen, own), Path(folder)).policy


def single_policy(name, shown, seed, args):
    """Return the policy for one task."""
    own = contract_of(name, ())
    chosen = recipe_of(args.recipe, own, shown[name], seed)
    with tempfile.TemporaryDirectory() as folder:
        return train(dataset(own, shown[name], chosen.training), chosen, Path(folder)).policy


def keys_of(seed, args):
    """Return the keys of a seed's rows."""
    settings = settings_of(args, ("policies", "seeds", "out", "table"))
    return [
        {"policy": which, "task": name, "seed": seed, "settings": settings}
        for which in args.policies
        for name in POLICIES[which]
    ]


def measured(seed, keys, args):
    """Yield (key, what was measured) for these keys of one seed."""
    shown = {}
    for which in args.policies:
        wanted = {key["task"]: key for key in keys if key["policy"] == which}
        for name in POLICIES[which] if wanted else ():
            if name not in shown:
                shown[name] = shown_of(name, TASKS[name], seed)
        whole = joint_policy(POLICIES[which], shown, seed, args) if wanted and which != ALONE else None
        for name, key in wanted.items():
            own = contract_of(name, ())
            policy = (
                single_policy(name, shown, seed, args)
                if whole is None
                else part_policy(whole, whole.contract.part(own))
            )
            starts = range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts)
            scored = evaluate(policy, own, make_task(name), starts)
            successes = [int(episode.success) for episode in scored.episodes]
            yield key, {"successes": successes, "load": round(os.getloadavg()[0], 1)}


def show(rows):
    """Print success by task, and the paired comparison with the single policies."""
    print("| task | shown | " + " | ".join(POLICIES) + " |\n|---|---|" + "---|" * len(POLICIES))
    for name, count in TASKS.items():
        cells = []
        by = {
            which: {
                row["seed"]: row["successes"] for row in rows if (row["policy"], row["task"]) == (which, name)
            }
            for which in POLICIES
        }
        for which, seeds in by.items():
            done = [one for each in seeds.values() for one in each]
            if not done:
                cells.append("")
                continue
            low, high = success_interval(sum(done), len(done))
            cells.append(f"{sum(done)} of {len(done)} ({100 * low:.0f}-{100 * high:.0f} %)")
            if which != ALONE:
                both = seeds.keys() & by[ALONE].keys()
                pairs = [pair for seed in both for pair in zip(by[ALONE][seed], seeds[seed], strict=True)]
                cells[-1] += f", p = {PairedComparison.of(ALONE, which, pairs).p_value:.2g}"
        print(f"| {name} | {count} | {' | '.join(cells)} |")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--policies", nargs="+", default=list(POLICIES), choices=POLICIES)
    parser.add_argument("--recipe", default="ensemble", help="of all policies")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--starts", type=int, default=100, help="held-out starts of each policy and task")
    parser.add_argument(
        "--out", type=Path, help="a file to which a JSON line is added for each policy and task"
    )
    parser.add_argument("--table", type=Path, nargs="+", help="only print the table of these files")
    args = parser.parse_args()
    if args.table:
        show_each(read_lines(args.table), show)
        return
    rows = Rows("joint", args.out)
    for seed in range(args.seeds):
        for key, found in measured(seed, rows.missing(keys_of(seed, args)), args):
            rows.add(key, found, successes=sum(found["successes"]))
    show_each(rows.rows, show)


if __name__ == "__main__":
    main()
