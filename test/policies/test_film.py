"""Behaviour cloning by words: what the words do to the network, by hand, and that it learns to be told."""

import pytest
import torch
from conformance import WITH_TEXT, Prepared, Subject, with_words
from torch import nn

from il_ros.policies.families.film import FilmCloning
from il_ros.policies.networks.words import mean_of_words
from il_ros.policies.protocol import Batch
from il_ros.policies.vocabulary import PADDING, UNKNOWN

SMALL = Subject("film", {"hidden": (2,), "horizon": 1})
LEFT, RIGHT = 2, 3


def test_the_mean_is_of_the_known_words():
    embedding = nn.Embedding(4, 2)
    with torch.no_grad():
        embedding.weight.copy_(torch.tensor([[9.0, 9.0], [7.0, 7.0], [1.0, 2.0], [3.0, -4.0]]))
    tokens = torch.tensor([[LEFT, RIGHT, PADDING], [LEFT, UNKNOWN, UNKNOWN], [UNKNOWN, PADDING, PADDING]])
    expected = torch.tensor([[2.0, -1.0], [1.0, 2.0], [0.0, 0.0]])
    assert torch.equal(mean_of_words(embedding, tokens), expected)


def test_words_scale_and_shift_each_hidden_layer():
    """State (s, ...) -> layer [s, -s] -> (1 + scale) x + shift -> ReLU -> their sum."""
    ready = Prepared(SMALL, WITH_TEXT, with_words())
    network = ready.policy().network
    features = len(ready.inputs.features_of)
    (linear,), head = [each for each in network.trunk if isinstance(each, nn.Linear)], network.head.linear
    with torch.no_grad():
        for parameter in (linear.weight, linear.bias, head.weight, head.bias):
            parameter.zero_()
        linear.weight[0, 0], linear.weight[1, 0] = 1.0, -1.0
        head.weight[0] = 1.0
        network.words["words"].weight.zero_()
        network.words["words"].weight[LEFT] = torch.tensor([1.0, 3.0, 0.5, -0.25])  # scales, then shifts
    window = ready.batch(1).observation
    state = torch.zeros((1, 1, features))
    state[..., 0] = 0.5
    spoken = torch.full_like(window["words"], PADDING)
    silent = network(window.changed(state=state, others={"words": spoken}))
    assert silent[0, 0, 0].item() == pytest.approx(0.5)  # relu(0.5) + relu(-0.5)
    spoken = spoken.clone()
    spoken[..., 0] = LEFT
    told = network(window.changed(state=state, others={"words": spoken}))
    # (1 + 1) 0.5 + 0.5 = 1.5; (1 + 3) (-0.5) - 0.25 < 0
    assert told[0, 0, 0].item() == pytest.approx(1.5)


def test_it_learns_which_number_the_word_selects():
    ready = Prepared(Subject("film", {"hidden": (32, 32), "horizon": 1}), WITH_TEXT, with_words())
    network, rng = ready.built(), torch.Generator().manual_seed(0)
    example = ready.batch(1).observation

    def drawn(count):
        state = torch.rand((count, 1, len(ready.inputs.features_of)), generator=rng) * 2 - 1
        word = torch.randint(LEFT, RIGHT + 1, (count,), generator=rng)
        tokens = torch.full((count, 1, example["words"].shape[2]), PADDING)
        tokens[:, 0, 0] = word
        target = torch.where(word == LEFT, state[:, 0, 0], state[:, 0, 1])[:, None, None].expand(-1, 1, 2)
        window = example.rows(torch.zeros(count, dtype=torch.int64))
        return window.changed(state=state, others={"words": tokens}), target

    optimiser = torch.optim.Adam(network.parameters(), lr=3e-3)
    for _ in range(600):
        window, target = drawn(64)
        loss = network.loss(Batch(window, target), rng).total
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    window, target = drawn(500)
    error = (network(window) - target).abs().mean().item()
    assert error < 0.08  # the mean of both numbers, which needs no words, has 1/3


def test_without_words_it_is_behaviour_cloning_with_its_fast_paths():
    network = Prepared(SMALL).built()
    assert network.perceptrons() is not None
    assert network.numpy_forward() is not None
    told = Prepared(SMALL, WITH_TEXT, with_words()).built()
    assert told.perceptrons() is None
    assert told.numpy_forward() is None
    assert FilmCloning.reads_text
