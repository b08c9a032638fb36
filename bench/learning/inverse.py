"""Behaviour cloning of demonstrations without actions, which an inverse model labels, beside the true actions.

For each task and seed: `--demonstrations` episodes of the scripted expert are recorded, and copied without commands and
decisions. The inverse model learns from the robot's own driving: first of a policy from `--first` other demonstrations,
half of the episodes with noise on its commands; then, for `--rounds`, of the policy that was cloned from the labels so
far. The policies learn from the same episodes with the same recipe and are tried from the same starts. Everything goes
through bags. Prints one JSON line per seed, and one per task. What `--out` has already is not measured again.

`perfect`, of an arm, learns from what a perfect inverse model would say: the commands that moved the arm, with the
disturbance that the simulator adds to the true ones (`il_ros/sim/tasks/wobble.py`) and that nothing measures.
"""

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")

import numpy as np
from rows import Rows, by_settings, settings_of

from il_ros.core import contract as contracts
from il_ros.episodes import inferred_labels, layout
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.bag.writer import BagWriter
from il_ros.episodes.catalogue import scan
from il_ros.interactive.dagger.in_process import TaskEpisodes, demonstrate
from il_ros.records.comparison import PairedComparison
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.tasks.task import make_task, task_class
from il_ros.sim.tasks.wobble import Wobble
from il_ros.training import recipe as recipes
from il_ros.training.evaluate import evaluate
from il_ros.training.inverse.labels import infer
from il_ros.training.run import train

FIRST_SEED, DRIVING_SEED = 800_000, 200_000
POLICIES = ("true", "inferred", "perfect", "first")
MEASURED = {"push": ("joints", "object"), "drive": ("odom",), "reach": ("joints",)}
"""What the inverse model observes of each task: what shows motion. Policies observe what they do otherwise."""
ODOMETRY = "  odom: {topic: odom, type: nav_msgs/msg/Odometry, fields: [linear, angular], max_age_s: 0.1}\n"


class Explorer:
    """A policy whose commands have smooth noise in every second episode: a share of their range, 0.25 s long."""

    def __init__(self, policy, own, share, rng):
        bounds = [action.limits.arrays()[:2] for action in own.actions]
        self._lower, self._upper = (np.concatenate(part) for part in zip(*bounds, strict=True))
        self._scale = share * np.minimum(self._upper - self._lower, 2.0)
        self._policy, self._rng, self._episodes = policy, rng, 0

    def begin(self):
        """Begin an episode."""
        self._noise = np.zeros(len(self._scale))
        self._act = self._policy.in_episode()
        self._episodes += 1

    def act(self, observation):
        """Return the policy's first step with noise (1, A)."""
        drawn = self._rng.standard_normal(len(self._scale))
        self._noise = 0.8 * self._noise + 0.6 * self._scale * drawn * (self._episodes % 2)
        return np.clip(self._act(observation)[:1] + self._noise, self._lower, self._upper)


class Disturbed:
    """An expert, and the disturbances (T, 6) of the arm's joints in each of its episodes, in rad."""

    def __init__(self, expert, task):
        self._expert, self._task, self.episodes = expert, task, []
        self._period_s = task.control_period_ns * 1e-9

    def act(self, observation):
        """Return the expert's proposal."""
        *_, step = state = self._task.state()
        wobble = Wobble(np.random.default_rng(0))
        wobble.phases = state[-1 - wobble.phases.size : -1].reshape(wobble.phases.shape)
        if step == 0:
            self.episodes.append([])
        self.episodes[-1].append(wobble.at(step * self._period_s))
        return self._expert.act(observation)


def write_perfect(root, watched, shown, own, disturbances):
    """Copy the `watched` episodes to `root`, with the commands that moved the arm as labels."""
    shutil.copytree(watched, root)
    arm = own.action_slices[own.actions[0].key]
    truth = {each.name: each for each in Dataset.open(shown, own, validation=0.0).train}
    for entry in scan(root).usable:
        true = truth[entry.name]
        moved, wobble = true.commands.copy(), np.array(disturbances[entry.name])
        steps = np.round((true.ticks_ns - true.ticks_ns[0]) / own.period_ns).astype(int)
        moved[:, arm] += wobble[steps]
        labels = inferred_labels.InferredLabels("perfect", tuple(own.action_names), true.ticks_ns, moved)
        inferred_labels.write(entry.folder, labels)


def record(root, task, own, expert, seeds):
    """Record an episode for each seed; return the folders."""
    run = TaskEpisodes(task, own, root, hold_s=0.5)
    for seed in seeds:
        if isinstance(expert, Explorer):
            expert.begin()
        list(demonstrate(run, expert, [seed]))
    return run.folders


def without_actions(source, target):
    """Copy the successful episodes without their commands and decisions."""
    for entry in scan(source).usable:
        if entry.outcome != "success":
            continue
        folder, bag = target / entry.name, open_bag(entry.folder)
        commanded = {entry.info.topics[action.topic] for action in own_of(entry).actions}
        kept = {name: topic for name, topic in bag.topics.items() if name not in commanded}
        kept.pop(entry.info.decision_topic)
        with BagWriter(folder) as out:
            numbers = {name: out.add_stream(name, topic.type) for name, topic in kept.items()}
            for item in bag.messages(set(kept)):
                out.write(numbers[item.topic], item.log_ns, bytes(item.raw))
        shutil.copy(entry.folder / layout.INFO_FILE, folder)


def contract_of(task_name):
    """Return the task's contract; that of `drive` with odometry."""
    own = contracts.find(task_class(task_name).contract)
    if task_name != "drive":
        return own
    return contracts.parse(own.text.replace("\nactions:", f"\n{ODOMETRY}\nactions:"), "drive.yaml")


