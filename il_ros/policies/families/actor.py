"""Actors of reinforcement learning: a squashed Gaussian over numbers, or probabilities of one choice.

The policy's answer is the most likely action. Reinforcement learning (`il_ros.rl`) trains the same network, and draws
from it. Behaviour cloning maximises the likelihood of what was demonstrated.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from il_ros.core.contract import Contract
from il_ros.core.settings import check_widths, one_of
from il_ros.core.specs import CHOICE
from il_ros.policies.families.registry import Family
from il_ros.policies.networks import activations
from il_ros.policies.networks.numpy_forward import ensemble_forward
from il_ros.policies.networks.seeded_mlp import SeededMlp, marked_state
from il_ros.policies.protocol import (
    Actions,
    Array,
    Batch,
    Loss,
    ModelSpec,
    NumpyForward,
    PolicyModel,
    PolicySettings,
    continued,
    weighted_mean,
)

LOG_STD = (-5.0, 0.0)
"""Bounds of the log standard deviation, before the squashing."""
LARGEST_ACTION = 0.999
"""The inverse of the squashing is taken up to here; of 1 it is infinite."""


@dataclass(frozen=True)
class Actor(PolicySettings):
    """The settings; config/training/actor.yaml explains each."""

    reads_images: ClassVar[bool] = False

    hidden: tuple[int, ...] = (64, 64)
    activation: str = activations.RELU

    def __post_init__(self) -> None:
        super().__post_init__()
        check_widths("hidden", self.hidden)
        one_of("activation", self.activation, activations.ACTIVATIONS)
        if self.action_scale != "min_max":
            raise ValueError(
                f"action_scale is '{self.action_scale}'; actions are squashed to -1..1: min_max is needed"
            )


class ActorNetwork(PolicyModel):
    """The network of this family. A choice of A has one output per step and possibility, numbers have two."""

    def __init__(self, settings: Actor, spec: ModelSpec) -> None:
        super().__init__()
        self.shape = (settings.horizon, spec.action_size)
        self.chooses = is_choice(spec.contract)
        inputs = settings.history * len(spec.inputs.groups)
        self.perceptron = perceptrons(1, inputs, settings, spec.action_size, self.chooses)

    def forward(self, batch: Batch) -> Tensor:
        """Return the outputs (B, H, A), or (B, H, 2 * A)."""
        outputs = self.perceptron.of_rows(marked_state(batch.observation))
        return outputs.view(len(outputs), self.shape[0], -1)

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the mean negative log likelihood per number; of a choice, per choice."""
        assert batch.action is not None
        outputs = self(batch)
        if self.chooses:
            errors = -torch.log_softmax(outputs, dim=2) * functional.one_hot(
                batch.action.argmax(dim=2), self.shape[1]
            )
            return Loss(self.shape[1] * weighted_mean(errors, batch.weight))
        mean, log_std = squashed_gaussian(outputs)
        errors = -log_densities(mean, log_std, batch.action)
        return Loss(weighted_mean(errors, batch.weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the most likely chunk."""
        outputs = self(batch)
        if self.chooses:
            chosen = 2.0 * functional.one_hot(outputs.argmax(dim=2), self.shape[1]) - 1.0
            return Actions(continued(chosen, previous))
        return Actions(continued(torch.tanh(squashed_gaussian(outputs)[0]), previous))

    def numpy_forward(self) -> NumpyForward | None:
        """See `PolicyModel.numpy_forward`."""
        layers = self.perceptron.linear_layers()
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        forward = ensemble_forward(weights, biases, self.perceptron.activation)
        (horizon, size), chooses = self.shape, self.chooses

        def answer(state: Array) -> tuple[Array, float | None]:
            outputs = forward(np.append(np.arcsinh(state), np.float32(0))).reshape(horizon, -1)
            if not chooses:
                return np.tanh(outputs[:, :size]), None
            chosen = np.full((horizon, size), -1.0, np.float32)
            chosen[np.arange(horizon), outputs.argmax(axis=1)] = 1.0
            return chosen, None

        return answer


def is_choice(contract: Contract) -> bool:
    """Return whether the actions are one choice; raises ValueError on several, or on choices and numbers."""
    choices = [action.key for action in contract.actions if action.quantity == CHOICE]
    if choices and len(contract.actions) > 1:
        raise ValueError(
            f"contract '{contract.name}' has the choice '{choices[0]}' beside other actions; an actor has one choice, "
            "or numbers"
        )
    return bool(choices)


def perceptrons(seeds: int, inputs: int, settings: Actor, action_size: int, chooses: bool) -> SeededMlp:
    """Return the networks of as many actors; `inputs`: state features of a window."""
    outputs = settings.horizon * action_size * (1 if chooses else 2)
    return SeededMlp(seeds, (inputs + 1, *settings.hidden, outputs), settings.activation)


def squashed_gaussian(outputs: Tensor) -> tuple[Tensor, Tensor]:
    """Return means and log standard deviations (..., A) before the squashing, of outputs (..., 2 * A)."""
    mean, free = outputs.chunk(2, dim=-1)
    low, high = LOG_STD
    return mean, low + (high - low) * (torch.tanh(free) + 1) / 2


def log_densities(mean: Tensor, log_std: Tensor, action: Tensor) -> Tensor:
    """Return the log densities of squashed actions (..., A), number by number."""
    free = torch.atanh(action.clamp(-LARGEST_ACTION, LARGEST_ACTION))
    return drawn_log_densities((free - mean) / log_std.exp(), log_std, free)


def drawn_log_densities(noise: Tensor, log_std: Tensor, free: Tensor) -> Tensor:
    """Return the log densities of tanh(free) (..., A), where free = mean + std * noise."""
    squashed = 2 * (math.log(2) - free - functional.softplus(-2 * free))  # log(1 - tanh^2), stable
    return -0.5 * noise.square() - log_std - 0.5 * math.log(2 * math.pi) - squashed


FAMILY = Family(Actor, ActorNetwork)
