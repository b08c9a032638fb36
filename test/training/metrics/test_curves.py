"""The plot of the training curves."""

import warnings
from dataclasses import replace

import pytest

from il_ros.training.loop import EpochMetrics
from il_ros.training.metrics.curves import PICTURE, write_picture

FIRST = EpochMetrics(1, 10, 0.5, 0.6, 1e-3, 1.0, True)


@pytest.mark.parametrize("loss", [0.1, -2.0], ids=["squared error", "log likelihood"])
def test_a_loss_of_either_sign_is_drawn(tmp_path, loss):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        write_picture(tmp_path, [FIRST, replace(FIRST, epoch=2, train_loss=loss, validation_loss=loss)])
    assert (tmp_path / PICTURE).read_bytes().startswith(b"\x89PNG")