def own_of(entry):
    return contracts.parse(entry.info.contract_text, entry.name)


def learnt(root, own, place, name, seed, changes):
    recipe = recipes.load(name, (f"seed={seed}", *changes))
    settings = recipe.policy
    dataset = Dataset.open(
        root, own, validation=recipe.training.validation, history=settings.history, rule=settings.rule
    )
    return train(dataset, recipe, place, version=place.name).policy


def measured(task_name, seed, args):
    task, own = make_task(task_name), contract_of(task_name)
    seen = [spec.key for spec in own.observations if spec.key != "odom"]
    cloned = (args.recipe, seed, (f"inputs={seen}".replace("'", ""), *args.policy_set))
    inverted = ("inverse", seed, (f"inputs=[{', '.join(MEASURED[task_name])}]", *args.set))
    expert, rng = make_expert(task_name), np.random.default_rng(seed)
    began_s = time.monotonic()
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        first = 10_000 * seed
        shower = expert if task_name == "drive" else Disturbed(expert, task)
        folders = record(root / "shown", task, own, shower, range(first, first + args.demonstrations))
        record(root / "first", task, own, expert, range(FIRST_SEED + first, FIRST_SEED + first + args.first))
        without_actions(root / "shown", root / "watched")
        for entry in scan(root / "shown").usable:  # both learn from the same episodes
            if entry.outcome != "success":
                shutil.rmtree(entry.folder)
        first_policy = driver = learnt(root / "first", own, root / "v0", *cloned)
        driven = 0
        for number in range(1, args.rounds + 1):
            count = args.experience if number == 1 else args.more
            explorer = Explorer(driver, own, args.noise, rng)
            start = DRIVING_SEED + first + driven
            record(root / "driven", task, own, explorer, range(start, start + count))
            driven += count
            inverse = learnt(root / "driven", own, root / f"inverse{number}", *inverted)
            for entry in scan(root / "watched").usable:
                inferred_labels.write(entry.folder, infer(inverse, entry).labels)
            driver = learnt(root / "watched", own, root / f"v{number}", *cloned)
        apart = error(root / "watched", root / "shown", own)
        policies = {
            "true": learnt(root / "shown", own, root / "true", *cloned),
            "inferred": driver,
            "first": first_policy,
        }
        if shower is not expert:
            strays = dict(zip((folder.name for folder in folders), shower.episodes, strict=True))
            write_perfect(root / "seen", root / "watched", root / "shown", own, strays)
            policies["perfect"] = learnt(root / "seen", own, root / "perfect", *cloned)
        starts = range(HELD_OUT_SEED, HELD_OUT_SEED + args.episodes)
        scores = {name: evaluate(policy, own, task, starts) for name, policy in policies.items()}
    return {
        "driven_episodes": driven,
        "label_error": [round(each, 4) for each in apart],
        **{name: [int(episode.success) for episode in score.episodes] for name, score in scores.items()},
        "load": round(os.getloadavg()[0], 1),
        "seconds": round(time.monotonic() - began_s),
    }


def error(watched, shown, own):
    """Return the mean absolute error of the labels of each action element."""
    parts = []
    truth = {each.name: each for each in Dataset.open(shown, own, validation=0.0).train}
    for each in Dataset.open(watched, own, validation=0.0).train:
        _, here, there = np.intersect1d(each.ticks_ns, truth[each.name].ticks_ns, return_indices=True)
        parts.append(np.abs(each.commands[here] - truth[each.name].commands[there]))
    return np.concatenate(parts).mean(axis=0).tolist()


def show(rows):
    """Print the pooled success of each policy, and the paired comparison, for each kind of settings."""
    for differs, runs in by_settings(rows):
        names = [name for name in POLICIES if all(name in run for run in runs)]
        pooled = {name: [each for run in runs for each in run[name]] for name in names}
        pairs = zip(pooled["true"], pooled["inferred"], strict=True)
        compared = PairedComparison.of("true", "inferred", pairs)
        line = {"bench": "inverse", "task": runs[0]["task"], **({"settings": differs} if differs else {})}
        for name, results in pooled.items():
            low, high = success_interval(sum(results), len(results))
            line[name] = [round(sum(results) / len(results), 3), round(low, 3), round(high, 3)]
        line |= {"wins": compared.wins, "losses": compared.losses, "p": round(compared.p_value, 3)}
        print(json.dumps(line), flush=True)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--tasks", default="push,drive,reach")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--demonstrations", type=int, default=30, help="without actions")
    parser.add_argument("--first", type=int, default=5, help="demonstrations of the first driving policy")
    parser.add_argument("--experience", type=int, default=30, help="episodes that it drives")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--more", type=int, default=20, help="episodes driven in each further round")
    parser.add_argument("--noise", type=float, default=0.01, help="share of the commands' range")
    parser.add_argument("--episodes", type=int, default=50, help="trials of each policy")
    parser.add_argument("--recipe", default="bc_mlp", help="of all policies")
    parser.add_argument("--policy-set", action="append", default=[], metavar="KEY=VALUE", help="of policies")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="of inverse models")
    parser.add_argument("--out", type=Path, help="a file to which a JSON line is added for each seed")
    args = parser.parse_args()
    rows = Rows("inverse", args.out)
    settings = settings_of(args, ("tasks", "seeds", "first_seed", "out"))
    for task in args.tasks.split(","):
        for seed in range(args.first_seed, args.first_seed + args.seeds):
            for key in rows.missing([{"task": task, "seed": seed, "settings": settings}]):
                found = measured(task, seed, args)
                rows.add(
                    key,
                    found,
                    to=sys.stdout,
                    **{name: sum(found[name]) for name in POLICIES if name in found},
                )
        show([row for row in rows.rows if row["task"] == task])
    return 0


if __name__ == "__main__":
    sys.exit(main())
