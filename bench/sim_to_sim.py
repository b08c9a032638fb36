"""A policy learnt in one simulator, run in the other: success each way, as JSON and as a picture.

For MuJoCo and for Gazebo Classic: the scripted expert shows a task on a ROS graph, a policy is trained from
the bags, and `il-ros evaluate` runs it on held-out starts in both. Needs `make gazebo`.

    python bench/sim_to_sim.py --demonstrations 20 --episodes 20 --out out/sim_to_sim
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np

from il_ros import domain
from il_ros.graph import command
from il_ros.processes import ProcessGroup
from il_ros.scenarios import SCENARIOS

SIMULATORS = ("mujoco", "gazebo_classic")
PHASE_S = 900.0


def run(folder: Path, name: str, commands: dict[str, list[str]], last: str) -> None:
    """Run processes until the `last` one has ended well."""
    with ProcessGroup(commands, folder / "log" / name, lambda *_: None) as group:
        ending = group.wait(PHASE_S)
        if (ending.name, ending.status) != (last, 0):
            raise group.failure(ending)


def show(folder: Path, simulator: str, args: argparse.Namespace) -> Path:
    patient = {"sim": {"ros__parameters": {"lockstep_timeout_s": 30.0}}}
    roomy = {"recorder": {"ros__parameters": {"min_free_bytes": 10_000_000}}}
    parameters = folder / "parameters.json"
    parameters.write_text(json.dumps({"/**": patient | roomy}))
    specs = SCENARIOS["record"].nodes(
        {
            "task": args.task,
            "simulator": simulator,
            "speed": "0",
            "cameras": "false",
            "episodes": str(args.demonstrations),
            "root": str(folder / simulator / "shown"),
            "result": str(folder / f"{simulator}_shown.json"),
            "parameters": str(parameters),
        }
    )
    run(folder, f"{simulator}_show", {spec.name: command(spec) for spec in specs}, "conductor")
    return folder / simulator / "shown"


def train(folder: Path, simulator: str, shown: Path, args: argparse.Namespace) -> Path:
    trained = folder / simulator / "trained"
    words = [sys.executable, "-m", "il_ros", "train", str(shown), "--out", str(trained)]
    run(folder, f"{simulator}_train", {"train": [*words, "--set", f"epochs={args.epochs}"]}, "train")
    return trained / "checkpoint"


def evaluate(folder: Path, checkpoint: Path, simulator: str, args: argparse.Namespace) -> dict[str, object]:
    name = f"{checkpoint.parent.parent.name}_in_{simulator}"
    result = folder / f"{name}.json"
    words = [sys.executable, "-m", "il_ros", "evaluate", str(checkpoint), "--simulator", simulator]
    words += ["--task", args.task, "--episodes", str(args.episodes), "--json", str(result)]
    run(folder, name, {"evaluate": words}, "evaluate")
    told = json.loads(result.read_text())
    return {key: told[key] for key in ("successes", "count", "rate", "interval_95")}


def draw(path: Path, table: dict[str, dict[str, dict[str, object]]]) -> None:
    from matplotlib.figure import Figure

    rates = np.array([[table[a][b]["rate"] for b in SIMULATORS] for a in SIMULATORS])
    figure = Figure(figsize=(4.2, 3.6), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(rates, vmin=0.0, vmax=1.0, cmap="RdYlGn")
    for row, column in np.ndindex(rates.shape):
        axes.text(column, row, f"{100 * rates[row, column]:.0f} %", ha="center", va="center", size=16)
    axes.set_xticks(range(2), SIMULATORS)
    axes.set_yticks(range(2), SIMULATORS, rotation=90, va="center")
    axes.set(xlabel="run in", ylabel="shown and learnt in")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--task", default="push")
    parser.add_argument("--demonstrations", type=int, default=20)
    parser.add_argument("--episodes", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--out", type=Path, default=Path("out/sim_to_sim"))
    args = parser.parse_args()
    domain.isolate()
    args.out.mkdir(parents=True, exist_ok=True)
    table: dict[str, dict[str, dict[str, object]]] = {}
    for source in SIMULATORS:
        checkpoint = train(args.out, source, show(args.out, source, args), args)
        table[source] = {target: evaluate(args.out, checkpoint, target, args) for target in SIMULATORS}
    draw(args.out / "sim_to_sim.png", table)
    settings = {"task": args.task, "demonstrations": args.demonstrations, "epochs": args.epochs}
    print(json.dumps({**settings, "learnt_in": table}, indent=1))


if __name__ == "__main__":
    main()
