"""Pendulum-v1: the number of expert labels with which DAgger reaches 90 % of the expert. JSON line per seed.

The scale is that of comparable packages: 0 % is random torque, 100 % the expert; after every round the policy
is rated by its mean return in 20 held-out episodes. The expert is the controller below (energy shaping and a
linear regulator), not a trained network; its return is printed.
"""

import argparse
import json
import os
import sys
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import gymnasium
import numpy as np
from tqdm import tqdm

from il_ros.core import contract
from il_ros.interactive.dagger.interaction import InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import dagger
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.training.recipe import Recipe, Training

STEPS = 200
TEST_SEED, RANDOM_SEED = 5000, 7
CONTRACT = contract.parse(
    """
name: pendulum
rate_hz: 20
observations:
  pendulum: {topic: pendulum, type: std_msgs/msg/Float64MultiArray, names: [cos, sin, speed], max_age_s: 0.1}
actions:
  torque:
    topic: torque
    type: geometry_msgs/msg/TwistStamped
    names: [angular.z]
    limits: {lower: -2, upper: 2, speed: 2}
    safe: zero
""",
    "pendulum",
)


class PendulumExpert:
    """Swings up by pumping energy (Astrom and Furuta 2000), balances by state feedback; angle 0 is upright.

    th'' = 15 sin th + 3 u, |u| <= 2: energy e = th'^2 / 2 + 15 (cos th - 1) is 0 when it just comes up.
    """

    def act(self, observation):
        cosine, sine, speed = observation["pendulum"]
        angle = float(np.arctan2(sine, cosine))
        energy = speed**2 / 2 + 15 * (cosine - 1)
        balance = -(10.0 * angle + 2.5 * speed)
        pump = -0.6 * energy * np.tanh(4.0 * speed + 0.2)  # 0.2 starts the swing-up from rest
        near = 1 / (1 + np.exp(20 * (abs(angle + 0.2 * speed) + 0.3 * abs(angle) - 0.6)))
        torque = near * np.clip(balance, -2, 2) + (1 - near) * np.clip(pump, -2, 2)
        return np.array([[torque]])


class Pendulum:
    def __init__(self):
        self._env = gymnasium.make("Pendulum-v1")

    def mean_return(self, act, seeds):
        total = 0.0
        for seed in seeds:
            seen, _ = self._env.reset(seed=seed)
            for _ in range(STEPS):
                seen, reward, _, _, _ = self._env.step(act({"pendulum": seen.astype(np.float64)})[0])
                total += float(reward)
        return total / len(seeds)

    def run(self, act, seed):
        self.mean_return(act, [seed])
        return True


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--episodes", type=int, default=1, help="episodes of 200 ticks in each round")
    parser.add_argument("--queried", type=float, default=0.5, help="share of ticks with a queried label")
    parser.add_argument("--beta", default="step:1")
    parser.add_argument("--steps", type=int, default=3000, help="gradient steps of each round")
    parser.add_argument("--tests", type=int, default=20, help="test episodes after each round")
    parser.add_argument("--target", type=float, default=0.9)
    parser.add_argument("--quick", action="store_true", help="one seed, three rounds")
    args = parser.parse_args()
    if args.quick:
        args.seeds, args.rounds, args.tests = 1, 3, 5
    world, expert = Pendulum(), PendulumExpert()
    tests = range(TEST_SEED, TEST_SEED + args.tests)
    best = world.mean_return(expert.act, tests)
    rng = np.random.default_rng(RANDOM_SEED)
    worst = world.mean_return(lambda _: rng.uniform(-2, 2, (1, 1)), tests)
    for seed in range(args.seeds):
        one_seed(args, seed, world, expert, tests, best, worst)


def one_seed(args, seed, world, expert, tests, best, worst):
    policy = BehaviourCloning(hidden=(64, 64))
    learner = Learner(CONTRACT, Recipe("bc", policy, Training(batch_size=64, seed=seed)), args.steps)
    options = ModeOptions("dagger", beta=args.beta, seed=seed, queried=args.queried)
    mode = make_mode(options, CONTRACT, (POLICY, EXPERT), ModeMemory())
    interaction = InteractionLoop(mode, CONTRACT.period_ns)
    seeds = [
        [100_000 * (seed + 1) + args.episodes * i + k for k in range(args.episodes)]
        for i in range(args.rounds)
    ]
    rounds = dagger(world.run, expert, learner, interaction, seeds)
    curve, reached = [], None
    started_s = time.monotonic()
    for done in tqdm(rounds, total=args.rounds, desc=f"seed {seed}", leave=False, disable=None):
        score = world.mean_return(done.policy.act, tests)
        share = (score - worst) / (best - worst)
        curve.append({"labels": done.labels, "return": round(score, 1), "share": round(share, 3)})
        if share >= args.target:
            reached = done.labels
            break
    print(
        json.dumps(
            {
                "bench": "dagger_pendulum",
                "seed": seed,
                "labels_to_target": reached,
                "target": args.target,
                "expert_return": round(best, 1),
                "random_return": round(worst, 1),
                "beta": args.beta,
                "queried": args.queried,
                "curve": curve,
                "wall_s": round(time.monotonic() - started_s, 1),
            }
        )
    )
    sys.stdout.flush()


if __name__ == "__main__":
    main()
