"""Gradient computation for a batch: by autograd, or analytically for perceptrons.

With small batches autograd's overhead exceeds the arithmetic (bench/training.py). Both overwrite the flat
gradient and return the loss. With precision bf16, autograd computes products and convolutions in bfloat16
(`torch.autocast`); weights, gradient and optimiser stay float32. It has float32's range, so the loss needs no scale.
"""

from __future__ import annotations

import copy
import importlib.util
import logging
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from il_ros.policies.protocol import Batch, Loss, Model, PolicyModel, Window
from il_ros.training.device import BF16, FLOAT32
from il_ros.training.optimiser.flat import FlatParameters
from il_ros.training.optimiser.mlp_gradient import SLOPES, Layer, MLPGradient

_RENDERER = "mujoco.egl"
"""Mesa's EGL holds one LLVM and triton another one: loaded in this order they crash."""
LossOf = Callable[[Batch, torch.Generator], Loss]
Gradient = Callable[[Batch, Any], Loss]
"""Maps a batch and the generator that it draws from to its loss, and writes its gradient."""

PROOF_COUNT = 5
"""Size of the random batch on which an analytic gradient is compared with autograd's."""
PROOF_RELATIVE = 1e-6
"""Largest difference there, in double precision, of the largest number in the gradient."""


def gradient_of(
    network: Model,
    flat: FlatParameters,
    example: Batch,
    precision: str = FLOAT32,
    *,
    compiled: bool = False,
) -> Gradient:
    """Return the fastest gradient function for this network that is right; `example` says what batches look like.

    The analytic gradient is chosen if it equals autograd's on a random batch: what a network computes between its
    layers cannot be seen from them. Otherwise a log message gives the difference. `precision` and `compiled` (torch's
    compiler makes the loss faster, after minutes for the first batch) are those of autograd.
    Raises ValueError when torch's compiler cannot be used here.
    """
    device = flat.gradient.device.type
    if compiled and (missing := why_not_compiled(device)):
        raise ValueError(f"compile: {missing}; or set compile to false")
    if compiled or precision != FLOAT32:
        loss_of = torch.compile(network.loss) if compiled else network.loss
        return lambda batch, rng: by_autograd(network, flat, batch, rng, precision, loss_of)
    if device == "cpu" and isinstance(network, PolicyModel):
        try:
            by_hand = analytic(network)
            wrong = "" if by_hand is None else fault(network, example)
        except Exception as error:  # a fault of the fast path costs speed only
            by_hand, wrong = None, f"it fails: {error}"
        if wrong:
            logging.getLogger(__name__).warning(
                "%s: its written-out gradient is not used, autograd is: %s", type(network).__name__, wrong
            )
        elif by_hand is not None:
            flat.gradient.zero_()  # it writes the gradients of its layers only, and others are 0
            return by_hand
    return lambda batch, rng: by_autograd(network, flat, batch, rng)


def why_not_compiled(device: str) -> str:
    """Return why torch's compiler cannot be used in this process on a kind of device, "" if it can."""
    has_triton = importlib.util.find_spec("triton") is not None
    if device == "cuda" and not has_triton:
        return "on a GPU torch's compiler needs the package triton, which is not installed"
    compiler = os.environ.get("CXX", "g++") if device == "cpu" else os.environ.get("CC", "gcc")
    if not shutil.which(compiler):
        return f"torch's compiler needs {compiler}, which is not installed (Debian, Ubuntu: apt install g++)"
    if has_triton and _RENDERER in sys.modules and "torch._dynamo" not in sys.modules:
        return "this process has rendered pictures, and would crash in torch's compiler; train in another process"
    return ""


def by_autograd(
    network: Model,
    flat: FlatParameters,
    batch: Batch,
    rng: torch.Generator,
    precision: str = FLOAT32,
    loss_of: LossOf | None = None,
) -> Loss:
    """Return the loss () and write its gradient to `flat.gradient`; `loss_of`: another form of `network.loss`."""
    flat.gradient.zero_()
    with autocast(flat, precision):
        loss = (loss_of or network.loss)(batch, rng)
    loss.total.backward()  # type: ignore[no-untyped-call]
    return Loss(loss.total.detach(), {name: part.detach() for name, part in loss.parts.items()})


def autocast(flat: FlatParameters, precision: str) -> AbstractContextManager[Any]:
    """Return the context in which a loss is computed with this precision."""
    return torch.autocast(flat.values.device.type, torch.bfloat16) if precision == BF16 else nullcontext()


def analytic(network: PolicyModel) -> MLPGradient | None:
    """Return the analytic gradient of the perceptrons that a network claims to be; None if it claims nothing."""
    claim = network.perceptrons()
    if claim is None or claim.loss not in SLOPES:
        return None
    layers = [_layer(layer) for layer in claim.layers]
    return MLPGradient(layers, claim.activation, claim.loss, claim.step_weights)


def fault(network: PolicyModel, example: Batch) -> str:
    """Return how the analytic gradient of a network differs from autograd's, "" if it does not.

    Both are computed by a copy of the network in double precision, where rounding cannot hide a difference.
    """
    twin = copy.deepcopy(network).double().train(network.training)
    flat = FlatParameters(twin)
    by_hand = analytic(twin)
    assert by_hand is not None
    rng = torch.Generator().manual_seed(0)
    with torch.random.fork_rng(devices=[]):
        batch = _random(example, rng)
        flat.gradient.zero_()
        found, slope = by_hand(batch, rng).total.clone(), flat.gradient.clone()
        wanted = by_autograd(twin, flat, batch, rng).total
        if not _alike(found, wanted):
            return f"its loss is {found.item():.6g}, autograd's {wanted.item():.6g}"
        if not _alike(slope, flat.gradient):
            apart = (slope - flat.gradient).abs().max().item()
            return f"gradients differ by up to {apart:.3g}"
    return ""


def _alike(found: Tensor, wanted: Tensor) -> bool:
    apart = (found - wanted).abs().max()
    return bool(apart <= PROOF_RELATIVE * wanted.abs().max())


def _random(example: Batch, rng: torch.Generator) -> Batch:
    """Return a random batch in double precision, with the shapes of the example, and weights if that has some."""
    assert example.action is not None
    count = PROOF_COUNT
    state, action = (
        torch.randn((count, *values.shape[1:]), generator=rng, dtype=torch.float64)
        for values in (example.observation.state, example.action)
    )
    weight = None
    if example.weight is not None:
        weight = torch.randint(0, 4, (count, *example.weight.shape[1:]), generator=rng).double()  # 0: padding
        weight[:, 0].clamp_(min=1)
    window = example.observation
    past = None if window.past is None else torch.rand((count, state.shape[1]), generator=rng) < 0.5
    if past is not None:
        past[:, -1] = True
    absent = {
        key: torch.rand((count, 1), generator=rng).expand(state.shape[:2]) < 0.5 for key in window.absent
    }
    return Batch(Window(state, window.columns, {}, past, absent), action, weight)


def _layer(layer: nn.Module) -> Layer:
    """Return K layers; a single one, nn.Linear, as K = 1."""
    weight, bias = layer.weight, layer.bias
    assert isinstance(weight, nn.Parameter)
    assert isinstance(bias, nn.Parameter)
    slope, shift = _gradient(weight), _gradient(bias)
    if weight.dim() == 3:
        return Layer(weight.detach(), bias.detach(), slope, shift)
    return Layer(weight.detach().t()[None], bias.detach()[None, None], slope.t()[None], shift[None, None])


def _gradient(parameter: Tensor) -> Tensor:
    assert parameter.grad is not None  # set by FlatParameters
    return parameter.grad
