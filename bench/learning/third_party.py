"""Cloning on Gymnasium's own tasks: one default for all, beside the textbook learner, on the same bags.

For each task and seed: demonstrations of the task's expert (`third_party_tasks.py`), recorded as bags by
`RecordEpisodes`; each learner trains on them; each policy is tried from the same held-out starts. `textbook`: a
perceptron 256x256 on standardised inputs, squared error, Adam at 1e-3 falling to 0 along a cosine, 4,000 steps of 256.
Other learners are recipes: `auto`, `ensemble`, or with changes `bc_mlp:loss=mse:batch_size=256`. What `--out` has
already is not measured again.

A score is in points: 0 is the mean return of random actions, 100 that of the expert, from the same starts. The table
has each task's difference to the first learner, paired by seed and start, with a 95 % interval (bootstrap over seeds
and starts). A task counts as worse when the difference is below -10 points.

    python bench/learning/third_party.py --out third_party.jsonl               # all; hours on one core
    python bench/learning/third_party.py --only Pendulum-v1 --seeds 1 --starts 20
    python bench/learning/third_party.py --table third_party.jsonl             # the table of what was measured
"""

import argparse
import contextlib
import os
import tempfile
import time
import warnings
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
from rows import Rows, read_lines, settings_of, show_each
from third_party_tasks import third_party_tasks
from torch import nn

from il_ros.envs.leaves import to_action
from il_ros.envs.record_episodes import RecordEpisodes
from il_ros.sim import HELD_OUT_SEED
from il_ros.training.run import train
from il_ros.training.trainer.opening import opened
from il_ros.training.trainer.plans import TrainingPlan

TEXTBOOK, RANDOM, EXPERT = "textbook", "random", "expert"
STEPS, BATCH = 4000, 256
WORSE = -10.0
RESAMPLES = 2000


def record(task, root, seed, count):
    """Record demonstrations as a user would."""
    with RecordEpisodes(task.make(), root) as env:
        for number in range(count):
            seen, _ = env.reset(seed=1000 * seed + number)
            ended = False
            while not ended:
                seen, _, terminated, truncated, _ = env.step(task.act(seen))
                ended = terminated or truncated
        return env.contract


def textbook(episodes, seed):
    """Return a function from an observation to the action's numbers, and the seconds of its training."""
    torch.manual_seed(seed)
    seen = np.concatenate([episode.observations["observation"] for episode in episodes])
    done = np.concatenate([episode.commands for episode in episodes])
    centre, scale = seen.mean(0), np.maximum(seen.std(0), 1e-6)
    inputs = torch.tensor((seen - centre) / scale, dtype=torch.float32)
    targets = torch.tensor(done, dtype=torch.float32)
    layers = [nn.Linear(inputs.shape[1], 256), nn.ReLU(), nn.Linear(256, 256), nn.ReLU()]
    network = nn.Sequential(*layers, nn.Linear(256, targets.shape[1]))
    optimiser = torch.optim.Adam(network.parameters(), 1e-3)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, STEPS)
    for _ in range(STEPS):
        rows = torch.randint(len(inputs), (BATCH,))
        loss = (network(inputs[rows]) - targets[rows]).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()

    weights = [(layer.weight.detach().numpy(), layer.bias.detach().numpy()) for layer in list(network)[::2]]

    def act(observation):
        hidden = ((observation - centre) / scale).astype(np.float32)
        for number, (weight, bias) in enumerate(weights):
            hidden = weight @ hidden + bias
            if number < 2:
                hidden = np.maximum(hidden, 0)
        return hidden.astype(np.float64)

    return lambda: act


def by_recipe(text, root, seed):
    """Return the policy of `il-ros train` with a recipe and changes, such as bc_mlp:loss=mse."""
    name, *changes = text.split(":")
    plan = TrainingPlan(root, root.parent / "unused", recipe=name, changes=(*changes, f"seed={seed}"))
    dataset, recipe = opened(plan)
    with tempfile.TemporaryDirectory() as folder:
        policy = train(dataset, recipe, Path(folder)).policy

    def begin():
        act = policy.in_episode()
        return lambda observation: act({"observation": observation})[0]

    return begin, recipe.reason


def tried(task, own, begin, seeds):
    """Return the return from each start; `begin` returns the policy of an episode, None: random actions."""
    env, returns = task.make(), []
    slices = own.action_slices
    bounds = [
        np.concatenate([getattr(each.limits, part) for each in own.actions]) for part in ("lower", "upper")
    ]
    choice = {each.key for each in own.actions if each.quantity == "choice"}
    low, high = bounds
    for seed in seeds:
        seen, _ = env.reset(seed=seed)
        env.action_space.seed(seed)
        act, total, ended = begin() if begin is not None else None, 0.0, False
        while not ended:
            if act is None:
                action = env.action_space.sample()
            else:
                numbers = act(np.asarray(seen, dtype=np.float64).ravel())
                clipped = np.clip(numbers, low, high)
                parts = {key: (numbers if key in choice else clipped)[part] for key, part in slices.items()}
                action = to_action(env.action_space, parts)
            seen, reward, terminated, truncated, _ = env.step(action)
            total += float(reward)
            ended = terminated or truncated
        returns.append(round(total, 3))
    return returns


def expert_returns(task, seeds):
    """Return the expert's returns; its actions are the environment's own."""
    env, returns = task.make(), []
    for seed in seeds:
        seen, _ = env.reset(seed=seed)
        total, ended = 0.0, False
        while not ended:
            seen, reward, terminated, truncated, _ = env.step(task.act(seen))
            total += float(reward)
            ended = terminated or truncated
        returns.append(round(total, 3))
    return returns


