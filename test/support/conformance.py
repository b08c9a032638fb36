"""What every policy family must fulfil. Each check takes a `Subject` and raises AssertionError; `CHECKS` lists them.

A family of another package runs them as test/policies/test_conformance.py does.
"""

from __future__ import annotations

import copy
import dataclasses
import pickle
import tempfile
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest import mock

import made_arrays as made
import numpy as np
import pytest
import torch

from il_ros.core import contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.arrays.episode import EpisodeArrays, UnlabelledTicks
from il_ros.policies import checkpoint
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families import registry
from il_ros.policies.features import Inputs
from il_ros.policies.networks import together
from il_ros.policies.protocol import Actions, Array, Batch, PolicyError
from il_ros.policies.runner import LoadedPolicy, proven_numpy_forward, sample
from il_ros.policies.vocabulary import Vocabulary
from il_ros.policies.window import TickWindow
from il_ros.training.batches import Batches
from il_ros.training.fitting import fit_normaliser, made_assets
from il_ros.training.loop import TrainingLoop
from il_ros.training.optimiser.accumulation import AccumulatedGradient
from il_ros.training.optimiser.gradients import analytic, by_autograd, fault, gradient_of
from il_ros.training.recipe import Recipe, Training
from il_ros.training.samples import samples

WORDS = "  words: {topic: words, type: std_msgs/msg/String, max_age_s: 1}\nactions:"
WITH_TEXT = contract.parse(made.TEXT.replace("actions:", WORDS), "text.yaml")


@dataclass(frozen=True)
class Subject:
    """A family by its name, with settings that make it small and train it fast."""

    name: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    learning_rate: float = 0.01
    steps: int = 300

    def recipe(self, training: Mapping[str, Any] | None = None, **changes: Any) -> Recipe:
        values = {"horizon": 3, **self.settings, **changes}
        options = {"batch_size": 16, "learning_rate": self.learning_rate, **(training or {})}
        return Recipe(self.name, registry.family(self.name).settings(**values), Training(**options))


class Prepared:
    """Episodes as batches, and a network and a loop to train on them."""

    def __init__(self, subject: Subject, own=made.CONTRACT, data=None, training=None, **changes) -> None:
        self.own, self.recipe = own, subject.recipe(training, **changes)
        self.data = data or made.dataset(train=2, own=own)
        policy = self.recipe.policy
        self.inputs = Inputs.for_policy(own, policy)
        parts = (policy.horizon, self.recipe.training.weighting, ActionForm(own), policy.history)
        self.samples = samples(self.data.train, self.inputs, *parts)
        self.assets = made_assets(self.samples, self.inputs, policy)
        self.normaliser = fit_normaliser(self.samples, self.inputs, own, self.recipe)
        self.batches = Batches(
            self.samples,
            self.inputs,
            self.normaliser,
            "cpu",
            vocabulary=Vocabulary.among(self.assets),
            follows=policy.follows,
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.recipe.training.seed)
            self.network = self.built()
        self.loop = TrainingLoop(self.network, self.recipe.training)

    def built(self):
        return registry.make_network(
            self.recipe.family, self.recipe.policy, self.own, self.normaliser, self.assets
        )

    def train(self, until: int | None = None) -> TrainingLoop:
        for metrics in self.loop.epochs(self.batches, None, time.monotonic):
            if metrics.epoch == until:
                break
        return self.loop

    def policy(self) -> LoadedPolicy:
        network = self.built()
        network.load_state_dict(self.loop.best_weights())
        parts = (self.own, self.recipe.family, self.recipe.policy, network, self.normaliser, "v1")
        return LoadedPolicy(*parts)

    def batch(self, count: int = 1000) -> Batch:
        return next(self.batches.in_order(count))


def one_batch(number: int = 8) -> Dataset:
    return dataclasses.replace(made.dataset(train=1), train=(made.episode(0, number),), validation=())


def with_words() -> Dataset:
    """Two episodes with a text: the first one's changes in the middle."""
    data = made.dataset(train=2)
    texts = [np.array(["push it left"] * 15 + ["push it right"] * 15), np.array(["wait"] * 30)]
    train = [
        dataclasses.replace(episode, observations={**episode.observations, "words": words})
        for episode, words in zip(data.train, texts, strict=True)
    ]
    return dataclasses.replace(data, contract=WITH_TEXT, train=tuple(train), validation=())


def stir() -> None:
    """Leave torch's global generator in a state that no training may depend on."""
    torch.manual_seed(time.time_ns() % 2**31)
    torch.rand(3)


