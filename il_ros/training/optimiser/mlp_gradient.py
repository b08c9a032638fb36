"""The analytic gradient of K MLPs of equal shape (K = 1: a single MLP).

With activations h_0 = state, h_l = relu(h_{l-1} W_l + b_l) and d = dL/dh before the ReLU:
dW_l = h_{l-1}^T d, db_l = sum d, d ← (d W_l^T) [h_{l-1} > 0].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.networks import together
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


@dataclass(frozen=True)
class Pass:
    """A layer in the computation of one batch size: its input and output, and the slopes dL/dh of both.

    The views are made once: at small batches a view costs as much as a tenth of a product. `below` (K, B, in) and
    `above` (K, B, out) are outputs before the next ReLU; `slope_below` is None for the first layer.
    """

    layer: Layer
    weight_turned: Tensor
    below: Tensor
    below_turned: Tensor
    above: Tensor
    slope: Tensor
    slope_below: Tensor | None


@dataclass(frozen=True)
class Plan:
    """The buffers of one batch size. `state` (B, T, F); `prediction` and its `slope` (K, B, H, A)."""

    state: Tensor
    passes: tuple[Pass, ...]
    backwards: tuple[Pass, ...]
    prediction: Tensor
    slope: Tensor


class MLPGradient:
    """Computes the gradient of the mean over members of their weighted mean losses; `loss`: see `SLOPES`."""

    def __init__(self, layers: Sequence[Layer], loss: str, weigh: Weigh) -> None:
        self._layers, self._differentiate, self._weigh = layers, SLOPES[loss], weigh
        self._plans: dict[int, Plan] = {}

    @torch.inference_mode()
    def __call__(self, batch: Batch, rng: torch.Generator) -> Loss:
        """Return the loss () and write its gradient to the layers; nothing is random."""
        assert batch.action is not None
        state = batch.observation.state
        plan = self._plans.get(len(state))
        if plan is None:  # at most two batch sizes occur per run
            plan = self._plans[len(state)] = self._plan(state, batch.action)
        plan.state.copy_(state)
        for one in plan.passes:
            if one.slope_below is not None:
                one.below.relu_()
            torch.baddbmm(one.layer.bias, one.below, one.layer.weight, out=one.above)
        loss = self._loss(plan, batch.action, batch.weight)
        for one in plan.backwards:
            torch.bmm(one.below_turned, one.slope, out=one.layer.weight_gradient)
            torch.sum(one.slope, 1, keepdim=True, out=one.layer.bias_gradient)
            if one.slope_below is not None:
                torch.bmm(one.slope, one.weight_turned, out=one.slope_below)
                one.slope_below.mul_(one.below.sign_())  # 0 or 1: a ReLU's output is not negative
        return Loss(loss)

    def _loss(self, plan: Plan, action: Tensor, given: Tensor | None) -> Tensor:
        """Return the loss () of the plan's prediction, which is overwritten; write dL/dh to its slope."""
        slope = plan.slope
        errors = torch.sub(plan.prediction, action, out=plan.prediction)
        values = self._differentiate(errors, slope)
        weight = self._weigh(action, given)
        if weight is None:
            slope.mul_(1 / together.averaged_count(slope.numel()))
            return together.mean(values)
        if weight.dim() == 4:
            weight = weight.transpose(0, 1)  # (K, B, H, G)
        shares = weight / (together.averaged(weight.sum()) * (values.numel() / weight.numel()))
        slope.mul_(shares)
        return values.mul_(shares).sum()

    def _plan(self, state: Tensor, action: Tensor) -> Plan:
        """Return the buffers for batches of the size of this state (B, T, F) and action (B, H, A)."""
        count, members = len(state), len(self._layers[0].weight)
        kept = torch.empty_like(state, memory_format=torch.contiguous_format)
        below, slope_below, passes = kept.view(1, count, -1).expand(members, -1, -1), None, []
        for layer in self._layers:
            above, slope = (layer.bias.new_empty(members, count, layer.bias.shape[2]) for _ in range(2))
            turned = layer.weight.transpose(1, 2), below.transpose(1, 2)
            passes.append(Pass(layer, turned[0], below, turned[1], above, slope, slope_below))
            below, slope_below = above, slope
        by_step = (members, *action.shape)
        last = passes[-1]
        backwards = tuple(reversed(passes))
        return Plan(kept, tuple(passes), backwards, last.above.view(by_step), last.slope.view(by_step))


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
