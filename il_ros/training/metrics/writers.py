"""Metrics of a training for other programs, beside curves.csv: TensorBoard, Weights & Biases.

To add a program: a class with the methods of `MetricWriter`, and an entry in `WRITERS`.
"""

from __future__ import annotations

import importlib.util
import math
import os
import uuid
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from il_ros.core import atomic, files

TENSORBOARD, WANDB = PROGRAMS = ("tensorboard", "wandb")
_EVENTS = "events.out.tfevents.*"
_RUN_ID = "il_ros_run_id"


class WriterError(ValueError):
    """A program to write metrics for is not installed, or refuses them; the message says what to do."""


class MetricWriter(Protocol):
    """Writes the numbers of a training for one program."""

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """Write what was measured after so many gradient steps, by the names of curves.csv; NaN is never among it."""

    def close(self) -> None:
        """End the writing."""


def require_installed(names: Collection[str]) -> None:
    """Raise WriterError when the package of one of these programs is missing."""
    for name in names:
        if importlib.util.find_spec(name) is None:
            raise WriterError(f"--log {name}: the package {name} is not installed; type:  pip install {name}")


@contextmanager
def opened(
    names: Collection[str], out: Path, settings: Mapping[str, Any], begun: int
) -> Iterator[Callable[[int, Mapping[str, float]], None]]:
    """Yield a function that writes the numbers of a step for all these programs; NaN is left out.

    `out`: the folder of the training. `settings`: its recipe. `begun`: the steps done before, 0: it is new.
    Raises WriterError as `require_installed`, and when a program refuses.
    """
    require_installed(names)
    with ExitStack() as stack:
        writers = [WRITERS[name](out, settings, begun) for name in dict.fromkeys(names)]
        for writer in writers:
            stack.callback(writer.close)

        def write(step: int, values: Mapping[str, float]) -> None:
            known = {name: float(value) for name, value in values.items() if not math.isnan(value)}
            for writer in writers:
                writer.write(step, known)

        yield write


class TensorBoardWriter:
    """Event files in OUT/tensorboard; those of an earlier training there are deleted when a new one begins."""

    def __init__(self, out: Path, settings: Mapping[str, Any], begun: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        folder = out / TENSORBOARD
        if not begun:
            for file in folder.glob(_EVENTS):
                file.unlink()
        # what was written after the state was saved from which a training goes on is not shown
        self._events = SummaryWriter(str(folder), purge_step=begun + 1 if begun else None)  # type: ignore[no-untyped-call]
        if not begun:
            self._events.add_text("recipe", _as_markdown(settings))  # type: ignore[no-untyped-call]

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `MetricWriter`."""
        for name, value in values.items():
            self._events.add_scalar(name, value, step)  # type: ignore[no-untyped-call]
        self._events.flush()  # type: ignore[no-untyped-call]

    def close(self) -> None:
        """See `MetricWriter`."""
        self._events.close()  # type: ignore[no-untyped-call]


class WandbWriter:
    """A run of Weights & Biases, named after the training's folder; a resumed training goes on with its run.

    The package reads its own environment variables: WANDB_PROJECT (default: il_ros), WANDB_MODE=offline and others.
    """

    def __init__(self, out: Path, settings: Mapping[str, Any], begun: int) -> None:
        import wandb

        kept = out / WANDB / _RUN_ID
        run_id = files.read_text(kept, 100).strip() if begun and kept.exists() else uuid.uuid4().hex[:8]
        kept.parent.mkdir(parents=True, exist_ok=True)
        atomic.write_text(kept, run_id + "\n")
        try:
            self._run = wandb.init(
                project=os.environ.get("WANDB_PROJECT", "il_ros"),
                name=out.resolve().name,
                dir=str(out),
                id=run_id,
                resume="allow",
                config=dict(settings),
            )
        except wandb.Error as error:
            why = str(error).rstrip(".")
            raise WriterError(
                f"--log wandb: {why}; or set WANDB_MODE=offline, and use `wandb sync` later"
            ) from error

    def write(self, step: int, values: Mapping[str, float]) -> None:
        """See `MetricWriter`."""
        self._run.log(dict(values), step=step)

    def close(self) -> None:
        """See `MetricWriter`."""
        self._run.finish()


WRITERS: dict[str, Callable[[Path, Mapping[str, Any], int], MetricWriter]] = {
    TENSORBOARD: TensorBoardWriter,
    WANDB: WandbWriter,
}


def _as_markdown(settings: Mapping[str, Any]) -> str:
    rows = [
        f"| {section}.{key} | {value} |"
        for section, values in settings.items()
        for key, value in (values.items() if isinstance(values, Mapping) else {"": values}.items())
    ]
    return "\n".join(["| setting | value |", "|---|---|", *(row.replace(". |", " |") for row in rows)])
