"""An ensemble of K small networks, optionally trained on bootstrap samples, evaluated in one batch.

The members agree near the training data and disagree elsewhere: their disagreement is the policy's
uncertainty (Menda et al. 2019, EnsembleDAgger; Kelly et al. 2019, HG-DAgger). All members share the camera
encoders.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from il_ros.core.settings import at_least, one_of
from il_ros.policies.families.behaviour_cloning import BehaviourCloning
from il_ros.policies.families.registry import Family
from il_ros.policies.heads.head import ELEMENTWISE
from il_ros.policies.networks import activations, together
from il_ros.policies.networks.cameras import camera_encoders, with_camera_features
from il_ros.policies.networks.numpy_forward import ensemble_forward
from il_ros.policies.protocol import (
    Actions,
    Array,
    Batch,
    Loss,
    ModelSpec,
    NumpyForward,
    Perceptrons,
    PolicyModel,
    Window,
    continued,
)


@dataclass(frozen=True)
class Ensemble(BehaviourCloning):
    """The settings; config/training/ensemble.yaml explains each. `hidden` applies to each member."""

    hidden: tuple[int, ...] = (128, 128)
    members: int = 5
    bootstrap: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        at_least("members", self.members, 2)
        one_of("loss", self.loss, tuple(ELEMENTWISE))


class EnsembleHead(nn.Module):
    """The last layer of all members: (K, B, F) to (B, K, H, A)."""

    def __init__(self, features: int, chunk_shape: tuple[int, int], settings: Ensemble) -> None:
        super().__init__()
        self.chunk_shape = chunk_shape
        self.loss_name = settings.loss
        self.members = settings.members
        self.linear = MemberLinear(settings.members, features, math.prod(chunk_shape))

    def forward(self, features: Tensor) -> Tensor:
        """Return the members' normalised chunks (B, K, H, A) for features (K, B, F)."""
        chunks: Tensor = self.linear(features).transpose(0, 1)
        return chunks.reshape(-1, self.members, *self.chunk_shape)

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the mean over members of their weighted mean losses; weight (B, H, G) or (B, K, H, G)."""
        wanted = target[:, None].expand_as(prediction)
        errors = ELEMENTWISE[self.loss_name](prediction, wanted, reduction="none")  # (B, K, H, A)
        if weight is None:
            return together.mean(errors)
        if weight.dim() == 3:
            weight = weight[:, None]
        if weight.shape[3] == 1:
            errors = errors.mean(dim=3, keepdim=True)
        shares = weight.expand_as(errors)
        return (errors * shares).sum() / together.averaged(shares.sum())

    def mode(self, prediction: Tensor) -> Tensor:
        """Return the members' mean chunk (B, H, A)."""
        return prediction.mean(dim=1)

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the members' standard deviation (B,): root of the variance averaged over the chunk."""
        return prediction.var(dim=1, correction=0).flatten(1).mean(dim=1).sqrt()

    def spread(self, prediction: Tensor) -> Tensor:
        """Return the members' standard deviation of each number (B, A), root mean square over the chunk."""
        return prediction.var(dim=1, correction=0).mean(dim=1).sqrt()

    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return `mode`, `uncertainty` and `spread` of one flat prediction (K*H*A,), in NumPy."""
        chunks = prediction.reshape(self.members, *self.chunk_shape)
        variance = chunks.var(axis=0).mean(axis=0)
        return chunks.mean(axis=0), float(math.sqrt(variance.mean())), np.sqrt(variance)


class EnsembleNetwork(PolicyModel):
    """The network of this family."""

    def __init__(self, settings: Ensemble, spec: ModelSpec) -> None:
        super().__init__()
        self.bootstrap, self.activation = settings.bootstrap, settings.activation
        self.cameras, width = camera_encoders(settings, spec)
        width = settings.history * (width + len(spec.inputs.groups))
        layers: list[nn.Module] = []
        for after in settings.hidden:
            layers += [MemberLinear(settings.members, width, after), activations.module(settings.activation)]
            width = after
        self.trunk = nn.Sequential(*layers)
        self.head: EnsembleHead = EnsembleHead(width, (settings.horizon, spec.action_size), settings)

    def forward(self, window: Window) -> Tensor:
        """Return the members' normalised chunks (B, K, H, A)."""
        seen = with_camera_features(window, self.cameras)
        prediction: Tensor = self.head(self.trunk(seen.expand(self.head.members, -1, -1)))
        return prediction

    def loss(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss; in training mode, each sample is weighted by its bootstrap count per member."""
        assert batch.action is not None
        weight = self.step_weights(batch.action, batch.weight)
        return Loss(self.head.loss(self(batch.observation), batch.action, weight))

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """Return the members' mean chunk and their standard deviation."""
        prediction = self(batch.observation)
        chunk = continued(self.head.mode(prediction), previous)
        return Actions(chunk, self.head.uncertainty(prediction), spread=self.head.spread(prediction))

    def step_weights(self, action: Tensor, weight: Tensor | None) -> Tensor | None:
        """Return the step weights for action (B, H, A): (B, H, G), or (B, K, H, G) per member, or None."""
        if not (self.training and self.bootstrap):
            return weight
        drawn = bootstrap_counts(action, self.head.members)[:, :, None, None]  # (B, K, 1, 1)
        return drawn * (action.new_ones((*action.shape[:2], 1)) if weight is None else weight)[:, None]

    def member_layers(self) -> list[MemberLinear]:
        """Return the linear layers of trunk and head."""
        return [layer for layer in self.trunk if isinstance(layer, MemberLinear)] + [self.head.linear]

    def perceptrons(self) -> Perceptrons | None:
        """See `PolicyModel.perceptrons`; None with cameras."""
        if self.cameras:
            return None
        return Perceptrons(self.member_layers(), self.activation, self.head.loss_name, self.step_weights)

    def numpy_forward(self) -> NumpyForward | None:
        """See `PolicyModel.numpy_forward`; None with cameras."""
        if self.cameras:
            return None
        layers, decode = self.member_layers(), self.head.decode
        weights, biases = [layer.weight for layer in layers], [layer.bias for layer in layers]
        forward = ensemble_forward(weights, biases, self.activation)
        return lambda state: decode(forward(state))


class MemberLinear(nn.Module):
    """K independent linear layers: (K, B, in) to (K, B, out)."""

    def __init__(self, members: int, before: int, after: int) -> None:
        super().__init__()
        bound = 1 / math.sqrt(before)  # the initialisation of nn.Linear
        self.weight = nn.Parameter(torch.empty(members, before, after).uniform_(-bound, bound))
        self.bias = nn.Parameter(torch.empty(members, 1, after).uniform_(-bound, bound))

    def forward(self, values: Tensor) -> Tensor:
        """Return (K, B, out): each member's weights applied to its values (K, B, in), plus its bias."""
        return torch.baddbmm(self.bias, values, self.weight)


# P(count <= n) of a Poisson distribution with mean 1: the counts of a large bootstrap sample
_POISSON = torch.tensor([sum(math.exp(-1) / math.factorial(k) for k in range(n + 1)) for n in range(6)])
_MASK = (1 << 31) - 1


def bootstrap_counts(target: Tensor, members: int) -> Tensor:
    """Return each member's bootstrap count of each sample (B, K), hashed from its target (B, H, A).

    The counts are deterministic; samples with equal targets get equal counts. If all counts of the batch are
    0, every count becomes 1.
    """
    bits = target.detach().flatten(1).contiguous().view(torch.int32).to(torch.int64) & _MASK  # (B, H*A)
    places = torch.arange(1, bits.shape[1] + 1, device=bits.device)
    key = _mix_bits((bits * places * 40503).sum(dim=1) & _MASK)
    number = torch.arange(1, members + 1, device=bits.device)
    drawn = _mix_bits(_mix_bits((key[:, None] + number * 97780337) & _MASK))  # (B, K)
    counts = torch.bucketize(drawn.to(torch.float32) / _MASK, _POISSON.to(bits.device)).to(target.dtype)
    return counts if bool(together.averaged(counts.sum()) > 0) else torch.ones_like(counts)


def _mix_bits(numbers: Tensor) -> Tensor:
    """Return 31-bit hashes in which every bit depends on all input bits (xor-shift and multiply)."""
    numbers = ((numbers ^ (numbers >> 16)) * 73244475) & _MASK
    numbers = ((numbers ^ (numbers >> 15)) * 73244475) & _MASK
    return numbers ^ (numbers >> 16)


FAMILY = Family(Ensemble, EnsembleNetwork)
