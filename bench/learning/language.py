"""`touch`: does a policy that is told in words what to do touch the right one of four blocks?

For each seed and number of instructions: demonstrations of the scripted expert, training, and trials from held-out
starts with the words of the demonstrations, with paraphrases that were not in the data (`--set paraphrases=true`, or
`--recipe auto` where the sentence encoder is installed, to have them understood), and without words. `right`:
trials in which the first block that was touched is the named one; `other`: another one; the rest touched none.
`uncertainty`: the median over the trials. Prints one JSON line per seed, and sums with 95 % intervals.
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MUJOCO_GL", "egl")
sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np
from learning_bc import contract_of, dataset, demonstrations

from il_ros.records.trials import success_interval
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.experts import make_expert
from il_ros.sim.rollout import rollout
from il_ros.sim.tasks.table.touch import BLOCKS, instruction_of
from il_ros.sim.tasks.task import make_task
from il_ros.training import recipe as recipes
from il_ros.training.run import train

PARAPHRASES = (
    "please put your fingers on the {} one",
    "go to the {} cube",
    "move the gripper onto the {} brick",
    "tap {}",
    "could you reach for the {} block?",
    "I want you to touch the {} thing",
    "place the fingertips on top of the {} box",
    "the {} one, please",
    "press your hand against the {} block",
    "find the {} cube and rest on it",
    "poke the block that is {}",
    "set the tool down on the {} piece",
)
"""None of them is shown; the margins in il_ros.policies.sentences.meanings were set after looking at their cosines."""
WORDS = {
    "shown": lambda block, trial: instruction_of(block),
    "paraphrase": lambda block, trial: PARAPHRASES[trial % len(PARAPHRASES)].format(block),
    "left out": lambda block, trial: "",
}


def seeds_of(task, first, count, named):
    """Return `count` seeds from `first` on whose instruction names one of the blocks `named`."""
    found, seed = [], first
    while len(found) < count:
        task.reset(seed)
        if task.named in named:
            found.append(seed)
        seed += 1
    return found


def trial(task, own, policy, seed, words):
    """Return the block that is touched first, "" if none, and the mean uncertainty."""
    act, uncertain = policy.in_episode(), []
    spoken = np.array(words)

    def told(observation):
        heard = {**observation, "instruction": spoken}
        uncertain.append(policy.act_with_uncertainty(heard)[1] or 0.0)
        return act(heard)

    rollout(task, told, own, seed)
    return task.touched, float(np.mean(uncertain))


def measured(task, own, seed, count, args):
    began_s, named = time.process_time(), BLOCKS[:count]
    starts = seeds_of(task, 10_000 * seed, args.demonstrations, named)
    shown = list(demonstrations(task, own, make_expert("touch"), starts))
    frames = sum(map(len, shown))
    epochs = max(1, round(args.steps / -(-frames // 64)))
    changes = (f"epochs={epochs}", "validation=0", "still_every=1", f"seed={seed}")
    recipe = recipes.load(args.recipe, (*changes, *args.set))
    with tempfile.TemporaryDirectory() as folder:
        policy = train(dataset(own, shown, recipe.training), recipe, Path(folder) / "v1").policy
    held_out = seeds_of(task, HELD_OUT_SEED, args.episodes, named)
    found = {"bench": "language", "instructions": count, "seed": seed, "frames": frames}
    for kind, words in WORDS.items():
        right, other, uncertain = 0, 0, []
        for number, start in enumerate(held_out):
            task.reset(start)
            touched, uncertainty = trial(task, own, policy, start, words(task.named, number))
            right += touched == task.named
            other += touched not in ("", task.named)
            uncertain.append(uncertainty)
        found[kind] = {"right": right, "other": other, "uncertainty": round(statistics.median(uncertain), 3)}
    found |= {"episodes": args.episodes, "cpu_s": round(time.process_time() - began_s)}
    print(json.dumps(found), flush=True)
    return found


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--instructions", default="2,4")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--recipe", default="film")
    parser.add_argument("--demonstrations", type=int, default=400)
    parser.add_argument("--steps", type=int, default=32000, help="of the optimiser, 64 frames each")
    parser.add_argument("--episodes", type=int, default=50, help="trials of each policy and kind of words")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    args = parser.parse_args()
    task, own = make_task("touch"), contract_of("touch", ())
    for count in map(int, args.instructions.split(",")):
        runs = [measured(task, own, seed, count, args) for seed in range(args.seeds)]
        line = {"bench": "language", "instructions": count}
        for kind in WORDS:
            right, trials = sum(run[kind]["right"] for run in runs), args.episodes * len(runs)
            low, high = success_interval(right, trials)
            line[kind] = [round(right / trials, 3), round(low, 3), round(high, 3)]
        print(json.dumps(line), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
