"""Between the contract and the words of a remote policy: observations to a request, an answer to commands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from il_ros.core import actions
from il_ros.core.codecs.image import fit
from il_ros.core.specs import ImageSpec, ObservationSpec, Vector
from il_ros.policies.protocol import Array, Observation, PolicyError
from il_ros.policies.remote import wire
from il_ros.policies.remote.mapping import NumbersInput, PictureInput, RemoteSpec, TextInput
from il_ros.policies.remote.wire import WireError

_JPEG_QUALITY = 95


def request(spec: RemoteSpec, seen: Sequence[Observation]) -> dict[str, Any]:
    """Return the request for a window, newest observation last.

    With a history above 1, every value has the ticks that exist as its first axis, at most `history` (a list, if it is
    no array). Raises PolicyError that names an observation that is missing or not finite.
    """
    ticks = list(seen[-spec.history :])
    made: dict[str, Any] = {}
    for each in spec.inputs:
        values = [_value(spec, each.source, tick) for tick in ticks]
        *parents, last = each.path
        place = made
        for name in parents:
            place = place.setdefault(name, {})
        if spec.history == 1:
            place[last] = values[0]
        else:
            place[last] = np.stack(values) if isinstance(values[0], np.ndarray) else values
    return made


def commands(spec: RemoteSpec, answer: Mapping[str, Any], observation: Observation) -> Vector:
    """Return the absolute commands (H, A) of an answer; raises PolicyError on a wrong shape or number."""
    columns = spec.actions
    if columns.key not in answer:
        known = ", ".join(sorted(map(str, answer))[:8]) or "nothing"
        raise PolicyError(f"the answer has no '{columns.key}'; it has: {known}")
    try:
        found = wire.numbers(answer[columns.key], f"'{columns.key}' of the answer")
    except WireError as error:
        raise PolicyError(str(error)) from error
    if found.ndim == 1 and spec.horizon == 1:
        found = found[None]
    if found.shape != (spec.horizon, columns.size):
        raise PolicyError(
            f"'{columns.key}' of the answer is {found.shape}; ({spec.horizon}, {columns.size}) is required: horizon "
            "and size of remote.yaml"
        )
    chosen: Vector = found[:, list(columns.columns)]
    _require_finite(spec, chosen, "of the answer")
    with np.errstate(over="ignore"):  # a number near the largest one, times a scale
        out = chosen * np.array(columns.scale) + np.array(columns.offset)
        delta = np.array(columns.delta)
        if delta.any():
            out[:, delta] += actions.measured(spec.contract, observation)[delta]
    _require_finite(spec, out, "of the answer, after scale, offset and delta of remote.yaml")
    return np.asarray(out, dtype=np.float64)


def _require_finite(spec: RemoteSpec, values: Vector, where: str) -> None:
    """Raise PolicyError that names the first of `values` (H, A) that is not finite."""
    if not np.isfinite(values).all():
        step, column = np.argwhere(~np.isfinite(values))[0]
        raise PolicyError(
            f"{spec.contract.action_names[column]} is {values[step, column]} at step {step} {where}"
        )


def uncertainty(spec: RemoteSpec, answer: Mapping[str, Any]) -> float | None:
    """Return the answer's uncertainty, None without one; raises PolicyError if it is no number of at least 0."""
    value = answer.get(spec.uncertainty)
    if value is None:
        return None
    try:
        found = wire.numbers(value, f"'{spec.uncertainty}' of the answer")
    except WireError as error:
        raise PolicyError(str(error)) from error
    if found.size != 1 or not np.isfinite(found).all() or found.min() < 0:
        raise PolicyError(f"'{spec.uncertainty}' of the answer must be one finite number of at least 0")
    return float(found.reshape(-1)[0])


def _value(spec: RemoteSpec, source: NumbersInput | PictureInput | TextInput, tick: Observation) -> Any:
    if isinstance(source, NumbersInput):
        return _numbers(spec, source, tick)
    if isinstance(source, TextInput):
        return str(_existing(tick, source.key)) if source.key else source.constant
    observed = spec.contract.observation(source.key)
    frame = _existing(tick, source.key)
    if frame.shape != observed.shape or frame.dtype != observed.dtype:
        raise PolicyError(
            f"observation '{source.key}' is {frame.shape} {frame.dtype}; {observed.shape} {observed.dtype} is required"
        )
    return picture(source, observed, frame)


def _existing(tick: Observation, key: str) -> Array:
    if key not in tick:
        raise PolicyError(f"observation '{key}' is missing; there are: {', '.join(tick)}")
    return tick[key]


def _numbers(spec: RemoteSpec, source: NumbersInput, tick: Observation) -> Array:
    for key in source.keys:
        values, observed = _existing(tick, key), spec.contract.observation(key)
        if values.shape != observed.shape:
            raise PolicyError(f"observation '{key}' is {values.shape}; {observed.shape} is required")
        if not np.isfinite(values).all():
            first = int(np.flatnonzero(~np.isfinite(values))[0])
            raise PolicyError(f"observation '{key}': {observed.elements[first]} is {values[first]}")
    joined = np.concatenate([tick[key] for key in source.keys])[list(source.columns)]
    scaled: Array = joined * np.array(source.scale) + np.array(source.offset)
    return scaled


def picture(source: PictureInput, observed: ObservationSpec, frame: Array) -> Any:
    """Return a frame (H, W, C) in the server's form: an array of its layout, or the bytes of a jpeg or png.

    Depth is float32 metres, of the nearest pixel where it is resized. Pixels added by `pad` are 0.
    """
    import cv2

    assert observed.image is not None
    resized = _resized(source, observed.image, frame)
    if source.encoding in ("jpeg", "png"):
        pixels = resized if resized.shape[2] == 1 else cv2.cvtColor(resized, cv2.COLOR_RGB2BGR)
        kind = ".jpg" if source.encoding == "jpeg" else ".png"
        options = [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY] if source.encoding == "jpeg" else []
        return cv2.imencode(kind, pixels, options)[1].tobytes()
    if source.encoding == "bgr8":
        resized = resized[..., ::-1]
    elif source.encoding == "float" and resized.dtype == np.uint8:
        resized = resized.astype(np.float32) / 255
    return np.ascontiguousarray(resized.transpose(2, 0, 1) if source.layout == "chw" else resized)


def _resized(source: PictureInput, image: ImageSpec, frame: Array) -> Array:
    if (image.width, image.height) == (source.width, source.height):
        return frame
    if source.fit != "pad":
        return fit(ImageSpec(source.width, source.height, image.encoding, source.fit), frame)
    ratio = min(source.width / image.width, source.height / image.height)
    width = max(1, min(source.width, round(image.width * ratio)))
    height = max(1, min(source.height, round(image.height * ratio)))
    inner = fit(ImageSpec(width, height, image.encoding, "stretch"), frame)
    out = np.zeros((source.height, source.width, frame.shape[2]), frame.dtype)
    top, left = (source.height - height) // 2, (source.width - width) // 2
    out[top : top + height, left : left + width] = inner
    return out
