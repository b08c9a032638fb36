"""Autograd in bfloat16, and by torch's compiler."""

import sys
from functools import partial

import pytest
import torch
from conformance import Prepared, Subject

from il_ros.training.loop import mean_loss
from il_ros.training.optimiser import gradients
from il_ros.training.optimiser.gradients import gradient_of
from il_ros.training.recipe import Recipe, changed

FAMILIES = ("bc", "ensemble", "moe", "flow", "act", "bc_mixture", "categorical", "film", "inverse")
KNOWN = {"bc_mixture": ("bc", {"loss": "mixture"}), "categorical": ("bc", {"loss": "categorical"})}


@pytest.mark.parametrize("name", FAMILIES)
def test_bf16_trains_and_ends_with_nearly_the_same_loss(name):
    family, settings = KNOWN.get(name, (name, {}))
    losses, begun = [], 0.0
    for precision in ("float32", "bf16"):
        ready = Prepared(Subject(family, settings), training={"epochs": 20, "precision": precision})
        begun = mean_loss(ready.network, ready.batches)
        loop = ready.train()
        assert {each.dtype for each in loop.tensors().values()} <= {torch.float32, torch.uint8, torch.int64}
        losses.append(mean_loss(ready.network, ready.batches))
    apart = abs(losses[0] - losses[1])
    assert losses[1] < begun
    assert apart < 0.1 * (begun - losses[0]), f"float32 ends at {losses[0]:.4f}, bf16 at {losses[1]:.4f}"


def test_bf16_rounds_products_and_not_the_gradient():
    """8 bits of mantissa: a relative error of up to 2^-9 in each factor."""
    found = []
    for precision in ("float32", "bf16"):
        ready = Prepared(Subject("bc"))
        gradient = gradient_of(ready.network, ready.loop.flat, ready.batch(1), precision)
        loss = gradient(ready.batch(16), torch.Generator()).total
        found.append((loss, ready.loop.flat.gradient.clone()))
    (whole, slope), (rounded, rough) = found
    assert not torch.equal(slope, rough)
    assert (slope - rough).norm() < 0.05 * slope.norm()
    assert rounded.item() == pytest.approx(whole.item(), rel=0.05)
    assert (rounded.dtype, rough.dtype) == (torch.float32, torch.float32)


def test_the_compiler_gives_the_same_gradient(monkeypatch):
    """Without code generation, which takes minutes: the trace of the loss, its breaks and its random numbers."""
    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend="eager"))
    found = []
    for compiled in (False, True):
        ready = Prepared(Subject("flow", {"hidden": (8,)}))
        gradient = gradient_of(ready.network, ready.loop.flat, ready.batch(1), compiled=compiled)
        rng = torch.Generator().manual_seed(3)
        loss = gradient(ready.batch(16), rng).total.clone()
        found.append((loss, ready.loop.flat.gradient.clone(), rng.get_state()))
    torch.testing.assert_close(found[0], found[1])


def test_what_the_compiler_needs_is_said(monkeypatch, tmp_path):
    ready = Prepared(Subject("bc"))
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(
        ValueError, match=r"compile: torch's compiler needs g\+\+, which is not installed .*to false"
    ):
        gradient_of(ready.network, ready.loop.flat, ready.batch(1), compiled=True)


def test_a_process_that_rendered_does_not_begin_to_compile(monkeypatch):
    """Mesa's and triton's LLVM crash in this order (FACTS of the machines: 3 of 3)."""
    monkeypatch.setattr(gradients.importlib.util, "find_spec", lambda name: name)
    monkeypatch.setattr(gradients.shutil, "which", lambda name: name)
    assert gradients.why_not_compiled("cuda") == ""
    monkeypatch.setitem(sys.modules, "mujoco.egl", sys)
    monkeypatch.delitem(sys.modules, "torch._dynamo", raising=False)
    assert "has rendered pictures" in gradients.why_not_compiled("cuda")


def test_a_wrong_precision_is_refused():
    with pytest.raises(ValueError, match="precision: 'fp16' is not known"):
        changed(Recipe("bc"), ["precision=fp16"])
