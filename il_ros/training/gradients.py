"""How the gradient of a batch is computed: by autograd, or by hand where the network is a plain MLP.

By hand it takes two thirds of the time at batch 64: autograd's bookkeeping costs more than the arithmetic.
Both leave the gradient in the parameters' `.grad`, overwritten, and return the loss.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from il_ros.policies.behaviour_cloning import BehaviourCloningNetwork
from il_ros.policies.protocol import Network
from il_ros.training.batches import Batch
from il_ros.training.flat import FlatParameters

Gradient = Callable[[Batch], Tensor]


def gradient_of(network: Network, flat: FlatParameters) -> Gradient:
    """Return the fastest way there is for this network."""
    on_cpu = flat.gradient.device.type == "cpu"
    if on_cpu and isinstance(network, BehaviourCloningNetwork) and network.head.loss_name == "mse":
        layers = network.linear_layers()
        if layers is not None:
            return MeanSquaredMLP(layers)
    return lambda batch: by_autograd(network, flat, batch)


def by_autograd(network: Network, flat: FlatParameters, batch: Batch) -> Tensor:
    """Return the loss () and leave its gradient."""
    flat.gradient.zero_()
    loss = network.loss(batch.state, batch.images, batch.target, batch.weight)
    loss.backward()  # type: ignore[no-untyped-call]
    return loss.detach()


class MeanSquaredMLP:
    """The gradient of the mean squared error of linear layers with ReLU between them, written out.

    With activations h_0 = state, h_l = relu(h_{l-1} W_l^T + b_l) and d = dL/dh before the ReLU:
    dW_l = d^T h_{l-1}, db_l = sum d, d ← (d W_l) [h_{l-1} > 0].
    """

    def __init__(self, layers: list[torch.nn.Linear]) -> None:
        self._weights = [layer.weight.detach() for layer in layers]
        self._biases = [layer.bias.detach() for layer in layers]
        self._weight_gradients = [_gradient(layer.weight) for layer in layers]
        self._bias_gradients = [_gradient(layer.bias) for layer in layers]
        self._buffers: dict[int, tuple[list[Tensor], list[Tensor]]] = {}

    @torch.inference_mode()
    def __call__(self, batch: Batch) -> Tensor:
        """Return the loss () and leave its gradient."""
        count = len(batch)
        if count not in self._buffers:
            sizes = [len(bias) for bias in self._biases]
            new = [[torch.empty(count, size) for size in sizes] for _ in range(2)]
            self._buffers[count] = (new[0], new[1])
        activations, slopes = self._buffers[count]
        last = len(self._weights) - 1
        below = batch.state
        for index, out in enumerate(activations):
            torch.addmm(self._biases[index], below, self._weights[index].t(), out=out)
            below = out.relu_() if index < last else out
        slope, loss = _squared_error(below, batch, slopes[last])
        for index in range(last, -1, -1):
            below = activations[index - 1] if index else batch.state
            torch.mm(slope.t(), below, out=self._weight_gradients[index])
            torch.sum(slope, 0, out=self._bias_gradients[index])
            if index:
                torch.mm(slope, self._weights[index], out=slopes[index - 1])
                slope = slopes[index - 1].mul_(below > 0)
        return loss


def _squared_error(prediction: Tensor, batch: Batch, out: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slope (B, H*A) of the loss in the prediction, in `out`, and the loss ()."""
    torch.sub(prediction, batch.target.flatten(1), out=out)
    if batch.weight is None:
        loss = out.square().mean()
        return out.mul_(2 / out.numel()), loss
    size = batch.target.shape[2]
    share = (batch.weight / (batch.weight.sum() * size))[:, :, None]  # (B, H, 1)
    errors = out.view(batch.target.shape)
    loss = (errors.square() * share).sum()
    errors.mul_(share * 2)
    return out, loss


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # FlatParameters saw to it
    return parameter.grad
