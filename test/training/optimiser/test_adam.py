"""AdamW equals torch.optim.AdamW."""

import pytest
import torch

from il_ros.policies.protocol import ParameterGroup
from il_ros.training.optimiser.adam import AdamW
from il_ros.training.optimiser.flat import FlatParameters


def flat_of(values, groups=()):
    """Flat parameters with these values, one tensor a name."""
    module = torch.nn.Module()
    for name, one in values.items():
        module.register_parameter(name, torch.nn.Parameter(one.clone()))
    return FlatParameters(module, groups)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_steps_are_those_of_torchs_optimiser(weight_decay):
    torch.manual_seed(0)
    theirs = torch.nn.Parameter(torch.randn(50))
    flat = flat_of({"own": theirs.detach()})
    values, gradient = flat.values, flat.gradient
    ours = AdamW(flat, weight_decay)
    optimiser = torch.optim.AdamW([theirs], weight_decay=weight_decay, fused=True)
    for step in range(5):
        gradient.copy_(torch.randn(50))
        theirs.grad = gradient.clone()
        optimiser.param_groups[0]["lr"] = 0.01 * (step + 1)
        optimiser.step()
        ours.step(0.01 * (step + 1))
        assert torch.equal(values, theirs.detach())


def test_the_first_step_is_the_learning_rate_against_the_gradients_sign():
    flat = flat_of({"own": torch.zeros(3)})
    flat.gradient.copy_(torch.tensor([0.5, -3.0, 100.0]))
    AdamW(flat, 0.0).step(0.01)
    torch.testing.assert_close(flat.values, torch.tensor([-0.01, 0.01, -0.01]))


def test_restored_state_continues_identically():
    def optimiser():
        flat = flat_of({"own": torch.zeros(4)})
        flat.gradient.copy_(torch.arange(4.0))
        return flat.values, AdamW(flat, 0.0)

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


def test_a_group_has_its_own_share_of_the_rate_and_its_own_decay():
    # the first step is the rate against the gradient's sign, after a decay by rate * weight_decay: 1 - 0.1 * 0.5 - 0.1
    groups = (ParameterGroup(("slow.",), rate=0.1), ParameterGroup(("free",), weight_decay=0.0))
    module = torch.nn.Module()
    module.slow = torch.nn.ParameterDict({"a": torch.nn.Parameter(torch.ones(2))})
    module.free = torch.nn.Parameter(torch.ones(1))
    module.rest = torch.nn.Parameter(torch.ones(3))
    flat = FlatParameters(module, groups)
    flat.gradient.fill_(7.0)
    AdamW(flat, weight_decay=0.5).step(0.1)
    torch.testing.assert_close(module.rest.detach(), torch.full((3,), 0.85))
    torch.testing.assert_close(module.slow["a"].detach(), torch.full((2,), 1 - 0.01 * 0.5 - 0.01))
    torch.testing.assert_close(module.free.detach(), torch.full((1,), 0.9))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ([ParameterGroup(("tail",))], "no parameter's name begins with 'tail'"),
        ([ParameterGroup(("o",)), ParameterGroup(("own",))], "'own' belongs to 2 groups"),
    ],
)
def test_a_group_that_cannot_be_is_an_error(groups, message):
    with pytest.raises(ValueError, match=message):
        flat_of({"own": torch.zeros(2)}, groups)
