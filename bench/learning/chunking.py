"""Chunks under an injected delay: success and jerk against chunk length, delay and how chunks are played.

A policy per chunk length is trained on demonstrations of the scripted expert, and drives held-out episodes in
this process, its answers coming `delay` ticks of 50 ms after their observation. One JSON line per chunk length, delay
and way of playing, pooled over the seeds:

    async       the package's `ChunkPlayer`: the chunk before goes on, steps that have passed are left out
    committed   the same, and the next chunk begins with the steps that are played meanwhile; for a policy that was
                trained so (--recipe two_step --set prefix=6)
    naive       a chunk begins at its first step whenever it comes (a queue without compensation)
    blocking    the robot holds its last command while the policy computes

Length 1 is the one-step policy: each command comes late, and is held until the next one. `jerk` is the root mean square
of the third difference of the commands (rad/s^3), `steps` the mean length of the episodes. Starts and training seeds
are the same for all.
"""

import argparse
import itertools
import json
import os
import sys
import tempfile
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import learning_bc
import numpy as np
import success

from il_ros.control.chunks.execution import ChunkPlayer, Execution
from il_ros.core.actions import measured
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task, task_names
from il_ros.training import recipe as recipes
from il_ros.training.run import train

HOWS = ("async", "committed", "naive", "blocking")


class Delayed:
    """Answers of a policy that come `delay` ticks late, played in one of the ways; called once per tick."""

    def __init__(self, policy, own, how, delay, every):
        self._policy, self._own, self._how, self._delay = policy, own, how, delay
        commit = delay if how == "committed" else 0
        self._chunks = ChunkPlayer(own, Execution(min(every, policy.horizon), commit=commit))
        self._tick, self._running, self._sent = 0, None, None

    def __call__(self, observation):
        self._tick += 1
        now_ns = self._tick * self._own.period_ns
        if self._sent is None:
            self._sent = np.nan_to_num(measured(self._own, observation))
        if self._running is None and self._chunks.due(now_ns):
            self._begin(observation, now_ns)
        if self._running is not None and self._running[0] <= self._tick:
            _, observed_ns, chunk = self._running
            self._running = None
            self._chunks.add(now_ns if self._how in ("naive", "blocking") else observed_ns, chunk, now_ns)
        waits = self._how == "blocking" and self._running is not None
        left = self._chunks.left(now_ns)
        if len(left) and not waits:
            self._sent = left[0]
        return self._sent[None]

    def _begin(self, observation, now_ns):
        self._chunks.begin(now_ns)
        committed = self._chunks.committed(now_ns)
        chunk = self._policy.act(observation, committed if len(committed) else None, seed=self._tick)
        self._running = self._tick + self._delay, now_ns, chunk


def hows(policy):
    """Return the ways of playing in which a policy's chunks differ."""
    if policy.horizon == 1:
        return ("naive",)
    return tuple(how for how in HOWS if how != "committed" or getattr(policy.settings, "prefix", 0))


def jerk(actions, own):
    joints = own.action_slices[own.actions[0].key]
    return float(np.sqrt(np.mean(np.diff(actions[:, joints], n=3, axis=0) ** 2)) * own.rate_hz**3)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="reach", choices=task_names())
    parser.add_argument("--lengths", type=success.numbers, default=(1, 8, 16), help="chunk lengths H")
    parser.add_argument("--delays", type=success.numbers, default=(0, 2, 4, 6), help="ticks of 50 ms")
    parser.add_argument(
        "--every",
        type=success.numbers,
        default=(4,),
        help="ticks from one computation to the next, at most H",
    )
    parser.add_argument("--demonstrations", type=int, default=25)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--episodes", type=int, default=30, help="held-out episodes of each seed and row")
    parser.add_argument("--recipe", default="bc_mlp")
    parser.add_argument("--set", action="append", default=[], help="change of the recipe, as of il-ros train")
    args = parser.parse_args()
    own, task = learning_bc.contract_of(args.task, ()), make_task(args.task)
    rows = {}
    for seed in range(args.seeds):
        seeds = range(1000 * seed, 1000 * seed + args.demonstrations)
        shown = list(learning_bc.demonstrations(task, own, make_expert(args.task), seeds))
        for length in args.lengths:
            chosen = recipes.load(args.recipe, (f"horizon={length}", f"seed={seed}", *args.set))
            with tempfile.TemporaryDirectory() as folder:
                policy = train(learning_bc.dataset(own, shown, chosen.training), chosen, Path(folder)).policy
            for delay, how, every in itertools.product(args.delays, hows(policy), args.every):
                for number in range(args.episodes):
                    act = Delayed(policy, own, how, delay, every)
                    done = rollout(task, act, own, HELD_OUT_SEED + number)
                    rows.setdefault((length, delay, how, every), []).append(
                        (done.success, done.steps, jerk(done.actions, own))
                    )
    for (length, delay, how, every), found in rows.items():
        successes, steps, jerks = zip(*found, strict=True)
        print(
            json.dumps(
                {
                    "bench": "chunking",
                    "task": args.task,
                    "length": length,
                    "delay_ms": round(delay * own.period_ns / 1e6),
                    "played": "late" if length == 1 else how,
                    "every": min(every, length),
                    "episodes": len(found),
                    "success": round(sum(successes) / len(found), 3),
                    "interval_95": [round(each, 3) for each in success_interval(sum(successes), len(found))],
                    "steps": round(float(np.mean(steps)), 1),
                    "jerk": round(float(np.median(jerks)), 1),
                }
            ),
            flush=True,
        )


if __name__ == "__main__":
    main()
