"""Time from the end of a correction to the improved policy in control, and its cost to the control loop.

    python bench/swap.py [--demonstrations 30] [--corrections 4] [--folder DIR]
    python bench/swap.py --contract arm_push_images --demonstrations 50      # images

The nodes of the `dagger` scenario (simulator at speed 1, with the contract's cameras, policy server, scripted
expert, supervisor, recorder, trainer with its default recipe, conductor) run on task `push`. A first policy
is trained on the demonstrations; then expert and policy alternate at random (mode dagger, beta 0.3), so that
each episode ends with corrections. For each promoted version, in seconds: noticed  recorder wrote the
episode's last file → trainer registered it queued   → its training began (another one may have been running)
loaded   → data loaded                  trained → checkpoint written and announced gated    → promotion
decision and swap  total: from the episode's end to the swap of_the_first: the same, from the end of the
first episode that had to wait for this training commands → first decision on its proposal (the expert may be
driving, or an episode may have just begun) With `--rated N`, the first and the last version in control run N
held-out episodes afterwards. Ticks: trigger messages received by this process; missed: those without a
proposal of the policy server or without a decision of the supervisor. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
os.environ["OMP_NUM_THREADS"] = "1"
os.environ.setdefault("MUJOCO_GL", "egl")

from support.swap_events import SwapEvents

from il_ros.core import contract, share
from il_ros.core.processes.group import ProcessGroup
from il_ros.policies import checkpoint
from il_ros.policies.versions import versions
from il_ros.scenarios import SCENARIOS, domain
from il_ros.scenarios.graph import command
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.fitting import task_for
from il_ros.sim.tasks.task import task_class
from il_ros.training.evaluate import evaluate

TASK = "push"
LONGEST_S = 900.0
SHOWN, POLICIES = "shown", "policies"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--demonstrations", type=int, default=30)
    parser.add_argument("--corrections", type=int, default=4, help="episodes with corrections")
    parser.add_argument("--folder", type=Path, help="keeps all results; existing demonstrations are reused")
    parser.add_argument(
        "--contract", default=task_class(TASK).contract, help="a file, or a name in config/contracts"
    )
    parser.add_argument("--recipe", default="", help="a file, or a name in config/training")
    parser.add_argument("--warm-s", type=float, help="the trainer's parameter (default: as shipped)")
    parser.add_argument("--rated", type=int, default=0, metavar="N", help="held-out episodes of two versions")
    arguments = parser.parse_args()
    domain.isolate()
    folder = arguments.folder or Path(tempfile.mkdtemp(prefix="bench_swap_"))
    folder.mkdir(parents=True, exist_ok=True)
    own = load_contract(arguments.contract)
    prepare(folder, arguments)
    load = os.getloadavg()[0]
    observed = run_session(folder, own, arguments)
    machine = {
        "cores": len(os.sched_getaffinity(0)),
        "load_1min_before_and_after": [load, os.getloadavg()[0]],
    }
    swaps = [swap for swap in (observed.swap(name, folder / SHOWN) for name in observed.versions) if swap]
    drove = [swap for swap in swaps if swap["state"] == "active"]
    rated = [folder / POLICIES / name for name in ("v1", *(swap["version"] for swap in drove[-1:]))]
    print(
        json.dumps(
            {
                "bench": "swap",
                "machine": machine,
                "task": TASK,
                "contract": own.name,
                "demonstrations": arguments.demonstrations,
                "swaps": swaps,
                "total_s": spread(swap["total"] for swap in drove),
                "of_the_first_s": spread(swap["of_the_first"] for swap in drove),
                "ticks": observed.ticks(),
                "pauses": sum(event["event"] == "paused" for event in observed.events),
                "rated": [rate(run, arguments.rated) for run in rated if arguments.rated],
            },
            indent=1,
        )
    )


def spread(values: Iterable[float]) -> dict | None:
    """Return median and maximum; None if there are no values."""
    found = list(values)
    return {"median": round(statistics.median(found), 2), "worst": max(found)} if found else None


def load_contract(name: str) -> contract.Contract:
    """Return the contract in a file, or shipped under that name."""
    return contract.load(name if Path(name).suffix else share.path("config", "contracts", f"{name}.yaml"))


def cameras(own: contract.Contract) -> str:
    """Return the scenario's arguments: whether the simulator renders."""
    return "true" if any(spec.image for spec in own.observations) else "false"


