"""AdamW equals torch.optim.AdamW."""

import pytest
import torch

from il_ros.training.optimiser.adam import AdamW


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torchs_optimiser(weight_decay):
    torch.manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(50))
    values, gradient = theirs.detach().clone(), torch.empty(50)
    ours = AdamW(values, gradient, weight_decay)
    optimiser = torch.optim.AdamW([theirs], weight_decay=weight_decay, fused=True)
    for step in range(5):
        gradient.copy_(torch.randn(50))
        theirs.grad = gradient.clone()
        optimiser.param_groups[0]["lr"] = 0.01 * (step + 1)
        optimiser.step()
        ours.step(0.01 * (step + 1))
        assert torch.equal(values, theirs.detach())


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    values, gradient = torch.zeros(3), torch.tensor([0.5, -3.0, 100.0])
    AdamW(values, gradient, 0.0).step(0.01)
    torch.testing.assert_close(values, torch.tensor([-0.01, 0.01, -0.01]))


def test_restored_state_continues_identically():
    def optimiser():
        values, gradient = torch.zeros(4), torch.arange(4.0)
        return values, AdamW(values, gradient, 0.0)

    values, whole = optimiser()
    whole.step(0.1)
    saved = {name: tensor.clone() for name, tensor in whole.tensors().items()}
    between = values.clone()
    whole.step(0.1)
    others, second = optimiser()
    others.copy_(between)
    second.restore(saved)
    second.step(0.1)
    assert torch.equal(others, values)
