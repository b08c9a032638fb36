"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2) on one flat vector.

It calls torch's fused kernel directly: torch.optim imports torch's compiler, which takes longer than many
training runs, and the checks of the functional form take half as long as the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from il_ros.training.optimiser.flat import FlatParameters

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Updates `flat.values` (P,) in place from `flat.gradient` (P,), which the caller fills before each step.

    `weight_decay`: of the parameters whose group (`ParameterGroup`) has none of its own.
    """

    def __init__(self, flat: FlatParameters, weight_decay: float) -> None:
        self._mean, self._square = torch.zeros_like(flat.values), torch.zeros_like(flat.values)
        self._step = torch.zeros((), device=flat.values.device)
        vectors = (flat.values, flat.gradient, self._mean, self._square)
        self._parts = [
            (
                [[vector[part]] for vector in vectors],
                1.0 if group is None else group.rate,
                weight_decay if group is None or group.weight_decay is None else group.weight_decay,
            )
            for part, group in flat.parts
        ]

    def step(self, learning_rate: float) -> None:
        """Apply one update."""
        self._step.add_(1)
        for (values, gradient, mean, square), rate, weight_decay in self._parts:
            torch._fused_adamw_(
                values,
                gradient,
                mean,
                square,
                [],
                [self._step],
                lr=rate * learning_rate,
                beta1=BETAS[0],
                beta2=BETAS[1],
                weight_decay=weight_decay,
                eps=EPSILON,
                amsgrad=False,
                maximize=False,
            )

    def tensors(self) -> dict[str, Tensor]:
        """Return the optimiser's state for `restore`; the tensors are not copied."""
        return {"step": self._step, "mean": self._mean, "square": self._square}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore the state; raises KeyError or RuntimeError if it belongs to another vector."""
        with torch.no_grad():
            for name, own in self.tensors().items():
                own.copy_(tensors[name])
