"""Compare two checkouts: control path, recorder and training throughput, in alternating pairs.

    git worktree add ../before REVISION
    python bench/side_by_side.py ../before . [--pairs 10]

Each pair runs the same bench script once in either checkout, in an order that alternates. A figure's ratio is
NOW / BEFORE within a pair, above 1: slower or costlier now. Prints the median ratio of each figure and the
95 % interval of the median (by order statistics). It is no test: these figures depend on the machine.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable
from math import comb
from pathlib import Path
from typing import Any

Figures = Callable[[Any], dict[str, float]]

BENCHES: dict[str, tuple[list[str], Figures]] = {
    "control path": (
        ["bench/control_path.py", "--only", "ours", "--duration", "6", "--rates", "100", "--load", "0"],
        lambda figures: {"control path, p50": figures["cases"][0]["ours"]["p50_ms"]},
    ),
    "recorder": (
        ["bench/recorder.py", "--only", "recorder", "--seconds", "6"],
        lambda figures: {"recorder, CPU": figures["recorder"]["cpu_percent_of_a_core"]},
    ),
    "training": (
        ["bench/training.py", "--repeats", "1", "--samples", "40000"],
        lambda figures: {
            f"training, ms a step, {name}": figures[name]["ms_per_step"]["ours"]
            for name in ("batch_64", "ensemble_batch_16")
        },
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("before", type=Path)
    parser.add_argument("now", type=Path)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--only", choices=BENCHES, help="run this bench alone")
    args = parser.parse_args()
    benches = [BENCHES[args.only]] if args.only else list(BENCHES.values())
    ratios: dict[str, list[float]] = {}
    for pair in range(args.pairs):
        for words, figures in benches:
            order = [args.before, args.now] if pair % 2 == 0 else [args.now, args.before]
            found = {checkout: figures(run(checkout, words)) for checkout in order}
            for name, now in found[args.now].items():
                ratios.setdefault(name, []).append(now / found[args.before][name])
        print(f"pair {pair + 1} of {args.pairs}", file=sys.stderr, flush=True)
    for name, values in ratios.items():
        low, high = median_interval(values)
        print(f"{name}: ratio {statistics.median(values):.3f} (95 %: {low:.3f} to {high:.3f})")


def run(checkout: Path, words: list[str]) -> Any:
    """Return the JSON object that a bench script of a checkout prints at the end of its output."""
    environment = {**os.environ, "PYTHONPATH": str(checkout.resolve())}
    done = subprocess.run(
        [sys.executable, *words], cwd=checkout, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout[done.stdout.index("{") :])


def median_interval(values: list[float], confidence: float = 0.95) -> tuple[float, float]:
    """Return the narrowest pair of order statistics that holds the median with this confidence at least."""
    ordered, count = sorted(values), len(values)
    for drop in range(count // 2, 0, -1):
        outside = 2 * sum(comb(count, k) for k in range(drop)) / 2**count
        if 1 - outside >= confidence:
            return ordered[drop - 1], ordered[count - drop]
    return ordered[0], ordered[-1]


if __name__ == "__main__":
    main()
