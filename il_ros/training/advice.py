"""What a training says about its data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from il_ros.core.tables import counted, listed

if TYPE_CHECKING:
    from il_ros.policies.features import Inputs
    from il_ros.policies.normaliser import Normaliser
    from il_ros.training.recipe import Training

MEMORISED = 10.0
"""A validation error this many times the training error means memorised demonstrations."""
SMALL = 0.05
"""Validation losses below this (of normalised actions) are good whatever the training loss is."""


def memorised(metrics: Mapping[str, Any], loss: str = "") -> str:
    """Return a sentence if the policy learnt its demonstrations by heart, "" otherwise.

    `metrics`: a checkpoint's, with `train_loss`, `validation_loss` (None: not measured) and `data`. `loss`: its name in
    the policy's settings; "": an error. A log likelihood has no zero, so its loss is compared by difference: where
    errors are MEMORISED times the deviation that the policy states, it is greater by (MEMORISED^2 - 1) / 2 per number.
    """
    from il_ros.policies.heads.gaussian import GAUSSIAN  # these import torch
    from il_ros.policies.heads.mixture import MIXTURE

    trained, validated = metrics["train_loss"], metrics["validation_loss"]
    if trained is None or validated is None:
        return ""
    further = trained + (MEMORISED**2 - 1) / 2
    if validated <= (further if loss in (GAUSSIAN, MIXTURE) else max(MEMORISED * trained, SMALL)):
        return ""
    shown = counted(len(metrics["data"]["train"]), "episode")
    return (
        f"memorised: training loss {trained:.2g}, validation loss {validated:.2g}; show more demonstrations "
        f"({shown} to train on: too few or too alike)"
    )


def still_warning(normaliser: Normaliser, inputs: Inputs) -> str:
    """Return a sentence that names the inputs that never moved in the demonstrations, "" if all did."""
    still = () if normaliser.shown is None else inputs.names_where(normaliser.shown.still)
    if not still:
        return ""
    return (
        f"never moved in the demonstrations: {listed(still)}; the policy does not react to a change there, "
        "which raises its uncertainty instead"
    )


def unvalidated_warning(training: Training) -> str:
    """Return what a recipe asks of the validation loss, and does not get as no episode is held out; "" if nothing."""
    from il_ros.training.recipe import BEST  # imports torch

    asked = []
    if training.keep == BEST:
        asked.append(f"keep: {BEST} keeps the last epoch")
    if training.patience:
        asked.append(f"patience: {training.patience} never stops the training")
    return f"no episode is held out: {' and '.join(asked)}" if asked else ""


def warmup_warning(training: Training, steps: int) -> str:
    """Return a sentence if the warm-up is not over when a training of so many `steps` ends, "" otherwise."""
    if training.warmup_steps < steps:
        return ""
    reached = training.learning_rate * steps / training.warmup_steps
    return (
        f"warmup_steps is {training.warmup_steps}, the training has {counted(steps, 'step')}: the learning rate rises "
        f"to the end and reaches {reached:.2g} of {training.learning_rate:g}; set warmup_steps lower"
    )
