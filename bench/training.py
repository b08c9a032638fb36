"""BC training throughput, samples per second: il_ros's loop beside a textbook loop, in one run, one thread.

Both: 100 000 samples 14 → 7, MLP 256x256, Adam at 1e-3, mean squared error. `ours` is the package's
`Fit` with everything it does for a user (schedule, loss curve, best weights); `autograd` the same with the
hand-written gradient off. `floor` is what a careful person writes by hand: data in tensors, a permutation
per epoch, fused Adam. Interleaved, medians. Prints one JSON line.
"""

import argparse
import json
import os
import statistics
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from il_ros import contract
from il_ros.policies.behaviour_cloning import BehaviourCloning
from il_ros.policies.families import make_network
from il_ros.policies.inputs import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.training import fit as fitting
from il_ros.training.batches import Batches
from il_ros.training.gradients import by_autograd
from il_ros.training.recipe import Training
from il_ros.training.samples import Samples

OBSERVED, COMMANDED = 14, 7
NAMES = [f"x{index}" for index in range(OBSERVED)]
CONTRACT = contract.parse(
    f"""
name: bench
rate_hz: 20
observations:
  state: {{topic: state, type: std_msgs/msg/Float64MultiArray, names: {json.dumps(NAMES)}, max_age_s: 1}}
actions:
  arm: {{topic: arm, type: std_msgs/msg/Float64MultiArray, names: {json.dumps(NAMES[:COMMANDED])},
        reference: state, limits: {{speed: 1}}}}
""",
    "bench",
)


def data(count):
    rng = np.random.default_rng(0)
    states = rng.standard_normal((count, OBSERVED))
    mixing = rng.standard_normal((OBSERVED, COMMANDED)) / np.sqrt(OBSERVED)
    return states, np.tanh(states @ mixing)


def ours(states, targets, batch_size, by_hand):
    identity = Normaliser(
        Affine(np.zeros(OBSERVED), np.ones(OBSERVED)), Affine(np.zeros(COMMANDED), np.ones(COMMANDED))
    )
    inputs = Inputs.of(CONTRACT)
    samples = Samples(states, targets[:, None], np.ones((len(states), 1), np.float32), {})
    batches = Batches(samples, inputs, identity, "cpu")
    torch.manual_seed(0)
    network = make_network("bc", BehaviourCloning(), CONTRACT, identity)

    def run(epochs):
        fit = fitting.Fit(network, Training(epochs=epochs, batch_size=batch_size, schedule="cosine"))
        kept = fitting.gradient_of
        if not by_hand:
            fitting.gradient_of = lambda network, flat: lambda batch: by_autograd(network, flat, batch)
        try:
            return [point.train_loss for point in fit.epochs(batches, None, time.perf_counter)][-1]
        finally:
            fitting.gradient_of = kept

    return run


def floor(states, targets, batch_size):
    x, y = torch.from_numpy(states.astype(np.float32)), torch.from_numpy(targets.astype(np.float32))
    torch.manual_seed(0)
    network = torch.nn.Sequential(
        torch.nn.Linear(OBSERVED, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, COMMANDED),
    )
    mean_squared = torch.nn.MSELoss()

    def run(epochs):
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        for _ in range(epochs):
            order = torch.randperm(len(x))
            for start in range(0, len(x), batch_size):
                chosen = order[start : start + batch_size]
                loss = mean_squared(network(x[chosen]), y[chosen])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        return loss.item()

    return run


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    states, targets = data(args.samples)
    result = {
        "bench": "training",
        "samples": args.samples,
        "repeats": args.repeats,
        "threads": 1,
        "torch": torch.__version__,
    }
    for batch_size, epochs in ((64, 1), (1024, 2)):
        loops = {
            "ours": ours(states, targets, batch_size, by_hand=True),
            "autograd": ours(states, targets, batch_size, by_hand=False),
            "floor": floor(states, targets, batch_size),
        }
        rates = {name: [] for name in loops}
        for repeat in range(args.repeats + 1):
            for name, run in loops.items():
                started_s = time.perf_counter()
                run(epochs)
                if repeat:  # the first one warms up
                    rates[name].append(args.samples * epochs / (time.perf_counter() - started_s))
        medians = {name: statistics.median(values) for name, values in rates.items()}
        ratios = {
            name: statistics.median(
                one / other for one, other in zip(rates[name], rates["floor"], strict=True)
            )
            for name in ("ours", "autograd")
        }
        result[f"batch_{batch_size}"] = {
            "samples_per_s": {name: round(value) for name, value in medians.items()},
            "ratio_to_floor": {name: round(value, 3) for name, value in ratios.items()},
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
