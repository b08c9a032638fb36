"""A contract drafted from the shapes in a robomimic file: what an import writes, and a start for a robot."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from il_ros.core.contract import ContractError
from il_ros.core.specs import ARRAY, COMPRESSED_IMAGE, IMAGE
from il_ros.core.tables import counted, shown
from il_ros.episodes.contract_draft import DraftedStream, drafted, number_list, picture, word, words_of
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.hdf5.layout import ObservedPart, RobomimicFile

TOPICS = "robomimic"


def draft_contract(path: Path, rate_hz: float | None = None) -> str:
    """Return the text of a contract for the robomimic file `path`, with comments.

    `rate_hz`: frames per second, None: as the file says (`control_freq`). The actions are numbers that nothing
    measures; their limits are what the demonstrations command.
    Raises ExchangeError when the file can't be read or does not say its rate, or the rate can't be.
    """
    with RobomimicFile(path) as file:
        return drafted_from(file, rate_hz)


def drafted_from(file: RobomimicFile, rate_hz: float | None) -> str:
    """Return the contract of an open file; see `draft_contract`."""
    rate = file.rate_hz if rate_hz is None else rate_hz
    if rate is None:
        raise ExchangeError(
            f"{file.path}: env_args has no env_kwargs.control_freq; give the frames per second (--rate)"
        )
    if rate <= 0:
        raise ExchangeError(
            f"{file.path}: the rate is {rate:g} frames per second; it must be above 0 (--rate)"
        )
    if not file.observed:
        raise ExchangeError(f"{file.path}: {file.demos[0].name} has no observations in obs")
    keys = words_of([part.key for part in file.observed])
    age_s = max(0.1, 2 / rate)
    name = shown(str(file.environment.get("env_name", "")))
    seen = [
        DraftedStream(keys[part.key], f"obs/{shown(part.key)}", _observation(part, keys[part.key], age_s))
        for part in file.observed
    ]
    low, high = _ranges(file)
    lines = (
        f"topic: {TOPICS}/actions",
        f"type: {ARRAY}",
        *number_list("names", [f"a{place}" for place in range(file.action_size)]),
        "quantity: velocity             # no observation measures these numbers; they are taken as they are",
        "limits:                        # what the demonstrations command: enter your robot's own",
        *(f"  {line}" for line in number_list("lower", np.minimum(low, 0.0))),
        *(f"  {line}" for line in number_list("upper", np.maximum(high, 0.0))),
        *(f"  {line}" for line in number_list("speed", np.maximum(np.abs(low), np.abs(high)))),
    )
    head = (
        f"Drafted from the robomimic file {shown(file.path.name)}: {counted(len(file.demos), 'demonstration')}"
        + (f" of {name}." if name else "."),
        "`il-ros episodes import` writes these topics. For a robot, enter its topics, types, units and limits.",
    )
    try:
        return drafted(
            head,
            word(file.path.resolve().stem),
            rate,
            seen,
            [DraftedStream("actions", "", lines)],
            source=f"the contract drafted from {file.path}",
        ).text
    except ContractError as error:
        raise ExchangeError(f"{file.path}: its shapes make no contract: {error}") from error


def _observation(part: ObservedPart, key: str, age_s: float) -> tuple[str, ...]:
    lines: tuple[str, ...] = (f"type: {ARRAY}", f"size: {part.size}")
    if part.picture:
        height, width, channels = part.shape
        size = picture(width, height, channels, depth=part.depth)
        lines = (f"type: {IMAGE if part.depth else COMPRESSED_IMAGE}", size)
    return (f"topic: {TOPICS}/{key}", *lines, f"max_age_s: {age_s:g}")


def _ranges(file: RobomimicFile) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    """Return least and largest actions, a little wider than the data's (A,)."""
    low = np.full(file.action_size, np.inf)
    high = -low
    for demo in file.demos:
        values = file.array(demo, "actions").astype(np.float64)
        if values.shape[1:] != low.shape or not np.isfinite(values).all():
            raise ExchangeError(
                f"{file.path}: actions of {demo.name} have shape {values.shape}; they must be "
                f"{file.action_size} finite numbers each"
            )
        low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
    margin = np.maximum(0.05 * (high - low), 1e-3)
    return low - margin, high + margin
