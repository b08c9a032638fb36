"""Denormal numbers are rounded to 0 in a training, and nowhere else."""

import pytest
import torch

from il_ros.training.device import torch_settings

TINY = 1e-40  # below 1.2e-38, the smallest number that a float32 has with all its digits


def computed():
    return torch.full((1,), TINY).mul_(1.0).item()


@pytest.mark.parametrize("before", [False, True])
def test_denormal_numbers_are_zero_inside_and_afterwards_as_before(before):
    try:
        if not torch.set_flush_denormal(before):
            pytest.skip("this CPU cannot round denormal numbers to 0")
        with torch_settings(1):
            assert computed() == 0.0
            with torch_settings(1):
                assert computed() == 0.0
            assert computed() == 0.0
        assert computed() == (0.0 if before else pytest.approx(TINY, rel=1e-4))
    finally:
        torch.set_flush_denormal(False)


def test_they_are_as_before_after_a_failure():
    with pytest.raises(RuntimeError, match="stopped"), torch_settings(1):
        raise RuntimeError("stopped")
    assert computed() == pytest.approx(TINY, rel=1e-4)
