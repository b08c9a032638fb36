"""NumPy forward passes for one state, with preallocated buffers and a copy of the weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from torch import Tensor, nn

from il_ros.policies.networks import activations
from il_ros.policies.protocol import Array


def mlp_forward(layers: Sequence[nn.Linear], activation: str) -> Callable[[Array], Array]:
    """Return the pass from a state (F,) through linear layers with `activation` between them; its output is reused."""
    weights = [layer.weight.detach().numpy().copy() for layer in layers]
    biases = [layer.bias.detach().numpy().copy() for layer in layers]
    buffers = [np.empty(len(bias), np.float32) for bias in biases]
    bend = [activations.in_place(activation, out.shape) for out in buffers[:-1]]

    def forward(state: Array) -> Array:
        values = state.astype(np.float32)
        for index, (weight, bias, out) in enumerate(zip(weights, biases, buffers, strict=True)):
            np.dot(weight, values, out=out)
            np.add(out, bias, out=out)
            if index < len(bend):
                bend[index](out)
            values = out
        return values

    return forward


def ensemble_forward(
    weights: Sequence[Tensor], biases: Sequence[Tensor], activation: str
) -> Callable[[Array], Array]:
    """Return the pass from a state (F,) through K networks to (K * P,); its output buffer is reused.

    Per layer: weights (K, in, out), biases (K, 1, out); `activation` between the layers.
    """
    members = len(weights[0])
    kernels = [weight.detach().numpy().copy() for weight in weights]
    shifts = [bias.detach().numpy().copy() for bias in biases]
    buffers = [np.empty(shift.shape, np.float32) for shift in shifts]
    bend = [activations.in_place(activation, out.shape) for out in buffers[:-1]]

    def forward(state: Array) -> Array:
        values = np.broadcast_to(state.astype(np.float32), (members, 1, len(state)))
        for index, (kernel, shift, out) in enumerate(zip(kernels, shifts, buffers, strict=True)):
            np.matmul(values, kernel, out=out)
            np.add(out, shift, out=out)
            if index < len(bend):
                bend[index](out)
            values = out
        return values.reshape(-1)

    return forward
