"""Three human-like styles in one data set of `push`: does `moe` keep them apart, and can each be asked for?

Styles: from above, as the task's expert; from the left or from the right, where the hand descends beside the block's
rear and slides in behind it. An episode's style is on which side the hand is when it first comes down. `auto` is what
`il-ros train` chooses by itself. `words` is told the style of each demonstration (`film`), and asked for one in each
trial. One JSON line per family and seed; what `--out` has already is not measured again.

    python bench/learning/styles.py --out styles.jsonl
"""

import argparse
import dataclasses
import os
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from learning_bc import contract_of, dataset, demonstrations
from rows import Rows, settings_of

from il_ros.core import contract as contracts
from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.experts.motion import command, measured, step_rise, toward
from il_ros.sim.experts.push import BEHIND_M, HIGH_M, LOW_M, OPENING_M
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.kinematics import forward
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.run import train

STYLES = {"left": 1.0, "above": 0.0, "right": -1.0}
BESIDE_M = 0.07
"""Distance beside the block's rear at which the hand comes down."""
DOWN_M = LOW_M + 0.03
"""Height at which the hand counts as down."""
STEPS, BATCH = 6000, 256
WORDS = "words"
FAMILIES = {
    "moe": ("moe", (f"batch_size={BATCH}", "learning_rate=0.001", "still_every=1", "horizon=16")),
    "deterministic": (
        "bc_mlp",
        (f"batch_size={BATCH}", "learning_rate=0.001", "still_every=1", "horizon=16", "loss=mse"),
    ),
    "auto": (recipes.AUTO, ()),
    WORDS: ("film", (f"batch_size={BATCH}", "learning_rate=0.001", "still_every=1", "horizon=16")),
}
INSTRUCTION = "  instruction: {topic: instruction, type: std_msgs/msg/String, max_age_s: 1.0}\n"


class StyledExpert:
    """The expert of `push`, whose hand comes down at a side of the block's rear: 1 left, -1 right, 0 above."""

    def __init__(self, side):
        self._side, self._expert = side, make_expert("push")

    def act(self, observation):
        """Return the proposal (1, 7)."""
        joints, tip, _ = measured(observation)
        block, left = beside(observation)
        way = np.array([left[1], -left[0]])
        aside, high = float((tip[:2] - block) @ left), tip[2] > DOWN_M
        along = float((tip[:2] - block) @ way)
        if not self._side or (not high and abs(aside) < 0.015) or along > 0:
            return self._expert.act(observation)
        behind = block - BEHIND_M * way
        wanted = behind + self._side * BESIDE_M * left if high else behind
        near = step_rise(float(np.linalg.norm(wanted - tip[:2])), 0.04, 0.015) if high else 1.0
        height = LOW_M + (1.0 - near) * (HIGH_M - LOW_M)
        rise = toward(np.array([height - tip[2]]), gain=5.0, speed=0.25)
        velocity = np.concatenate([toward(wanted - tip[:2], gain=4.0, speed=0.25), rise])
        yaw = (np.arctan2(way[1], way[0]) + np.pi / 2) % np.pi - np.pi / 2
        return command(joints, velocity, yaw_rad=float(yaw), opening_m=OPENING_M)


def beside(observation):
    """Return the block (2,), and the direction to the left of the push (2,)."""
    block, goal = observation["object"][:2], observation["goal"][:2]
    way = (goal - block) / max(float(np.linalg.norm(goal - block)), 1e-6)
    return block, np.array([-way[1], way[0]])


def style_of(observations):
    """Return the style of an episode, "" where the hand does not come down."""
    for row, joints in enumerate(observations["joints"]):
        tip = forward(np.asarray(joints[:6], dtype=float))[0]
        if tip[2] < DOWN_M:
            block, left = beside({key: values[row] for key, values in observations.items()})
            aside = float((tip[:2] - block) @ left)
            return "above" if abs(aside) < BESIDE_M / 2 else "left" if aside > 0 else "right"
    return ""


def shown_of(own, task, count, seed):
    """Return `count` demonstrations, in which the styles are drawn by lot."""
    rng, found, start = np.random.default_rng(seed), [], 1000 * seed
    while len(found) < count:
        side = STYLES[rng.choice(list(STYLES))]
        for each in demonstrations(task, own, StyledExpert(side), [start]):
            found.append(dataclasses.replace(each, name=f"episode_{len(found):06d}"))
        start += 1
    return found


def told(episode):
    """Return an episode with its style as the instruction."""
    words = np.full(len(episode), style_of(episode.observations))
    return dataclasses.replace(episode, observations={**episode.observations, "instruction": words})


