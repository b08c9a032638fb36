"""The mixture of Gaussians: likelihood, answers, uncertainty."""

import math

import pytest
import torch

from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.heads.gaussian import LOG_STD
from il_ros.policies.heads.mixture import MixtureHead, drawn_by


def free(std):
    """The unbounded number that a head maps to this deviation."""
    low, high = LOG_STD
    share = (math.log(std) - low) / (high - low)
    return math.log(share / (1 - share))


def head(answer="mode"):
    return MixtureHead(1, 1, 1, 2, answer).eval()


def prediction(share=0.25, means=(-1.0, 1.0), stds=(0.5, 0.1)):
    """One sample, one step, one action: two components (1, 2, 3)."""
    logs = (math.log(share), math.log(1 - share))
    parts = [[log, mean, free(std)] for log, mean, std in zip(logs, means, stds, strict=True)]
    return torch.tensor([parts])


def test_the_loss_is_the_negative_log_likelihood_of_the_mixture():
    # 0.25 exp(-0.5 (0.5 / 0.5)^2) / 0.5 + 0.75 exp(-0.5 (1.5 / 0.1)^2) / 0.1 = 0.303265 + ~1e-48
    loss = head().loss(prediction(), torch.tensor([[[-0.5]]]), None)
    assert loss.item() == pytest.approx(-math.log(0.303265), abs=1e-5)


def test_a_chunk_has_one_component():
    """Two steps at -1 and 1: no component explains both, although each step alone is likely."""
    both = MixtureHead(1, 2, 1, 2, "mode")
    narrow = free(0.1)
    parts = torch.tensor([[[0.0, -1.0, -1.0, narrow, narrow], [0.0, 1.0, 1.0, narrow, narrow]]])
    alike, mixed = (both.loss(parts, torch.tensor([[[-1.0], [last]]]), None).item() for last in (-1.0, 1.0))
    # log 0.5 in both; one wrong step costs (2 / 0.1)^2 / 2 = 200, two components give log 2; mean of two numbers
    assert mixed - alike == pytest.approx((200 - math.log(2)) / 2, rel=1e-4)


def test_a_weight_of_two_counts_twice_and_padding_not_at_all():
    many = prediction().expand(3, -1, -1)
    target = torch.tensor([[[-1.0]], [[1.0]], [[5.0]]])
    one, other = (head().loss(many[:1], target[k : k + 1], None).item() for k in (0, 1))
    found = head().loss(many, target, torch.tensor([[[2.0]], [[1.0]], [[0.0]]]))
    assert found.item() == pytest.approx((2 * one + other) / 3, rel=1e-5)


@pytest.mark.parametrize(("answer", "chunk", "spread"), [("mode", 1.0, 0.1), ("mean", 0.5, math.sqrt(0.82))])
def test_what_it_answers_and_how_uncertain_that_is(answer, chunk, spread):
    # variance of the mixture: 0.25 (0.25 + 1.5^2) + 0.75 (0.01 + 0.5^2) = 0.625 + 0.195 = 0.82
    own = head(answer)
    assert own.chunk(prediction(), torch.Generator()).item() == pytest.approx(chunk, abs=1e-5)
    assert own.uncertainty(prediction()).item() == pytest.approx(spread, rel=1e-4)
    decoded, uncertainty, of_number = own.decode(prediction().flatten().numpy())
    assert (decoded.item(), uncertainty, of_number.item()) == pytest.approx((chunk, spread, spread), rel=1e-4)


def test_components_are_drawn_by_their_weight_and_samples_have_their_noise():
    many, rng = prediction().expand(4000, -1, -1), torch.Generator().manual_seed(0)
    centres = head("component").chunk(many, rng).flatten()
    assert set(centres.tolist()) == {-1.0, 1.0}
    assert (centres < 0).float().mean().item() == pytest.approx(0.25, abs=0.03)
    drawn = head("sample").chunk(many, rng).flatten()
    assert drawn[drawn > 0.7].std().item() == pytest.approx(0.1, rel=0.1)


def test_a_component_of_no_weight_is_never_drawn():
    rows = torch.tensor([[0.0, 0.3, 0.0, 0.7]]).log().expand(5000, -1)
    assert set(drawn_by(rows, torch.Generator().manual_seed(1)).tolist()) == {1, 3}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"loss": "mse", "answer": "mean"},
            "answer: 'mean' needs a distribution; loss: mse predicts one chunk",
        ),
        ({"loss": "gaussian", "answer": "component"}, "is for loss: mixture"),
        ({"loss": "mixture", "components": 1}, "components is 1; at least 2"),
        ({"loss": "categorical", "bins": 5000}, "bins is 5000; at most 1024"),
        (
            {"loss": "categorical", "action_scale": "std"},
            "action_scale must be min_max with loss: categorical",
        ),
    ],
)
def test_settings_that_cannot_be_are_errors(values, message):
    with pytest.raises(ValueError, match=message):
        BehaviourCloning(**values)
