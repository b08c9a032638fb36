"""Maximum-entropy IRL: its exactness on gridworlds, and rewards of `drive` beside a clone. Prints one JSON line.

Gridworlds (8x8, slip 0.1, 24 steps, `--seeds` seeds): gradient against central differences, conservation of visits,
an expert given exactly, and a reward of three features from 64 demonstrations, re-optimised on another layout, where
the value is a share of (expert - uniform).

`drive`: the same demonstrations, in N corridors, are cloned with the shipped recipe, and give a reward, which is
optimised on the maps of `--corridors` corridors that nobody showed; a path follower drives the result in the simulator.
The clone steers by its laser scan. The reward's policy is given the map and the robot's pose.
`--plot FILE` draws the reward and the paths of the first corridor, `--save FOLDER` keeps the first seed's reward as a
reward model (il-ros reward rank and plot).
"""

import argparse
import dataclasses
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from learning_bc import contract_of, dataset, demonstrations
from tqdm import tqdm

from il_ros.irl.corridor_map import CorridorMap
from il_ros.irl.demonstrations import Demonstrated, demonstrated
from il_ros.irl.grid import Grid
from il_ros.irl.heat_map import draw_heat_maps
from il_ros.irl.maximum_entropy import Problem, fit, objective
from il_ros.irl.path_follower import PathFollower
from il_ros.irl.reward_models import clearance_reward
from il_ros.irl.rewards import LinearReward, NetworkReward
from il_ros.irl.soft_control import (
    best_policy,
    expected_return,
    sample,
    soft_policy,
    state_distribution,
    uniform_policy,
    visits,
)
from il_ros.records.trials import success_interval
from il_ros.rewards import checkpoint
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate
from il_ros.training.run import train

SIZE, HORIZON, SHOWN = 8, 24, 64
TRUE = np.array([-1.0, 3.0, -3.0])


def world(good, bad):
    """Return a gridworld's process and the features of its states: a step, the good cell, the bad cells."""
    grid = Grid(np.ones((SIZE, SIZE), bool), slip=0.1)
    features = np.zeros((SIZE * SIZE, 3))
    features[:, 0] = 1.0
    features[grid.state(good), 1] = 1.0
    features[[grid.state(cell) for cell in bad], 2] = 1.0
    return grid.mdp([(0, 0), (0, 1), (1, 0), (1, 1)], HORIZON), features


def gradient_error(problem, form, rng):
    """Return the largest difference of the gradient from central differences, at random parameters."""
    parameters = form.initial(problem.features.shape[2])
    parameters = parameters + 0.3 * rng.standard_normal(len(parameters))
    _, gradient = objective([problem], form, parameters, 0.002)
    steps = 1e-5 * np.eye(len(parameters))
    numeric = [
        (
            objective([problem], form, parameters + step, 0.002)[0]
            - objective([problem], form, parameters - step, 0.002)[0]
        )
        / 2e-5
        for step in steps
    ]
    return float(np.abs(gradient - numeric).max())


def cloned_policy(mdp, episodes):
    """Return the shares of the demonstrated actions in each state, uniform where none was shown (T, S, A)."""
    counts = np.zeros((mdp.states, mdp.actions))
    for states, actions in episodes:
        np.add.at(counts, (states[:-1], actions), 1.0)
    total = counts.sum(axis=1, keepdims=True)
    policy = np.where(total > 0, counts / np.maximum(total, 1), 1 / mdp.actions)
    return np.repeat(policy[None], mdp.horizon, axis=0)


def gridworld(seed):
    rng = np.random.default_rng(seed)
    mdp, features = world((7, 7), ((3, 3), (3, 4), (4, 3)))
    cells = np.eye(SIZE * SIZE)
    true = features @ TRUE
    expert = soft_policy(mdp, true).probabilities
    exact = Problem(mdp, cells, Demonstrated(visits(mdp, expert), mdp.start))
    distribution = state_distribution(mdp, expert)
    recovered = fit([exact], l2=0.0)
    policy = soft_policy(mdp, recovered.reward(exact.features)).probabilities
    divergence = np.einsum("ts,tsa->", distribution, expert * np.log(expert / policy))
    episodes = sample(mdp, expert, SHOWN, rng)
    few = fit([Problem(mdp, features, demonstrated(mdp, episodes))])
    elsewhere, other = world((0, 7), ((2, 5), (1, 5), (3, 2)))
    worth = other @ TRUE
    learnt = few.reward(np.repeat(other[:, None], mdp.actions, axis=1))
    best, uniform, reused, cloned = (
        expected_return(elsewhere, each, worth)
        for each in (
            soft_policy(elsewhere, worth).probabilities,
            uniform_policy(elsewhere),
            soft_policy(elsewhere, learnt).probabilities,
            cloned_policy(mdp, episodes),
        )
    )
    return {
        "seed": seed,
        "gradient_error_linear": gradient_error(exact, LinearReward(), rng),
        "gradient_error_network": gradient_error(
            Problem(mdp, features, exact.demonstrated), NetworkReward((8,), seed), rng
        ),
        "conservation_error": float(np.abs(distribution.sum(axis=1) - 1).max()),
        "exact_feature_error": recovered.feature_error,
        "exact_divergence_nats": float(divergence),
        "exact_s": round(recovered.seconds, 2),
        "parameters_of_64": [round(float(value), 2) for value in few.parameters],
        "transfer_share": round((reused - uniform) / (best - uniform), 3),
        "clone_share": round((cloned - uniform) / (best - uniform), 3),
    }


