"""Open-loop comparison of MuJoCo and Gazebo: differences of arm and object. JSON on standard output.

    python bench/open_loop.py [--task push] [--episodes 10]

The scripted expert's commands from MuJoCo are replayed in both simulators (`make gazebo`) without feedback.
`free`: until the object moves in MuJoCo; `touching`: from then on. Largest differences over all episodes of
each joint (mrad) and of the tip (mm); mean and spread of the object's final position, along and across its
path in MuJoCo (mm); and the expert's own closed-loop time in each (ticks).
"""

import argparse
import json
import os
from contextlib import closing

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np

from il_ros.core import contract
from il_ros.sim.experts import make_expert
from il_ros.sim.lockstep import command_messages
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.task import make_task, task_class

MOVED_M = 1e-3
HOLD_S = 0.5


def replayed(task, terms, seed, commands):
    """Return (T + 1, 13): joints, tip, object and its yaw before each command and after the last."""
    task.reset(seed)
    rows = [look(task.scene)]
    for command in commands:
        task.step(command_messages(terms, command, task.time_ns))
        rows.append(look(task.scene))
    return np.array(rows)


def look(scene):
    w, x, y, z = scene.object_quaternion
    turn = np.arctan2(2 * (w * z + x * y), 1 - 2 * (y * y + z * z))
    return np.array([*scene.joints.position[:6], *scene.tip_m, *scene.object_m, turn])


def differences(here, there):
    """Compare one episode: `there` minus `here`."""
    apart = there - here
    free = np.linalg.norm(here[:, 9:11] - here[0, 9:11], axis=1) < MOVED_M
    way = here[-1, 9:11] - here[0, 9:11]
    along = way / max(np.linalg.norm(way), MOVED_M)
    ended = apart[-1, 9:11]
    found = {
        "object_along_mm": 1e3 * (ended @ along),
        "object_aside_mm": 1e3 * (along[0] * ended[1] - along[1] * ended[0]),
        "object_turn_deg": float(np.degrees(apart[-1, 12])),
    }
    for name, some in (("free", apart[free]), ("touching", apart[~free])):
        found[f"joints_{name}_mrad"] = 1e3 * np.abs(some[:, :6]).max(axis=0, initial=0.0)
        found[f"tip_{name}_mm"] = 1e3 * np.linalg.norm(some[:, 6:9], axis=1).max(initial=0.0)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--task", default="push", choices=("push", "pick_place"))
    parser.add_argument("--episodes", type=int, default=10)
    args = parser.parse_args()
    terms = contract.find(task_class(args.task).contract)
    expert, found, ticks, done = make_expert(args.task), [], [[], []], [0, 0]
    with (
        closing(make_task(args.task)) as here,
        closing(make_task(args.task, simulator="gazebo_classic")) as there,
    ):
        for seed in range(args.episodes):
            runs = [rollout(task, expert.act, terms, seed, hold_s=HOLD_S) for task in (here, there)]
            for k, run in enumerate(runs):
                ticks[k].append(run.steps)
                done[k] += run.success
            commands = runs[0].actions
            found.append(differences(*(replayed(task, terms, seed, commands) for task in (here, there))))
    report = {"bench": "open_loop", "task": args.task, "episodes": args.episodes}
    for name in found[0]:
        values = np.array([each[name] for each in found])
        if name.startswith("object"):
            report[name] = {"mean": round(values.mean(), 1), "deviation": round(values.std(), 1)}
        else:
            report[name] = np.round(values.max(axis=0), 1).tolist()
    for k, name in enumerate(("mujoco", "gazebo_classic")):
        report[f"expert_in_{name}"] = {"successes": done[k], "mean_ticks": round(np.mean(ticks[k]), 1)}
    print(json.dumps(report))


if __name__ == "__main__":
    main()
