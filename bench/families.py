"""What each shipped recipe costs: time of a training step and of an answer, one thread, 14 numbers in and 7 out.

Training steps have the recipe's batch size and loop; answers go through the policy server's own call. Medians of
rounds that alternate between the recipes. Prints one JSON line; `--only` chooses recipes. `--act-small`: ACT of width
256, with feed-forward layers of 1024, 4 heads, 2 + 1 blocks, chunks of 50 and batches of 8.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch
import training

from il_ros.core import share
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.window import TickWindow
from il_ros.training import recipe as recipes
from il_ros.training.batches import Batches
from il_ros.training.fitting import fit_normaliser
from il_ros.training.loop import TrainingLoop
from il_ros.training.samples import samples
from il_ros.training.trainer.recipe_file import has_own_steps

ACT_SMALL = ("width=256", "feed=4", "heads=4", "blocks=2", "decoder_blocks=1", "horizon=50", "batch_size=8")


def episodes(frames):
    states, actions = training.data(frames)
    ticks_ns = np.arange(1, frames + 1) * training.CONTRACT.period_ns
    parts = ({"state": states}, actions, np.zeros_like(actions), ticks_ns, training.CONTRACT.period_ns)
    return (EpisodeArrays("episode_000000", *parts, outcome="success", task="bench"),)


class Subject:
    """A recipe in training, and its policy."""

    def __init__(self, recipe, frames):
        own, policy = training.CONTRACT, recipe.policy
        inputs = Inputs.for_policy(own, policy)
        shown = samples(
            episodes(frames), inputs, policy.horizon, form=ActionForm(own), history=policy.history
        )
        normaliser = fit_normaliser(shown, inputs, own, recipe)
        torch.manual_seed(0)
        network = make_network(recipe.family, policy, own, normaliser)
        self._batches, self._recipe = Batches(shown, inputs, normaliser, "cpu"), recipe
        self._loop = TrainingLoop(network, recipe.training)
        self._steps = -(-frames // recipe.training.batch_size)
        self._epochs = self._loop.epochs(self._batches, None, time.perf_counter)
        self._network, self._parts = network, (own, recipe.family, policy, normaliser)
        self.parameters = sum(each.numel() for each in network.parameters())

    def step_ms(self):
        began_s = time.perf_counter()
        next(self._epochs)
        return 1e3 * (time.perf_counter() - began_s) / self._steps

    def answers_us(self, count=100):
        own, family, settings, normaliser = self._parts
        policy = LoadedPolicy(own, family, settings, self._network, normaliser)
        window, rng = TickWindow(policy.history, own.period_ns), np.random.default_rng(0)
        found = []
        for tick in range(count):
            seen = window.push((tick + 1) * own.period_ns, {"state": rng.standard_normal(training.OBSERVED)})
            began_s = time.perf_counter()
            policy.act_in_parts(seen, seed=tick)
            found.append(1e6 * (time.perf_counter() - began_s))
        self._network.train()
        return statistics.median(found)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    known = sorted(file.stem for file in share.path("config", "training").glob("*.yaml"))
    known = [name for name in known if not has_own_steps(name)]
    parser.add_argument("--only", nargs="+", choices=known)
    parser.add_argument("--frames", type=int, default=1024)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--act-small", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    changes = {name: () for name in args.only or known if name != "bc_cnn"}
    if args.act_small:
        changes = {"act": ACT_SMALL}
    subjects = {
        name: Subject(recipes.load(name, (*more, "epochs=1000")), args.frames)
        for name, more in changes.items()
    }
    steps, answers = ({name: [] for name in subjects} for _ in range(2))
    for number in range(args.rounds + 1):
        for name, subject in subjects.items():
            step, answer = subject.step_ms(), subject.answers_us()
            if number:  # the first round is a warm-up
                steps[name].append(step)
                answers[name].append(answer)
    found = {
        name: {
            "parameters": subject.parameters,
            "step_ms": round(statistics.median(steps[name]), 3),
            "answer_us": round(statistics.median(answers[name]), 1),
        }
        for name, subject in subjects.items()
    }
    load = round(os.getloadavg()[0], 1)
    print(json.dumps({"bench": "families", "threads": 1, "torch": torch.__version__, "load": load, **found}))


if __name__ == "__main__":
    main()
