"""Every registered policy family fulfils the protocol, and planted faults do not pass."""

import importlib.util
import logging
import sys
from pathlib import Path
from types import ModuleType
from unittest import mock

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import (
    CHECKS,
    Prepared,
    Subject,
    a_batch_equals_its_single_rows,
    a_checkpoint_runs_no_code,
    a_chunk_continues_what_is_committed,
    a_missing_camera_is_as_declared,
    a_resumed_training_equals_an_uninterrupted_one,
    a_sample_of_weight_0_teaches_nothing,
    a_window_live_is_the_window_offline,
    buffers_and_parameters_are_kept,
    equal_seeds_give_equal_answers,
    it_keeps_nothing_between_calls,
    the_gradient_that_trains_it_is_autograds,
    the_same_seed_gives_equal_bits,
    what_is_offered_in_numpy_equals_torch,
)

from il_ros.core import plugins
from il_ros.core.plugins import Plugin
from il_ros.policies import runner
from il_ros.policies.families.behaviour_cloning import BehaviourCloning, BehaviourCloningNetwork
from il_ros.policies.families.registry import Family
from il_ros.policies.protocol import Actions, Loss, noise
from il_ros.training import loop as loops
from il_ros.training.augmentation import draws
from il_ros.training.optimiser import gradients
from il_ros.training.optimiser.flat import FlatParameters

SUBJECTS = {
    "bc": Subject("bc", {"hidden": (32,), "channels": (4,)}),
    "film": Subject("film", {"hidden": (32,), "channels": (4,)}),
    "ensemble": Subject("ensemble", {"hidden": (32,), "channels": (4,), "members": 2, "bootstrap": False}),
    "transformer": Subject(
        "transformer", {"width": 16, "heads": 2, "blocks": 1, "channels": (4,), "history": 2}, 0.01
    ),
    "flow": Subject("flow", {"hidden": (64, 64), "channels": (4,)}, 0.005, steps=1500),
    "actor": Subject("actor", {"hidden": (64, 64)}, 0.003, steps=1000),
    "guided": Subject("guided", {"hidden": (64, 64)}, 0.003, steps=1000),
    "diffusion": Subject("diffusion", {"hidden": (64, 64), "channels": (4,), "prefix": 1}, 0.005, steps=1500),
    "two_step": Subject("two_step", {"hidden": (64, 64), "channels": (4,)}, 0.005),
    "act": Subject(
        "act",
        {"width": 16, "heads": 2, "blocks": 1, "channels": (4,), "latent": 4, "kl_weight": 0.1},
        0.005,
        steps=800,
    ),
    "inverse": Subject("inverse", {"hidden": (32,), "channels": (4,)}),
    "moe": Subject("moe", {"hidden": (32,), "channels": (4,), "experts": 3}),
}
"""A small size of each family; others are tried at their default size."""
VARIANTS = {
    "bc gaussian": Subject("bc", {"hidden": (32,), "channels": (4,), "loss": "gaussian"}),
    "bc mixture": Subject("bc", {"hidden": (32,), "channels": (4,), "loss": "mixture", "components": 2}),
    "bc mixture, drawn": Subject(
        "bc", {"hidden": (32,), "channels": (4,), "loss": "mixture", "components": 2, "answer": "component"}
    ),
    "bc mixture's mean": Subject(
        "bc", {"hidden": (32,), "channels": (4,), "loss": "mixture", "components": 2, "answer": "mean"}
    ),
    "bc categorical": Subject("bc", {"hidden": (32,), "channels": (16,), "loss": "categorical"}, 0.03),
    "bc categorical, mean": Subject(
        "bc", {"hidden": (32,), "channels": (4,), "loss": "categorical", "bins": 32, "answer": "mean"}
    ),
    "flow with a prefix": Subject(
        "flow", {"hidden": (64, 64), "channels": (4,), "prefix": 2}, 0.005, steps=1500
    ),
    "guided by choice": Subject(
        "guided", {"hidden": (64, 64), "way": "choice", "critic_hidden": 8}, 0.003, steps=1000
    ),
    "two_step with a prefix": Subject("two_step", {"hidden": (64, 64), "channels": (4,), "prefix": 1}, 0.005),
}
"""Families with other settings."""


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", plugins.names(plugins.FAMILIES))
def test_a_family_conforms(name, check):
    check(SUBJECTS.get(name, Subject(name)))


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("name", VARIANTS)
def test_a_family_conforms_with_other_settings(name, check):
    check(VARIANTS[name])


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_family_that_contributing_shows_conforms(monkeypatch, shown, check):
    register(monkeypatch, "calm", Family(shown.Calm, shown.CalmNetwork))
    check(Subject("calm", {"hidden": 32}))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """The module that the section 'Add a policy family' of CONTRIBUTING.md shows."""
    text = (Path(__file__).parents[2] / "CONTRIBUTING.md").read_text(encoding="utf-8")
    file = tmp_path_factory.mktemp("family") / "calm_family.py"
    file.write_text(text.partition("```python\n")[2].partition("```")[0])
    spec = importlib.util.spec_from_file_location("calm_family", file)
    module = importlib.util.module_from_spec(spec)
    with mock.patch.dict(sys.modules, {"calm_family": module}):  # dataclasses look their module up
        spec.loader.exec_module(module)
        yield module