def prepare(folder: Path, arguments: argparse.Namespace) -> None:
    """Record the demonstrations, and train the first policy as v1."""
    chosen = ["--contract", arguments.contract, "--cameras", cameras(load_contract(arguments.contract))]
    if not (folder / SHOWN).exists():
        count = ["--speed", "0", "--episodes", str(arguments.demonstrations)]
        il_ros("run", "record", "--task", TASK, *chosen, *count, "--root", str(folder / SHOWN))
    first = folder / POLICIES / "v1"
    if not first.exists():
        words = ["--out", str(first), "--version", "v1", "--recipe", arguments.recipe, "--progress", "json"]
        il_ros("train", str(folder / SHOWN), *words)


def il_ros(*words: str) -> None:
    """Run a command of the package with its output on stderr; stdout is reserved for the result."""
    subprocess.run([sys.executable, "-m", "il_ros", *words], check=True, stdout=sys.stderr)


def rate(run: Path, episodes: int) -> dict:
    """Return a version's success in held-out episodes."""
    policy = checkpoint.load(run)
    score = evaluate(
        policy,
        policy.contract,
        task_for(TASK, policy.contract),
        range(HELD_OUT_SEED, HELD_OUT_SEED + episodes),
    )
    interval = [round(bound, 3) for bound in score.interval]
    return {
        "version": run.name,
        "successes": score.successes,
        "episodes": episodes,
        "interval_95": interval,
    }


def run_session(folder: Path, own: contract.Contract, arguments: argparse.Namespace) -> SwapEvents:
    """Run the scenario until its episodes are finished and the last one has been trained on."""
    policies = folder / POLICIES
    specs = SCENARIOS["dagger"].nodes(
        {
            "task": TASK,
            "contract": arguments.contract,
            "recipe": arguments.recipe,
            "mode": "dagger",
            "session": "false",
            "beta": "constant:0.3",
            "root": str(folder / SHOWN),
            "policies": str(policies),
            "checkpoint": str(versions(policies)[-1]),
            "episodes": str(arguments.corrections),
            "seed": "500",
            "cameras": cameras(own),
            "result": str(folder / "corrections.json"),
        }
    )
    if arguments.warm_s is not None:
        specs = [
            replace(spec, parameters={**spec.parameters, "warm_s": arguments.warm_s})
            if spec.name == "trainer"
            else spec
            for spec in specs
        ]
    specs = [spec for spec in specs if spec.name != "conductor"] + [
        spec for spec in specs if spec.name == "conductor"
    ]
    observed = SwapEvents(own)
    with ProcessGroup({spec.name: command(spec) for spec in specs}, folder / "log", lambda *_: None) as group:
        observed.start()
        try:
            wait_for_end(group, observed)
        finally:
            observed.stop()
    return observed


def wait_for_end(group: ProcessGroup, observed: SwapEvents) -> None:
    """Return when the conductor has finished and the promotion decision on its data is made."""
    ending = group.wait(LONGEST_S)
    if ending.name != "conductor" or ending.status != 0:
        raise group.failure(ending)
    end_s = time.monotonic() + 300
    while time.monotonic() < end_s:
        time.sleep(2.0)  # the trainer may not have found the last episode yet
        began = {event["version"] for event in observed.events if event["event"] == "began"}
        over = {v["version"] for v in observed.verdicts}
        failed = any(event["event"] == "failed" for event in observed.events)
        if began <= over or failed:
            return


if __name__ == "__main__":
    main()
