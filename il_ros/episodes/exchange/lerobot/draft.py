"""A contract drafted from the features of a data set: what `il-ros episodes import` writes, and a start for a robot."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from il_ros.core.contract import ContractError
from il_ros.core.specs import ARRAY, COMPRESSED_IMAGE, IMAGE
from il_ros.core.tables import counted, shown
from il_ros.episodes.contract_draft import DraftedStream, drafted, number_list, picture, word, words_of
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.layout import (
    ACTION,
    IMAGES,
    INFO,
    STATE,
    DatasetInfo,
    Feature,
    read_info,
)
from il_ros.episodes.exchange.lerobot.rows import DataRows
from il_ros.episodes.exchange.lerobot.tables import read_episodes

Array = np.ndarray[Any, Any]

OBSERVATION = "observation."
TOPICS = "lerobot"
"""The namespace of an import's topics."""
_MARGIN = 0.05
"""Limits are this share of the commanded range wider than it."""


def draft_contract(path: Path) -> str:
    """Return the text of a contract for the data set in folder `path`, with comments.

    State and action that have the same names are positions of joints. Limits are what the data set commands.
    Raises ExchangeError when it is no data set of version 3.0, or has no state and no picture, or no action.
    """
    info = read_info(path)
    observed = [each for each in info.numbers if each.key.startswith(OBSERVATION)]
    action = info.features.get(ACTION)
    if action is None or not action.is_number or len(action.shape) != 1:
        raise ExchangeError(
            f"{path}: has no feature '{ACTION}' of numbers in one dimension; a contract needs actions"
        )
    if not observed and not info.pictures:
        raise ExchangeError(
            f"{path}: has no feature that begins with '{OBSERVATION}'; a contract needs observations"
        )
    keys = words_of((each.key for each in (*observed, *info.pictures)), word_of)
    topics = {key: f"{TOPICS}/{name}" for key, name in keys.items()}
    state = info.features.get(STATE)
    names = None if state is None or len(state.shape) != 1 else measured_names(action, state)
    trigger = STATE if STATE in topics else next(iter(topics))
    age_s = max(0.1, 2 / info.fps)
    seen = [
        *(
            DraftedStream(keys[each.key], each.key, _numbers(each, topics[each.key], age_s))
            for each in observed
        ),
        *(
            DraftedStream(keys[each.key], each.key, _picture(each, topics[each.key], age_s))
            for each in info.pictures
        ),
    ]
    robot = f", robot type {shown(info.robot_type)}." if info.robot_type else "."
    head = (
        f"Drafted from the LeRobot data set {shown(path.name)}: {counted(info.episodes, 'episode')}, "
        f"{counted(info.frames, 'frame')}, {counted(info.fps, 'frame')} per second{robot}",
        "`il-ros episodes import` writes these topics. For a robot, enter its topics, types, units and limits.",
    )
    action_lines = _action(info, action, names, keys.get(STATE, ""))
    try:
        return drafted(
            head,
            word(path.resolve().name),
            info.fps,
            seen,
            [DraftedStream("action", "", action_lines)],
            source=f"the contract drafted from {path}",
            trigger=topics[trigger],
        ).text
    except ContractError as error:
        raise ExchangeError(f"{path / INFO}: its features make no contract: {error}") from error


def measured_names(action: Feature, state: Feature) -> tuple[str, ...] | None:
    """Return the state's name of each number of the action, None unless the state measures all of them.

    Names match when they are equal, or equal in their last part: 'arm/shoulder' and 'joints/position/shoulder'.
    """
    if not action.names or not state.names:
        return state.elements if action.size == state.size and not action.names and not state.names else None
    by_name = {name: name for name in state.names}
    ends = [name.rpartition("/")[2] for name in state.names]
    by_end = {end: name for end, name in zip(ends, state.names, strict=True) if ends.count(end) == 1}
    found = [by_name.get(name) or by_end.get(name.rpartition("/")[2]) for name in action.names]
    names = tuple(name for name in found if name is not None)
    return names if len(names) == len(set(names)) == action.size else None


def word_of(key: str) -> str:
    """Return a feature's key as a contract's key: 'observation.images.front' as 'front'."""
    for prefix in (IMAGES, OBSERVATION):
        if key.startswith(prefix) and len(key) > len(prefix):
            return word(key.removeprefix(prefix))
    return word(key)


def _numbers(feature: Feature, topic: str, age_s: float) -> tuple[str, ...]:
    named = (
        number_list("names", feature.elements)
        if feature.names or feature.key == STATE
        else [f"size: {feature.size}"]
    )
    return (f"topic: {topic}", f"type: {ARRAY}", *named, f"max_age_s: {age_s:g}")


def _picture(feature: Feature, topic: str, age_s: float) -> tuple[str, ...]:
    height, width, channels = feature.shape
    type_name = IMAGE if feature.is_depth else COMPRESSED_IMAGE
    size = picture(width, height, channels, depth=feature.is_depth)
    return (f"topic: {topic}", f"type: {type_name}", size, f"max_age_s: {age_s:g}")


def _action(info: DatasetInfo, action: Feature, names: tuple[str, ...] | None, state: str) -> tuple[str, ...]:
    lower, upper, speed = _ranges(info, action)
    lines = [
        f"topic: {TOPICS}/action",
        f"type: {ARRAY}",
        *number_list("names", names or action.elements),
    ]
    if names is None:
        lines += [
            "quantity: velocity             # the state does not measure these numbers; they are taken as they are",
        ]
        largest = np.maximum(np.abs(lower), np.abs(upper))
        limits = np.minimum(lower, 0.0), np.maximum(upper, 0.0), largest
    else:
        lines += [f"reference: {state}"]
        limits = lower, upper, speed
    lines += ["limits:                        # what the data set commands: enter your robot's own"]
    for name, values in zip(("lower", "upper", "speed"), limits, strict=True):
        lines += [f"  {line}" for line in number_list(name, values)]
    return tuple(lines)


def _ranges(info: DatasetInfo, action: Feature) -> tuple[Array, Array, Array]:
    """Return least, largest and fastest commands, a little wider than the data's (A,)."""
    low = np.full(action.size, np.inf)
    high, step = -low, np.zeros(action.size)
    with DataRows(info, read_episodes(info)) as data:
        for row in data.episodes:
            values = data.numbers(row, action).astype(np.float64)
            low, high = np.minimum(low, values.min(axis=0)), np.maximum(high, values.max(axis=0))
            if len(values) > 1:
                step = np.maximum(step, np.abs(np.diff(values, axis=0)).max(axis=0))
    if not info.episodes:
        raise ExchangeError(f"{info.root}: has no episode; the limits of the action are taken from the data")
    if not (np.isfinite(low).all() and np.isfinite(high).all()):
        raise ExchangeError(f"{info.root}: the action holds numbers that are not finite")
    margin = np.maximum(_MARGIN * (high - low), 1e-3)
    return low - margin, high + margin, np.maximum((1 + _MARGIN) * step * info.fps, 1e-3)