def keys_of(task, seed, args):
    """Return the keys of the rows of one task and training seed; those of EXPERT and RANDOM have no seed."""
    others = ("seeds", "first_seed", "demonstrations", "learners", "only", "out", "table")
    common = {"task": task.name, "settings": settings_of(args, others)}
    own = {"seed": seed, "demonstrations": args.demonstrations or task.demonstrations}
    return [
        *({**common, "learner": learner} for learner in (EXPERT, RANDOM)),
        *({**common, **own, "learner": learner} for learner in args.learners.split(";")),
    ]


def measured(task, seed, keys, args):
    """Yield (key, what was measured) for these keys of one task and training seed."""
    count = args.demonstrations or task.demonstrations
    starts = range(HELD_OUT_SEED, HELD_OUT_SEED + args.starts)
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "episodes"
        own = record(task, root, seed, count)
        for key in keys:
            learner = key["learner"]
            if learner == EXPERT:
                yield key, {"returns": expert_returns(task, starts)}
                continue
            if learner == RANDOM:
                yield key, {"returns": tried(task, own, None, starts)}
                continue
            started_s = time.monotonic()
            why = ""
            if learner == TEXTBOOK:
                dataset, _ = opened(TrainingPlan(root, root.parent / "unused", changes=("validation=0.0",)))
                begin = textbook(dataset.train, seed)
            else:
                begin, why = by_recipe(learner, root, seed)
            trained_s = time.monotonic()
            returns = tried(task, own, begin, starts)
            yield (
                key,
                {
                    "returns": returns,
                    "why": why,
                    "load": os.getloadavg()[0],
                    "train_s": round(trained_s - started_s, 1),
                    "try_s": round(time.monotonic() - trained_s, 1),
                },
            )


def points(rows):
    """Return points (starts,) by (task, demonstrations), learner and seed."""
    found = {}
    for task in dict.fromkeys(row["task"] for row in rows):
        some = [row for row in rows if row["task"] == task]
        of = {
            name: np.mean(next(r["returns"] for r in some if r["learner"] == name))
            for name in (EXPERT, RANDOM)
        }
        for row in some:
            if row["learner"] not in of:
                scores = 100 * (np.array(row["returns"]) - of[RANDOM]) / (of[EXPERT] - of[RANDOM])
                cell = found.setdefault((task, row["demonstrations"]), {})
                cell.setdefault(row["learner"], {})[row["seed"]] = scores
    return found


def interval(difference, rng):
    """Return the 95 % bootstrap interval of the mean of (seeds, starts), over seeds and starts."""
    seeds, starts = difference.shape
    means = [
        difference[rng.integers(seeds, size=seeds)][:, rng.integers(starts, size=starts)].mean()
        for _ in range(RESAMPLES)
    ]
    return np.quantile(means, (0.025, 0.975))


def show(rows):
    """Print the table: mean points by task and learner, and differences to the first learner on the same seeds."""
    found = points(rows)
    learners = list(dict.fromkeys(name for each in found.values() for name in each))
    first, rng = learners[0], np.random.default_rng(0)
    print(
        f"| task | shown | seeds | {' | '.join(learners)} | "
        + " | ".join(f"{name} - {first}" for name in learners[1:])
        + " |"
    )
    print("|---" * (2 * len(learners) + 2) + "|")
    means = {name: [] for name in learners}
    for (task, count), each in found.items():
        cells = [str(count), str(max(len(seeds) for seeds in each.values()))]
        for name in learners:
            if name in each:
                means[name].append(np.mean(list(each[name].values())))
            cells.append(f"{means[name][-1]:.1f}" if name in each else "")
        for name in learners[1:]:
            common = sorted(each.get(name, {}).keys() & each.get(first, {}).keys())
            if not common:
                cells.append("")
                continue
            difference = np.array([each[name][seed] - each[first][seed] for seed in common])
            low, high = interval(difference, rng)
            worse = " worse" if difference.mean() < WORSE else ""
            cells.append(f"{difference.mean():+.1f} ({low:+.1f} to {high:+.1f}){worse}")
        print(f"| {task} | {' | '.join(cells)} |")
    row = " | ".join(f"{np.mean(means[name]):.1f}" for name in learners)
    print(f"| mean | | | {row} |" + " |" * (len(learners) - 1))


def main():
    tasks = third_party_tasks()
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--starts", type=int, default=100, help="held-out starts of each policy")
    parser.add_argument("--demonstrations", type=int, default=0, help="default: each task's own number, 10")
    parser.add_argument(
        "--learners", default=f"{TEXTBOOK};auto", help="separated by semicolons; the first is compared with"
    )
    parser.add_argument("--only", default="", help=f"tasks, separated by commas: {', '.join(tasks)}")
    parser.add_argument(
        "--out", type=Path, help="a file to which a JSON line is added for each learner and seed"
    )
    parser.add_argument("--table", type=Path, nargs="+", help="only print the table of these files")
    args = parser.parse_args()
    if args.table:
        show_each(read_lines(args.table), show)
        return
    unknown = set(filter(None, args.only.split(","))) - set(tasks)
    if unknown:
        raise SystemExit(f"--only: no such task: {', '.join(sorted(unknown))}; there are: {', '.join(tasks)}")
    warnings.filterwarnings("ignore", module="gymnasium")
    rows = Rows("third_party", args.out)
    for seed in range(args.first_seed, args.first_seed + args.seeds):
        for name in args.only.split(",") if args.only else tasks:
            if keys := rows.missing(keys_of(tasks[name], seed, args)):
                for key, found in measured(tasks[name], seed, keys, args):
                    rows.add(key, found, returns=None, mean=round(float(np.mean(found["returns"])), 1))
    show_each(rows.rows, show)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
