"""Behaviour cloning of the simulated tasks from the scripted expert. Prints one JSON line.

For each training seed: N demonstrations in process (with different starts per seed), a policy trained with
the shipped recipe, and its success in held-out episodes with the 95 % Wilson interval. `--images`: the policy
observes joints and cameras instead of poses. `--recipe auto`: what `il-ros train` chooses. `--set key=value` changes
the recipe.
"""

import argparse
import dataclasses
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from tqdm import tqdm

from il_ros.core import actions, contract, share
from il_ros.episodes.arrays.dataset import Dataset, DatasetSummary, validation_names
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import NO_CAMERAS, Cameras, make_task, task_class, task_names
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

PIXELS = 96


def contract_of(task_name, cameras, size=(PIXELS, PIXELS)):
    """Return the task's contract, whose poses the expert needs, with cameras of a size (width, height) added."""
    text = share.path("config", "contracts", f"{task_class(task_name).contract}.yaml").read_text()
    lines = [
        f"  {name}: {{topic: {name if name == 'camera' else f'{name}_camera'}/image_raw, "
        f"type: sensor_msgs/msg/Image, max_age_s: 0.1, image: {{width: {size[0]}, height: {size[1]}}}}}"
        for name in cameras
    ]
    return contract.parse(text.replace("\nactions:", "\n".join(["", *lines, "actions:"])), task_name)


def demonstrations(task, own, expert, seeds):
    for number, seed in enumerate(tqdm(seeds, desc="show", leave=False, disable=None)):
        done = rollout(task, expert.act, own, seed, hold_s=0.5)
        if not done.success:
            continue  # failed demonstrations are discarded
        offsets = done.actions - np.array(
            [
                actions.relative(
                    own, action, {key: values[step] for key, values in done.observations.items()}
                )
                for step, action in enumerate(done.actions)
            ]
        )
        yield EpisodeArrays(
            f"episode_{number:06d}",
            done.observations,
            done.actions,
            offsets,
            np.arange(1, done.steps + 1) * own.period_ns,
            own.period_ns,
            "success",
            task.name,
        )


def dataset(own, episodes, training):
    frames = {episode.name: len(episode) for episode in episodes}
    held_out = validation_names(frames, training.validation, training.seed, training.validation_most)
    parts = [tuple(e for e in episodes if (e.name in held_out) == held) for held in (False, True)]
    summary = DatasetSummary(tuple(frames), tuple(held_out), sum(map(len, episodes)), {}, ())
    return Dataset(own, parts[0], parts[1], summary)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=task_names())
    parser.add_argument("--demonstrations", type=int, default=30)
    parser.add_argument("--episodes", type=int, default=50, help="held-out episodes of each training seed")
    parser.add_argument("--seeds", type=int, default=3, help="training seeds")
    parser.add_argument("--images", action="store_true", help="learn from cameras instead of poses")
    parser.add_argument("--cameras", default="overhead")
    parser.add_argument("--recipe", default="")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    cameras = tuple(args.cameras.split(",")) if args.images else ()
    own = contract_of(args.task, cameras)
    changes = list(args.set)
    if args.images:
        changes.append(f"inputs=[joints, {', '.join(cameras)}]")
    by_name = args.recipe or ("bc_cnn" if args.images else "bc_mlp")
    recipe = rules.chosen(own, changes=changes) if by_name == recipes.AUTO else recipes.load(by_name, changes)
    task = make_task(args.task, cameras=Cameras(cameras, PIXELS, PIXELS) if cameras else NO_CAMERAS)
    runs = []
    for seed in range(args.seeds):
        started_s = time.monotonic()
        shown = list(
            demonstrations(
                task, own, make_expert(args.task), range(1000 * seed, 1000 * seed + args.demonstrations)
            )
        )
        if by_name == recipes.AUTO:
            recipe = rules.chosen(own, shown, changes)
        chosen = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            trained_s = time.monotonic()
            bar = tqdm(total=chosen.training.epochs, desc="train", leave=False, disable=None)
            outcome = train(
                dataset(own, shown, chosen.training),
                chosen,
                Path(folder),
                on_epoch=lambda metrics, bar=bar: (
                    bar.set_postfix_str(f"{metrics.validation_loss:.5f}"),
                    bar.update(),
                    True,
                )[-1],
            )
            bar.close()
            tried_s = time.monotonic()
            held_out = tqdm(
                range(HELD_OUT_SEED, HELD_OUT_SEED + args.episodes), desc="try", leave=False, disable=None
            )
            score = evaluate(outcome.policy, own, task, held_out)
        runs.append(
            {
                "seed": seed,
                "demonstrations": len(shown),
                "frames": sum(map(len, shown)),
                "epochs": len(outcome.curves),
                "best_epoch": outcome.policy.metrics["best_epoch"],
                "validation_loss": outcome.policy.metrics["validation_loss"],
                "successes": score.successes,
                "episodes": args.episodes,
                "interval_95": [round(bound, 3) for bound in score.interval],
                "show_s": round(trained_s - started_s, 1),
                "train_s": round(tried_s - trained_s, 1),
                "try_s": round(time.monotonic() - tried_s, 1),
            }
        )
        print(json.dumps(runs[-1]), file=sys.stderr)
    successes, count = sum(run["successes"] for run in runs), args.episodes * len(runs)
    print(
        json.dumps(
            {
                "bench": "learning_bc",
                "task": args.task,
                "images": list(cameras),
                "recipe": recipe.to_plain(),
                "success": successes / count,
                "interval_95": [round(bound, 3) for bound in success_interval(successes, count)],
                "median_of_seeds": statistics.median(run["successes"] / args.episodes for run in runs),
                "runs": runs,
            }
        )
    )


if __name__ == "__main__":
    main()
