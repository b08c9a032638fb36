"""Several ways around obstacles: which families keep them apart, in which shares, and can each be asked for?

`auto` is what `il-ros train` chooses by itself. One JSON line per family, data set and seed; `--plot FILE` draws the
paths of the first seed. Training and rating run in this process, on one thread. `forced`: success of each way when it
is asked for, and the share of its main gap.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "support"))

import gaps
from matplotlib.figure import Figure
from matplotlib.patches import Circle

from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.run import train

DATA = {"2": (2, (0.5, 0.5)), "3": (3, (0.34, 0.33, 0.33)), "2 90:10": (2, (0.9, 0.1))}
CHUNK = ("horizon=8", "batch_size=256", "learning_rate=0.001", "validation=0", "still_every=1")
FAMILIES = {
    "deterministic": ("bc_mlp", (*CHUNK, "loss=mse", "hidden=[128, 128]")),
    "mixture": ("bc_mixture", (*CHUNK, "hidden=[128, 128]", "answer=component")),
    "flow": ("flow", (*CHUNK,)),
    "moe": ("moe", (*CHUNK,)),
    "auto": (recipes.AUTO, ("validation=0",)),
}


def measured(name, data, seed, args):
    ways, shares = DATA[data]
    demonstrations, shown = gaps.demonstrations(ways, shares, args.demonstrations, seed, args.aside)
    recipe, changes = FAMILIES[name]
    epochs = max(1, round(args.steps / -(-args.demonstrations * gaps.STEPS // 256)))
    if recipe == recipes.AUTO:
        chosen = rules.chosen(gaps.CONTRACT, demonstrations.train, (*changes, f"seed={seed}", *args.set))
    else:
        chosen = recipes.load(recipe, (*changes, f"epochs={epochs}", f"seed={seed}", *args.set))
    began_s = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        policy = train(demonstrations, chosen, Path(folder) / "v1").policy
    spent_s = time.process_time() - began_s
    rated = gaps.rate(policy, ways, args.tests, args.execute, seed=seed, aside=args.aside)
    forced = [
        gaps.rate(policy, ways, args.tests // 5, args.execute, way, seed, args.aside)
        for way in range(policy.network.ways)
        if policy.network.ways > 1
    ]
    found = {
        "bench": "modes",
        "family": name,
        "data": data,
        "seed": seed,
        "shown": [round(float(each), 2) for each in shown],
        "success": round(rated.success, 3),
        "shares": [round(float(each), 2) for each in rated.shares],
        "forced": [
            {
                "success": round(each.success, 2),
                "gap": int(each.shares.argmax()),
                "share": round(float(each.shares.max()), 2),
            }
            for each in forced
        ],
        "cpu_s": round(spent_s, 1),
        **({"why": chosen.reason} if chosen.reason else {}),
    }
    print(json.dumps(found), flush=True)
    return rated.paths


def draw(paths, file):
    """Plot the first 60 paths of each family and data set."""
    names, sets = (
        list(dict.fromkeys(name for name, _ in paths)),
        list(dict.fromkeys(data for _, data in paths)),
    )
    figure = Figure(figsize=(2.6 * len(names), 2.2 * len(sets)), layout="constrained")
    axes = figure.subplots(len(sets), len(names), squeeze=False, sharex=True, sharey=True)
    for row, data in enumerate(sets):
        for column, name in enumerate(names):
            each = axes[row][column]
            for x, y, radius in gaps.OBSTACLES[DATA[data][0]]:
                each.add_patch(Circle((x, y), radius, color="0.8"))
            each.plot(
                paths[name, data][:, :60, 0], paths[name, data][:, :60, 1], color="C0", lw=0.5, alpha=0.6
            )
            each.plot(*gaps.GOAL, "x", color="C3")
            each.set(xlim=(-0.1, 1.2), ylim=(-0.5, 0.5), aspect="equal")
            if not row:
                each.set_title(name, fontsize=9)
            if not column:
                each.set_ylabel(f"{data} ways" if data in ("2", "3") else data, fontsize=9)
    figure.savefig(file, dpi=80)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--data", nargs="+", default=list(DATA), choices=DATA)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--demonstrations", type=int, default=100)
    parser.add_argument("--steps", type=int, default=3000, help="of the optimiser, 256 frames each")
    parser.add_argument("--execute", type=int, default=4, help="steps played of each chunk of 8")
    parser.add_argument(
        "--tests", type=int, default=500, help="episodes; a fifth of them for each way asked for"
    )
    parser.add_argument(
        "--aside", type=float, default=0.0, help="largest distance of a start from the symmetry line [m]"
    )
    parser.add_argument("--set", action="append", default=[], help="change of the recipe, as of il-ros train")
    parser.add_argument("--plot", help="file of the picture")
    args = parser.parse_args()
    paths = {}
    for data in args.data:
        for name in args.families:
            for seed in range(args.first_seed, args.first_seed + args.seeds):
                found = measured(name, data, seed, args)
                paths.setdefault((name, data), found)
    if args.plot:
        draw(paths, args.plot)


if __name__ == "__main__":
    main()
