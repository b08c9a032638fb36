"""Classes: bins of numbers, and the contract's choices."""

import dataclasses
import math

import made_arrays as made
import numpy as np
import pytest
import torch
from conformance import Prepared, Subject

from il_ros.core import contract
from il_ros.policies.families.registry import make_network
from il_ros.policies.normaliser import Affine, Normaliser
from il_ros.policies.protocol import Batch
from il_ros.policies.runner import sample

MOVE = """  move: {topic: move, type: std_msgs/msg/Float64MultiArray, names: [left, wait, right], quantity: choice}
"""
WITH_CHOICE = contract.parse(made.TEXT + MOVE, "choice.yaml")
SMALL = Subject("bc", {"hidden": (32,), "loss": "categorical", "bins": 5}, 0.02)


def head_of(own=made.CONTRACT, bins=5, **changes):
    """A head for a contract whose actions are normalised already."""
    size = own.action_size
    identity = Normaliser(Affine(np.zeros(9 + 2), np.ones(11)), Affine(np.zeros(size), np.ones(size)))
    recipe = SMALL.recipe(horizon=1, bins=bins, **changes)
    return make_network("bc", recipe.policy, own, identity).head


def scores(head, *shares):
    """Return the scores (1, 1, V, C) of these probabilities by variable."""
    found = torch.full((1, *head.shape), -1e9)
    for variable, each in enumerate(shares):
        found[0, 0, variable, : len(each)] = torch.tensor(each).log()
    return found


def test_a_number_belongs_to_the_nearest_bin():
    head = head_of()  # -1, -0.5, 0, 0.5, 1
    target = torch.tensor([[[-7.0, -0.7]], [[0.2, 0.3]], [[0.8, 7.0]]])
    assert head.classes_of(target)[:, 0].tolist() == [[0, 1], [2, 3], [4, 4]]


def test_the_loss_is_the_cross_entropy_of_the_right_classes():
    head = head_of()
    predicted = scores(head, [0.1, 0.2, 0.3, 0.2, 0.2], [0.5, 0.1, 0.1, 0.1, 0.2])
    loss = head.loss(predicted, torch.tensor([[[0.0, -1.0]]]), None)
    assert loss.item() == pytest.approx(-(math.log(0.3) + math.log(0.5)) / 2, rel=1e-5)
    of_the_first = head.loss(predicted, torch.tensor([[[0.0, -1.0]]]), torch.tensor([[[2.0, 0.0]]]))
    assert of_the_first.item() == pytest.approx(-math.log(0.3), rel=1e-5)


@pytest.mark.parametrize(("answer", "chunk"), [("mode", [-1.0, 1.0]), ("mean", [-0.2, 1.0])])
def test_what_it_answers_between_two_ways(answer, chunk):
    # first number: 0.6 at -1 and 0.4 at 1: mean -0.2, variance 1 - 0.04; second: certain; mean variance 0.48
    head = head_of(answer=answer)
    predicted = scores(head, [0.6, 0, 0, 0, 0.4], [0, 0, 0, 0, 1.0])
    assert head.chunk(predicted, torch.Generator())[0, 0].tolist() == pytest.approx(chunk, abs=1e-5)
    assert head.uncertainty(predicted).item() == pytest.approx(math.sqrt(0.48), rel=1e-4)
    decoded, uncertainty, spread = head.decode(predicted.flatten().numpy())
    assert decoded[0].tolist() == pytest.approx(chunk, abs=1e-5)
    assert uncertainty == pytest.approx(math.sqrt(0.48), rel=1e-4)
    assert spread.tolist() == pytest.approx([math.sqrt(0.96), 0.0], abs=2e-3)


def test_a_sample_is_drawn_by_the_probabilities():
    head = head_of(answer="sample")
    many = scores(head, [0.6, 0, 0, 0, 0.4], [0, 0, 1.0, 0, 0]).expand(4000, -1, -1, -1)
    drawn = head.chunk(many, torch.Generator().manual_seed(0))[:, 0]
    assert set(drawn[:, 0].tolist()) == {-1.0, 1.0}
    assert (drawn[:, 0] < 0).float().mean().item() == pytest.approx(0.6, abs=0.03)
    assert not drawn[:, 1].any()


def test_a_choice_has_one_class_per_name_and_is_answered_whole():
    head = head_of(WITH_CHOICE)
    assert head.exists.sum(dim=1).tolist() == [3, 5, 5]  # left, wait, right; and the bins of a and b
    predicted = scores(head, [0.2, 0.7, 0.1], [0, 0, 1.0, 0, 0], [0, 0, 0, 1.0, 0])
    assert head.chunk(predicted, torch.Generator())[0, 0].tolist() == pytest.approx([0.0, 0.5, 0.0, 1.0, 0.0])
    assert head.classes_of(torch.tensor([[[0.0, 0.0, 0.1, 0.2, 0.9]]]))[0, 0, 0] == 2


def test_training_learns_the_choice_that_a_state_asks_for():
    """Left where the object's x is below 0, else right; nobody waits, so that number never moves."""
    data = made.dataset(train=3, own=WITH_CHOICE)
    train = []
    for episode in data.train:
        right = episode.observations["object"][:, 0] > 0
        chosen = np.stack([~right, np.zeros_like(right), right], axis=1).astype(float)
        commands = np.concatenate([episode.commands, chosen], axis=1)
        train.append(dataclasses.replace(episode, commands=commands, offsets=np.zeros_like(commands)))
    data = dataclasses.replace(data, train=tuple(train), validation=())
    ready = Prepared(SMALL, WITH_CHOICE, data, training={"epochs": 60}, horizon=1)
    ready.train()
    policy, batch = ready.policy(), ready.batch()
    restored = policy.normaliser.actions.restore(
        sample(policy.network, Batch(batch.observation)).chunk.numpy()
    )
    found = restored[:, 0, 2:]
    wanted = np.concatenate([episode.commands[:, 2:] for episode in train])
    assert set(np.unique(found.round(6))) == {0.0, 1.0}
    assert (found.argmax(axis=1) == wanted.argmax(axis=1)).mean() > 0.95
