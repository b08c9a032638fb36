"""Training by several processes that `torchrun` starts, on one or several machines, each with a part of every batch.

All processes read the same episodes and hold the same weights, buffers and random state; after each step they have the
same again, because they average their gradients (`policies.networks.together`). The first one validates, prints and
writes. Its state is that of a training alone, so any number of processes may resume it.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
from torch import Tensor, distributed

from il_ros.policies.networks import together
from il_ros.policies.networks.together import BatchPart, PartialGenerator
from il_ros.training.batches import WHOLE

_VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT")
"""What torchrun sets."""
_PATIENCE = timedelta(days=1)
"""The others wait while the first one reads a large data set; that a process ended is noticed at once."""


class LostProcessError(RuntimeError):
    """Another process of the training ended or cannot be reached."""


@dataclass(frozen=True)
class Processes:
    """The processes of a training, seen by one of them.

    `part`: its part of each batch. `place`: its number among those of its machine, and their count.
    All processes call the methods in the same order. They raise LostProcessError when one of them is gone.
    """

    part: BatchPart = WHOLE
    place: tuple[int, int] = (0, 1)

    @property
    def alone(self) -> bool:
        """Whether there is one process only."""
        return self.part.of == 1

    @property
    def first(self) -> bool:
        """Whether this is the process that validates, prints and writes."""
        return self.part.rank == 0

    def generator(self, seed: int, *, in_parts: bool = False) -> torch.Generator:
        """Return a generator that is in the same state in all processes; `in_parts`: batches are divided anyway."""
        rng = torch.Generator() if self.alone and not in_parts else PartialGenerator()
        return rng.manual_seed(seed)

    def average_(self, values: Tensor) -> None:
        """Replace values by their mean over the processes."""
        if not self.alone:
            with _reaching():
                distributed.all_reduce(values)
            values.div_(self.part.of)

    def take_over_(self, values: Tensor) -> None:
        """Replace values by those of the first process."""
        if not self.alone:
            with _reaching():
                distributed.broadcast(values, 0)

    def of_first(self, number: float) -> float:
        """Return the number of the first process."""
        if self.alone:
            return number
        values = torch.tensor(number, dtype=torch.float64)
        self.take_over_(values)
        return values.item()

    def any(self, flag: bool) -> bool:
        """Return whether a flag is set in any process."""
        if self.alone:
            return flag
        values = torch.tensor(float(flag), dtype=torch.float64)
        self.average_(values)
        return values.item() > 0

    def sharing(self) -> AbstractContextManager[None]:
        """Return a context in which losses are those of a part of the batch."""

        def average(amount: Tensor) -> Tensor:
            own = amount.to(torch.float32 if not amount.is_floating_point() else amount.dtype, copy=True)
            self.average_(own)
            return own

        return nullcontext() if self.alone else together.averaging(average)

    def require_same(self, parts: Mapping[str, Any]) -> None:
        """Raise ValueError, with the names of the parts, unless these JSON values are those of the first process."""
        if self.alone:
            return
        differing = []
        for name, value in parts.items():
            digest = hashlib.sha256(json.dumps(value, sort_keys=True).encode()).digest()
            own = torch.tensor(list(digest), dtype=torch.uint8)
            other = own.clone()
            self.take_over_(other)
            differing += [] if torch.equal(own, other) else [name]
        if self.any(bool(differing)):
            found = f"process {self.part.rank} has other {' and '.join(differing)} than process 0"
            raise ValueError(
                f"{found if differing else 'another process has other data or settings'}; "
                "all machines need the same episodes and the same command"
            )

    @contextmanager
    def one_at_first(self) -> Iterator[None]:
        """Let one process of each machine go through the context first, so that others find what it cached."""
        if self.alone:
            yield
            return
        waits = self.place[0] > 0
        if waits:
            self.any(False)
        yield
        if not waits:
            self.any(False)


ALONE = Processes()


def started_by_torchrun() -> bool:
    """Return whether this process is one of several that torchrun started."""
    return all(name in os.environ for name in _VARIABLES) and os.environ["WORLD_SIZE"] != "1"


def name_of_this() -> str:
    """Return the beginning of an error message that says which process has it; "" for one alone."""
    return f"process {os.environ['RANK']} of {os.environ['WORLD_SIZE']}: " if started_by_torchrun() else ""


@contextmanager
def joined() -> Iterator[Processes]:
    """Yield the processes of this training: those that torchrun started together with this one, or this one alone.

    Raises LostProcessError when they cannot be reached.
    """
    if not started_by_torchrun():
        yield ALONE
        return
    rank, count, local, here = (int(os.environ[name]) for name in _VARIABLES[:4])
    with _reaching():
        distributed.init_process_group(
            timeout=_PATIENCE
        )  # gloo for tensors on the CPU, NCCL for those on GPUs
    try:
        yield Processes(BatchPart(rank, count), (local, here))
    finally:
        distributed.destroy_process_group()


@contextmanager
def _reaching() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # of torch's back ends, which have no type of their own
        reason = re.sub(r"^\[\S*\] ", "", str(error).partition("\n")[0]).partition(". ")[0]
        raise LostProcessError(
            f"another process of this training ended or cannot be reached, so this one ends, too: {reason}"
        ) from error
