"""A trained policy that acts: observation in, absolute commands out, as fast as one core allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn

from il_ros import actions
from il_ros.contract import Contract
from il_ros.policies.inputs import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import Network, Observation, PolicyError
from il_ros.specs import Vector

Array = np.ndarray[Any, Any]
Forward = Callable[[Array, Mapping[str, Array]], Array]


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """A network with all that is needed to act with it. One caller at a time: `act` reuses its buffers.

    `metrics`: what its training left in the checkpoint (losses, data, duration).
    """

    contract: Contract
    family: str
    settings: Any
    network: Network
    normaliser: Normaliser
    version: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"

    def __post_init__(self) -> None:
        self.network.eval().to(self.device)
        _ = self._forward  # built now, so that the first tick isn't the slow one

    @property
    def horizon(self) -> int:
        """Steps H of the chunk."""
        return int(self.settings.horizon)

    @cached_property
    def inputs(self) -> Inputs:
        """Which observations it looks at."""
        return Inputs.of(self.contract, self.settings.inputs)

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units.

        Raises PolicyError when an observation is missing or not finite, naming it, and when the network's
        answer isn't finite: that is never proposed.
        """
        inputs = self.inputs
        raw = inputs.raw(observation) if inputs.state else np.empty(0)
        state = self.normaliser.state.normalise(inputs.features(raw))
        images = {spec.key: inputs.image(spec, observation) for spec in inputs.images}
        prediction = self._forward(state, images)  # (H, A), normalised
        learnt = self.normaliser.actions.restore(prediction.astype(np.float64))
        if not np.isfinite(learnt).all():
            step, column = np.argwhere(~np.isfinite(learnt))[0]
            name = self.contract.action_names[column]
            raise PolicyError(f"policy {self.version}: {name} is {learnt[step, column]} at step {step}")
        return actions.absolute(self.contract, learnt, observation)

    @cached_property
    def _forward(self) -> Forward:
        linear_layers = getattr(self.network, "linear_layers", lambda: None)()
        shape = (self.horizon, self.contract.action_size)
        if linear_layers is not None and self.device == "cpu":
            return plain_mlp(linear_layers, shape)
        return torch_forward(self.network, self.device)


def plain_mlp(layers: list[nn.Linear], chunk_shape: tuple[int, int]) -> Forward:
    """Return the forward pass of linear layers with ReLU between them, for one observation, in NumPy.

    A quarter of torch's time: at batch 1 the calls cost more than the arithmetic.
    """
    weights = [layer.weight.detach().numpy().copy() for layer in layers]
    biases = [layer.bias.detach().numpy().copy() for layer in layers]
    buffers = [np.empty(len(bias), np.float32) for bias in biases]
    last = len(layers) - 1

    def forward(state: Array, _images: Mapping[str, Array]) -> Array:
        values = state.astype(np.float32)
        for index, (weight, bias, out) in enumerate(zip(weights, biases, buffers, strict=True)):
            np.dot(weight, values, out=out)
            np.add(out, bias, out=out)
            if index < last:
                np.maximum(out, 0.0, out=out)
            values = out
        return values.reshape(chunk_shape)

    return forward


def torch_forward(network: Network, device: str) -> Forward:
    """Return the forward pass of any network, for one observation."""

    @torch.inference_mode()
    def forward(state: Array, images: Mapping[str, Array]) -> Array:
        states = torch.from_numpy(state.astype(np.float32)[None]).to(device)
        frames = {key: torch.from_numpy(np.array(image)[None]).to(device) for key, image in images.items()}
        chunk: Array = network.head.mode(network(states, frames))[0].cpu().numpy()
        return chunk

    return forward
