"""A success model of `push` from pictures: from N verdicts, how many held-out episodes does it judge right, and when?

Episodes of the scripted expert with smooth noise of random size on its commands: about half of them fail. They are
recorded as bags with the pictures of the overhead and the wrist camera; the verdict is the outcome that a person would
mark. When the task's condition becomes true, the demonstrator stops and lets it stand for half a second, as a person
does who is to mark it; so `unsure_s` is that of a person who is never later. The model reads the pictures only. "Off"
is the time at which it says success minus the time at which the condition became true. Prints one JSON line per seed.
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
from success import numbers
from tqdm import tqdm

from il_ros.core import contract as contracts
from il_ros.core import share
from il_ros.envs.tasks import make_any_task
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.records.labelling import SENT
from il_ros.records.outcomes import SUCCESS
from il_ros.records.trials import success_interval
from il_ros.rewards import checkpoint
from il_ros.rewards.settings import SuccessSettings
from il_ros.training.rewards.calibration import ON_TIME_S
from il_ros.training.rewards.rating import fired_s, rate
from il_ros.training.rewards.run import train
from il_ros.training.rewards.settings import TRAINING

HOLD_S = 0.5
END_AT = 0.9  # stricter than the node judge by default, which takes the model's threshold
CAMERAS = {"overhead": 96, "wrist": 48}
"""Width and height (px) at which the model reads each camera; all are recorded at the size of the first one."""


class StopsAtSuccess:
    """A demonstrator who repeats the last command from the moment on at which the task's condition is true."""

    def __init__(self, task, demonstrator):
        self._task, self._demonstrator = task, demonstrator
        self._last = None
        self._stopped = False

    def act(self, observation):
        self._stopped = self._stopped or self._task.success
        if not self._stopped or self._last is None:
            self._last = self._demonstrator.act(observation)
        return self._last


def contract_with_everything():
    """Return the contract of `push` from state, with both cameras and the block's place seen from the mark."""
    cameras = "".join(
        f"  {name}:\n    topic: {name}_camera/image_raw\n    type: sensor_msgs/msg/Image\n"
        f"    image: {{width: {size}, height: {size}, encoding: rgb8, fit: resize}}\n    max_age_s: 0.15\n"
        for name, size in CAMERAS.items()
    )
    text = share.path("config", "contracts", "arm_push.yaml").read_text()
    between = "derived:\n  between: {difference: [object, goal]}\n"
    return contracts.parse(
        text.replace("\nactions:", f"{cameras}\n{between}\nactions:", 1), "push with cameras"
    )


def record(root, count, first_seed, most_rad, bar):
    """Record episodes under `root`; return the share of successes."""
    contract = contract_with_everything()
    task, _ = make_any_task("push", contract)
    with closing(task):
        run = TaskEpisodes(task, contract, root, hold_s=HOLD_S)
        successes = 0
        for seed in range(first_seed, first_seed + count):
            rng = np.random.default_rng(seed)
            demonstrator = StopsAtSuccess(task, NoisyExpert("push", rng.uniform(0, most_rad), rng))
            (done,) = demonstrate(run, demonstrator, [seed])
            successes += done.success
            bar.update()
    return successes / count


def opened(root, settings):
    contract = contract_with_everything()
    return Dataset.open(root, contract, validation=0.0, rule=SENT, history=settings.history(contract))


def judged(reward, episodes):
    """Return how many verdicts are met, the wrong ones, and how far off the time of success is (s).

    Then how the node judge would end the episodes, at END_AT: successes, in time, and failures.
    """
    right, wrong, off = 0, [], []
    surer = replace(reward.settings, threshold=max(reward.settings.decides_at, END_AT))
    ended = {"successes": 0, "in_time": 0, "failures": 0}
    for episode in episodes:
        rated = rate(reward, episode)
        success = episode.outcome == SUCCESS
        right += (rated.fired_s is not None) == success
        if (rated.fired_s is not None) != success:
            wrong.append(f"{episode.name} {episode.outcome}")
        true_s = episode.duration_s - HOLD_S
        if success and rated.fired_s is not None:
            off.append(rated.fired_s - true_s)
        sure_s = fired_s(rated.reward, rated.time_s, episode.period_ns / 1e9, surer)
        if sure_s is not None:
            ended["successes" if success else "failures"] += 1
            ended["in_time"] += success and bool(abs(sure_s - true_s) <= ON_TIME_S)
    return right, wrong, off, ended


def learnt(args, shown, settings, seed, place):
    """Return the model that is in `place`, or train it there."""
    if (place / "config.json").exists():
        return checkpoint.load(place)
    training = replace(TRAINING, seed=seed, epochs=args.epochs, state_noise=args.state_noise)
    epochs = settings.members * training.epochs
    with tqdm(total=epochs, desc="training", leave=False, disable=None) as bar:
        return train(shown, settings, training, place, on_epoch=lambda _: bar.update()).reward


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--verdicts", type=int, default=50)
    parser.add_argument("--tests", type=int, default=100)
    parser.add_argument("--seeds", type=numbers, default=(0, 1, 2), help="such as 0,1")
    parser.add_argument(
        "--inputs",
        default=",".join(CAMERAS),
        help="what the model reads; object,goal or between: no pictures",
    )
    parser.add_argument("--state-noise", type=float, default=TRAINING.state_noise, help="of the training")
    parser.add_argument("--noise", type=float, default=0.12, help="largest deviation of the noise (rad)")
    parser.add_argument("--epochs", type=int, default=TRAINING.epochs)
    parser.add_argument("--unsure", type=float, default=0.1, help="unsure_s of the labels (s)")
    parser.add_argument("--keep", type=Path, help="record and train here, or use what is here")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        root = args.keep or Path(temporary)
        for seed in args.seeds:
            for name, count, first in (
                ("shown", args.verdicts, 10_000 * seed),
                ("held_out", args.tests, 500_000),
            ):
                place = root / (f"{name}_{seed}" if name == "shown" else name)
                if not place.exists():
                    with tqdm(total=count, desc=f"recording {place.name}", leave=False, disable=None) as bar:
                        record(place, count, first, args.noise, bar)
            settings = SuccessSettings(inputs=tuple(args.inputs.split(",")), unsure_s=args.unsure)
            shown = opened(root / f"shown_{seed}", settings)
            began_s = time.process_time()
            reward = learnt(
                args, shown, settings, seed, root / f"reward_{args.inputs.replace(',', '_')}_{seed}"
            )
            trained_s = time.process_time() - began_s
            held_out = opened(root / "held_out", settings)
            right, wrong, off, ended = judged(reward, held_out.train)
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
                "threshold": reward.settings.threshold,
                "within_0.3_s": float(np.mean(np.abs(off) <= ON_TIME_S)) if off else None,
                "off_s": [round(float(value), 3) for value in np.quantile(off, (0.05, 0.5, 0.95))]
                if off
                else None,
                f"ended_at_{END_AT}": ended,
                "training_cpu_s": round(trained_s, 1),
            }
            print(json.dumps(row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
