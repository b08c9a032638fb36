"""Own steps on a running ROS graph: adversarial imitation, and a clone that goes on by reinforcement, through `RosEnv`.

The scripted expert shows some episodes in the chosen simulator, from which the actor is cloned, for a few passes only,
so that something is left to learn. Each method then begins with the clone and acts on the graph of `il-ros run env` in
lockstep: supervisor, limiter and simulator are processes of their own. With `--corrected` a simulated person takes over
in the first own episodes where the learner goes wrong. Success before and after is that of the same held-out starts on
the graph. What is trained is what `il-ros train --environment graph` trains. Prints one JSON line.
`--simulator in_process` runs the same without a graph, in MuJoCo.
"""

import argparse
import json
import os
import tempfile
import time
from contextlib import ExitStack, closing
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

from bc_rl import corrector, demonstrations, task_contract
from tqdm import tqdm

from il_ros.core.processes.group import ProcessGroup
from il_ros.envs.tasks import make_any_task
from il_ros.nodes.env.learning import GraphEnvironments
from il_ros.nodes.env.ros_env import RosEnv
from il_ros.rl import recipe as recipes
from il_ros.rl.run import train
from il_ros.rl.steps.environments import Environments
from il_ros.scenarios import SCENARIOS
from il_ros.scenarios.graph import command
from il_ros.training import recipe as cloning
from il_ros.training.run import train as train_clone

FINAL_SEED = 90_000
IN_PROCESS = "in_process"
METHODS = ("gail", "residual", "bc_rl", "ibrl", "rlpd")


def environments_of(args, data, limit_s, place, stack):
    """Return the graph, which `stack` ends, or the task in this process; and who corrects there."""
    contract = data.contract
    person = corrector(data, args.task, args.corrected) if args.corrected else None
    if args.simulator == IN_PROCESS:
        made = Environments(
            args.task,
            contract,
            lambda: make_any_task(args.task, contract)[0],
            1,
            person and (lambda _: person),
        )
        return stack.enter_context(closing(made)), person
    file = place / "contract.yaml"
    file.write_text(contract.text)
    given = {
        "task": args.task,
        "contract": str(file),
        "simulator": args.simulator,
        "speed": "0",
        "cameras": "false",
    }
    specs = SCENARIOS["env"].nodes(given)
    stack.enter_context(ProcessGroup({spec.name: command(spec) for spec in specs}, place / "logs", print))
    env = RosEnv(contract, timeout_s=args.timeout, time_limit_s=limit_s)
    return stack.enter_context(closing(GraphEnvironments(env, args.task, person))), person


def one_method(args, method, data, clone, environments, person, place):
    changes = [f"steps={args.steps}", f"every={args.every}", f"tests={args.tests}", "random_steps=0"]
    changes += [f"frozen_steps={args.frozen}", f"seed={args.seed}", *args.set]
    recipe = recipes.load(method, changes).going_on_from(clone, changes)
    starts = range(FINAL_SEED, FINAL_SEED + args.held_out)
    began_s = time.monotonic()
    before = environments.evaluated(clone, starts)
    tested_s = time.monotonic()
    bar = tqdm(total=args.steps, desc=method, leave=False, disable=None)

    def on_step(progress):
        bar.update()
        return True

    outcome = train(data, recipe, place / method, environments, start=clone, on_step=on_step)
    bar.close()
    trained_s = time.monotonic()
    after = environments.evaluated(outcome.policy, starts)
    return {
        "method": method,
        "own_steps": args.steps,
        "episodes": outcome.scores[-1].episodes,
        "before": [before.successes, args.held_out],
        "after": [after.successes, args.held_out],
        "takeovers": person.takeovers if person else 0,
        "ticks_driven_by_person": person.ticks if person else 0,
        "served_from_step": outcome.policy.metrics["own_steps"],
        "curve": [(score.step, score.success, score.verdict) for score in outcome.scores],
        "train_s": round(trained_s - tested_s, 1),
        "tests_s": round(tested_s - began_s + time.monotonic() - trained_s, 1),
        "load": os.getloadavg()[0],
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="reach")
    parser.add_argument("--simulator", default="gazebo_classic", help=f"mujoco, gazebo_classic, {IN_PROCESS}")
    parser.add_argument("--methods", default="gail,residual", help=f"of {', '.join(METHODS)}")
    parser.add_argument("--demonstrations", type=int, default=10)
    parser.add_argument("--clone-epochs", type=int, default=20, help="passes of the clone over them")
    parser.add_argument("--steps", type=int, default=3000, help="own steps")
    parser.add_argument("--frozen", type=int, default=500, help="of them, in which only the critics learn")
    parser.add_argument("--every", type=int, default=1000, help="own steps between evaluations")
    parser.add_argument("--tests", type=int, default=20, help="episodes of an evaluation")
    parser.add_argument("--held-out", type=int, default=20, help="episodes before and after")
    parser.add_argument(
        "--corrected", type=int, default=0, help="own episodes that a simulated person corrects"
    )
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--timeout", type=float, default=120.0, help="of the graph's answers, in seconds")
    parser.add_argument("--delta", action="store_true", help="actions are differences to the measured joints")
    parser.add_argument("--clone", action="append", default=[], help="a change of the clone's recipe")
    parser.add_argument("--set", action="append", default=[], help="a change of the recipes; may be repeated")
    args = parser.parse_args()
    contract = task_contract(args.task, delta=args.delta)
    simulator = "mujoco" if args.simulator == IN_PROCESS else args.simulator
    rows = []
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        place = Path(folder)
        with closing(make_any_task(args.task, contract, simulator)[0]) as task:
            data, _ = demonstrations(place / "episodes", task, contract, args.demonstrations, 0.0, args.seed)
            limit_s = task.time_limit_s
        changes = [f"seed={args.seed}", "validation=0", f"epochs={args.clone_epochs}", *args.clone]
        clone = train_clone(data, cloning.load("actor", changes), place / "clone").policy
        environments, person = environments_of(args, data, limit_s, place, stack)
        for method in args.methods.split(","):
            rows.append(one_method(args, method, data, clone, environments, person, place))
            print(json.dumps(rows[-1]), flush=True)
    print(json.dumps({"bench": "graph", "task": args.task, "simulator": args.simulator, "rows": rows}))


if __name__ == "__main__":
    main()
