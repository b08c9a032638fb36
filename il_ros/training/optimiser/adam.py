"""Adam with decoupled weight decay (Loshchilov & Hutter 2019, algorithm 2) on one flat vector.

It calls torch's fused kernel directly: torch.optim imports torch's compiler, which takes longer than many
training runs, and the checks of the functional form take half as long as the kernel.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

BETAS = (0.9, 0.999)
EPSILON = 1e-8


class AdamW:
    """Updates `values` (P,) in place from `gradient` (P,), which the caller fills before each step."""

    def __init__(self, values: Tensor, gradient: Tensor, weight_decay: float) -> None:
        self._values, self._gradient, self._weight_decay = values, gradient, weight_decay
        self._mean, self._square = torch.zeros_like(values), torch.zeros_like(values)
        self._step = torch.zeros((), device=values.device)

    def step(self, learning_rate: float) -> None:
        """Apply one update."""
        self._step.add_(1)
        torch._fused_adamw_(
            [self._values],
            [self._gradient],
            [self._mean],
            [self._square],
            [],
            [self._step],
            lr=learning_rate,
            beta1=BETAS[0],
            beta2=BETAS[1],
            weight_decay=self._weight_decay,
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