def state_of(loop: TrainingLoop) -> dict[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in loop.tensors().items()}


def same(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def apart(one: tuple[Any, float | None], other: tuple[Any, float | None]) -> float:
    """Return the largest difference of two answers and of their uncertainties; classes can be equal by chance."""
    (chunk, own), (another, its) = one, other
    return max(float(np.abs(chunk - another).max()), abs((own or 0.0) - (its or 0.0)))


def it_overfits_a_batch(subject: Subject) -> None:
    made_ready = Prepared(subject, data=one_batch(), training={"epochs": subject.steps, "batch_size": 8})
    before = made_ready.batch()
    made_ready.train()
    answer = sample(made_ready.policy().network, before)
    errors = (answer.chunk - before.action).abs()
    if before.weight is not None:
        errors = errors[before.weight[..., 0] > 0]
    assert errors.mean() < 0.1, f"after {subject.steps} steps on 8 frames it is off by {errors.mean():.3f}"


def the_same_seed_gives_equal_bits(subject: Subject) -> None:
    states = []
    for _ in range(2):
        stir()
        states.append(state_of(Prepared(subject, training={"epochs": 2, "state_noise": 0.1}).train()))
    assert same(*states), "two trainings with one seed differ"


def a_resumed_training_equals_an_uninterrupted_one(subject: Subject) -> None:
    options = {"epochs": 3, "ema": 0.9, "state_noise": 0.1}
    whole = Prepared(subject, training=options).train()
    first = Prepared(subject, training=options).train(until=1)
    second = Prepared(subject, training=options)
    second.loop.restore(state_of(first), first.curves_plain())
    stir()
    assert same(state_of(second.train()), state_of(whole)), "a resumed training gives another result"


def what_is_offered_in_numpy_equals_torch(subject: Subject) -> None:
    for history in (1, 3):
        made_ready = Prepared(subject, history=history)
        made_ready.train(until=1)
        policy = made_ready.policy()
        offered = policy.network.numpy_forward() is not None
        if offered:
            proven = proven_numpy_forward(policy.network, history, policy.inputs)
            assert proven is not None, "the NumPy forward pass that it offers differs from `sample`"
        for seed in range(5):
            seen = [made.observation(seed=seed + tick) for tick in range(history)]
            chunk = sample(policy.network, Batch(policy.window(seen))).chunk[0].numpy().astype(float)
            wanted = policy.form.commands(policy.normaliser.actions.restore(chunk), seen[-1])
            np.testing.assert_allclose(policy.act(seen), wanted, rtol=1e-4, atol=1e-5)


def the_gradient_that_trains_it_is_autograds(subject: Subject) -> None:
    made_ready = Prepared(subject)
    network, flat, batch = made_ready.network, made_ready.loop.flat, made_ready.batch(16)
    if analytic(network) is not None:
        assert not fault(network, batch), f"the gradient that it offers is wrong: {fault(network, batch)}"
    gradient = gradient_of(network, flat, batch)
    rngs = [torch.Generator().manual_seed(0) for _ in range(2)]
    found = []
    for function, rng in ((gradient, rngs[0]), (lambda *given: by_autograd(network, flat, *given), rngs[1])):
        torch.manual_seed(0)
        loss = function(batch, rng)
        found.append((loss.total.clone(), flat.gradient.clone()))
    torch.testing.assert_close(*found, rtol=1e-4, atol=1e-5)


def buffers_and_parameters_are_kept(subject: Subject) -> None:
    made_ready = Prepared(subject, training={"epochs": 2})
    loop = made_ready.train()
    trained = {name: value.clone() for name, value in made_ready.network.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "saved", made_ready.policy())
        restored = checkpoint.load(Path(folder) / "saved").network.state_dict()
    assert same(trained, restored), "what is saved is not what was trained"
    assert same(trained, loop.best_weights())


def a_batch_equals_its_single_rows(subject: Subject) -> None:
    made_ready = Prepared(subject, history=2)
    network, batch = made_ready.policy().network, made_ready.batch(6)
    drawn, uniformly = torch.randn, torch.rand

    def for_every_row(draw):  # so that a sample has the same noise, however many are beside it
        def drawn_once(shape, **options):
            return draw((1, *shape[1:]), **options).expand(shape).clone()

        return drawn_once

    with (
        mock.patch.object(torch, "randn", for_every_row(drawn)),
        mock.patch.object(torch, "rand", for_every_row(uniformly)),
    ):
        whole = sample(network, Batch(batch.observation))
        for row in range(len(batch)):
            alone = sample(network, Batch(batch.observation.rows(torch.tensor([row]))))
            torch.testing.assert_close(alone.chunk[0], whole.chunk[row], rtol=1e-4, atol=1e-5)
            if whole.uncertainty is not None:
                torch.testing.assert_close(alone.uncertainty[0], whole.uncertainty[row], rtol=1e-3, atol=1e-5)


def taken_over(episode: EpisodeArrays, labelled: Array) -> EpisodeArrays:
    """Return an episode of which only some frames have a label; the policy drove at the others."""
    others = np.setdiff1d(np.arange(len(episode)), labelled)

    def of(rows: Array) -> dict[str, Array]:
        return {key: np.asarray(values)[rows] for key, values in episode.observations.items()}

    return dataclasses.replace(
        episode,
        observations=of(labelled),
        commands=episode.commands[labelled],
        offsets=episode.offsets[labelled],
        ticks_ns=episode.ticks_ns[labelled],
        unlabelled=UnlabelledTicks(episode.ticks_ns[others], of(others)),
    )


def a_window_live_is_the_window_offline(subject: Subject) -> None:
    gap = made.episode(3, 12, ticks_ns=np.array([*range(1, 7), *range(9, 15)]) * made.PERIOD_NS)
    corrected = taken_over(made.episode(4, 9), np.array([2, 3, 6, 8]))
    episodes = (made.episode(2, 5), gap, corrected)
    data = dataclasses.replace(made.dataset(train=1), train=episodes, validation=())
    made_ready = Prepared(subject, data=data, history=3)
    policy, offline = made_ready.policy(), made_ready.batch().observation
    frame = 0
    for episode in data.train:
        window = TickWindow(policy.history, episode.period_ns)
        every = [*episode.ticks_ns.tolist(), *episode.unlabelled.ticks_ns.tolist()]
        for row in np.argsort(every).tolist():
            ticks = window.push(every[row], episode.observation(row))
            if row >= len(episode):
                continue  # the policy drove
            live, stored = policy.window(ticks), offline.rows(torch.tensor([frame]))
            assert list(live) == list(stored)
            for key in live:
                assert torch.equal(live[key], stored[key]), f"'{key}' differs at frame {frame}"
                assert torch.equal(live.mask[key], stored.mask[key]), f"the mask differs at frame {frame}"
            frame += 1


def it_keeps_nothing_between_calls(subject: Subject) -> None:
    policy = Prepared(subject, history=2).policy()
    windows = [[made.observation(seed=seed), made.observation(seed=seed + 1)] for seed in (0, 5)]
    answers = [policy.act(windows[place], seed=7) for place in (0, 1, 0)]
    np.testing.assert_array_equal(answers[0], answers[2])
    assert not np.array_equal(answers[0], answers[1])


def a_missing_camera_is_as_declared(subject: Subject) -> None:
    if not subject.recipe().policy.reads_images:
        with pytest.raises(ValueError, match="'camera' is a camera, which this policy does not support"):
            Prepared(subject, made.WITH_CAMERA)
        return
    seen = made.observation(made.WITH_CAMERA)
    blind = {key: value for key, value in seen.items() if key != "camera"}
    with pytest.raises(PolicyError, match="'camera' is missing"):
        Prepared(subject, made.WITH_CAMERA).policy().act(blind)
    data = made.dataset(train=2, own=made.WITH_CAMERA)
    first, second = data.train
    second = dataclasses.replace(
        second, observations={key: value for key, value in second.observations.items() if key != "camera"}
    )
    data = dataclasses.replace(data, train=(first, second), validation=())
    made_ready = Prepared(subject, made.WITH_CAMERA, data, optional=("camera",), training={"epochs": 1})
    policy = (made_ready.train(), made_ready.policy())[1]
    answer = policy.act(blind)
    assert np.isfinite(answer).all()
    black = {**blind, "camera": np.zeros_like(seen["camera"])}
    answers = [policy.act_with_uncertainty(each) for each in (blind, black, seen)]
    assert apart(answers[0], answers[1]) > 1e-4, "a missing camera is taken for a black picture"
    assert apart(answers[2], answers[1]) > 1e-4, "it does not see the picture"


def a_chunk_continues_what_is_committed(subject: Subject) -> None:
    policy = Prepared(subject, own=made.DELTA).policy()
    seen = made.observation()
    committed = policy.act(seen)[:2] + 0.1
    np.testing.assert_allclose(policy.act(seen, previous=committed)[:2], committed, atol=1e-6)
    assert policy.act(seen, previous=committed).shape == policy.act(seen).shape
    with pytest.raises(ValueError, match="previous is"):
        policy.act(seen, previous=np.zeros((policy.horizon + 1, 2)))


def a_sample_of_weight_0_teaches_nothing(subject: Subject) -> None:
    made_ready = Prepared(subject)
    batch = made_ready.batch(8)
    weight = torch.ones((8, 3, 1))
    weight[5] = 0
    losses = []
    for value in (0.0, 100.0):
        action = batch.action.clone()
        action[5] = value
        torch.manual_seed(0)
        rng = torch.Generator().manual_seed(0)
        losses.append(
            made_ready.network.eval().loss(Batch(batch.observation, action, weight), rng).total.item()
        )
    assert losses[0] == pytest.approx(losses[1], rel=1e-5), "the loss ignores `batch.weight`"


def equal_seeds_give_equal_answers(subject: Subject) -> None:
    policy = Prepared(subject).policy()
    stir()
    first = policy.act(made.observation(), seed=3)
    stir()
    np.testing.assert_array_equal(first, policy.act(made.observation(), seed=3))


def text_is_read_or_refused(subject: Subject) -> None:
    settings = subject.recipe().policy
    data = with_words()
    if not settings.reads_text:
        with pytest.raises(ValueError, match="'words' is a text, which this policy does not support"):
            Prepared(subject, WITH_TEXT, data)
        return
    made_ready = Prepared(subject, WITH_TEXT, data, training={"epochs": 2})
    made_ready.train()
    policy = made_ready.policy()
    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "saved", policy)
        loaded = checkpoint.load(Path(folder) / "saved")
    assert loaded.vocabulary.words[:2] == ("it", "push")  # each of them twice, the others once
    answers = [loaded.act({**made.observation(), "words": np.array(text)}) for text in ("push left", "wait")]
    assert not np.array_equal(*answers), "it does not read the text"
    np.testing.assert_array_equal(
        answers[0], policy.act({**made.observation(), "words": np.array("push left")})
    )


