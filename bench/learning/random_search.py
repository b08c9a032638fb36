"""A linear expert for a Gymnasium task with continuous actions, by augmented random search (Mania et al. 2018, V2-t).

Each iteration tries N random directions both ways, and moves along the best ones, in proportion to what they returned.
Observations are standardised by all that was seen; the result has this folded in: action = clip(weights @ seen + bias).
The settings are those of the paper (table 9). One core: Swimmer takes a minute, HalfCheetah half an hour, Hopper more.

    python bench/learning/random_search.py --task Hopper-v5 --iterations 1000 --write
"""

import argparse
import json
import sys
import time
from pathlib import Path

import gymnasium
import numpy as np
from tqdm import tqdm

FILE = Path(__file__).with_name("linear_experts.json")
SETTINGS = {  # step, directions, best of them, noise, reward of a step for being alive
    "Swimmer-v5": (0.02, 1, 1, 0.01, 0.0),
    "HalfCheetah-v5": (0.02, 32, 4, 0.03, 0.0),
    "Hopper-v5": (0.01, 8, 4, 0.025, 1.0),
    "Walker2d-v5": (0.03, 40, 30, 0.025, 1.0),
}
OTHERS = (0.02, 8, 4, 0.03, 0.0)
TEST_SEED = 1_000_000


class Seen:
    """Mean and deviation of all observations (Welford 1962)."""

    def __init__(self, size):
        self.count, self.mean, self.squares = 0, np.zeros(size), np.zeros(size)

    def add(self, values):
        self.count += 1
        apart = values - self.mean
        self.mean = self.mean + apart / self.count
        self.squares = self.squares + apart * (values - self.mean)

    @property
    def deviation(self):
        found = np.sqrt(self.squares / max(self.count, 1))
        return np.where(found < 1e-7, np.inf, found)  # what never moved says nothing


def folded(matrix, seen):
    """Return weights and bias for observations that are not standardised."""
    weights = matrix / seen.deviation
    return weights, -weights @ seen.mean


def episode(env, weights, bias, seed, alive, seen=None):
    """Return the return without the reward for being alive, and the steps; `seen` is called with each observation."""
    observation, total, steps, over = env.reset(seed=seed)[0], 0.0, 0, False
    low, high = env.action_space.low, env.action_space.high
    while not over:
        if seen is not None:
            seen.add(observation)
        action = np.clip(weights @ observation + bias, low, high).astype(np.float32)
        observation, reward, terminated, truncated, _ = env.step(action)
        total, steps, over = total + float(reward) - alive, steps + 1, terminated or truncated
    return total, steps


def tested(env, weights, bias, tests):
    return float(
        np.mean([episode(env, weights, bias, TEST_SEED + number, 0.0)[0] for number in range(tests)])
    )


def search(env, args):
    """Return the best tested weights, bias and mean return, and the number of steps taken."""
    step, count, best_of, noise, alive = SETTINGS.get(args.task, OTHERS)
    rng = np.random.default_rng(args.seed)
    size, actions = env.observation_space.shape[0], env.action_space.shape[0]
    matrix, seen, taken = np.zeros((actions, size)), Seen(size), 0
    best = (*folded(matrix, seen), -np.inf)
    for iteration in tqdm(range(1, args.iterations + 1), leave=False, disable=None):
        directions = rng.standard_normal((count, actions, size))
        frozen = Seen(size)
        vars(frozen).update(vars(seen))
        returns = np.empty((count, 2))
        for number, direction in enumerate(directions):
            for side, sign in enumerate((1, -1)):
                weights, bias = folded(matrix + sign * noise * direction, frozen)
                start = int(rng.integers(TEST_SEED))
                returns[number, side], steps = episode(env, weights, bias, start, alive, seen)
                taken += steps
        chosen = np.argsort(returns.max(axis=1))[-best_of:]
        spread = max(float(returns[chosen].std()), 1e-6)
        slope = np.tensordot(returns[chosen, 0] - returns[chosen, 1], directions[chosen], axes=1)
        matrix = matrix + step / (best_of * spread) * slope
        if iteration % args.every == 0 or iteration == args.iterations:
            weights, bias = folded(matrix, seen)
            mean = tested(env, weights, bias, args.tests)
            print(
                json.dumps({"iteration": iteration, "steps": taken, "return": round(mean, 1)}),
                file=sys.stderr,
            )
            if mean > best[2]:
                best = (weights, bias, mean)
            if mean >= args.goal:
                break
    return best, taken


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", required=True, help=f"such as {', '.join(SETTINGS)}")
    parser.add_argument("--iterations", type=int, default=1000)
    parser.add_argument("--every", type=int, default=20, help="iterations between tests")
    parser.add_argument("--tests", type=int, default=10, help="episodes of a test")
    parser.add_argument("--goal", type=float, default=np.inf, help="mean return at which the search ends")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--write", action="store_true", help=f"keep the expert in {FILE.name}")
    args = parser.parse_args()
    began_s = time.process_time()
    env = gymnasium.make(args.task, disable_env_checker=True)
    (weights, bias, mean), taken = search(env, args)
    row = {"bench": "random_search", "task": args.task, "seed": args.seed, "return": round(mean, 1)}
    print(json.dumps(row | {"steps": taken, "cpu_s": round(time.process_time() - began_s, 1)}))
    if args.write:
        kept = json.loads(FILE.read_text()) if FILE.exists() else {}
        kept[args.task] = {"weights": weights.round(6).tolist(), "bias": bias.round(6).tolist()}
        FILE.write_text(json.dumps(kept) + "\n")


if __name__ == "__main__":
    main()
