"""Training throughput in samples per second: il_ros's loop and a minimal loop, in one run, one thread.

All: 100 000 samples 14 → 7, Adam at 1e-3. `batch_*`: one MLP 256x256, mean squared error;
`ensemble_batch_*`: five MLPs of the given width, absolute error, on the same samples. `ours` is the package's
`TrainingLoop` with all features (schedule, loss curve, best weights); `autograd` is the same without the
analytic gradient. `floor` is a minimal hand-written loop: data in tensors, one permutation per epoch, fused
Adam, the five members in one batched product. Interleaved runs, medians. Prints one JSON line.
"""

import argparse
import itertools
import json
import os
import statistics
import time
from functools import partial

os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import torch

from il_ros.core import contract
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.families.ensemble import Ensemble
from il_ros.policies.families.registry import make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.training import loop as fitting
from il_ros.training.batches import Batches
from il_ros.training.optimiser.gradients import by_autograd
from il_ros.training.recipe import Training
from il_ros.training.samples import Samples

OBSERVED, COMMANDED, MEMBERS = 14, 7, 5
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


def ours(states, targets, family, settings, batch_size, analytic):
    identity = Normaliser(
        Affine(np.zeros(OBSERVED), np.ones(OBSERVED)), Affine(np.zeros(COMMANDED), np.ones(COMMANDED))
    )
    inputs = Inputs.of(CONTRACT)
    samples = Samples.of(states, targets[:, None], np.ones((len(states), 1, 1), np.float32))
    batches = Batches(samples, inputs, identity, "cpu")
    torch.manual_seed(0)
    network = make_network(family, settings, CONTRACT, identity)

    def run(epochs):
        loop = fitting.TrainingLoop(network, Training(epochs=epochs, batch_size=batch_size))
        kept = fitting.gradient_of
        if not analytic:
            fitting.gradient_of = lambda network, flat, *_, **__: partial(by_autograd, network, flat)
        try:
            return [metrics.train_loss for metrics in loop.epochs(batches, None, time.perf_counter)][-1]
        finally:
            fitting.gradient_of = kept

    return run


def floor(states, targets, network, loss_of, batch_size):
    x, y = torch.from_numpy(states.astype(np.float32)), torch.from_numpy(targets.astype(np.float32))

    def run(epochs):
        optimiser = torch.optim.Adam(network.parameters(), lr=1e-3, fused=True)
        for _ in range(epochs):
            order = torch.randperm(len(x))
            for start in range(0, len(x), batch_size):
                chosen = order[start : start + batch_size]
                loss = loss_of(network(x[chosen]), y[chosen])
                optimiser.zero_grad(set_to_none=True)
                loss.backward()
                optimiser.step()
        return loss.item()

    return run


def mlp_network():
    return torch.nn.Sequential(
        torch.nn.Linear(OBSERVED, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, 256),
        torch.nn.ReLU(),
        torch.nn.Linear(256, COMMANDED),
    )


class Beside(torch.nn.Module):
    """Parallel MLPs, (B, in) to (K, B, out)."""

    def __init__(self, widths):
        super().__init__()
        pairs = list(itertools.pairwise(widths))
        self.weights = torch.nn.ParameterList(
            torch.empty(MEMBERS, before, after).uniform_(-(before**-0.5), before**-0.5)
            for before, after in pairs
        )
        self.biases = torch.nn.ParameterList(torch.zeros(MEMBERS, 1, after) for _, after in pairs)

    def forward(self, values):
        values = values.expand(MEMBERS, -1, -1)
        for index, (weight, bias) in enumerate(zip(self.weights, self.biases, strict=True)):
            values = torch.baddbmm(bias, torch.relu(values) if index else values, weight)
        return values


def mlp_loops(states, targets, batch_size):
    def own(analytic):
        return ours(states, targets, "bc", BehaviourCloning(), batch_size, analytic)

    torch.manual_seed(0)
    minimal = floor(states, targets, mlp_network(), torch.nn.MSELoss(), batch_size)
    return {"ours": own(True), "autograd": own(False), "floor": minimal}


def ensemble_loops(states, targets, batch_size, hidden):
    settings = Ensemble(hidden=hidden, members=MEMBERS, loss="l1", bootstrap=False)

    def own(analytic):
        return ours(states, targets, "ensemble", settings, batch_size, analytic)

    torch.manual_seed(0)
    network = Beside((OBSERVED, *hidden, COMMANDED))
    minimal = floor(states, targets, network, lambda out, y: (out - y).abs().mean(), batch_size)
    return {"ours": own(True), "autograd": own(False), "floor": minimal}


def measured(loops, samples, epochs, batch_size, repeats):
    rates = {name: [] for name in loops}
    for repeat in range(repeats + 1):
        for name, run in loops.items():
            started_s = time.perf_counter()
            run(epochs)
            if repeat:  # the first repeat is a warm-up
                rates[name].append(samples * epochs / (time.perf_counter() - started_s))
    medians = {name: statistics.median(values) for name, values in rates.items()}
    ratios = {
        name: statistics.median(one / other for one, other in zip(rates[name], rates["floor"], strict=True))
        for name in ("ours", "autograd")
    }
    return {
        "samples_per_s": {name: round(value) for name, value in medians.items()},
        "ms_per_step": {name: round(1e3 * batch_size / value, 3) for name, value in medians.items()},
        "ratio_to_floor": {name: round(value, 3) for name, value in ratios.items()},
    }


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
        loops = mlp_loops(states, targets, batch_size)
        result[f"batch_{batch_size}"] = measured(loops, args.samples, epochs, batch_size, args.repeats)
    for batch_size, hidden in ((16, (64, 64)), (64, (128, 128))):
        loops = ensemble_loops(states, targets, batch_size, hidden)
        row = measured(loops, args.samples, 1, batch_size, args.repeats)
        result[f"ensemble_batch_{batch_size}"] = {"members": MEMBERS, "hidden": list(hidden), **row}
    print(json.dumps(result))


if __name__ == "__main__":
    main()