def register(monkeypatch, name, family):
    """Register a family as an installed package does."""
    module = ModuleType(name)
    module.FAMILY = family
    monkeypatch.setitem(sys.modules, name, module)
    plugin = Plugin("il_ros.families", name, f"{name}:FAMILY", "tests", "1")
    monkeypatch.setitem(plugins.registered(plugins.FAMILIES), name, (plugin,))


# ---- planted faults ----------------------------------------------------------------------------------------


class Normalising(BehaviourCloningNetwork):
    """What lies between the linear layers cannot be seen from them."""

    def __init__(self, settings, spec):
        super().__init__(settings, spec)
        width = settings.hidden[-1]
        norm = torch.nn.LayerNorm(width)
        with torch.no_grad():
            norm.weight.copy_(torch.linspace(0.2, 3, width))
        self.trunk.append(norm)


class Leaky(BehaviourCloningNetwork):
    """Leaky ReLU where the fast paths assume ReLU."""

    def __init__(self, settings, spec):
        super().__init__(settings, spec)
        self.trunk[1] = torch.nn.LeakyReLU(0.2)


class Penalised(BehaviourCloningNetwork):
    """A loss with a second part, which the written-out gradient lacks."""

    def loss(self, batch, rng):
        penalty = 0.1 * self.head.linear.weight.square().sum()
        own = super().loss(batch, rng).total
        return Loss(own + penalty, {"imitation": own, "penalty": penalty})


class Counting(BehaviourCloningNetwork):
    """Running statistics in buffers: of several types, updated in place and by assignment, and shared weights."""

    def __init__(self, settings, spec):
        super().__init__(settings, spec)
        self.register_buffer("batches", torch.zeros((), dtype=torch.int64))
        self.register_buffer("mean", torch.zeros(2))
        self.register_buffer("mask", torch.full((2,), float("-inf")))
        self.scale = torch.nn.Linear(2, 2)
        self.tied = torch.nn.Linear(2, 2)
        self.tied.weight = self.scale.weight

    def loss(self, batch, rng):
        if self.training:
            self.batches += 1
            self.mean = 0.9 * self.mean + 0.1 * batch.action.mean(dim=(0, 1))
        own = super().loss(batch, rng).total
        return Loss(own + (self.tied(self.scale(self.mean)) - self.mean).square().mean())


class Dropping(BehaviourCloningNetwork):
    """Dropout draws from torch's global generator."""

    def __init__(self, settings, spec):
        super().__init__(settings, spec)
        self.trunk.append(torch.nn.Dropout(0.3))


class Noisy(BehaviourCloningNetwork):
    """A loss that draws from its argument, as it should."""

    def loss(self, batch, rng):
        action = batch.action + 0.1 * noise(batch.action.shape, rng, "cpu")
        return Loss(self.head.loss(self(batch.observation), action, batch.weight))


class Unseeded(BehaviourCloningNetwork):
    def loss(self, batch, rng):
        rng.seed()
        return Loss(super().loss(batch, rng).total * torch.rand((), generator=rng))


