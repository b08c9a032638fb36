"""The activations between the layers of a perceptron, by their names in a recipe: for torch, and for NumPy.

ReLU; tanh; GELU (Hendrycks and Gimpel 2016), in its form with tanh: x (1 + tanh(sqrt(2 / pi) (x + 0.044715 x^3))) / 2;
SiLU (Elfwing et al. 2018): x / (1 + exp(-x)) = x (1 + tanh(x / 2)) / 2. The last two are smooth, SiLU at less cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial

import numpy as np
from torch import nn

from il_ros.policies.protocol import Array

RELU, TANH, GELU, SILU = ACTIVATIONS = ("relu", "tanh", "gelu", "silu")
_MODULES: dict[str, Callable[[], nn.Module]] = {
    RELU: nn.ReLU,
    TANH: nn.Tanh,
    GELU: partial(nn.GELU, approximate="tanh"),
    SILU: nn.SiLU,
}
_SLOPE, _CUBIC = math.sqrt(2 / math.pi), 0.044715


def module(name: str) -> nn.Module:
    """Return the activation as a torch module."""
    return _MODULES[name]()


def in_place(name: str, shape: tuple[int, ...]) -> Callable[[Array], object]:
    """Return what applies the activation to an array of this shape (float32), in place and without allocating."""
    if name == RELU:
        return lambda values: np.maximum(values, 0.0, out=values)
    if name == TANH:
        return lambda values: np.tanh(values, out=values)
    scratch = np.empty(shape, np.float32)

    def gelu(values: Array) -> None:
        np.multiply(values, values, out=scratch)
        np.multiply(scratch, _SLOPE * _CUBIC, out=scratch)
        np.add(scratch, _SLOPE, out=scratch)
        np.multiply(scratch, values, out=scratch)
        np.tanh(scratch, out=scratch)
        np.add(scratch, 1.0, out=scratch)
        np.multiply(values, 0.5, out=values)
        np.multiply(values, scratch, out=values)

    def silu(values: Array) -> None:
        np.multiply(values, 0.5, out=values)
        np.tanh(values, out=scratch)
        np.multiply(scratch, values, out=scratch)
        np.add(values, scratch, out=values)

    return gelu if name == GELU else silu
