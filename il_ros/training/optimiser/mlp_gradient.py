"""The analytic gradient of K MLPs of equal shape (K = 1: a single MLP).

With activations h_0 = state, h_l = relu(h_{l-1} W_l + b_l) and d = dL/dh before the ReLU:
dW_l = h_{l-1}^T d, db_l = sum d, d ← (d W_l^T) [h_{l-1} > 0].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.protocol import Batch, Loss

Weigh = Callable[[Tensor, Tensor | None], Tensor | None]
"""Maps action (B, H, A) and weight (B, H, G) or None to step weights (B, H, G), (B, K, H, G), or None."""


@dataclass(frozen=True)
class Layer:
    """K parallel linear layers: weight (K, in, out), bias (K, 1, out), and their gradients."""

    weight: Tensor
    bias: Tensor
    weight_gradient: Tensor
    bias_gradient: Tensor


class MLPGradient:
    """Computes the gradient of the mean over members of their weighted mean losses; `loss`: see `SLOPES`."""

    def __init__(self, layers: Sequence[Layer], loss: str, weigh: Weigh) -> None:
        self._layers, self._differentiate, self._weigh = layers, SLOPES[loss], weigh
        self._members = len(layers[0].weight)
        self._buffers: dict[int, tuple[list[Tensor], list[Tensor]]] = {}

    @torch.inference_mode()
    def __call__(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss () and write its gradient to the layers; nothing is random."""
        assert batch.action is not None
        state = batch.observation.state
        count = len(state)
        activations, slopes = self._buffers_for(count)
        inputs = [state.view(1, count, -1).expand(self._members, -1, -1), *activations]
        for index, layer in enumerate(self._layers):
            if index:
                inputs[index].relu_()
            torch.baddbmm(layer.bias, inputs[index], layer.weight, out=activations[index])
        loss = self._loss(activations[-1], batch.action, batch.weight, slopes[-1])
        for index in range(len(self._layers) - 1, -1, -1):
            layer, below, slope = self._layers[index], inputs[index], slopes[index]
            torch.bmm(below.transpose(1, 2), slope, out=layer.weight_gradient)
            torch.sum(slope, 1, keepdim=True, out=layer.bias_gradient)
            if index:
                torch.bmm(slope, layer.weight.transpose(1, 2), out=slopes[index - 1])
                slopes[index - 1].mul_(below.sign_())  # 0 or 1: a ReLU's output is not negative
        return Loss(loss)

    def _loss(self, prediction: Tensor, action: Tensor, given: Tensor | None, slope: Tensor) -> Tensor:
        """Return the loss () of a prediction (K, B, H*A), which is overwritten; write dL/dh to `slope`."""
        errors = torch.sub(prediction, action.flatten(1), out=prediction)
        values = self._differentiate(errors, slope)
        weight = self._weigh(action, given)
        if weight is None:
            slope.mul_(1 / slope.numel())
            return values.mean()
        if weight.dim() == 4:
            weight = weight.transpose(0, 1)  # (K, B, H, G)
        shares = weight / (weight.sum() * (values.numel() / weight.numel()))
        by_step = (self._members, *action.shape)
        slope.view(by_step).mul_(shares)
        return values.view(by_step).mul_(shares).sum()

    def _buffers_for(self, count: int) -> tuple[list[Tensor], list[Tensor]]:
        """Return activations and slopes (K, B, out) per layer; at most two batch sizes occur per run."""
        if count not in self._buffers:
            biases = [layer.bias for layer in self._layers]
            new = [[bias.new_empty(self._members, count, bias.shape[2]) for bias in biases] for _ in range(2)]
            self._buffers[count] = (new[0], new[1])
        return self._buffers[count]


def _mse(errors: Tensor, slopes: Tensor) -> Tensor:
    torch.mul(errors, 2, out=slopes)
    return errors.square_()


def _l1(errors: Tensor, slopes: Tensor) -> Tensor:
    torch.sign(errors, out=slopes)
    return errors.abs_()


def _huber(errors: Tensor, slopes: Tensor) -> Tensor:
    torch.clamp(errors, -1, 1, out=slopes)
    return errors.sub_(slopes, alpha=0.5).mul_(slopes)  # e^2 / 2, and |e| - 1/2 beyond 1


SLOPES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {"mse": _mse, "l1": _l1, "huber": _huber}
"""For each of `heads.ELEMENTWISE`: writes the slopes and returns the losses, in place of the errors."""
