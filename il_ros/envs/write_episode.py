"""An episode from NumPy arrays: an ordinary bag, from which the same arrays are read back, bit for bit.

write_episode("episodes", contract, {"joints": joints}, commands, success=True)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from types import NoneType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.contract import Contract
from il_ros.core.messages import Message
from il_ros.core.specs import ARRAY, IMAGE, JOINT_STATE, STRING, ObservationSpec
from il_ros.core.tables import counted
from il_ros.envs.episode_log import EpisodeLog, outcome_of
from il_ros.envs.gym_task import FLOAT, REWARD
from il_ros.episodes.recording.options import Label
from il_ros.records.decision import Decision
from il_ros.records.labelling import EXPERT
from il_ros.sim.lockstep import command_messages
from il_ros.sim.tasks import reading
from il_ros.sim.tasks.task import RESET_PAUSE_NS

ENCODINGS = {"rgb8": "rgb8", "mono8": "mono8", "depth": "32FC1"}


class ArraysError(ValueError):
    """Arrays that are no episode of the contract; the message names key, shape and what would be right."""


def write_episode(
    root: str | Path,
    contract: Contract,
    observations: Mapping[str, Any],
    actions: Any,
    *,
    rewards: Sequence[float] | None = None,
    success: bool | None = None,
    task: str = "",
    operator: str = "",
    instruction: str = "",
    seed: int | None = None,
) -> Path:
    """Write T steps of an expert as an episode under `root`, and return its folder.

    `observations[key]`: (T, ...) or, with the one after the last action, (T + 1, ...), in the shape of the
    contract's observation. `actions` (T, A): what was commanded on them, in the contract's flat order and units;
    they are recorded as they are, whatever the contract's limits. `rewards` (T,): of the steps. One step is one
    control period. `success`: the outcome, None: not known.
    Raises ArraysError on an argument of a wrong type, a wrong key, shape or number, RecordError when the episode can't
    be saved.
    """
    _require("root", root, (str, Path), "the path of a folder")
    _require("contract", contract, Contract, "a Contract, such as il_ros.core.contract.find('arm_push')")
    _require("observations", observations, Mapping, "arrays by the contract's keys")
    _require("success", success, (bool, np.bool_, NoneType), "True, False, or None if it is not known")
    try:
        label = Label(task, operator, instruction, seed)
    except ValueError as error:
        raise ArraysError(str(error)) from error
    commands = _actions(contract, actions)
    steps = len(commands)
    earned = None if rewards is None else _numbers("rewards", _array("rewards", rewards))
    if earned is not None and earned.shape != (steps,):
        raise ArraysError(f"rewards: has shape {earned.shape}; needed: ({steps},), one for each action")
    seen = {spec.key: _observed(spec, observations, steps) for spec in contract.observations}
    strange = [key for key in observations if key not in seen]
    if strange:
        raise ArraysError(f"observations: '{strange[0]}' is not in the contract; it has: {', '.join(seen)}")
    log = EpisodeLog(contract, root, {} if earned is None else {REWARD: FLOAT})
    log.begin(label)
    _require_own_topics(contract)
    longest = steps + all(len(values) == steps + 1 for values in seen.values())
    try:
        for tick in range(longest):
            now_ns = RESET_PAUSE_NS + tick * contract.period_ns
            if earned is not None and tick:
                reward = messages.make(FLOAT, data=float(earned[tick - 1]))
                log.message(REWARD, FLOAT, messages.encode(FLOAT, reward), now_ns)
            for spec in contract.observations:
                raw = messages.encode(spec.type, observation_message(spec, seen[spec.key][tick], now_ns))
                log.message(spec.topic, spec.type, raw, now_ns)
            if tick == steps:
                break
            sent = tuple(commands[tick].tolist())
            log.decision(Decision(0, 0, EXPERT, "from arrays", {EXPERT: sent}, sent, mode=EXPERT))
            for topic, message in command_messages(contract, commands[tick], now_ns).items():
                type_name = contract.topics[topic]
                log.message(topic, type_name, messages.encode(type_name, message), now_ns)
        folder = log.end(outcome_of(success), "written from arrays")
    finally:
        log.close("failed while it was written")
    assert folder is not None  # there is at least one decision
    return folder


def observation_message(spec: ObservationSpec, value: NDArray[Any], stamp_ns: int) -> Message:
    """Return the message from which `decode` reads `value` (in the spec's shape) back.

    Raises ArraysError for types of which an observation is only a part, such as a pose's position.
    """
    if spec.type == ARRAY:
        return messages.make(ARRAY, data=np.asarray(value, dtype=np.float64))
    if spec.type == JOINT_STATE:
        parts = np.asarray(value, dtype=np.float64).reshape(len(spec.fields), len(spec.names))
        fields = dict(zip(spec.fields, parts, strict=True))
        return messages.make(JOINT_STATE, header=messages.header(stamp_ns), name=list(spec.names), **fields)
    if spec.type == IMAGE:
        assert spec.image is not None
        return reading.pixels(stamp_ns, spec.key, value, ENCODINGS[spec.image.encoding])
    if spec.type == STRING:
        return messages.make(STRING, data=str(value))
    raise ArraysError(
        f"observations.{spec.key}: a {spec.type} cannot be made from its numbers alone; declare it in the contract as "
        f"{ARRAY}, {JOINT_STATE} or {IMAGE}"
    )


def _observed(spec: ObservationSpec, observations: Mapping[str, Any], steps: int) -> NDArray[Any]:
    if spec.key not in observations:
        raise ArraysError(
            f"observations: '{spec.key}' is missing; given: {', '.join(observations) or 'none'}"
        )
    values = _array(f"observations.{spec.key}", observations[spec.key])
    if spec.kind == "numeric" and values.ndim == 1 and spec.shape == (1,):
        values = values[:, None]
    wanted = f"({steps}, {', '.join(map(str, spec.shape))}), or one row more" if spec.shape else f"({steps},)"
    if values.ndim == 0 or values.shape[1:] != spec.shape or len(values) not in (steps, steps + 1):
        raise ArraysError(f"observations.{spec.key}: has shape {values.shape}; needed: {wanted}")
    if spec.kind == "image" and values.dtype != spec.dtype:
        raise ArraysError(f"observations.{spec.key}: has dtype {values.dtype}; needed: {spec.dtype}")
    if spec.kind == "text" and not all(isinstance(value, str) for value in values.tolist()):
        raise ArraysError(f"observations.{spec.key}: has dtype {values.dtype}; needed: texts")
    if spec.kind == "numeric":
        values = _numbers(f"observations.{spec.key}", values)
    return values


def _actions(contract: Contract, actions: Any) -> NDArray[np.float64]:
    values = _array("actions", actions)
    if values.ndim == 1 and contract.action_size == 1:
        values = values[:, None]
    if values.ndim != 2 or values.shape[1] != contract.action_size or not len(values):
        names = ", ".join(contract.action_names)
        raise ArraysError(
            f"actions: has shape {values.shape}; needed: (T, {contract.action_size}), "
            f"{counted(contract.action_size, 'number')} for each step ({names})"
        )
    return _numbers("actions", values)


def _require(name: str, value: object, kinds: type | tuple[type, ...], wanted: str) -> None:
    if not isinstance(value, kinds):
        raise ArraysError(f"{name}: is {value!r}; needed: {wanted}")


def _array(what: str, given: Any) -> NDArray[Any]:
    try:
        return np.asarray(given)
    except (TypeError, ValueError) as error:  # rows of different lengths
        raise ArraysError(f"{what}: is no array: {error}") from error


def _numbers(what: str, values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype.kind not in "fiub":
        raise ArraysError(f"{what}: has dtype {values.dtype}; needed: numbers")
    numbers = values.astype(np.float64)
    if not np.isfinite(numbers).all():
        row = int(np.argwhere(~np.isfinite(numbers))[0][0])
        raise ArraysError(f"{what}: a number of step {row} is not finite: {values[row].tolist()}")
    if not (numbers == values).all():
        raise ArraysError(f"{what}: has numbers that a float64 cannot hold exactly")
    return numbers


def _require_own_topics(contract: Contract) -> None:
    topics = [spec.topic for spec in contract.observations]
    twice = [topic for index, topic in enumerate(topics) if topic in topics[:index]]
    if twice:
        raise ArraysError(
            f"observations: two have the topic '{twice[0]}', whose message cannot be made from parts"
        )
