"""Transitions, and a reward model on the loop that trains policies."""

import time

import made_arrays as made
import pytest
import torch
from conformance import Prepared, Subject
from torch import nn

from il_ros.policies.protocol import Batch, Loss, Window
from il_ros.rewards.protocol import RewardModel, Transition
from il_ros.training.batches import Batches
from il_ros.training.loop import TrainingLoop
from il_ros.training.recipe import Training


def transition(**changes):
    flags = {"terminated": torch.tensor([False, True]), "absorbing": torch.tensor([False, False])}
    seen = Window(torch.zeros(2, 1, 3))
    return Transition(seen, torch.zeros(2, 1), seen, **{**flags, **changes})


@pytest.mark.parametrize("name", ["terminated", "absorbing"])
def test_a_transition_says_what_its_flags_must_be(name):
    assert transition().terminated.tolist() == [False, True]
    with pytest.raises(ValueError, match=rf"{name} is \(2,\) torch.float32; required: \(2,\) torch.bool"):
        transition(**{name: torch.zeros(2)})
    with pytest.raises(ValueError, match=rf"{name} is \(3,\) torch.bool; required"):
        transition(**{name: torch.zeros(3, dtype=torch.bool)})


class Progress(RewardModel):
    """Learns how far the commanded joints move in one tick, from the following observation."""

    def __init__(self):
        super().__init__()
        self.layer = nn.Linear(2, 1, bias=False)
        self.absorbed = nn.Parameter(torch.zeros(()))

    def reward(self, transition):
        moved = self.layer(transition.following["joints"][:, -1] - transition.observation["joints"][:, -1])[
            :, 0
        ]
        return torch.where(transition.absorbing, self.absorbed, moved)

    def loss(self, batch, rng):
        never = torch.zeros(len(batch), dtype=torch.bool)
        step = Transition(batch.observation, batch.action[:, 0], batch.following, never, never)
        there = batch.following.mask["joints"][:, -1]
        moved = (batch.following["joints"] - batch.observation["joints"])[:, -1].sum(dim=1)
        error = ((self.reward(step) - moved) * there).square().mean()
        return Loss(error, {"error": error})


def test_a_reward_model_learns_from_following_observations_on_the_same_loop():
    ready = Prepared(Subject("bc", {"hidden": (4,)}))
    batches = Batches(ready.samples, ready.inputs, ready.normaliser, "cpu", follows=True)
    model = Progress()
    loop = TrainingLoop(model, Training(epochs=60, batch_size=16, learning_rate=0.05))
    curves = list(loop.epochs(batches, None, time.monotonic))
    assert curves[-1].train_loss < 1e-3 < curves[0].train_loss
    assert curves[-1].parts["error"] == pytest.approx(curves[-1].train_loss)
    torch.testing.assert_close(model.layer.weight.detach(), torch.ones(1, 2), atol=0.05, rtol=0)


def test_an_absorbing_state_has_a_reward_of_its_own():
    model = Progress()
    with torch.no_grad():
        model.absorbed.fill_(0.25)
    batch = Prepared(Subject("bc", {"hidden": (4,)})).batch(2)
    seen = batch.observation
    step = Transition(seen, batch.action[:, 0], seen, torch.tensor([True, True]), torch.tensor([False, True]))
    assert model.reward(step).tolist() == [0.0, 0.25]
    assert isinstance(batch, Batch)
    assert made.CONTRACT.action_size == step.action.shape[1]