def a_checkpoint_runs_no_code(subject: Subject) -> None:
    policy = Prepared(subject).policy()

    def refused(*_words, **_options):
        raise AssertionError("loading a checkpoint runs code")

    with tempfile.TemporaryDirectory() as folder:
        checkpoint.save(Path(folder) / "saved", policy)
        assert {file.name for file in (Path(folder) / "saved").iterdir()} <= set(checkpoint.FILES)
        with (
            mock.patch.object(torch, "load", refused),
            mock.patch.object(pickle, "load", refused),
            mock.patch.object(pickle, "loads", refused),
            mock.patch.object(pickle, "Unpickler", refused),
        ):
            loaded = checkpoint.load(Path(folder) / "saved")
    seen = made.observation()
    np.testing.assert_array_equal(loaded.act(seen), policy.act(seen))


def an_answer_has_the_declared_shape(subject: Subject) -> None:
    made_ready = Prepared(subject, history=2)
    batch = made_ready.batch(5)
    seen = copy.deepcopy(batch.observation.state)
    answer = sample(made_ready.policy().network, Batch(batch.observation))
    assert isinstance(answer, Actions)
    assert answer.chunk.shape == (5, 3, 2), "the chunk is not (B, H, A)"
    assert answer.uncertainty is None or (
        answer.uncertainty.shape == (5,) and (answer.uncertainty >= 0).all()
    ), "the uncertainty is not (B,) >= 0"
    assert answer.spread is None or (
        answer.spread.shape == (5, answer.chunk.shape[2]) and (answer.spread >= 0).all()
    ), "the spread is not (B, A) >= 0"
    loss = made_ready.network.loss(batch, torch.Generator().manual_seed(0))
    assert loss.total.shape == (), "the loss is no single number"
    assert all(part.shape == () for part in loss.parts.values()), "a part of the loss is no single number"
    assert torch.equal(seen, batch.observation.state), "it edits its input"


