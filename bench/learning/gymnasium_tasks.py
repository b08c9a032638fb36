"""docs/gymnasium.md by its own lines: record, train, evaluate, DAgger. One JSON line per section and seed.

The demonstrations, the training and the corrections get their own seeds; every policy is rated in the same held-out
episodes, the expert too. `bc`: the policy of `il-ros train`; `dagger`: some of the versions after it, one per round.
"""

import argparse
import contextlib
import io
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "support"))

import guide

from il_ros.cli.main import main as il_ros
from il_ros.episodes.catalogue import scan
from il_ros.policies import lineage
from il_ros.policies.versions import versions
from il_ros.sim import HELD_OUT_SEED


def run(*words):
    """Run a command, and return what it printed."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        status = il_ros([str(word) for word in words])
    if status:
        raise SystemExit(f"il-ros {' '.join(map(str, words))}: status {status}")
    return printed.getvalue()


def rated(checkpoint, tests):
    run("evaluate", checkpoint, "--episodes", tests, "--json", "score.json")
    score = json.loads(Path("score.json").read_text())
    found = {
        "return": round(score["mean_return"], 1),
        "return_95": [round(bound, 1) for bound in score["return_interval_95"]],
    }
    if score["judged"]:
        found |= {"success": score["rate"], "success_95": [round(bound, 3) for bound in score["interval_95"]]}
    return found


def one_seed(title, seed, args):
    record, train, _, dagger = guide.commands(title)
    Path(guide.file_of(title)).write_text(guide.programs(title)[0])
    if args.quick:
        dagger = [*dagger, "--rounds", "1", "--steps", "50"]
    started_s = time.monotonic()
    held_out = ["--episodes", args.tests, "--seed", HELD_OUT_SEED, "--root", "held_out"]
    shown = run(*record[:5], *held_out).splitlines()
    returns = [float(line.rpartition(" ")[2]) for line in shown if line.startswith("seed")]
    run(*record, "--seed", 1000 * seed)
    run(*train, "--set", f"seed={seed}")
    run(*dagger, "--tests", 0, "--seed", 100_000 * (seed + 1))
    first, *later = versions(Path("checkpoint"))
    some = sorted({len(later) * part // 3 - 1 for part in (1, 2, 3)} & set(range(len(later))) | {0})
    rounds = [
        {"round": place + 1, "labels": lineage.read(later[place]).labels, **rated(later[place], args.tests)}
        for place in some
    ]
    found = {
        "bench": "gymnasium_tasks",
        "task": record[2],
        "seed": seed,
        "tests": args.tests,
        "expert_return": round(sum(returns) / len(returns), 1),
        "bc": {"labels": lineage.read(first).labels, **rated(first, args.tests)},
        "dagger": rounds,
        "episodes": len(scan(Path("episodes")).usable),
        "wall_s": round(time.monotonic() - started_s, 1),
    }
    print(json.dumps(found), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--tests", type=int, default=50, help="held-out episodes of each policy")
    parser.add_argument("--only", choices=guide.SECTIONS, help="one section of the guide")
    parser.add_argument("--quick", action="store_true", help="one seed, one round, two test episodes")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.tests = 1, 2
    for seed in range(args.seeds):
        for title in [args.only] if args.only else guide.SECTIONS:
            with tempfile.TemporaryDirectory() as folder:
                os.chdir(folder)
                one_seed(title, seed, args)
                os.chdir("/")


if __name__ == "__main__":
    main()