class Watched:
    """Drives an episode of `drive` and keeps the robot's path."""

    def __init__(self, task, own):
        self.task, self.own = task, own

    def drive(self, seed, act):
        """Return the rollout and the path (M, 2); `act` maps observation, position and yaw to a proposal."""
        path_m = []

        def watched(observation):
            scene = self.task.scene
            path_m.append(scene.position_m[:2].copy())
            w, x, y, z = scene.quaternion
            return act(observation, path_m[-1], np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z)))

        done = rollout(self.task, watched, self.own, seed, hold_s=0.5)
        return done, np.array([*path_m, self.task.scene.position_m[:2]])


def learnt_reward(watched, seeds):
    expert, problems = make_expert("drive"), []
    for seed in seeds:
        done, path_m = watched.drive(seed, lambda observation, *_: expert.act(observation))
        if done.success:
            seen = CorridorMap(watched.task.corridor)
            mdp = seen.mdp()
            problems.append(Problem(mdp, seen.features, demonstrated(mdp, [seen.episode(path_m)])))
    return fit(problems), len(problems)


def planned(watched, reward, seed):
    """Return whether the reward's best path leads the simulated robot to the end zone, map, path and driven path."""
    watched.task.reset(seed)
    seen = CorridorMap(watched.task.corridor)
    wanted_m = seen.path_m(best_policy(seen.mdp(), reward.reward(seen.features)))
    follower = PathFollower(np.vstack([wanted_m, watched.task.corridor.goal.xy]))
    done, driven_m = watched.drive(seed, lambda _, place_m, yaw_rad: follower.act(place_m, yaw_rad))
    return done.success, seen, wanted_m, driven_m


def drive(shown, args):
    seeds, corridors, plot = args.seeds, args.corridors, args.plot
    task, own, recipe = make_task("drive"), contract_of("drive", ()), recipes.load("ensemble", [])
    watched, runs = Watched(task, own), []
    for seed in tqdm(range(seeds), desc=f"drive, {shown} shown", leave=False, disable=None):
        starts = range(1000 * seed, 1000 * seed + shown)
        reward, used = learnt_reward(watched, starts)
        held_out = range(HELD_OUT_SEED, HELD_OUT_SEED + corridors)
        arrived = sum(planned(watched, reward, each)[0] for each in held_out)
        episodes = list(demonstrations(task, own, make_expert("drive"), starts))
        chosen = dataclasses.replace(recipe, training=dataclasses.replace(recipe.training, seed=seed))
        with tempfile.TemporaryDirectory() as folder:
            policy = train(dataset(own, episodes, chosen.training), chosen, Path(folder)).policy
        cloned = evaluate(policy, own, task, held_out).successes
        runs.append(
            {
                "seed": seed,
                "demonstrations": used,
                "reward": [round(float(value), 2) for value in reward.parameters],
                "reward_s": round(reward.seconds, 1),
                "reward_successes": arrived,
                "clone_successes": cloned,
            }
        )
        print(json.dumps(runs[-1]), file=sys.stderr)
        if plot and not seed:
            draw(plot, watched, reward, HELD_OUT_SEED)
        if args.save and not seed:
            names = [f"start {start}" for start in starts]
            checkpoint.save(args.save / f"v{shown}", clearance_reward(own, reward, episodes=names))
    total = corridors * len(runs)
    sums = {name: sum(run[f"{name}_successes"] for run in runs) for name in ("reward", "clone")}
    return {
        "shown": shown,
        "corridors": total,
        **{name: count / total for name, count in sums.items()},
        **{
            f"{name}_95": [round(bound, 3) for bound in success_interval(count, total)]
            for name, count in sums.items()
        },
        "runs": runs,
    }


def draw(file, watched, reward, seed):
    _, seen, wanted_m, driven_m = planned(watched, reward, seed)
    mdp = seen.mdp()
    worth = reward.reward(seen.features)
    visited = visits(mdp, soft_policy(mdp, worth).probabilities).sum(axis=1)
    panels = {
        "clearance (m)": seen.clearance_m[seen.grid.free],
        "learnt reward of a move": worth.mean(axis=1),
        "expected visits (log10)": np.log10(np.maximum(visited, 1e-3)),
    }
    paths = {
        name: np.array([seen.cell(place) for place in path_m])
        for name, path_m in (("best path", wanted_m), ("driven path", driven_m))
    }
    draw_heat_maps(Path(file), seen.grid, panels, paths)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument(
        "--shown", default="1,3,10", help="demonstrated corridors, one row each; empty: no drive"
    )
    parser.add_argument("--corridors", type=int, default=40, help="held-out corridors of each seed")
    parser.add_argument("--plot", default="", help="picture of the first held-out corridor (.png, .svg)")
    parser.add_argument("--save", type=Path, help="folder of the reward models, one for each row")
    args = parser.parse_args()
    grids = [
        gridworld(seed) for seed in tqdm(range(args.seeds), desc="gridworlds", leave=False, disable=None)
    ]
    for row in grids:
        print(json.dumps(row), file=sys.stderr)
    shown = [int(part) for part in args.shown.split(",") if part]
    rows = [drive(count, args) for count in shown]
    print(json.dumps({"bench": "irl", "gridworlds": grids, "drive": rows}))


if __name__ == "__main__":
    main()
