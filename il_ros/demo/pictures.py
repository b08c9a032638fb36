"""Images and plots for the demo's page, made from the recorded episodes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import matplotlib

matplotlib.use("Agg")

import numpy as np
from matplotlib import pyplot
from numpy.typing import NDArray

from il_ros.core import actions, atomic, messages, plot_style
from il_ros.core import contract as contracts
from il_ros.core.codecs.image import decode_image
from il_ros.core.contract import Contract
from il_ros.core.plot_style import EXPERT, POLICY, QUIET, STYLE
from il_ros.core.specs import IMAGE, ImageSpec, Vector
from il_ros.episodes.arrays.replay import Frame, open_replay
from il_ros.episodes.bag.reader import open_bag
from il_ros.episodes.layout import EpisodeInfo, load_info
from il_ros.records.labelling import DRIVEN
from il_ros.sim.tasks.task import TaskExpert

Picture = NDArray[np.uint8]


@dataclass(frozen=True)
class Shot:
    """One camera image (H, W, 3) and its time since the start of the episode."""

    time_s: float
    picture: Picture


def shots(folder: Path, camera: str) -> list[Shot]:
    """Return all images of a camera in the episode in `folder`; `camera` is a part of its topic's name."""
    info, bag = load_info(folder), open_bag(folder)
    topics = [name for name, topic in bag.topics.items() if topic.type == IMAGE and camera in name]
    return [
        Shot((message.log_ns - info.started_ns) / 1e9, _pixels(messages.decode(message.type, message.raw)))
        for message in bag.messages(topics)
        if message.log_ns >= info.started_ns
    ]


def spread(found: Sequence[Shot], count: int) -> list[Shot]:
    """Return `count` evenly spaced images, including the first and the last."""
    if len(found) <= count:
        return list(found)
    return [found[round(index * (len(found) - 1) / (count - 1))] for index in range(count)]


def save(picture: Picture, path: Path) -> None:
    """Write an image as PNG; raises OSError when the file can't be written."""
    done, encoded = cv2.imencode(".png", picture[:, :, ::-1])
    assert done, "PNG encodes every 8-bit image"
    atomic.write_bytes(path, encoded.tobytes(), durable=False)


@dataclass(frozen=True)
class Trace:
    """The policy's commands in an episode, and the expert's for the same observations.

    `times_s` (T,); `sent` and `expert` (T, A; NaN: the expert gave up) in the contract's units. Where
    `relative` (A,) is true, the position measured at the tick is subtracted: position commands are always
    close to it, and only the difference tells policy and expert apart.
    """

    names: tuple[str, ...]
    units: tuple[str, ...]
    relative: NDArray[np.bool_]
    times_s: NDArray[np.float64]
    sent: NDArray[np.float64]
    expert: NDArray[np.float64]


def trace(folder: Path, expert: TaskExpert) -> Trace:
    """Return the trace of the policy's episode in `folder`."""
    info = load_info(folder)
    contract = contracts.parse(info.contract_text, f"the contract in {folder}")
    frames = list(_frames(folder, contract, info))
    measured = np.array([actions.measured(contract, frame.observation.values) for frame in frames])
    sent = np.array([frame.command for frame in frames])
    targets = np.array([_expert_target(expert, frame, contract.action_size) for frame in frames])
    return Trace(
        contract.action_names,
        tuple(action.unit for action in contract.actions for _ in action.names),
        np.isfinite(measured[0]),
        np.array([(frame.tick_ns - frames[0].tick_ns) / 1e9 for frame in frames]),
        sent - np.nan_to_num(measured),
        targets - np.nan_to_num(measured),
    )


def plot_trace(shown: Trace, path: Path, rows: int = 4) -> None:
    """Plot the `rows` actions that move most, in the contract's order."""
    moves = np.ptp(shown.sent, axis=0)
    busy = sorted(np.argsort(-moves)[:rows])
    with matplotlib.rc_context(STYLE):
        figure, axes = pyplot.subplots(
            len(busy), 1, figsize=(8, 1.35 * len(busy)), sharex=True, squeeze=False
        )
        for axis, index in zip(axes[:, 0], busy, strict=True):
            axis.plot(
                shown.times_s, shown.expert[:, index], color=EXPERT, lw=1.4, ls=(0, (4, 2)), label="expert"
            )
            axis.plot(shown.times_s, shown.sent[:, index], color=POLICY, lw=1.4, label="policy, as sent")
            name, unit = shown.names[index].split("/")[-1], shown.units[index].split(",")[0]
            axis.set_ylabel(f"{'Δ ' if shown.relative[index] else ''}{name}\n[{unit}]")
        figure.align_ylabels()
        axes[0, 0].legend(ncols=2, frameon=False, loc="lower right", bbox_to_anchor=(1, 1))
        axes[-1, 0].set_xlabel("simulated time [s]")
        _save(figure, path)


def plot_curve(columns: Mapping[str, Sequence[float]], path: Path) -> None:
    """Plot both losses over the epochs and mark the kept epoch; columns as in curves.csv."""
    epochs = np.array(columns["epoch"])
    with matplotlib.rc_context(STYLE):
        figure, axis = pyplot.subplots(figsize=(8, 3))
        for name, colour in (("train_loss", QUIET), ("validation_loss", POLICY)):
            losses = np.array(columns[name])
            known = np.isfinite(losses)  # validation does not run in every epoch
            axis.plot(epochs[known], losses[known], color=colour, lw=1.6, label=name.replace("_", " "))
        kept = epochs[np.array(columns["best"]) > 0]
        if len(kept):
            axis.axvline(kept[-1], color=EXPERT, lw=1, ls=":", label="kept")
        if min(columns["train_loss"]) > 0:  # a log likelihood may have either sign
            axis.set_yscale("log")
        axis.set_xlabel("epoch")
        axis.set_ylabel("loss (normalised actions)")
        axis.legend(frameon=False)
        _save(figure, path)


def _save(figure: Any, path: Path) -> None:
    plot_style.save(figure, path, bbox_inches="tight")
    pyplot.close(figure)


def _expert_target(expert: TaskExpert, frame: Frame, size: int) -> Vector:
    advice = expert.act(frame.observation.values)
    return np.full(size, np.nan) if advice is None else advice[0]


def _frames(folder: Path, contract: Contract, info: EpisodeInfo) -> Iterator[Frame]:
    return (item for item in open_replay(open_bag(folder), contract, info, DRIVEN) if isinstance(item, Frame))


def _pixels(message: Any) -> Picture:
    return decode_image(ImageSpec(int(message.width), int(message.height)), message)
