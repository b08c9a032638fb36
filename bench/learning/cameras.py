"""Tasks seen by cameras only: success of the cloned policy, beside that of one that is given the poses.

For each task, set of cameras, kind of augmentation and seed: demonstrations of the scripted expert, a policy that sees
pictures and the joints (`drive`: the picture alone), trained by what `auto` chooses for pictures, and its success from
held-out starts. `state` in the place of cameras: what `auto` chooses for the poses (`drive`: the laser scan), from the
same demonstrations. A row that is in the file already is not measured again, so an interrupted run goes on.

    python bench/learning/cameras.py --out cameras.jsonl                             # all rows, three seeds
    python bench/learning/cameras.py --out cameras.jsonl --only reach --seeds 1      # a part of them
    python bench/learning/cameras.py --table cameras.jsonl                           # the table of what was measured
    python bench/learning/cameras.py --picture docs/figures/cameras.png              # what the policies see
"""

import argparse
import json
import math
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from learning_bc import contract_of, dataset, demonstrations
from rows import Rows, read_lines, settings_of

from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.fitting import task_for
from il_ros.training.auto import rules
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

STATE = "state"
SIZES = {"drive": (128, 64)}
SQUARE = (64, 64)
"""Width and height of the pictures. A wider one of `drive` shows more to both sides, 114 degrees."""
CAMERAS = {
    "push": ("overhead", "overhead,wrist"),
    "reach": ("overhead,wrist", "overhead,side"),
    "pick_place": ("overhead,wrist", "overhead,wrist,side"),
    "drive": ("camera",),
}
SHOWN = {"push": 100, "reach": 300, "pick_place": 200, "drive": 60}
"""Demonstrations; those of `reach` last a second, of `push` and `pick_place` four, of `drive` fourteen."""
MIRRORED = [f"{key}[joint{n}] = -{key}[joint{n}]" for key in ("joints", "arm") for n in (1, 4, 6)]
AUGMENTED = {
    "none": ("shift_px=0",),
    "shift": ("shift_px=4",),
    "all": ("shift_px=2", "crop=0.1", "colour=0.3", "blur_px=1.0"),
    "mirror": ("shift_px=0", f"mirror={json.dumps([*MIRRORED, 'overhead'])}"),
}
"""Changes of pictures in training. `mirror` is for tasks that look the same in a mirror, by the overhead camera."""


def recipe_of(own, shown, seen, args, seed, augmented):
    """Return what `auto` chooses for these demonstrations, with `seen` as the only inputs, in `--steps` steps."""
    changes = [f"inputs=[{', '.join(seen)}]", *AUGMENTED[augmented], *args.set, f"seed={seed}"]
    recipe = rules.chosen(own, shown, changes)
    if not args.steps:
        return recipe
    per_epoch = math.ceil(sum(map(len, shown)) / recipe.training.batch_size)
    epochs = max(1, round(args.steps / per_epoch))
    return rules.chosen(own, shown, [*changes, f"epochs={epochs}", f"validate_every={epochs}"])


def measured(key, args):
    """Return what was measured for a key: train a policy by these cameras, or by STATE, and try it."""
    name, cameras, augmented, seed = (key[part] for part in ("task", "cameras", "augmented", "seed"))
    names = () if cameras == STATE else tuple(cameras.split(","))
    size = SIZES.get(name, SQUARE)
    own = contract_of(name, names, size)
    task = task_for(name, own)
    began_s = time.process_time()
    seeds = range(1000 * seed, 1000 * seed + key["asked"])
    shown = list(demonstrations(task, own, make_expert(name), seeds))
    shown_s, began_s = time.process_time() - began_s, time.process_time()
    if names:
        known = () if name == "drive" else ("joints",)
        chosen = recipe_of(own, shown, (*known, *names), args, seed, augmented)
    else:
        chosen = rules.chosen(own, shown, [f"seed={seed}"])
    with tempfile.TemporaryDirectory() as folder:
        policy = train(dataset(own, shown, chosen.training), chosen, Path(folder)).policy
    train_s, began_s = time.process_time() - began_s, time.process_time()
    every = min(args.play, policy.horizon)
    starts = range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts)
    score = evaluate(policy, own, task, starts, execute=every)
    task.close()
    frames = sum(map(len, shown))
    return {
        "size": size if names else None,
        "demonstrations": len(shown),
        "frames": frames,
        "steps": round(chosen.training.epochs * math.ceil(frames / chosen.training.batch_size)),
        "played": every,
        "successes": [int(episode.success) for episode in score.episodes],
        "show_cpu_s": round(shown_s, 1),
        "train_cpu_s": round(train_s, 1),
        "try_cpu_s": round(time.process_time() - began_s, 1),
        "why": chosen.reason,
        "load": round(os.getloadavg()[0], 1),
    }


