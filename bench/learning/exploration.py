"""How a clone fails on the arm's tasks, and which noise on its actions gets it over the line.

The clone is that of bc_rl.py. It runs held-out starts without noise; the first `--few` starts on which it fails, and as
many on which it succeeds, are run again with Gaussian noise on each normalised action: of a deviation in units of the
demonstrations' (`deviation_of` in `il_ros/rl/steps/demonstrations.py`), and with a correlation from one tick to the
next. Prints one JSON line per condition.
"""

import argparse
import json
import os
import tempfile
from contextlib import closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
import torch
from bc_rl import FINAL_SEED, demonstrations

from il_ros.core import contract as contracts
from il_ros.envs.task_env import TaskEnv
from il_ros.envs.tasks import make_any_task
from il_ros.policies.protocol import Batch, Window
from il_ros.rl.steps.demonstrations import deviation_of, steps_of
from il_ros.rl.steps.world import Scales, World
from il_ros.sim.tasks.arm import ArmTask
from il_ros.sim.tasks.task import task_class
from il_ros.training import recipe as cloning
from il_ros.training.run import train

CONDITIONS = ((0.0, 0.065), (0.0, 1.0), (0.9, 0.3), (0.9, 1.0), (0.95, 0.5), (0.95, 1.0))
"""Correlation, and deviation."""


def driven(world, policy, seed, correlation=0.0, deviation=0.0, rng=None):
    """Run an episode; return whether it succeeded, and its ticks."""
    world.begin(seed)
    noise = 0.0 if rng is None else rng.standard_normal(len(deviation))
    for tick in range(1, 10_000):
        seen = Batch(Window(torch.from_numpy(world.state)[None, None]))
        with torch.no_grad():
            action = policy.network.sample(seen, torch.Generator()).chunk[0, 0].numpy()
        if rng is not None:
            fresh = rng.standard_normal(len(deviation))
            noise = correlation * noise + np.sqrt(1 - correlation**2) * fresh
        step, ended = world.step(np.clip(action + deviation * noise, -1, 1).astype(np.float32))
        if ended:
            return step.terminated and step.earned > 0, tick
    raise RuntimeError("the episode does not end")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=("reach", "push", "pick_place"), default="push")
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--noise", type=float, default=0.0, help="of the demonstrator's commands (rad)")
    parser.add_argument("--seed", type=int, default=0, help="of demonstrations and clone")
    parser.add_argument("--starts", type=int, default=40)
    parser.add_argument("--few", type=int, default=6)
    args = parser.parse_args()
    contract = contracts.find(task_class(args.task).contract)
    task, _ = make_any_task(args.task, contract)
    assert isinstance(task, ArmTask)
    with closing(task), tempfile.TemporaryDirectory() as temporary:
        place = Path(temporary)
        shown = (args.demonstrations, args.noise, args.seed)
        data, _ = demonstrations(place / "episodes", task, contract, *shown)
        recipe = cloning.load("actor", [f"seed={args.seed}", "validation=0"])
        clone = train(data, recipe, place / "clone").policy
        scales = Scales(contract, clone.inputs, clone.normaliser, clone.form)
        world = World(TaskEnv(task, contract), scales)
        most = round(task.time_limit_s * 1e9 / task.control_period_ns)
        steps = [step for episode in data.train for step in steps_of(episode, scales, most)]
        deviation = deviation_of(steps, clone.network).numpy()
        ended = []
        for seed in range(FINAL_SEED, FINAL_SEED + args.starts):
            success, ticks = driven(world, clone, seed)
            away_m = float(np.linalg.norm(task.scene.object_m[:2] - task.scene.goal_m[:2]))
            ended.append((seed, bool(success), ticks, away_m))
        failing = [row for row in ended if not row[1]]
        about = {
            "bench": "exploration",
            "task": args.task,
            "clone": f"{args.starts - len(failing)} of {args.starts}",
            "failures_at_the_time_limit": sum(row[2] == most for row in failing),
            "failures_end_cm_away": sorted(round(100 * row[3], 1) for row in failing),
            "deviation": [round(float(each), 4) for each in deviation],
        }
        print(json.dumps(about), flush=True)
        for correlation, size in CONDITIONS:
            rng = np.random.default_rng(args.seed)
            done = {}
            for name, wanted in (("failing", False), ("working", True)):
                some = [row[0] for row in ended if row[1] is wanted][: args.few]
                tried = [driven(world, clone, seed, correlation, size * deviation, rng) for seed in some]
                done[name] = f"{sum(success for success, _ in tried)} of {len(tried)}"
            print(json.dumps({"correlation": correlation, "deviations": size, **done}), flush=True)


if __name__ == "__main__":
    main()
