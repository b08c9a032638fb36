"""A policy that takes its time: each of its chunks says what it observed, and its steps count up."""

from __future__ import annotations

import threading
import time

import numpy as np
import torch

from il_ros.policies import checkpoint
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.runner import LoadedPolicy

STEP = 0.001
"""Difference of two steps of a chunk."""


def counting_policy(own, horizon, name="v1", first=0.0):
    """Return a policy of a contract with two joints; step k answers joints (a, b) with (a + first + k * STEP, b)."""
    identity = Affine(np.zeros(2), np.ones(2))
    normaliser = Normaliser(identity, identity)
    settings = family("bc").settings(hidden=(2,), horizon=horizon)
    network = make_network("bc", settings, own, normaliser)
    layers = network.linear_layers()
    with torch.no_grad():
        for layer in layers:
            layer.weight.zero_()
            layer.bias.zero_()
        layers[0].weight.copy_(torch.eye(2))  # joints above 0 pass the rectifier
        layers[-1].weight.copy_(torch.eye(2).repeat(horizon, 1))
        steps = [[first + step * STEP, 0.0] for step in range(horizon)]
        layers[-1].bias.copy_(torch.tensor(steps).flatten())
    return LoadedPolicy(own, "bc", settings, network, normaliser, name)


def steps_passed(each, first, period_ns):
    """Return the steps of its chunk that have passed at a proposal; none passes before the `first` proposal."""
    return round((each.stamp_ns - max(each.seen_ns, first.stamp_ns)) / period_ns)


def write(folder, *args, **words):
    """Save a `counting_policy`; return its folder."""
    checkpoint.save(folder, counting_policy(*args, **words))
    return str(folder)


class Slowness:
    """Makes all policies slow by a wrapper around the computation. `.seconds` by version, default 0.

    `.continues`: whether chunks begin with the committed steps that a policy is given.
    """

    def __init__(self, monkeypatch, **seconds):
        self.seconds = seconds
        self.began, self.ended = [], []
        """Threads of the computations that have begun and ended."""
        self.committed = []
        """Version and tick of each computation, and the committed steps that it was given, or None."""
        self.continues = False
        self.fails = None
        quick = LoadedPolicy.act_in_parts

        def act_in_parts(policy, seen, previous=None, seed=0, way=None):
            self.committed.append((policy.version, seed, previous))
            self.began.append(threading.current_thread())
            time.sleep(self.seconds.get(policy.version, 0.0))
            self.ended.append(threading.current_thread())
            if self.fails is not None:
                raise self.fails
            return quick(policy, seen, previous if self.continues else None, seed, way)

        monkeypatch.setattr(LoadedPolicy, "act_in_parts", act_in_parts)
