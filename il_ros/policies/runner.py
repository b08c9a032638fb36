"""A trained policy that acts: observation in, absolute commands out, as fast as one core allows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import torch

from il_ros.core import actions
from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import Array, Network, Observation, PolicyError
from il_ros.policies.uncertainty import UncertaintyModel

Forward = Callable[[Array, Mapping[str, Array]], tuple[Array, float | None]]
"""From one normalised state (F,) and its pictures to the normalised chunk (H, A) and the doubt."""


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
    uncertainty_model: UncertaintyModel = field(default_factory=UncertaintyModel)

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
        """Return (H, A) absolute commands in the contract's flat order and units; raises as below."""
        return self.act_with_uncertainty(observation)[0]

    def act_with_uncertainty(self, observation: Observation) -> tuple[Vector, float | None]:
        """Return the commands (H, A), and how unsure of them the policy is (>= 0); None when it can't tell.

        Doubt is in units of normalised actions, where the demonstrated ones lie within about -1..1, or as
        `doubting` calibrates it.
        Raises PolicyError when an observation is missing or not finite, naming it, and when the network's
        answer isn't finite: that is never proposed.
        """
        inputs = self.inputs
        raw = inputs.raw(observation) if inputs.state else np.empty(0)
        state = self.normaliser.state.normalise(inputs.features(raw))
        images = {spec.key: inputs.image(spec, observation) for spec in inputs.images}
        chunk, uncertainty = self._forward(state, images)
        learnt = self.normaliser.actions.restore(chunk.astype(np.float64))
        if not np.isfinite(learnt).all():
            step, column = np.argwhere(~np.isfinite(learnt))[0]
            name = self.contract.action_names[column]
            raise PolicyError(f"policy {self.version}: {name} is {learnt[step, column]} at step {step}")
        if uncertainty is not None and not np.isfinite(uncertainty):
            raise PolicyError(f"policy {self.version}: its doubt is {uncertainty}")
        return actions.absolute(self.contract, learnt, observation), self.uncertainty_model.of(
            state, uncertainty
        )

    @cached_property
    def _forward(self) -> Forward:
        plain = self.network.plain() if self.device == "cpu" else None
        return (
            torch_forward(self.network, self.device) if plain is None else plain_forward(self.network, plain)
        )


def plain_forward(network: Network, plain: Callable[[Array], Array]) -> Forward:
    """Return the forward pass in NumPy, for one observation without pictures.

    A quarter of torch's time: at batch 1 the calls cost more than the arithmetic.
    """
    read = network.head.read
    return lambda state, _images: read(plain(state))


def torch_forward(network: Network, device: str) -> Forward:
    """Return the forward pass of any network, for one observation."""

    @torch.inference_mode()
    def forward(state: Array, images: Mapping[str, Array]) -> tuple[Array, float | None]:
        states = torch.from_numpy(state.astype(np.float32)[None]).to(device)
        frames = {key: torch.from_numpy(np.array(image)[None]).to(device) for key, image in images.items()}
        prediction = network(states, frames)
        uncertainty = network.head.uncertainty(prediction)
        chunk: Array = network.head.mode(prediction)[0].cpu().numpy()
        return chunk, None if uncertainty is None else float(uncertainty[0])

    return forward
