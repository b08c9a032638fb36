"""`residual` in the trainer's process: does reinforcement learning from what the robot drove improve a clone?

    python bench/learning/residual_through_nodes.py [--task push] [--rounds 8] [--per-round 25] [--seeds 0,1,2]

Everything runs like in production: `il-ros run record` for the demonstrations, `il-ros train --recipe actor` for the
clone, and `il-ros run dagger recipe:=residual` with simulator (in lockstep), policy server, scripted expert,
supervisor, recorder, trainer and conductor as separate processes. A simulated person takes over where the policy goes
wrong. After `--per-round` episodes the trainer goes on from the newest good version with the steps recorded since, and
the policy server decides on the promotion of the result, and later on its roll-back. Prints one JSON line per version:
its state and the reason, how long it drove with how many interventions, and its success from held-out starts.
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
os.environ.setdefault("MUJOCO_GL", "egl")

from counting import linked
from scenario_run import conduct, node_parameters
from success import numbers

from il_ros.core import contract as contracts
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import CHECKPOINT, versions
from il_ros.records.trials import success_interval
from il_ros.scenarios import domain
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import make_task, task_class, task_names
from il_ros.training.evaluate import evaluate


def one_seed(args, seed):
    """Record, clone, learn; yield a row for each version."""
    place = args.out / f"residual_{args.task}_{seed}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    task, contract = make_task(args.task), contracts.find(task_class(args.task).contract)
    parameters = place / "parameters.yaml"
    changes = {"queried": 0.25, "warm_epochs": 0, "changes": args.set}
    parameters.write_text(json.dumps(node_parameters(seed, **changes)), encoding="utf-8")
    first = 10_000 * (seed + 1)
    common = {"task": args.task, "params_file": str(parameters)}
    tried = args.demonstrations + 1 + args.demonstrations // 20  # a margin for failed demonstrations
    begin = {"episodes": str(tried), "seed": str(first), "time_limit_s": str(task.time_limit_s)}
    conduct("record", "show", place / "log_shown", root=str(place / "shown"), **common, **begin)
    episodes, policies = place / "episodes", place / "policies"
    linked(place / "shown", episodes, args.demonstrations)
    words = [
        "train",
        str(episodes),
        "--recipe",
        "actor",
        "--out",
        str(policies / "v1"),
        "--set",
        f"seed={seed}",
    ]
    subprocess.run([sys.executable, "-m", "il_ros", *words], check=True, stdout=subprocess.DEVNULL)
    run = {"episodes": str(args.rounds * args.per_round), "seed": str(first + 5000)}
    run |= {"time_limit_s": str(task.time_limit_s), "per_round": str(args.per_round)}
    run |= {"mode": args.mode, "session": "false", "person": "simulated", "recipe": "residual"}
    run |= {"root": str(episodes), "policies": str(policies), "checkpoint": str(policies / "v1")}
    conduct("dagger", "residual", place / "log", **common, **run)
    for version in versions(policies):
        entry = lineage.read(version)
        policy = checkpoint.load(version / CHECKPOINT, contract)
        score = evaluate(policy, contract, task, range(HELD_OUT_SEED, HELD_OUT_SEED + args.held_out))
        yield {
            "bench": "residual_through_nodes",
            "seed": seed,
            "version": version.name,
            "state": entry.state,
            "why": entry.reason,
            "updates": policy.metrics.get("updates", 0),
            "driven_s": round(entry.driven_s, 1),
            "interventions": entry.interventions,
            "successes": score.successes,
            "held_out": args.held_out,
            "interval_95": [round(bound, 3) for bound in success_interval(score.successes, args.held_out)],
        }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2), help="such as 0,1")
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--mode", default="hg_dagger", choices=("hg_dagger", "policy"))
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--per-round", type=int, default=25, help="episodes of each round")
    parser.add_argument("--held-out", type=int, default=100, help="held-out starts of each version")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    domain.isolate()
    for seed in args.seeds:
        began_s = time.monotonic()
        for row in one_seed(args, seed):
            print(json.dumps(row), flush=True)
        print(f"seed {seed}: {time.monotonic() - began_s:.0f} s", file=sys.stderr)


if __name__ == "__main__":
    main()