class Playing:
    """A policy that plays some steps of each chunk, in a way or words that are asked for, or a way that is drawn."""

    def __init__(self, policy, execute, seed, way, words):
        self._policy, self._execute, self._way, self._seed = policy, execute, way, seed
        self._heard = {"instruction": np.array(words)} if words else {}
        self._left, self._ticks = [], 0

    def act(self, observation):
        """Return the next step (1, A)."""
        if not self._left:
            seed = 10_000 * self._seed + self._ticks
            answer = self._policy.act_in_parts({**observation, **self._heard}, seed=seed, way=self._way)
            self._left = list(answer.commands[: self._execute])
        self._ticks += 1
        return self._left.pop(0)[None]


def rated(policy, own, task, count, args, way=None, words=()):
    """Return the success of each episode, and its style; it is told the `words` in turn."""
    success, styles = [], []
    for seed in range(HELD_OUT_SEED, HELD_OUT_SEED + count):
        heard = words[seed % len(words)] if words else ""
        done = rollout(task, Playing(policy, args.execute, seed, way, heard).act, own, seed)
        success.append(int(done.success))
        styles.append(style_of(done.observations))
    return success, styles


def shares_of(success, styles):
    """Return the share of each style in the successful episodes."""
    counted = [style for ok, style in zip(success, styles, strict=True) if ok]
    return {name: round(counted.count(name) / max(1, len(counted)), 2) for name in STYLES}


def measured_of(family, seed, args):
    """Train one family on the styles, and rate it."""
    own, task = contract_of("push", ()), make_task("push")
    shown = shown_of(own, task, args.demonstrations, seed)
    learnt, words = own, ()
    if family == WORDS:
        learnt = contracts.parse(own.text.replace("\nactions:", f"\n{INSTRUCTION}\nactions:"), "push")
        shown, words = [told(each) for each in shown], tuple(STYLES)
    name, changes = FAMILIES[family]
    changes = (*changes, "validation=0", f"seed={seed}")
    if name == recipes.AUTO:
        chosen = rules.chosen(learnt, shown, changes)
    else:
        epochs = max(1, round(args.steps / -(-sum(map(len, shown)) // BATCH)))
        chosen = recipes.load(name, (*changes, f"epochs={epochs}", *args.set))
    began_s = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        policy = train(dataset(learnt, shown, chosen.training), chosen, Path(folder)).policy
    spent_s = time.process_time() - began_s
    success, styles = rated(policy, own, task, args.starts, args, words=words)
    forced = []
    ways = range(policy.network.ways if policy.network.ways > 1 else 0)
    for way, heard in [(way, ()) for way in ways] + [(None, (each,)) for each in words]:
        done, each = rated(policy, own, task, args.starts // 3, args, way, heard)
        shares = shares_of(done, each)
        main = heard[0] if heard else max(shares, key=shares.get)
        forced.append({"style": main, "share": shares[main], "success": round(float(np.mean(done)), 2)})
    return {
        "shown": shares_of([1] * len(shown), [style_of(each.observations) for each in shown]),
        "success": success,
        "shares": shares_of(success, styles),
        "ways": policy.network.ways,
        "forced": forced,
        "train_cpu_s": round(spent_s, 1),
        "why": chosen.reason,
        "load": round(os.getloadavg()[0], 1),
    }


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--families", nargs="+", default=list(FAMILIES), choices=FAMILIES)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--demonstrations", type=int, default=100)
    parser.add_argument("--steps", type=int, default=STEPS, help=f"of the optimiser, {BATCH} frames each")
    parser.add_argument("--execute", type=int, default=8, help="steps played of each chunk of 16")
    parser.add_argument(
        "--starts", type=int, default=100, help="held-out starts; a third of them for each way"
    )
    parser.add_argument("--set", action="append", default=[], help="change of the recipe, as of il-ros train")
    parser.add_argument("--out", type=Path, help="a file to which a JSON line is added for each policy")
    args = parser.parse_args()
    rows, settings = Rows("styles", args.out), settings_of(args, ("families", "seeds", "out"))
    for seed in range(args.seeds):
        for family in args.families:
            for key in rows.missing([{"family": family, "seed": seed, "settings": settings}]):
                found = measured_of(family, seed, args)
                won, count = sum(found["success"]), len(found["success"])
                low, high = success_interval(won, count)
                rows.add(key, found, to=sys.stdout, success=[won, round(low, 2), round(high, 2)])


if __name__ == "__main__":
    sys.exit(main())
