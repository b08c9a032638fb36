"""Heads: predictions, losses and uncertainties."""

import math

import numpy as np
import pytest
import torch

from il_ros.policies.heads.deterministic import DeterministicHead
from il_ros.policies.heads.gaussian import LOG_STD, GaussianHead

RNG = torch.Generator()


def gaussian(variance_power=0.0, features=1, chunk=(1, 1)):
    torch.manual_seed(0)
    return GaussianHead(features, *chunk, variance_power)


def prediction(mean, std):
    """Return the prediction (1, 2, 1, 1) with this mean and deviation: inverts the log-deviation bounds."""
    low, high = LOG_STD
    share = (math.log(std) - low) / (high - low)
    return torch.tensor([[[[mean]], [[math.log(share / (1 - share))]]]])


def test_a_gaussians_loss_is_the_negative_log_likelihood():
    # log 0.5 + ((1.5 - 1) / 0.5)^2 / 2 = -0.6931 + 0.5
    loss = gaussian().eval().loss(prediction(1.0, 0.5), torch.tensor([[[1.5]]]), None)
    assert loss.item() == pytest.approx(-0.193147, abs=1e-5)


def test_while_training_each_number_is_weighted_by_a_power_of_its_variance():
    # 0.5^(2 * 0.5) * -0.193147; validation rates the likelihood itself
    head, target = gaussian(variance_power=0.5), torch.tensor([[[1.5]]])
    assert head.loss(prediction(1.0, 0.5), target, None).item() == pytest.approx(-0.0965736, abs=1e-5)
    assert head.eval().loss(prediction(1.0, 0.5), target, None).item() == pytest.approx(-0.193147, abs=1e-5)


def test_no_gradient_flows_through_the_weight():
    # d/d mean of the likelihood: -(1.5 - 1) / 0.25 = -2, times the weight 0.5
    values = prediction(1.0, 0.5).requires_grad_()
    gaussian(variance_power=0.5).loss(values, torch.tensor([[[1.5]]]), None).backward()
    assert values.grad[0, 0].item() == pytest.approx(-1.0, abs=1e-5)


def test_steps_of_weight_zero_have_no_gradient():
    both = torch.cat([prediction(1.0, 0.5), prediction(7.0, 0.1)])
    target = torch.tensor([[[1.5]], [[-3.0]]])
    loss = gaussian().eval().loss(both, target, torch.tensor([[[2.0]], [[0.0]]]))
    assert loss.item() == pytest.approx(-0.193147, abs=1e-5)


def test_mode_is_the_mean_and_uncertainty_the_deviation():
    head = gaussian()
    assert head.chunk(prediction(1.0, 0.5), RNG).item() == 1.0
    assert head.uncertainty(prediction(1.0, 0.5)).item() == pytest.approx(0.5, rel=1e-5)


def test_the_deviation_stays_between_its_bounds():
    extremes = torch.tensor([[[[0.0]], [[-1e4]]], [[[0.0]], [[1e4]]]])
    np.testing.assert_allclose(gaussian().uncertainty(extremes), np.exp(LOG_STD), rtol=1e-5)


def test_training_recovers_mean_and_deviation():
    """Targets at x = -1: mean 0.5, deviation 0.1; at x = 1: mean -0.5, deviation 0.4."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(100)
    noise = (noise - noise.mean()) / noise.std()
    state = torch.tensor([[-1.0]] * 100 + [[1.0]] * 100)
    target = torch.from_numpy(np.concatenate([0.5 + 0.1 * noise, -0.5 + 0.4 * noise])).float().view(-1, 1, 1)
    torch.set_num_threads(1)
    head = gaussian(variance_power=0.5)
    optimiser = torch.optim.Adam(head.parameters(), lr=0.05)
    for _ in range(600):
        optimiser.zero_grad()
        head.loss(head(state), target, None).backward()
        optimiser.step()
    learnt = head(torch.tensor([[-1.0], [1.0]])).detach()
    np.testing.assert_allclose(head.chunk(learnt, RNG).flatten(), [0.5, -0.5], atol=0.01)
    np.testing.assert_allclose(head.uncertainty(learnt), [0.1, 0.4], rtol=0.03)


def test_decode_equals_torch():
    head = gaussian(features=4, chunk=(3, 2))
    values = head(torch.randn(1, 4)).detach()
    chunk, uncertainty, spread = head.decode(values.numpy().reshape(-1))
    np.testing.assert_allclose(chunk, head.chunk(values, RNG)[0], rtol=1e-6)
    assert uncertainty == pytest.approx(head.uncertainty(values).item(), rel=1e-6)
    std = head.log_std(values)[0].exp().numpy()  # (3, 2)
    np.testing.assert_allclose(spread, np.sqrt((std**2).mean(axis=0)), rtol=1e-5)
    np.testing.assert_allclose(spread, head.spread(values)[0], rtol=1e-5)


def test_a_deterministic_head_has_no_uncertainty():
    head = DeterministicHead(4, 3, 2, "mse")
    values = head(torch.randn(1, 4)).detach()
    chunk, uncertainty, spread = head.decode(values.numpy().reshape(-1))
    assert head.uncertainty(values) is None
    assert uncertainty is None
    assert spread is None
    np.testing.assert_array_equal(chunk, values[0])
