"""One correction session: a weak policy is corrected in real time and improves during the session.

    python bench/learning/session.py [--task push] [--demonstrations 4] [--episodes 100] [--seeds 2]
    python bench/learning/session.py --contract arm_push_images --demonstrations 8 --episodes 40    # images

A simulated human (it intervenes by a rule, with reaction time and misjudgement; the scripted expert drives
meanwhile) runs: `il-ros run record` for a few demonstrations, `il-ros train`, and `il-ros session run
--person simulated` with all its processes on this machine: simulator, policy server, supervisor, recorder,
trainer. Afterwards some of the versions run `--held-out` episodes with unseen starts. A version's minutes
are those of the session's episodes it was trained on; its labels include the demonstrations'. Writes
OUT/sitting_NAME.json and OUT/sitting_NAME.svg, and prints the JSON in one line; NAME is the task, or the
contract given.
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

import numpy as np

from il_ros.core import contract, share
from il_ros.episodes.catalogue import scan
from il_ros.policies import checkpoint, lineage
from il_ros.policies.versions import CHECKPOINT, versions
from il_ros.records.trials import success_interval
from il_ros.scenarios import domain
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.fitting import task_for
from il_ros.sim.tasks.task import task_class, task_names
from il_ros.training.evaluate import evaluate

FIRST_SEED = 100  # first seed of the session; demonstrations count from 0


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--contract", default="", help="a name in config/contracts (default: the task's)")
    parser.add_argument("--demonstrations", type=int, default=4)
    parser.add_argument("--episodes", type=int, default=100, help="of the session")
    parser.add_argument("--time-limit-s", type=float, default=8.0, help="time limit of an episode")
    parser.add_argument("--rated", type=int, default=9, help="number of evaluated versions")
    parser.add_argument("--held-out", type=int, default=50, help="evaluation episodes per version")
    parser.add_argument("--seeds", type=int, default=2, help="sessions, each with different starts")
    parser.add_argument("--out", type=Path, default=Path("bench/results"))
    args = parser.parse_args()
    domain.isolate()
    args.out.mkdir(parents=True, exist_ok=True)
    args.name = args.contract or args.task
    sittings = [sit(args, seed) for seed in range(args.seeds)]
    found = {"bench": "sitting", "task": args.name, "held_out": args.held_out, "sittings": sittings}
    (args.out / f"sitting_{args.name}.json").write_text(json.dumps(found) + "\n", encoding="utf-8")
    draw(found, args.out / f"sitting_{args.name}.svg")
    print(json.dumps(found))


def sit(args, seed):
    """Record, train and run the session; return the success of each version."""
    folder = args.out / f"sitting_{args.name}_{seed}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    cameras = "true" if any(spec.image for spec in contract_of(args).observations) else "false"
    base = ["--task", args.task, "--contract", args.contract, "--cameras", cameras]
    shown = ["--episodes", str(args.demonstrations), "--seed", str(10_000 * seed)]
    il_ros(folder, "run", "record", *base, "--speed", "0", *shown, "--root", "episodes")
    il_ros(folder, "train", "episodes", "--out", "policies/v1")
    began_s = time.monotonic()
    starts = ["--seed", str(10_000 * seed + FIRST_SEED), "--episodes", str(args.episodes)]
    give_up = ["--time-limit-s", str(args.time_limit_s)]
    session = ["--person", "simulated", "--speed", "1", "--checkpoint", "policies/v1", *give_up]
    il_ros(folder, "session", "run", *base, *session, *starts, "--policies", "policies", "--root", "episodes")
    return {"seed": seed, "wall_minutes": round((time.monotonic() - began_s) / 60, 2), **rated(args, folder)}


def rated(args, folder):
    """Return a session's minutes and the success of its first, last and some intermediate versions."""
    durations_s = {entry.name: entry.info.duration_s for entry in scan(folder / "episodes").usable}
    shown = set(sorted(durations_s)[: args.demonstrations])
    own = contract_of(args)
    task, seeds = task_for(args.task, own), range(HELD_OUT_SEED, HELD_OUT_SEED + args.held_out)
    rows = []
    runs = versions(folder / "policies")
    for number in sorted({round(place) for place in np.linspace(0, len(runs) - 1, args.rated)}):
        run = runs[number]
        version = lineage.read(run)
        score = evaluate(checkpoint.load(run / CHECKPOINT, own), own, task, seeds)
        rows.append(
            {
                "version": run.name,
                "state": version.state,
                "minutes": round(sum(durations_s[name] for name in version.episodes - shown) / 60, 2),
                "labels": version.labels,
                "successes": score.successes,
            }
        )
        print(json.dumps(rows[-1]), file=sys.stderr, flush=True)
    minutes = sum(duration for name, duration in durations_s.items() if name not in shown) / 60
    return {"minutes": round(minutes, 2), "trained": len(runs), "versions": rows}


def contract_of(args):
    """Return the contract of the session."""
    return contract.load(
        share.path("config", "contracts", f"{args.contract or task_class(args.task).contract}.yaml")
    )


def il_ros(folder, *words):
    """Run a command of the package in a folder; its output goes to a file there."""
    with (folder / "output.txt").open("a", encoding="utf-8") as output:
        command = [sys.executable, "-m", "il_ros", *words]
        ran = subprocess.run(command, cwd=folder, stdout=output, stderr=subprocess.STDOUT, check=False)
    if ran.returncode:
        sys.exit(f"il-ros {' '.join(words)} ended with {ran.returncode}; see {folder / 'output.txt'}")


def draw(found, file):
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, 4), layout="constrained")
    axes = figure.subplots()
    count = found["held_out"]
    for sitting in found["sittings"]:
        rows = [row for row in sitting["versions"] if row["state"] != lineage.REFUSED]
        minutes = [row["minutes"] for row in rows]
        (line,) = axes.plot(
            minutes, [row["successes"] / count for row in rows], ".-", label=f"session {sitting['seed'] + 1}"
        )
        bounds = [success_interval(row["successes"], count) for row in rows]
        axes.fill_between(minutes, *zip(*bounds, strict=True), color=line.get_color(), alpha=0.12, lw=0)
    axes.set(
        xlabel="minutes of the session that the policy has learnt from",
        ylabel=f"success in {count} held-out episodes",
        ylim=(0, 1.02),
        title=f"{found['task']}, corrected during execution",
    )
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(file)


if __name__ == "__main__":
    main()
