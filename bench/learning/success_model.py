"""A success model of `push` from pictures: from N verdicts, how many held-out episodes does it judge right, and when?

Episodes of the scripted expert with smooth noise of random size on its commands: about half of them fail. They are
recorded as bags with the pictures of the overhead camera; the verdict is the outcome that a person would mark. An
episode ends when success has held for 0.5 s, as a person marks a success that is there to be seen; so `unsure_s` is
that of a person who is never later. The model reads the pictures only. "Off" is the time at which it says success minus
the time at which the task's condition became true. Prints one JSON line per seed.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from contextlib import closing
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from noisy_expert import NoisyExpert
from tqdm import tqdm

from il_ros.core import contract as contracts
from il_ros.core import share
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.records.labelling import SENT
from il_ros.records.outcomes import SUCCESS
from il_ros.records.trials import success_interval
from il_ros.rewards.success import SuccessSettings
from il_ros.training.rewards.rating import rate
from il_ros.training.rewards.run import TRAINING, train

HOLD_S = 0.5


def contract_with_everything():
    """Return the contract of `push` from state, with the overhead camera."""
    camera = (
        "  overhead:\n    topic: overhead_camera/image_raw\n    type: sensor_msgs/msg/Image\n"
        "    image: {width: 96, height: 96, encoding: rgb8}\n    max_age_s: 0.15\n"
    )
    text = share.path("config", "contracts", "arm_push.yaml").read_text()
    return contracts.parse(text.replace("\nactions:", f"{camera}\nactions:", 1), "push with a camera")


def record(root, count, first_seed, most_rad, bar):
    """Record episodes under `root`; return the share of successes."""
    contract = contract_with_everything()
    task, _ = make_any_task("push", contract)
    with closing(task):
        run = TaskEpisodes(task, contract, root, hold_s=HOLD_S)
        successes = 0
        for seed in range(first_seed, first_seed + count):
            rng = np.random.default_rng(seed)
            (done,) = demonstrate(run, NoisyExpert("push", rng.uniform(0, most_rad), rng), [seed])
            successes += done.success
            bar.update()
    return successes / count


def opened(root, settings):
    contract = contract_with_everything()
    return Dataset.open(root, contract, validation=0.0, rule=SENT, history=settings.history(contract))


def judged(reward, episodes):
    """Return how many verdicts are met, the wrong ones, and how far off the time of success is (s)."""
    right, wrong, off = 0, [], []
    for episode in episodes:
        rated = rate(reward, episode)
        success = episode.outcome == SUCCESS
        right += (rated.fired_s is not None) == success
        if (rated.fired_s is not None) != success:
            wrong.append(f"{episode.name} {episode.outcome}")
        if success and rated.fired_s is not None:
            off.append(rated.fired_s - (episode.duration_s - HOLD_S))
    return right, wrong, off


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=50)
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--noise", type=float, default=0.12, help="largest deviation of the noise (rad)")
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs)
    parser.add_argument("--unsure", type=float, default=0.25, help="unsure_s of the labels (s)")
    parser.add_argument("--keep", type=Path, help="record here, or use what is here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = args.keep or Path(temporary)
        for seed in range(args.seeds):
            for name, count, first in (
                ("shown", args.verdicts, 10_000 * seed),
                ("held_out", args.tests, 500_000),
            ):
                place = root / (f"{name}_{seed}" if name == "shown" else name)
                if not place.exists():
                    with tqdm(total=count, desc=f"recording {place.name}", leave=False, disable=None) as bar:
                        record(place, count, first, args.noise, bar)
            settings = SuccessSettings(inputs=("overhead",), unsure_s=args.unsure)
            shown, held_out = opened(root / f"shown_{seed}", settings), opened(root / "held_out", settings)
            began_s = time.process_time()
            training = replace(TRAINING, seed=seed, epochs=args.epochs)
            with tqdm(
                total=settings.members * training.epochs, desc="training", leave=False, disable=None
            ) as bar:
                done = train(
                    shown, settings, training, root / f"reward_{seed}", on_epoch=lambda _: bar.update()
                )
            trained_s = time.process_time() - began_s
            right, wrong, off = judged(done.reward, held_out.train)
            low, high = success_interval(right, len(held_out.train))
            row = {
                "bench": "success_model",
                "seed": seed,
                "verdicts": len(shown.train),
                "successes_shown": sum(each.outcome == SUCCESS for each in shown.train),
                "held_out": len(held_out.train),
                "successes_held_out": sum(each.outcome == SUCCESS for each in held_out.train),
                "right": right,
                "interval_95": [round(low, 3), round(high, 3)],
                "wrong": wrong,
                "within_0.3_s": float(np.mean(np.abs(off) <= 0.3)) if off else None,
                "off_s": [round(float(value), 3) for value in np.quantile(off, (0.05, 0.5, 0.95))]
                if off
                else None,
                "training_cpu_s": round(trained_s, 1),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