def key_of(name, cameras, augmented, seed, args):
    """Return the key of a row. What `auto` chooses for the poses is not changed by `--steps` and `--set`."""
    others = (
        "only",
        "cameras",
        "augmented",
        "demonstrations",
        "seeds",
        "first_seed",
        "out",
        "table",
        "picture",
    )
    return {
        "task": name,
        "cameras": cameras,
        "augmented": augmented,
        "seed": seed,
        "asked": args.demonstrations.get(name, SHOWN[name]),
        "settings": settings_of(args, (*others, *(("steps", "set") if cameras == STATE else ()))),
    }


def show(rows):
    """Print a line for each task, set of cameras and kind of augmentation; seeds are pooled."""
    print(
        "| task | cameras | augmented | demonstrations (frames) | training, CPU s | successes | 95 % |\n"
        f"|{'---|' * 7}"
    )
    groups = {}
    for row in rows:
        key = (
            row["task"],
            row["cameras"],
            row["augmented"],
            row["asked"],
            str(row.get("settings")),
        )
        groups.setdefault(key, []).append(row)
    for (task, cameras, augmented, *_), some in sorted(groups.items()):
        won, count = (sum(each(row["successes"]) for row in some) for each in (sum, len))
        low, high = success_interval(won, count)
        shown, frames, trained = (
            f"{np.mean([row[key] for row in some]):.0f}"
            for key in ("demonstrations", "frames", "train_cpu_s")
        )
        seeds = f" ({len(some)} seeds)" if len(some) > 1 else ""
        print(
            f"| {task} | {cameras.replace(',', ', ')} | {augmented if cameras != STATE else ''} | {shown} ({frames}) | "
            f"{trained} | {won} of {count}{seeds} | {100 * low:.0f} to {100 * high:.0f} % |"
        )


def draw(file):
    """Write what the policies see, in the middle of a demonstration, as a row for each task."""
    lines = []
    for name, sets in CAMERAS.items():
        names, size = tuple(sets[-1].split(",")), SIZES.get(name, SQUARE)
        own = contract_of(name, names, size)
        task = task_for(name, own)
        (episode,) = demonstrations(task, own, make_expert(name), range(1))
        task.close()
        moments = (0, len(episode) // 3, 2 * len(episode) // 3)
        tiles = [episode.observations[camera][moment] for moment in moments for camera in names]
        tiles = [cv2.resize(tile, None, fx=1.5, fy=1.5, interpolation=cv2.INTER_NEAREST) for tile in tiles]
        lines.append(np.concatenate(tiles, axis=1))
    width = max(line.shape[1] for line in lines)
    lines = [
        np.pad(line, ((2, 2), (0, width - line.shape[1]), (0, 0)), constant_values=255) for line in lines
    ]
    cv2.imwrite(str(file), np.concatenate(lines)[..., ::-1])


def counts(text):
    """Return a number of demonstrations for each task, from 'push=50,reach=100'."""
    return {task: int(count) for task, _, count in (each.partition("=") for each in text.split(",") if each)}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", nargs="+", default=list(CAMERAS), choices=CAMERAS, help="tasks")
    parser.add_argument(
        "--cameras", nargs="+", help="sets such as overhead,wrist, or 'state'; default: see CAMERAS"
    )
    parser.add_argument("--augmented", nargs="+", default=["none"], choices=AUGMENTED)
    parser.add_argument(
        "--demonstrations", type=counts, default={}, help="other numbers, such as push=25,reach=100"
    )
    parser.add_argument("--steps", type=int, default=0, help="optimiser steps (default: as auto chooses)")
    parser.add_argument(
        "--play", type=int, default=8, help="steps of a chunk that are played, at most its length"
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=50, help="held-out starts of each policy")
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="change of the recipe"
    )
    parser.add_argument("--out", type=Path, help="a file to which a JSON line is added for each policy")
    parser.add_argument("--table", type=Path, nargs="+", help="only print the table of these files")
    parser.add_argument("--picture", type=Path, help="only draw what the policies see")
    args = parser.parse_args()
    if args.picture:
        draw(args.picture)
        return
    if args.table:
        show(read_lines(args.table))
        return
    rows = Rows("cameras", args.out)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name in args.only:
            for cameras in args.cameras or (*CAMERAS[name], STATE):
                for augmented in args.augmented if cameras != STATE else ("none",):
                    for key in rows.missing([key_of(name, cameras, augmented, seed, args)]):
                        found = measured(key, args)
                        rows.add(key, found, successes=f"{sum(found['successes'])} of {args.starts}")
    show(rows.rows)


if __name__ == "__main__":
    main()
