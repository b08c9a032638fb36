"""The device that trains: `cpu`, a torch device such as `cuda`, or `auto`; and the precision of its products."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

AUTO = "auto"
FLOAT32, BF16 = PRECISIONS = ("float32", "bf16")
_KNOWN = re.compile(r"auto|cpu|mps|cuda(:\d+)?")


def check(name: str) -> None:
    """Raise ValueError unless `name` is a known kind of device; it need not exist here."""
    if not _KNOWN.fullmatch(name):
        raise ValueError(f"device is '{name}'; it must be auto, cpu, cuda, cuda:1 (the second GPU) or mps")


def device_of(name: str, *, images: bool, place: tuple[int, int] = (0, 1)) -> tuple[str, str]:
    """Return the device for a training, and for `auto` why it is the CPU although a GPU would be used ("": it is not).

    `auto` is the GPU for policies with `images`, where there is one. Without cameras it is the CPU: the networks
    are small, and their gradient is written out for it. `place`: this process's number among those of this machine that
    train together, and their count; each has a GPU of its own.
    Raises ValueError, with the reason, when the named device does not exist, or is one for several processes.
    """
    check(name)
    missing = _missing(name if name != AUTO else "cuda")
    number, count = place
    if count > 1 and not missing and (name == "cuda" or (name == AUTO and images)):
        if missing := _missing(f"cuda:{number}"):
            raise ValueError(
                f"device: {count} processes of this training run on this machine: {missing}; start as many processes "
                "as there are GPUs, or set device to cpu"
            )
        return f"cuda:{number}", ""
    if count > 1 and name not in (AUTO, "cpu"):
        raise ValueError(
            f"device is '{name}' for {count} processes of this machine; 'cuda' gives each its GPU, 'cpu' none"
        )
    if name != AUTO:
        if missing:
            raise ValueError(
                f"device: {name} is not available: {missing}; 'device: auto' takes what is there"
            )
        return name, ""
    if not images:
        return "cpu", ""
    return ("cpu", missing) if missing else ("cuda", "")


@contextmanager
def torch_settings(threads: int) -> Iterator[None]:
    """Use `threads` torch threads inside the context, and round this thread's denormal numbers to 0.

    Denormal numbers are those below 1e-38 (float32), which a CPU computes a hundred times more slowly. The averages of
    the optimiser become so small where a ReLU is dead, and the training of such a network took twice the time.
    """
    import torch

    before, flushed = torch.get_num_threads(), _flushes_denormals()
    for kind in (np.float32, np.float64):
        np.finfo(kind)  # NumPy until 2.2 computes its limits once, and warns where denormal numbers are 0
    try:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(True)
        yield
    finally:
        torch.set_num_threads(before)
        torch.set_flush_denormal(flushed)


def _flushes_denormals() -> bool:
    """Return whether this thread rounds denormal numbers to 0."""
    import torch

    return bool(torch.full((1,), 1e-40).mul_(1.0).item() == 0.0)


def _missing(name: str) -> str:
    """Return why a device cannot be used here, "" if it can."""
    import torch  # takes a second; `check` does without

    kind, _, number = name.partition(":")
    if kind == "cuda" and torch.version.cuda is None and torch.version.hip is None:
        return f"this torch ({torch.__version__}) is built without CUDA"
    if kind == "cuda" and not torch.cuda.is_available():
        return f"torch ({torch.__version__}) finds no CUDA GPU or no driver for it"
    if number and int(number) >= torch.cuda.device_count():
        return f"there are {torch.cuda.device_count()} GPUs, counted from 0"
    if kind == "mps" and not torch.backends.mps.is_available():
        return f"this torch ({torch.__version__}) has no MPS"
    return ""
