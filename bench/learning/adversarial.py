"""Adversarial imitation beside cloning, by own environment steps. Prints one JSON line.

`cartpole`: CartPole of fixed horizon (500 steps, nothing ends it; a step counts 1 while the pole is up and the cart on
its track), as in the package seals, so that the length of an episode tells nothing. `pendulum`: Pendulum-v1. The
demonstrations are recorded as episodes, and the recipes of config/training train on them as `il-ros train` does; each
seed has demonstrations of its own. "Reached": the first of three evaluations in a row (10 episodes each) at the goal or
above. The clone is the recipe `actor`, trained on the same episodes.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import gymnasium
import numpy as np
from gymnasium.envs.registration import EnvSpec
from tqdm import tqdm

from il_ros.envs.from_env import contract_of
from il_ros.envs.gym_task import GymTask
from il_ros.envs.write_episode import write_episode
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.rl import recipe as recipes
from il_ros.rl.environments import Environments
from il_ros.rl.run import train
from il_ros.training import recipe as cloning
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train as train_clone

FINAL_SEED = 90_000
METHODS = {
    "gail": ("gail", ()),
    "gail_states": ("gail", ("from_states=true",)),
    "airl": ("airl", ()),
    "sqil": ("sqil", ()),
}


class FixedHorizon(gymnasium.Wrapper):
    """CartPole that nothing ends before its time limit; the angle is wrapped to -pi..pi."""

    spec = EnvSpec("CartPole-fixed-v0", max_episode_steps=500)

    def step(self, action):
        inner: Any = self.env.unwrapped  # CartPole's own attributes
        inner.steps_beyond_terminated = None
        _, _, terminated, truncated, info = self.env.step(action)
        place, speed, angle, turning = inner.state
        inner.state = np.array([place, speed, (angle + np.pi) % (2 * np.pi) - np.pi, turning])
        return inner.state.copy(), float(not terminated), False, truncated, info


def cartpole():
    made = gymnasium.make("CartPole-v1", disable_env_checker=True, max_episode_steps=500)
    return FixedHorizon(made)


def balance(observation):
    """Return the action of a linear regulator."""
    return int(observation @ (0.6, 1.2, 18.0, 3.5) > 0)


def swing_up(observation):
    """Return a torque: energy shaping, and a linear regulator near the top."""
    cosine, sine, speed = observation
    angle = np.arctan2(sine, cosine)
    energy = speed**2 / 6 + 5 * cosine - 5
    if cosine > 0.8 and abs(speed) < 5:
        torque = -12 * angle - 3 * speed
    else:
        torque = -2 * np.sign(speed * energy) if abs(speed) > 1e-3 else 2.0
    return np.clip([torque], -2, 2).astype(np.float32)


TASKS = {
    "cartpole": (cartpole, balance, 475.0, 5000, ()),
    "pendulum": (
        lambda: gymnasium.make("Pendulum-v1", disable_env_checker=True),
        swing_up,
        -200.0,
        10_000,
        ("random_steps=1000", "agent.discount=0.99", "reward_rate=3e-4", "action_range=limits"),
    ),
}


def task_of(make):
    """Return the environment as a task."""
    return GymTask(make())


def demonstrations(root, make, expert, count, seed):
    """Record demonstrations under `root`; return them and their mean return."""
    env = task_of(make).env
    contract, totals = contract_of(env), []
    for number in range(count):
        observations, actions, total, over = [env.reset(seed=1000 * (seed + 1) + number)[0]], [], 0.0, False
        while not over:
            action = expert(observations[-1])
            observation, reward, terminated, truncated, _ = env.step(action)
            observations.append(observation)
            actions.append(np.eye(2)[action] if hasattr(env.action_space, "n") else action)
            total += float(reward)
            over = terminated or truncated
        write_episode(
            root, contract, {"observation": np.array(observations)}, np.array(actions), task="bench"
        )
        totals.append(total)
    return Dataset.open(root, contract, validation=0.0), float(np.mean(totals))


def final(policy, make, tests=50):
    task = task_of(make)
    return round(
        evaluate(policy, policy.contract, task, range(FINAL_SEED, FINAL_SEED + tests)).mean_return, 1
    )


def reached(curve, goal):
    """Return the step of the first of three evaluations in a row at the goal, or None."""
    right = [value >= goal for _, value in curve]
    return next((curve[k][0] for k in range(len(curve) - 2) if all(right[k : k + 3])), None)


def one_seed(task, method, shown, seed, steps, every, folder):
    make, expert, goal, usual, changes = TASKS[task]
    data, total = demonstrations(folder / "episodes", make, expert, shown, seed)
    row = {"task": task, "method": method, "demonstrations": shown, "seed": seed, "expert": round(total, 1)}
    if method == "clone":
        done = train_clone(data, cloning.load("actor", [f"seed={seed}", "validation=0"]), folder / "out")
        return row | {"final": final(done.policy, make)}
    name, own = METHODS[method]
    changes = [*changes, *own, f"steps={steps or usual}", f"every={every}", "tests=10", f"seed={seed}"]
    if name == "airl":
        changes += [
            f"reward.{each.removeprefix('agent.')}" for each in changes if each.startswith("agent.disc")
        ]
    recipe = recipes.load(name, [each for each in changes if name != "sqil" or "reward_" not in each])
    bar = tqdm(total=recipe.imitation.steps, desc=f"{task}, {method}, seed {seed}", leave=False, disable=None)
    began_s, wall_s = time.process_time(), time.monotonic()
    environments = Environments("bench", data.contract, lambda: task_of(make), 1)

    def on_step(progress):
        bar.update()
        return True

    def on_scores(scores):
        bar.set_postfix_str(f"{scores[0].mean_return:g}")

    outcome = train(data, recipe, folder / "out", environments, on_step=on_step, on_scores=on_scores)
    bar.close()
    curve = [(score.step, round(score.mean_return, 1)) for score in outcome.scores]
    return row | {
        "steps": recipe.imitation.steps,
        "reached": reached(curve, goal),
        "kept": final(outcome.policy, make),
        "last": curve[-1][1],
        "cpu_s_with_tests": round(time.process_time() - began_s, 1),
        "wall_s": round(time.monotonic() - wall_s, 1),
        "curve": curve,
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=tuple(TASKS), default="cartpole")
    parser.add_argument(
        "--methods", default="clone,gail,gail_states,airl,sqil", help=f"of clone, {', '.join(METHODS)}"
    )
    parser.add_argument("--demonstrations", type=int, default=64)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="own steps (default: as the task says)")
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations")
    args = parser.parse_args()
    rows = []
    for method in args.methods.split(","):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            with tempfile.TemporaryDirectory() as folder:
                place = Path(folder)
                rows.append(
                    one_seed(args.task, method, args.demonstrations, seed, args.steps, args.every, place)
                )
            shown = {key: value for key, value in rows[-1].items() if key != "curve"}
            print(json.dumps(shown), file=sys.stderr, flush=True)
    print(json.dumps({"bench": "adversarial", "rows": rows}))


if __name__ == "__main__":
    main()
