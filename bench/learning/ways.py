"""The test for several ways to do a task (il_ros/training/auto/ways.py): how often it finds them, and false alarms.

Found: on paths around obstacles (test/support/gaps.py) with two ways, three ways, and two in shares of 90:10.
False alarms: on demonstrations of one scripted expert, in the simulated tasks and in other people's Gymnasium
environments; what depends on the start, such as around the nearer side, is one way. A printed row is a kind of data.

    python bench/learning/ways.py                           # seeds that no threshold was chosen on
    python bench/learning/ways.py --first-seed 0            # those that it was chosen on
"""

import argparse
import json
import os
import sys
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "test" / "support"))

import gaps
import numpy as np
from every_family import TASKS, contract_of, shown_of
from third_party_tasks import third_party_tasks

from il_ros.envs.from_env import contract_of_spaces
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.training.auto.ways import find_ways

RATE_HZ = 20.0  # of an environment that has none
SEVERAL = {"2 ways": (2, (0.5, 0.5)), "3 ways": (3, (0.34, 0.33, 0.33)), "2 ways, 90:10": (2, (0.9, 0.1))}
ASIDE_M = (0.0, 0.05, 0.2)
"""How far starts lie from the line of symmetry, at most."""


def found(seeds, counts):
    """Print for each data set and number of demonstrations in how many sets the ways were found, and how many."""
    for name, (ways, shares) in SEVERAL.items():
        for count in counts:
            rows = []
            for aside in ASIDE_M:
                for seed in seeds:
                    shown, _ = gaps.demonstrations(ways, shares, count, seed, aside)
                    result = find_ways(shown.contract, shown.train)
                    rows.append(0 if result is None else len(result.counts))
            report("found", name, count, sum(each == ways for each in rows), rows)


def alarms(seeds, counts):
    """Print for each task with one way, and number of demonstrations, in how many sets several were found."""
    for name, sets in demonstrated(max(counts), seeds):
        for count in counts:
            rows = [
                0 if (result := find_ways(own, shown[begin : begin + count])) is None else len(result.counts)
                for own, shown in sets
                for begin in range(0, len(shown) - count + 1, count)
            ]
            report("false alarms", name, count, sum(each > 0 for each in rows), rows)


def demonstrated(count, seeds):
    """Yield the name of each task, and for each seed its contract and `count` demonstrations."""
    for name in TASKS:
        yield name, [(contract_of(name, ()), shown_of(name, count, seed)) for seed in seeds]
    for name, task in third_party_tasks().items():
        yield name, [own_steps(task, count, seed) for seed in seeds]


def own_steps(task, count, seed):
    """Return the contract of an environment, and what its expert did in `count` episodes."""
    env = task.make()
    own = contract_of_spaces(task.name, env.observation_space, env.action_space, RATE_HZ)
    episodes = []
    for number in range(count):
        seen, _ = env.reset(seed=1000 * seed + number)
        rows, ended = [], False
        while not ended:
            rows.append(np.asarray(seen, dtype=float))
            seen, _, terminated, truncated, _ = env.step(task.act(seen))
            ended = terminated or truncated
        nothing = np.zeros((len(rows), own.action_size))
        ticks_ns = np.arange(1, len(rows) + 1) * own.period_ns
        observed = {own.observations[0].key: np.array(rows)}
        episodes.append(
            EpisodeArrays(f"episode_{number:06d}", observed, nothing, nothing, ticks_ns, own.period_ns)
        )
    env.close()
    return own, episodes


def report(what, name, count, positive, rows):
    """Print one row."""
    row = {
        "bench": "ways",
        "row": what,
        "data": name,
        "demonstrations": count,
        what: positive,
        "of": len(rows),
    }
    print(json.dumps(row | {"numbers": rows}), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--first-seed", type=int, default=100)
    parser.add_argument("--seeds", type=int, default=8, help="of each kind of data with several ways")
    parser.add_argument("--sets", type=int, default=2, help="seeds of each task with one way")
    parser.add_argument("--several", type=int, nargs="+", default=[30, 60, 100])
    parser.add_argument("--one", type=int, nargs="+", default=[10, 25, 50])
    args = parser.parse_args()
    first = args.first_seed
    found(range(first, first + args.seeds), args.several)
    alarms(range(first, first + args.sets), args.one)


if __name__ == "__main__":
    main()