class Meeting:
    """Threads in the place of processes: `average` returns the mean of what all of them give."""

    def __init__(self, count: int) -> None:
        self._barrier, self._given = threading.Barrier(count, timeout=60), dict[int, torch.Tensor]()
        self._count = count

    def average(self, amount: torch.Tensor) -> torch.Tensor:
        self._given[threading.get_ident()] = amount
        self._barrier.wait()
        mean = sum(each.double() for each in self._given.values()) / self._count
        self._barrier.wait()  # nobody gives the next amount before all have read
        return mean.to(amount.dtype if amount.is_floating_point() else torch.float32)

    def break_up(self) -> None:
        self._barrier.abort()


def parts_of_a_batch_teach_what_the_batch_does(subject: Subject) -> None:
    count, processes = 11, 2
    whole = Prepared(subject, history=2)
    batch = whole.batch(count)
    weight = torch.ones((count, 3, 1))
    weight[1, 1:], weight[4], weight[9] = 0, 3, 0.5  # the parts have other sums of weights
    batch = dataclasses.replace(batch, weight=weight, progress=0.3)
    rng = torch.Generator().manual_seed(5)
    loss = gradient_of(whole.network, whole.loop.flat, whole.batch(1))(batch, rng)
    meeting, answers = Meeting(processes), dict[int, Any]()

    def learn(rank: int, gradient: Any) -> None:
        try:
            own, part = together.PartialGenerator(), together.BatchPart(rank, processes)
            own.manual_seed(5)
            own.begin(part, count)
            rows = torch.arange(count)[part.rows(count)]
            following = batch.following and batch.following.rows(rows)
            mine = Batch(
                batch.observation.rows(rows),
                batch.action[rows],
                batch.weight[rows],
                following,
                batch.progress,
            )
            answers[rank] = gradient(mine, own).total.clone(), own.get_state()
        finally:
            if rank not in answers:
                meeting.break_up()

    parts = [Prepared(subject, history=2) for _ in range(processes)]
    gradients = [gradient_of(each.network, each.loop.flat, each.batch(1)) for each in parts]
    threads = [
        threading.Thread(target=learn, args=(rank, gradient)) for rank, gradient in enumerate(gradients)
    ]
    with together.averaging(meeting.average):
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(answers) == processes, "the loss of a part raises an error"
    mean = sum(total for total, _ in answers.values()) / processes
    torch.testing.assert_close(mean, loss.total, rtol=1e-4, atol=1e-5)
    found = sum(each.loop.flat.gradient for each in parts) / processes
    torch.testing.assert_close(found, whole.loop.flat.gradient, rtol=1e-3, atol=1e-5)
    for each, (_, state) in zip(parts, (answers[rank] for rank in range(processes)), strict=True):
        buffers = each.loop.flat.buffers()
        for name, wanted in whole.loop.flat.buffers().items():
            torch.testing.assert_close(buffers[name], wanted, rtol=1e-4, atol=1e-6)
        assert torch.equal(state, rng.get_state()), "the parts draw other random numbers than the batch"