class Remembering(BehaviourCloningNetwork):
    """A policy with a memory of its own."""

    before = 0.0

    def sample(self, batch, rng, previous=None):
        answer = super().sample(batch, rng, previous)
        kept, self.before = self.before, answer.chunk
        return Actions(0.5 * answer.chunk + 0.5 * kept)

    def numpy_forward(self):
        return None


class Mixing(BehaviourCloningNetwork):
    """An answer that depends on the other samples of the batch."""

    def sample(self, batch, rng, previous=None):
        answer = super().sample(batch, rng, previous)
        return Actions(answer.chunk - answer.chunk.mean(dim=0, keepdim=True))

    def numpy_forward(self):
        return None


class Interrupting(BehaviourCloningNetwork):
    """Committed steps are not continued."""

    def sample(self, batch, rng, previous=None):
        return super().sample(batch, rng)

    def numpy_forward(self):
        return None


class Blind(BehaviourCloningNetwork):
    """A missing camera is a black picture."""

    def forward(self, window):
        return super().forward(window.changed(absent={}))


class Padded(BehaviourCloningNetwork):
    """Weights are ignored."""

    def loss(self, batch, rng):
        return Loss(self.head.loss(self(batch.observation), batch.action, None))


class Drawing(BehaviourCloningNetwork):
    """The answer is drawn from a generator of its own."""

    def sample(self, batch, rng, previous=None):
        answer = super().sample(batch, rng, previous)
        rng.seed()
        return Actions(answer.chunk + torch.randn(answer.chunk.shape, generator=rng))

    def numpy_forward(self):
        return None


def planted(monkeypatch, network):
    register(monkeypatch, "planted", Family(BehaviourCloning, network))
    return Subject("planted", {"hidden": (16,), "channels": (4,)})


@pytest.mark.parametrize(
    ("network", "check"),
    [
        (Normalising, the_gradient_that_trains_it_is_autograds),
        (Normalising, what_is_offered_in_numpy_equals_torch),
        (Leaky, the_gradient_that_trains_it_is_autograds),
        (Leaky, what_is_offered_in_numpy_equals_torch),
        (Penalised, the_gradient_that_trains_it_is_autograds),
        (Dropping, the_gradient_that_trains_it_is_autograds),
        (Unseeded, the_same_seed_gives_equal_bits),
        (Unseeded, a_resumed_training_equals_an_uninterrupted_one),
        (Remembering, it_keeps_nothing_between_calls),
        (Mixing, a_batch_equals_its_single_rows),
        (Interrupting, a_chunk_continues_what_is_committed),
        (Blind, a_missing_camera_is_as_declared),
        (Padded, a_sample_of_weight_0_teaches_nothing),
        (Drawing, equal_seeds_give_equal_answers),
    ],
)
def test_a_planted_fault_of_a_family_fails_the_check(monkeypatch, network, check):
    with pytest.raises(AssertionError):
        check(planted(monkeypatch, network))


@pytest.mark.parametrize(
    "network", [Normalising, Leaky, Penalised, Dropping, Noisy], ids=lambda each: each.__name__
)
def test_a_fast_path_that_would_be_wrong_is_dropped_and_logged(monkeypatch, network, caplog):
    """A LayerNorm in a subclass's trunk gave other losses, gradients and actions than torch."""
    made_ready = Prepared(planted(monkeypatch, network))
    batch, flat = made_ready.batch(16), made_ready.loop.flat
    caplog.set_level(logging.WARNING)
    gradient = gradients.gradient_of(made_ready.network, flat, batch)
    assert "written-out gradient is not used, autograd is: " in caplog.text
    torch.manual_seed(0)
    found = gradient(batch, torch.Generator().manual_seed(0)).total, flat.gradient.clone()
    torch.manual_seed(0)
    wanted = gradients.by_autograd(made_ready.network, flat, batch, torch.Generator().manual_seed(0)).total
    torch.testing.assert_close(found, (wanted, flat.gradient))
    policy = made_ready.policy()
    assert ("NumPy forward pass is not used, torch is: it answers" in caplog.text) == (
        network in (Normalising, Leaky)
    )
    seen = made.observation()
    chunk = runner.sample(policy.network, runner.Batch(policy.window(seen))).chunk[0].numpy()
    np.testing.assert_allclose(policy.act(seen), policy.normaliser.actions.restore(chunk), atol=1e-6)


