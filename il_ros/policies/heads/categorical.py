"""Classes instead of numbers: actions in bins, and choices of the contract (`quantity: choice`).

A number's range is cut into bins, and the network predicts the probability of each, so that it may be close to two
distant values without being close to their mean (as in RT-1, Brohan et al. 2022). A choice has one class per name.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from il_ros.core.specs import CHOICE
from il_ros.policies.action_form import ActionForm
from il_ros.policies.heads.head import DRAWN, MEAN
from il_ros.policies.heads.mixture import drawn_by
from il_ros.policies.networks import together
from il_ros.policies.protocol import Array, ModelSpec

CATEGORICAL = "categorical"
MOST_VALUES = 1 << 22
"""Numbers in the table of classes, V C A."""


@dataclass(frozen=True, eq=False)
class Classes:
    """The V variables of an action and their classes, C at most.

    `values` (V, C, A): what a class contributes to the normalised action; the sum over the variables is the action.
    `exists` (V, C): which classes there are. `columns` (V,): the first number of each variable in the action.
    """

    values: Tensor
    exists: Tensor
    columns: Tensor

    @classmethod
    def of(cls, spec: ModelSpec, bins: int) -> Classes:
        """Return the classes of a contract's learnt actions; numbers are cut into `bins` from -1 to 1.

        Raises ValueError if they are too many.
        """
        form, size = ActionForm.of_size(spec.contract, spec.action_size), spec.action_size
        choices = [
            [
                form.names.index(name)
                for name in spec.contract.action_names[spec.contract.action_slices[each.key]]
            ]
            for each in spec.contract.actions
            if each.quantity == CHOICE
        ]
        chosen = {column for columns in choices for column in columns}
        variables = [*choices, *([column] for column in range(size) if column not in chosen)]
        most = max([bins, *map(len, choices)])
        if len(variables) * most * size > MOST_VALUES:
            raise ValueError(
                f"bins: {len(variables)} variables of up to {most} classes are too many; take fewer, or another loss"
            )
        values = np.zeros((len(variables), most, size))
        exists = np.zeros((len(variables), most), dtype=bool)
        for place, columns in enumerate(variables):
            if len(columns) > 1:
                off, on = (
                    spec.normaliser.actions.normalise(np.full(size, each))[columns] for each in (0.0, 1.0)
                )
                values[place, : len(columns), columns] = np.where(
                    np.eye(len(columns)), on[:, None], off[:, None]
                )
            else:
                values[place, :bins, columns[0]] = np.linspace(-1, 1, bins)
            exists[place, : len(columns) if len(columns) > 1 else bins] = True
        firsts = torch.tensor([columns[0] for columns in variables])
        return cls(torch.from_numpy(values).float(), torch.from_numpy(exists), firsts)


class CategoricalHead(nn.Module):
    """Predicts the scores of all classes: (B, H, V, C), see `Classes`.

    The uncertainty is the standard deviation of the predicted distribution, in units of normalised actions.
    """

    values: Tensor
    exists: Tensor
    columns: Tensor

    def __init__(self, features: int, horizon: int, spec: ModelSpec, bins: int, answer: str) -> None:
        super().__init__()
        self.loss_name, self.drawn = CATEGORICAL, answer in DRAWN
        self._answer = answer
        classes = Classes.of(spec, bins)
        self.shape = (horizon, *classes.exists.shape)
        for name in ("values", "exists", "columns"):  # they follow from contract and normaliser: not saved
            self.register_buffer(name, getattr(classes, name), persistent=False)
        self.linear = nn.Linear(features, math.prod(self.shape))

    def forward(self, features: Tensor) -> Tensor:
        """Return the scores (B, H, V, C) for features (B, F); those of classes that do not exist do not count."""
        scores: Tensor = self.linear(features).view(-1, *self.shape)
        return scores

    def log_shares(self, prediction: Tensor) -> Tensor:
        """Return the log probabilities (B, H, V, C); a very low number where there is no class."""
        return torch.log_softmax(prediction.masked_fill(~self.exists, -1e9), dim=3)

    def classes_of(self, target: Tensor) -> Tensor:
        """Return the class of each variable (B, H, V) that is nearest to actions (B, H, A)."""
        values = self.values
        with torch.autocast(target.device.type, enabled=False):  # rounded, it would be another class
            apart = values.square().sum(dim=2) - 2 * torch.einsum("bha,vca->bhvc", target, values)
        return apart.masked_fill(~self.exists, math.inf).argmin(dim=3)

    def loss(self, prediction: Tensor, target: Tensor, weight: Tensor | None) -> Tensor:
        """Return the weighted mean cross-entropy of the variables' classes."""
        errors = functional.nll_loss(
            self.log_shares(prediction).flatten(0, 2), self.classes_of(target).flatten(), reduction="none"
        ).view(*target.shape[:2], -1)  # (B, H, V)
        if weight is None:
            return together.mean(errors)
        shares = weight if weight.shape[2] == 1 else weight[..., self.columns]
        shares = shares.expand_as(errors)
        return (errors * shares).sum() / together.averaged(shares.sum())

    def chunk(self, prediction: Tensor, rng: torch.Generator) -> Tensor:
        """Return the chunk (B, H, A) of the most likely classes, of drawn ones, or their mean."""
        log_shares = self.log_shares(prediction)
        if self._answer == MEAN:
            return torch.einsum("bhvc,vca->bha", log_shares.exp(), self.values)
        chosen = drawn_by(log_shares, rng) if self.drawn else log_shares.argmax(dim=3)
        return self.values[torch.arange(self.shape[1], device=chosen.device), chosen].sum(dim=2)

    def uncertainty(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation (B,): root of the variance averaged over the chunk."""
        return self._variance(prediction).flatten(1).mean(dim=1).sqrt()

    def spread(self, prediction: Tensor) -> Tensor | None:
        """Return the standard deviation of each number (B, A), root mean square over the chunk."""
        return self._variance(prediction).mean(dim=1).sqrt()

    def _variance(self, prediction: Tensor) -> Tensor:
        """Return the variance (B, H, A) of the predicted distribution."""
        shares = self.log_shares(prediction).exp()
        mean = torch.einsum("bhvc,vca->bhva", shares, self.values)
        square = torch.einsum("bhvc,vca->bhva", shares, self.values.square())
        variance: Tensor = (square - mean.square()).sum(dim=2).clamp(min=0)  # the variables are independent
        return variance

    @torch.no_grad()
    def decode(self, prediction: Array) -> tuple[Array, float | None, Array | None]:
        """Return `chunk`, `uncertainty` and `spread` of one flat prediction, for an answer that is not drawn."""
        values = torch.from_numpy(prediction).view(1, *self.shape)
        uncertainty, spread = self.uncertainty(values), self.spread(values)
        assert uncertainty is not None
        assert spread is not None
        chunk = self.chunk(values, torch.default_generator)[0].numpy()
        return chunk, float(uncertainty), spread[0].numpy()