def a_batch_computed_in_parts_teaches_what_it_does_at_once(subject: Subject) -> None:
    count = 11
    whole, parts = (Prepared(subject, history=2) for _ in range(2))
    batch = whole.batch(count)
    weight = torch.ones((count, 3, 1))
    weight[1, 1:], weight[4], weight[9] = 0, 3, 0.5  # the parts have other sums of weights
    batch = dataclasses.replace(batch, weight=weight, progress=0.3)
    rng, own = torch.Generator(), together.PartialGenerator()
    for each in (rng, own):
        each.manual_seed(5)
    own.begin(together.BatchPart(), count)
    loss = gradient_of(whole.network, whole.loop.flat, whole.batch(1))(batch, rng)
    found = AccumulatedGradient(parts.network, parts.loop.flat, 3, "float32")(batch, own)
    torch.testing.assert_close(found.total, loss.total, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(parts.loop.flat.gradient, whole.loop.flat.gradient, rtol=1e-3, atol=1e-5)
    buffers = parts.loop.flat.buffers()
    for name, wanted in whole.loop.flat.buffers().items():
        torch.testing.assert_close(buffers[name], wanted, rtol=1e-4, atol=1e-6)
    assert torch.equal(own.get_state(), rng.get_state()), "the parts draw other random numbers than the batch"


CHECKS = (
    an_answer_has_the_declared_shape,
    it_overfits_a_batch,
    the_same_seed_gives_equal_bits,
    a_resumed_training_equals_an_uninterrupted_one,
    what_is_offered_in_numpy_equals_torch,
    the_gradient_that_trains_it_is_autograds,
    parts_of_a_batch_teach_what_the_batch_does,
    a_batch_computed_in_parts_teaches_what_it_does_at_once,
    buffers_and_parameters_are_kept,
    a_batch_equals_its_single_rows,
    a_window_live_is_the_window_offline,
    it_keeps_nothing_between_calls,
    a_missing_camera_is_as_declared,
    a_chunk_continues_what_is_committed,
    a_sample_of_weight_0_teaches_nothing,
    equal_seeds_give_equal_answers,
    text_is_read_or_refused,
    a_checkpoint_runs_no_code,
)
