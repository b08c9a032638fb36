"""Success rate of each scripted expert over seeded episodes, and simulation speed.

    python bench/experts.py [--episodes 100] [--tasks reach push ...]

Prints one JSON object. Per task: the success rate with its 95 % Wilson interval; simulated seconds to success
(median, maximum); CPU milliseconds per control step for physics alone, for the whole loop with codecs,
synchroniser and expert, and for one 96x96 camera frame.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path

from tqdm import tqdm

from il_ros.core import contract
from il_ros.records.trials import success_interval
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task, task_names

CONTRACTS = Path(__file__).resolve().parent.parent / "config" / "contracts"
CONTRACT = {"drive": "drive"}
STEPS, FRAMES = 400, 40


def study(name: str, episodes: int) -> dict[str, object]:
    task, expert = make_task(name), make_expert(name)
    terms = contract.load(CONTRACTS / f"{CONTRACT.get(name, 'arm_' + name)}.yaml")
    begin = time.process_time()
    runs = [rollout(task, expert.act, terms, seed) for seed in tqdm(range(episodes), name, leave=False)]
    loop_ms = 1e3 * (time.process_time() - begin) / sum(run.steps for run in runs)
    low, high = success_interval(sum(run.success for run in runs), episodes)
    took = [run.duration_s for run in runs if run.success]
    return {
        "success": sum(run.success for run in runs) / episodes,
        "interval_95": [round(low, 4), round(high, 4)],
        "failed_seeds": [run.seed for run in runs if not run.success],
        "seconds_to_success": {"median": statistics.median(took), "slowest": max(took)} if took else None,
        "physics_ms_per_step": round(physics_ms(task), 3),
        "loop_ms_per_step": round(loop_ms, 3),
        "frame_96x96_ms": round(frame_ms(task), 2),
    }


def physics_ms(task) -> float:
    task.reset(0)
    begin = time.process_time()
    for _ in range(STEPS):
        task.step({})
    return 1e3 * (time.process_time() - begin) / STEPS


def frame_ms(task) -> float:
    task.picture(task.camera_names[0], 96, 96)
    begin = time.perf_counter()  # wall time: a software renderer uses several threads
    for _ in range(FRAMES):
        task.picture(task.camera_names[0], 96, 96)
    return 1e3 * (time.perf_counter() - begin) / FRAMES


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--episodes", type=int, default=100)
    parser.add_argument("--tasks", nargs="+", default=task_names(), choices=task_names())
    args = parser.parse_args()
    print(json.dumps({name: study(name, args.episodes) for name in args.tasks}, indent=2))


if __name__ == "__main__":
    main()
