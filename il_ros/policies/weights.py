"""Comparison of a safetensors file's header with a network, before the weights are loaded.

A file has 8 bytes (the header's length), the header (JSON: type, shape and place of each tensor), and the data.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from il_ros.core.files import json_of
from il_ros.core.tables import counted

MOST_HEADER = 1 << 20
MOST_BYTES = 1 << 30
"""Bytes of a weights file."""
_LENGTH = 8
_TYPES = {
    torch.float32: "F32",
    torch.float64: "F64",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}


class _NoInitialValues(TorchFunctionMode):
    """Leaves tensors as they are where a network draws its initial weights."""

    def __torch_function__(
        self, func: Any, types: Any, args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        initial = (
            getattr(func, "__module__", "") == "torch.nn.init" or getattr(func, "__name__", "") == "normal_"
        )
        if initial and (args or "tensor" in kwargs):
            return args[0] if args else kwargs["tensor"]
        return func(*args, **kwargs)


@contextmanager
def shapes_only() -> Iterator[None]:
    """Build networks without memory and values inside the context (on the device "meta").

    Normal numbers on that device would make torch import its compiler, which takes seconds.
    """
    with torch.device("meta"), _NoInitialValues():
        yield


def size_of(described: Mapping[str, Tensor]) -> int:
    """Return the bytes of all tensors."""
    return sum(tensor.numel() * tensor.element_size() for tensor in described.values())


def mismatch(raw: bytes, described: Mapping[str, Tensor]) -> str:
    """Return how a safetensors file differs from the described tensors, "" if it does not.

    `described`: tensors by name; only their type and shape are used, so they may be on the device "meta".
    """
    length = int.from_bytes(raw[:_LENGTH], "little")
    if len(raw) < _LENGTH or length > min(MOST_HEADER, len(raw) - _LENGTH):
        return "not a safetensors file: its header is cut off or too long"
    try:
        header = json_of(raw[_LENGTH : _LENGTH + length])
    except ValueError as error:
        return f"not a safetensors file: its header is not JSON: {error}"
    if not isinstance(header, dict):
        return "not a safetensors file: its header is not a JSON object"
    header.pop("__metadata__", None)
    for name, tensor in described.items():
        if name not in header:
            return f"weight '{name}' is missing"
        found, needed = _found(header[name]), (_TYPES[tensor.dtype], list(tensor.shape))
        if found != needed:
            return f"weight '{name}' is {found[0]} {found[1]}; {needed[0]} {needed[1]} is required"
    for name in header:
        if name not in described:
            return f"weight '{name}' is not part of the network"
    data = len(raw) - _LENGTH - length
    if data != size_of(described):
        return f"holds {counted(data, 'byte')} of weights; required: {size_of(described)}"
    return ""


def _found(entry: Any) -> tuple[Any, Any]:
    return (entry.get("dtype"), entry.get("shape")) if isinstance(entry, dict) else (None, None)