@pytest.mark.parametrize(
    ("network", "checks"),
    [
        (Counting, [buffers_and_parameters_are_kept, a_resumed_training_equals_an_uninterrupted_one]),
        (Dropping, [the_same_seed_gives_equal_bits, a_resumed_training_equals_an_uninterrupted_one]),
        (Noisy, [the_same_seed_gives_equal_bits, a_resumed_training_equals_an_uninterrupted_one]),
        (Counting, [the_same_seed_gives_equal_bits, a_checkpoint_runs_no_code]),
    ],
)
def test_buffers_shared_weights_dropout_and_noise_are_no_fault(monkeypatch, network, checks):
    for check in checks:
        check(planted(monkeypatch, network))


def no_seed(monkeypatch):
    from contextlib import nullcontext

    monkeypatch.setattr(loops, "_seeded", lambda *_: nullcontext())


def no_buffers(monkeypatch):
    monkeypatch.setattr(FlatParameters, "buffers", lambda self: {})


def no_proof(monkeypatch):
    monkeypatch.setattr(gradients, "fault", lambda *_: "")
    monkeypatch.setattr(runner, "_numpy_fault", lambda *_: "")


def no_order(monkeypatch):
    pushed = draws.noise  # noise of the state that the saved generator does not know

    def global_noise(shape, rng, device):
        return pushed(shape, torch.default_generator, device)

    monkeypatch.setattr(draws, "noise", global_noise)
    monkeypatch.setattr(loops, "_seeded", lambda *_: torch.random.fork_rng(devices=[]))


def a_tick_late(monkeypatch):
    from il_ros.episodes.arrays import episode

    def earlier(ticks_ns, period_ns, length):
        places, existing = window_frames(ticks_ns, period_ns, length)
        return np.maximum(places - (places > 0), 0), existing

    window_frames = episode.window_frames
    monkeypatch.setattr(episode, "window_frames", earlier)


def without_the_policys_ticks(monkeypatch):
    from il_ros.episodes.arrays.episode import EpisodeArrays, window_frames

    def frames_only(episode, length):
        return window_frames(episode.ticks_ns, episode.period_ns, length)

    monkeypatch.setattr(EpisodeArrays, "windows", frames_only)


def across_gaps(monkeypatch):
    from il_ros.policies import window

    monkeypatch.setattr(window, "follows", lambda *_: True)


@pytest.mark.parametrize(
    ("plant", "network", "check"),
    [
        (no_proof, Normalising, the_gradient_that_trains_it_is_autograds),
        (no_proof, Normalising, what_is_offered_in_numpy_equals_torch),
        (no_buffers, Counting, buffers_and_parameters_are_kept),
        (no_seed, Dropping, the_same_seed_gives_equal_bits),
        (no_seed, Dropping, a_resumed_training_equals_an_uninterrupted_one),
        (no_order, Noisy, the_same_seed_gives_equal_bits),
        (a_tick_late, BehaviourCloningNetwork, a_window_live_is_the_window_offline),
        (without_the_policys_ticks, BehaviourCloningNetwork, a_window_live_is_the_window_offline),
        (across_gaps, BehaviourCloningNetwork, a_window_live_is_the_window_offline),
    ],
)
def test_a_planted_fault_of_the_machinery_fails_the_check(monkeypatch, plant, network, check):
    plant(monkeypatch)
    with pytest.raises((AssertionError, RuntimeError, KeyError)):
        check(planted(monkeypatch, network))


def test_the_named_parts_of_a_loss_are_in_the_curves(monkeypatch):
    made_ready = Prepared(planted(monkeypatch, Penalised), training={"epochs": 1, "batch_size": 1000})
    (metrics,) = made_ready.train().curves
    assert metrics.parts["imitation"] + metrics.parts["penalty"] == pytest.approx(
        metrics.train_loss, rel=1e-5
    )
