"""The analytic gradient of K MLPs of equal shape (K = 1: a single MLP).

With h_0 = state, z_l = h_{l-1} W_l + b_l, h_l = f(z_l) for the activation f, and d = dL/dz_l:
dW_l = h_{l-1}^T d, db_l = sum d, d ← (d W_l^T) f'(z_{l-1}).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from il_ros.policies.networks import together
from il_ros.policies.networks.activations import GELU, RELU, SILU, TANH
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
    """A layer in the computation of one batch size: its input and output, and the slopes of the loss by both.

    The views are made once: at small batches a view costs as much as a tenth of a product. `raw` (K, B, in): what the
    layer below returned, `below`: that after the activation, the same memory where the activation's slope follows
    from its value; `above` (K, B, out): what this layer returned. `slope_below` is None for the first layer.
    """

    layer: Layer
    weight_turned: Tensor
    raw: Tensor
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

    def __init__(self, layers: Sequence[Layer], activation: str, loss: str, weigh: Weigh) -> None:
        self._layers, self._differentiate, self._weigh = layers, SLOPES[loss], weigh
        self._activation = ACTIVATIONS[activation]
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
                self._activation.apply(one.raw, one.below)
            torch.baddbmm(one.layer.bias, one.below, one.layer.weight, out=one.above)
        loss = self._loss(plan, batch.action, batch.weight)
        for one in plan.backwards:
            torch.bmm(one.below_turned, one.slope, out=one.layer.weight_gradient)
            torch.sum(one.slope, 1, keepdim=True, out=one.layer.bias_gradient)
            if one.slope_below is not None:
                torch.bmm(one.slope, one.weight_turned, out=one.slope_below)
                self._activation.chain(one.slope_below, one.raw, one.below)
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
        raw = below
        for layer in self._layers:
            above, slope = (layer.bias.new_empty(members, count, layer.bias.shape[2]) for _ in range(2))
            turned = layer.weight.transpose(1, 2), below.transpose(1, 2)
            passes.append(Pass(layer, turned[0], raw, below, turned[1], above, slope, slope_below))
            raw, slope_below = above, slope
            below = torch.empty_like(raw) if self._activation.keeps_raw else raw
        by_step = (members, *action.shape)
        last = passes[-1]
        backwards = tuple(reversed(passes))
        return Plan(kept, tuple(passes), backwards, last.above.view(by_step), last.slope.view(by_step))


@dataclass(frozen=True)
class Activation:
    """What is between two layers. `raw` and `value` (K, B, out), before and after it, share memory unless `keeps_raw`.

    `apply(raw, value)` writes the value; `chain(slope, raw, value)` multiplies the slope by the derivative, and may
    overwrite the others.
    """

    apply: Callable[[Tensor, Tensor], object]
    chain: Callable[[Tensor, Tensor, Tensor], object]
    keeps_raw: bool = False


def _relu_slope(slope: Tensor, raw: Tensor, value: Tensor) -> None:
    slope.mul_(value.sign_())  # 0 or 1: a ReLU's output is not negative


def _tanh_slope(slope: Tensor, raw: Tensor, value: Tensor) -> None:
    torch.ops.aten.tanh_backward.grad_input(slope, value, grad_input=slope)


def _gelu(raw: Tensor, value: Tensor) -> None:
    torch.ops.aten.gelu.out(raw, approximate="tanh", out=value)


def _gelu_slope(slope: Tensor, raw: Tensor, value: Tensor) -> None:
    torch.ops.aten.gelu_backward.grad_input(slope, raw, approximate="tanh", grad_input=slope)


def _silu(raw: Tensor, value: Tensor) -> None:
    torch.ops.aten.silu.out(raw, out=value)


def _silu_slope(slope: Tensor, raw: Tensor, value: Tensor) -> None:
    torch.ops.aten.silu_backward.grad_input(slope, raw, grad_input=slope)


ACTIVATIONS = {
    RELU: Activation(lambda raw, value: value.relu_(), _relu_slope),
    TANH: Activation(lambda raw, value: value.tanh_(), _tanh_slope),
    GELU: Activation(_gelu, _gelu_slope, keeps_raw=True),
    SILU: Activation(_silu, _silu_slope, keeps_raw=True),
}
"""For each of `il_ros.policies.networks.activations.ACTIVATIONS`."""


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
