"""Adversarial imitation beside cloning, by own environment steps. Prints one JSON line.

`cartpole`: CartPole of fixed horizon (500 steps, nothing ends it; a step counts 1 while the pole is up and the cart
on its track), as in the package seals, so that the length of an episode tells nothing. `pendulum`, `lander`,
`double_pendulum`, `cheetah`, `hopper`: Gymnasium's Pendulum-v1, LunarLanderContinuous-v3, and of MuJoCo
InvertedDoublePendulum-v5, HalfCheetah-v5 and Hopper-v5, with the experts of third_party_tasks.py. Demonstrations are
recorded as episodes, and the recipes of config/training train on them as `il-ros train` does; each seed has
demonstrations of its own. "Reached": the first of three evaluations in a row (10 episodes each) at the goal or above:
a return, or a share of the way from random actions (0) to the expert (1).

Two clones learn from the same episodes: `default`, `il-ros train` without options, and `clone`, the recipe `actor`,
with which `gail_clone` begins, whose reward reads states alone. `--save` keeps the demonstrations as arrays, for peers
(`adversarial_peer.py`). With `--out` trainings with own steps are kept, and the same command goes on with one that
was stopped, to the bit; `--minutes` stops them.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

from typing import Any

import gymnasium
import numpy as np
from fixed_cartpole import cartpole
from third_party_tasks import third_party_tasks
from tqdm import tqdm

from il_ros.envs.from_env import contract_of
from il_ros.envs.gym_task import GymTask
from il_ros.envs.write_episode import write_episode
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint
from il_ros.policies.versions import CHECKPOINT
from il_ros.rl import recipe as recipes
from il_ros.rl.run import train
from il_ros.rl.steps.environments import Environments
from il_ros.training import recipe as cloning
from il_ros.training import saved
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train as train_clone
from il_ros.training.trainer.opening import opened
from il_ros.training.trainer.plans import TrainingPlan

FINAL_SEED = 90_000
DEFAULT, CLONE = "default", "clone"
METHODS = {
    "gail": ("gail", ()),
    "gail_states": ("gail", ("from_states=true",)),
    "airl": ("airl", ()),
    "sqil": ("sqil", ()),
    "gail_clone": (
        "gail",
        (
            "from_states=true",
            "random_steps=0",
            "frozen_steps=1000",
            "clone.weight=100",
            "agent.actor_rate=0.0003",
        ),
    ),
}
FROM_CLONE = ("gail_clone",)
"""Methods that begin with the clone CLONE, and keep a cloning loss (its weight is in the units of returns)."""


THIRD_PARTY = third_party_tasks()
NUMBERS = ("random_steps=1000", "agent.discount=0.99", "reward_rate=3e-4")
"""Changes of the recipes for actions that are numbers."""
WIDE = (*NUMBERS, "action_range=limits")


@dataclass(frozen=True)
class BenchTask:
    """`goal`: a mean return, or with `of_expert` that share of the way from random actions to the expert.

    `shows`: the largest return of a demonstration that shows the task; starts with a larger one are passed over.
    """

    make: Callable[[], gymnasium.Env]
    expert: Callable[[Any], Any]
    goal: float
    steps: int
    changes: tuple[str, ...] = ()
    of_expert: bool = False
    shows: float = np.inf


def third_party(name, *args, **options):
    task = THIRD_PARTY[name]
    return BenchTask(task.make, task.act, *args, **options)


TASKS = {
    "cartpole": BenchTask(cartpole, THIRD_PARTY["CartPole-v1"].act, 475.0, 5000),
    "pendulum": third_party("Pendulum-v1", -200.0, 10_000, WIDE, shows=-100.0),
    "lander": third_party("LunarLanderContinuous-v3", 0.9, 30_000, WIDE, of_expert=True),
    "double_pendulum": third_party("InvertedDoublePendulum-v5", 0.9, 10_000, NUMBERS, of_expert=True),
    "cheetah": third_party("HalfCheetah-v5", 0.9, 30_000, WIDE, of_expert=True),
    "hopper": third_party("Hopper-v5", 0.9, 60_000, WIDE, of_expert=True),
}


def episode(env, act, seed):
    """Return observations (T + 1, ...), actions and return of an episode; without `act` actions are random."""
    observations, actions, total, over = [env.reset(seed=seed)[0]], [], 0.0, False
    env.action_space.seed(seed)
    while not over:
        action = env.action_space.sample() if act is None else act(observations[-1])
        observation, reward, terminated, truncated, _ = env.step(action)
        observations.append(observation)
        actions.append(action)
        total += float(reward)
        over = terminated or truncated
    return observations, actions, total


def shown_episodes(task, count, seed, steps):
    """Return the demonstrations of a seed, of each the first `steps` (0: all)."""
    env, found, start = GymTask(task.make()).env, [], 1000 * (seed + 1)
    while len(found) < count:
        shown = episode(env, task.expert, start)
        start += 1
        if shown[2] <= task.shows:
            found.append(shown)
    return [(seen[: steps + 1], done[:steps], total) for seen, done, total in found] if steps else found


def recorded(root, task, shown):
    """Record demonstrations as episodes under `root`."""
    env = GymTask(task.make()).env
    contract, choices = contract_of(env), getattr(env.action_space, "n", None)
    for observations, actions, _ in shown:
        commands = np.array(actions) if choices is None else np.eye(choices)[np.array(actions)]
        write_episode(root, contract, {"observation": np.array(observations)}, commands, task="bench")


def final(policy, task, tests=50):
    starts = range(FINAL_SEED, FINAL_SEED + tests)
    return round(evaluate(policy, policy.contract, GymTask(task.make()), starts).mean_return, 1)


def scale(task, tests=50):
    """Return the mean returns of random actions and of the expert, from the starts of `final`."""
    env = GymTask(task.make()).env
    return [
        round(float(np.mean([episode(env, act, FINAL_SEED + number)[2] for number in range(tests)])), 1)
        for act in (None, task.expert)
    ]


def reached(curve, goal):
    """Return the step of the first of three evaluations in a row at the goal, or None."""
    right = [value >= goal for _, value in curve]
    return next((curve[k][0] for k in range(len(curve) - 2) if all(right[k : k + 3])), None)


class Spent:
    """CPU and wall time of a training, which `file` carries over from one call to the next."""

    def __init__(self, file):
        self._file = file
        self._before = json.loads(file.read_text()) if file.exists() else {"cpu_s": 0.0, "wall_s": 0.0}
        self._began_s = {"cpu_s": time.process_time(), "wall_s": time.monotonic()}

    def so_far(self):
        now_s = {"cpu_s": time.process_time(), "wall_s": time.monotonic()}
        return {name: round(self._before[name] + now_s[name] - self._began_s[name], 1) for name in now_s}

    def keep(self):
        self._file.write_text(json.dumps(self.so_far()))


def cloned(data, seed, changes, out):
    """Return the clone in `out`, which is trained there if need be."""
    if (out / CHECKPOINT).exists():
        return checkpoint.load(out / CHECKPOINT)
    return train_clone(data, cloning.load("actor", [f"seed={seed}", "validation=0", *changes]), out).policy


def one_seed(args, method, seed, goal, folder, until_s):
    """Return the row of a training, or None when it was stopped: time.monotonic() is beyond `until_s`."""
    task = TASKS[args.task]
    shown = shown_episodes(task, args.demonstrations, seed, args.shown_steps)
    episodes = folder / "episodes"
    if not episodes.exists():
        recorded(episodes, task, shown)
    data = Dataset.open(episodes, contract_of(GymTask(task.make()).env), validation=0.0)
    if args.save:
        args.save.mkdir(parents=True, exist_ok=True)
        for number, (observations, actions, _) in enumerate(shown):
            file = args.save / f"{args.task}_{seed}_{number}.npz"
            arrays = {"observations": np.array(observations), "actions": np.array(actions)}
            np.savez(file, cut=bool(args.shown_steps), **arrays)
    row = {
        "task": args.task,
        "method": method,
        "demonstrations": args.demonstrations,
        "seed": seed,
        "expert": round(float(np.mean([total for _, _, total in shown])), 1),
    }
    spent = Spent(folder / "spent.json")

    def took():
        return spent.so_far() | {"load": os.getloadavg()[0]}

    if method == DEFAULT:
        plan = TrainingPlan(folder / "episodes", folder / "out", changes=(f"seed={seed}",))
        data, chosen = opened(plan)
        policy = train_clone(data, chosen, folder / "out").policy
        return row | took() | {"kept": final(policy, task)}
    start = cloned(data, seed, args.clone, folder / "clone") if method in (CLONE, *FROM_CLONE) else None
    if method == CLONE:
        return row | took() | {"kept": final(start, task)}
    name, own = METHODS[method]
    steps = args.steps or task.steps
    tests = 30 if start is not None else 10  # the gate of a clone needs more
    changes = [*task.changes, *own, f"steps={steps}", f"every={args.every}", f"tests={tests}", f"seed={seed}"]
    changes += ["short_demonstrations=cut"] if args.shown_steps else []
    changes += args.set
    if name == "airl":
        changes += [f"reward.{each.removeprefix('agent.')}" for each in changes if "agent.disc" in each]
    recipe = recipes.load(name, [each for each in changes if name != "sqil" or "reward_" not in each])
    recipe = recipe.going_on_from(start, changes)
    bar = tqdm(total=steps, desc=f"{args.task}, {method}, seed {seed}", leave=False, disable=None)
    environments = Environments("bench", data.contract, lambda: GymTask(task.make()), 1)

    def on_step(progress):
        bar.n = progress.step
        bar.update(0)
        return time.monotonic() < until_s

    def on_scores(scores):
        bar.set_postfix_str(f"{scores[0].mean_return:g}")

    out, resume = folder / "out", saved.exists(folder / "out")
    calls = {"on_step": on_step, "on_scores": on_scores}
    outcome = train(data, recipe, out, environments, resume=resume, start=start, **calls)
    bar.close()
    spent.keep()
    if not outcome.finished:
        return None
    curve = [(score.step, round(score.mean_return, 1)) for score in outcome.scores]
    row |= {"steps": steps, "reached": reached(curve, goal)} | took()
    return row | {"kept": final(outcome.policy, task), "last": curve[-1][1], "curve": curve}


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", choices=tuple(TASKS), default="cartpole")
    parser.add_argument(
        "--methods",
        default=f"{CLONE},gail,gail_states,airl,sqil",
        help=f"of {DEFAULT}, {CLONE}, {', '.join(METHODS)}",
    )
    parser.add_argument("--demonstrations", type=int, default=64)
    parser.add_argument(
        "--shown-steps",
        type=int,
        default=0,
        help="of each demonstration, 0: all",
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--steps", type=int, default=0, help="own steps (default: as the task says)")
    parser.add_argument("--every", type=int, default=500, help="steps between evaluations")
    parser.add_argument("--set", action="append", default=[], help="a change of the recipe; may be repeated")
    parser.add_argument("--clone", action="append", default=[], help="a change of the recipe of the clone")
    parser.add_argument("--save", type=Path, help="folder in which the demonstrations are kept as arrays")
    parser.add_argument("--out", type=Path, help="folder in which trainings with own steps are kept")
    parser.add_argument("--minutes", type=float, default=np.inf, help="then trainings stop; needs --out")
    args = parser.parse_args()
    if np.isfinite(args.minutes) and args.out is None:
        parser.error("--minutes: a training that is stopped is lost without --out")
    task, rows = TASKS[args.task], []
    random, expert = scale(task)
    goal = random + task.goal * (expert - random) if task.of_expert else task.goal
    about = {"task": args.task, "random": random, "expert": expert, "goal": round(goal, 1)}
    print(json.dumps(about), file=sys.stderr, flush=True)
    until_s = time.monotonic() + 60 * args.minutes
    for method in args.methods.split(","):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            with ExitStack() as stack:
                place = Path(stack.enter_context(tempfile.TemporaryDirectory()))
                if args.out and method in METHODS:
                    cut = f"_{args.shown_steps}" if args.shown_steps else ""
                    place = args.out / f"{args.task}_{args.demonstrations}{cut}_{method}_{seed}"
                    place.mkdir(parents=True, exist_ok=True)
                row = one_seed(args, method, seed, goal, place, until_s)
            if row is None:
                raise SystemExit(f"{place} was stopped; the same command goes on with it")
            rows.append(row)
            shown = {key: value for key, value in row.items() if key != "curve"}
            print(json.dumps(shown), file=sys.stderr, flush=True)
    print(json.dumps({"bench": "adversarial", **about, "rows": rows}))


if __name__ == "__main__":
    main()
