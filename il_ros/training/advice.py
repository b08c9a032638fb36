"""What the losses of a finished training say about its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from il_ros.core.tables import counted

MEMORISED = 10.0
"""A validation loss this many times the training loss means memorised demonstrations."""
SMALL = 0.05
"""Validation losses below this (of normalised actions) are good whatever the training loss is."""


def memorised(metrics: Mapping[str, Any]) -> str:
    """Return a sentence if the policy learnt its demonstrations by heart, "" otherwise.

    `metrics`: a checkpoint's, with `train_loss`, `validation_loss` (None: not measured) and `data`.
    """
    trained, validated = metrics["train_loss"], metrics["validation_loss"]
    if trained is None or validated is None or validated <= max(MEMORISED * abs(trained), SMALL):
        return ""
    shown = counted(len(metrics["data"]["train"]), "episode")
    return (
        f"memorised: training loss {trained:.2g}, validation loss {validated:.2g}; show more demonstrations "
        f"({shown} to train on: too few or too alike)"
    )
