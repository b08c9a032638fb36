"""Inference with a trained policy: observation in, absolute commands out, on one CPU core."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.policies.action_form import ActionForm
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import Array, Network, Observation, PolicyError
from il_ros.policies.uncertainty import UncertaintyModel

Forward = Callable[[Array, Mapping[str, Array]], tuple[Array, float | None]]
"""Maps one normalised state (F,) and its images to the normalised chunk (H, A) and the uncertainty."""


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """A network with everything needed for inference. Not thread-safe: `act` reuses its buffers.

    `metrics`: the training metrics stored in the checkpoint (losses, data, duration).
    """

    contract: Contract
    family: str
    settings: Any
    network: Network
    normaliser: Normaliser
    version: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    uncertainty_model: UncertaintyModel = field(default_factory=UncertaintyModel)

    def __post_init__(self) -> None:
        self.network.eval().to(self.device)
        _ = self._forward  # build it now, so that the first tick is not slower

    @property
    def horizon(self) -> int:
        """Number of steps H of a chunk."""
        return int(self.settings.horizon)

    @cached_property
    def form(self) -> ActionForm:
        """The form in which the policy has learnt its actions."""
        return ActionForm.of_size(self.contract, len(self.normaliser.actions.centre))

    @cached_property
    def inputs(self) -> Inputs:
        """The observations that the policy uses."""
        return Inputs.of(self.contract, self.settings.inputs)

    def normalised_state(self, observations: Observation) -> Vector:
        """Return the network's state input: (F,) of one observation, or (T, F) of an episode's arrays.

        Raises PolicyError, naming the key, if an observation is missing or not finite.
        """
        return self.normaliser.state.normalise(self.inputs.state_features(observations))

    def act(self, observation: Observation) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units; raises PolicyError."""
        return self.act_with_uncertainty(observation)[0]

    def act_with_uncertainty(self, observation: Observation) -> tuple[Vector, float | None]:
        """Return the commands (H, A) and their uncertainty (>= 0), None if the policy has no uncertainty.

        The uncertainty is in units of normalised actions (demonstrated actions lie within about -1..1), or
        in the units of the calibration in `uncertainty_model`. Raises PolicyError, naming the key, if an
        observation is missing or not finite, and if the network's output is not finite.
        """
        inputs = self.inputs
        state = self.normalised_state(observation)
        images = {spec.key: inputs.image(spec, observation) for spec in inputs.images}
        chunk, uncertainty = self._forward(state, images)
        restored = self.normaliser.actions.restore(chunk.astype(np.float64))
        if not np.isfinite(restored).all():
            step, column = np.argwhere(~np.isfinite(restored))[0]
            name = self.form.names[column]
            raise PolicyError(f"policy {self.version}: {name} is {restored[step, column]} at step {step}")
        if uncertainty is not None and not np.isfinite(uncertainty):
            raise PolicyError(f"policy {self.version}: its uncertainty is {uncertainty}")
        try:
            commands = self.form.commands(restored, observation)
        except ValueError as error:
            raise PolicyError(f"policy {self.version}: {error}") from error
        return commands, self.uncertainty_model.of(state, uncertainty)

    def difference(self, commands: Vector, others: Vector) -> Vector:
        """Return the difference (..., L) of absolute commands (..., A) in units of normalised actions, as learnt."""
        return self.form.difference(commands, others) / self.normaliser.actions.scale

    @cached_property
    def _forward(self) -> Forward:
        numpy_pass = self.network.numpy_forward() if self.device == "cpu" else None
        return (
            torch_forward(self.network, self.device)
            if numpy_pass is None
            else numpy_forward(self.network, numpy_pass)
        )


def numpy_forward(network: Network, numpy_pass: Callable[[Array], Array]) -> Forward:
    """Return the NumPy forward pass for one observation without images.

    It takes a quarter of torch's time: at batch size 1, call overhead exceeds the arithmetic.
    """
    decode = network.head.decode
    return lambda state, _images: decode(numpy_pass(state))


def torch_forward(network: Network, device: str) -> Forward:
    """Return the torch forward pass for one observation; it works for any network."""

    @torch.inference_mode()
    def forward(state: Array, images: Mapping[str, Array]) -> tuple[Array, float | None]:
        states = torch.from_numpy(state.astype(np.float32)[None]).to(device)
        frames = {key: torch.from_numpy(np.array(image)[None]).to(device) for key, image in images.items()}
        prediction = network(states, frames)
        uncertainty = network.head.uncertainty(prediction)
        chunk: Array = network.head.mode(prediction)[0].cpu().numpy()
        return chunk, None if uncertainty is None else float(uncertainty[0])

    return forward
