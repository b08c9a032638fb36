"""Windows, transitions, and a reward model on the loop that trains policies."""

import time

import made_arrays as made
import pytest
import torch
from conformance import Prepared, Subject
from torch import nn

from il_ros.policies.protocol import Batch, Loss, RewardModel, Transition, Window, continued, weighted_mean
from il_ros.training.batches import Batches
from il_ros.training.loop import TrainingLoop
from il_ros.training.recipe import Training

COLUMNS = {"a": torch.tensor([0, 2]), "b": torch.tensor([1])}


def window(**changes):
    state = torch.arange(12.0).reshape(2, 2, 3)
    return Window(state, COLUMNS, {"camera": torch.ones(2, 2, 1, 1, 1, dtype=torch.uint8)}, **changes)


def test_a_key_is_its_columns_at_every_tick():
    assert list(window()) == ["a", "b", "camera"]
    assert window()["a"].tolist() == [[[0, 2], [3, 5]], [[6, 8], [9, 11]]]
    assert window().flat_state.tolist() == [[0, 1, 2, 3, 4, 5], [6, 7, 8, 9, 10, 11]]
    assert all(there.all() for there in window().mask.values())


def test_a_mask_is_false_before_history_begins_and_where_a_key_is_missing():
    past = torch.tensor([[False, True], [True, True]])
    missing = torch.tensor([[False, False], [False, True]])
    mask = window(past=past, absent={"camera": missing}).mask
    assert mask["a"].tolist() == [[False, True], [True, True]]
    assert mask["camera"].tolist() == [[False, True], [True, False]]


def test_a_left_out_key_is_0_and_masked_and_the_window_stays_as_it_was():
    before = window()
    chosen = torch.tensor([False, True])
    without = before.without("a", chosen).without("camera", chosen)
    assert without["a"].tolist() == [[[0, 2], [3, 5]], [[0, 0], [0, 0]]]
    assert without["b"].tolist() == before["b"].tolist()
    assert without["camera"].flatten().tolist() == [1, 1, 0, 0]
    assert without.mask["a"].tolist() == without.mask["camera"].tolist() == [[True, True], [False, False]]
    assert without.mask["b"].all()
    assert before["a"].tolist() == window()["a"].tolist()
    assert before["camera"].all()


def test_rows_are_those_samples():
    past = torch.tensor([[False, True], [True, True]])
    second = window(past=past, absent={"b": past}).rows(torch.tensor([1]))
    assert second["a"].tolist() == [[[6, 8], [9, 11]]]
    assert second.mask["a"].tolist() == [[True, True]]
    assert second.mask["b"].tolist() == [[False, False]]


def test_a_chunk_begins_with_what_is_committed():
    chunk, committed = torch.zeros(1, 3, 1), torch.tensor([[[5.0], [6.0]]])
    assert continued(chunk, committed).flatten().tolist() == [5, 6, 0]
    assert continued(chunk, None) is chunk


def test_weights_of_steps_and_of_numbers():
    errors = torch.tensor([[[1.0, 3.0], [5.0, 7.0]]])
    assert weighted_mean(errors, None).item() == 4.0
    assert weighted_mean(errors, torch.tensor([[[3.0], [1.0]]])).item() == (3 * 2 + 1 * 6) / 4
    assert weighted_mean(errors, torch.tensor([[[3.0, 0.0], [0.0, 1.0]]])).item() == (3 * 1 + 1 * 7) / 4


def transition(**changes):
    flags = {"terminated": torch.tensor([False, True]), "absorbing": torch.tensor([False, False])}
    return Transition(window(), torch.zeros(2, 1), window(), **{**flags, **changes})


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
