"""Cameras that stand still while the robot moves, that see nothing, or that are out of focus."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.doctor.findings import Array, Check, Finding, Line, Pictures, Plot, Severity
from il_ros.episodes.doctor.numbers import spans_of
from il_ros.episodes.doctor.takes import TakeSet

FROZEN_S = 0.4
"""A camera is frozen if its pictures are equal for this long while the robot moves."""
MOVING_SHARE = 0.1
"""The robot moves at more than this share of a take's usual largest step."""
BLACK, WHITE = 12.0, 243.0
"""Mean grey value (0 to 255) below or above which a picture shows nothing."""
DIMMED = 0.45
"""A picture is dark if its brightness is below this share of the camera's usual one."""
BLURRED = 0.4
"""A picture is out of focus if its sharpness is below this share of the camera's usual one."""
LEAST_S = 0.4
"""Shorter stretches of dark or blurred pictures are not reported."""
SHOWN = 4


@dataclass(frozen=True)
class Look:
    """What is measured of a camera in a take: brightness and sharpness (T,), repeated pictures (T - 1,)."""

    episode: EpisodeArrays
    brightness: Vector
    sharpness: Vector
    repeats: NDArray[np.bool_]


def looked_at(frames: Array, episode: EpisodeArrays) -> Look:
    """Return the measurements of pictures (T, H, W, C).

    Sharpness is the mean square of the Laplacian of the grey picture, relative to its variance: light alone does not
    change it (Pech-Pacheco et al., 2000).
    """
    brightness, sharpness = np.zeros(len(frames)), np.zeros(len(frames))
    repeats = np.zeros(max(0, len(frames) - 1), dtype=bool)
    last: Array | None = None
    for index, frame in enumerate(frames):
        grey = frame.mean(axis=2, dtype=np.float32)
        brightness[index] = grey.mean()
        edges = 4 * grey[1:-1, 1:-1] - grey[:-2, 1:-1] - grey[2:, 1:-1] - grey[1:-1, :-2] - grey[1:-1, 2:]
        sharpness[index] = np.mean(np.square(edges)) / max(1.0, float(grey.var()))
        if last is not None:
            repeats[index - 1] = np.array_equal(frame, last)
        last = frame
    return Look(episode, brightness, sharpness, repeats)


def camera_faults(takes: TakeSet) -> list[Finding]:
    """Find frozen, dark and blurred cameras."""
    found: list[Finding] = []
    for spec in takes.cameras:
        looks = [looked_at(np.asarray(each.observations[spec.key]), each) for each in takes.episodes]
        found += faults_of(takes, spec.key, looks)
    return found


def faults_of(takes: TakeSet, key: str, looks: Sequence[Look]) -> list[Finding]:
    """Find stretches in which one camera was frozen, dark or blurred, by what was measured of it in each take."""
    found = _frozen(takes, key, looks)
    usual = float(np.median(np.concatenate([look.brightness for look in looks])))
    dark = [
        (look, (look.brightness < max(BLACK, DIMMED * usual)) | (look.brightness > WHITE)) for look in looks
    ]
    found += _spans(
        takes, key, dark, Check.DARK, "is dark, overexposed or covered",
        "The policy gets pictures that say nothing, and learns to do without this camera.",
        "Fix the exposure and the light, and look for what covers the lens.",
    )  # fmt: skip
    lit = [(look, ~is_dark) for look, is_dark in dark]
    clear = [look.sharpness[mask] for look, mask in lit if mask.any()]
    sharp = float(np.median(np.concatenate(clear))) if clear else 0.0
    blurred = [(look, mask & (look.sharpness < BLURRED * sharp)) for look, mask in lit]
    found += _spans(
        takes, key, blurred, Check.BLURRED, "is out of focus",
        "Edges by which the policy aims are gone; a sharp picture is then one that it has not seen.",
        "Clean the lens and fix the focus; autofocus off.",
    )  # fmt: skip
    return found


def _frozen(takes: TakeSet, key: str, looks: Sequence[Look]) -> list[Finding]:
    least = max(3, round(FROZEN_S / takes.period_s))
    frozen: dict[str, tuple[Look, int, int]] = {}
    for look in looks:
        _, moves = takes.motion(look.episode)
        moving = moves > MOVING_SHARE * float(np.quantile(moves, 0.95)) if len(moves) else moves > 0
        for first, last in spans_of(look.repeats):
            if int(moving[first : last + 1].sum()) >= least:
                before = frozen.get(look.episode.name)
                if before is None or last - first > before[2] - before[1]:
                    frozen[look.episode.name] = (look, first, last)
    if not frozen:
        return []
    names = tuple(frozen)
    look, first, last = max(frozen.values(), key=lambda each: each[2] - each[1])
    spans = {name: _times(takes, each[0], each[1], each[2] + 1) for name, each in frozen.items()}
    return [
        Finding(
            Check.FROZEN,
            Severity.FAULT,
            f"{key} repeats one picture for {(last - first + 1) * takes.period_s:.1f} s while the robot moves, in "
            f"{takes.listed(names)}.",
            "The policy learns motions that do not depend on this camera.",
            names,
            (last - first + 1) / least,
            (
                *_amend(takes, spans),
                "Look for a camera driver that repeats its last picture, and for a full network.",
            ),
            _pictures(takes, key, look, first, last + 1),
        )
    ]


def _spans(
    takes: TakeSet,
    key: str,
    looks: Sequence[tuple[Look, NDArray[np.bool_]]],
    check: Check,
    state: str,
    effect: str,
    remedy: str,
) -> list[Finding]:
    """Return one finding about the stretches in which a mask (T,) holds, if there are any."""
    least = max(2, round(LEAST_S / takes.period_s))
    longest: dict[str, tuple[Look, int, int]] = {}
    for look, mask in looks:
        for first, last in spans_of(mask):
            before = longest.get(look.episode.name)
            if last - first + 1 >= least and (before is None or last - first > before[2] - before[1]):
                longest[look.episode.name] = (look, first, last)
    if not longest:
        return []
    names = tuple(longest)
    spans = {name: _times(takes, each[0], each[1], each[2]) for name, each in longest.items()}
    look, first, last = max(longest.values(), key=lambda each: each[2] - each[1])
    whole = last - first + 1 >= 0.9 * len(look.episode)
    how_long = "all the time" if whole else f"for {(last - first + 1) * takes.period_s:.1f} s"
    fixes = (takes.discard(names, f"{key} {state}"),) if whole else _amend(takes, spans)
    return [
        Finding(
            check,
            Severity.FAULT,
            f"{key} {state} {how_long} in {takes.listed(names)}.",
            effect,
            names,
            (last - first + 1) / least,
            (*fixes, remedy),
            _pictures(takes, key, look, first, last),
        )
    ]


def _times(takes: TakeSet, look: Look, first: int, last: int) -> tuple[float, float]:
    times_s = takes.times_s(look.episode)
    return float(times_s[first]), float(times_s[min(last, len(times_s) - 1)])


def _amend(takes: TakeSet, spans: dict[str, tuple[float, float]]) -> tuple[str, ...]:
    """Return the commands that leave out the spans of the first takes."""
    return tuple(
        takes.command("amend", [name], "--leave-out", f"{start:.2f}:{max(stop, start + takes.period_s):.2f}")
        for name, (start, stop) in list(spans.items())[:3]
    )


def _pictures(takes: TakeSet, key: str, look: Look, first: int, last: int) -> Pictures | Plot:
    """Return frames from before and within a stretch; the brightness where frames are not kept."""
    times_s = takes.times_s(look.episode)
    if key not in look.episode.observations:
        line = Line("brightness", times_s, look.brightness)
        return Plot(f"{key} in {look.episode.name}", "s since the start", "mean grey value", (line,))
    frames = np.asarray(look.episode.observations[key])
    before = max(0, first - 2 * max(1, round(0.5 / takes.period_s)))
    places = list(
        dict.fromkeys([before, *np.linspace(first, min(last, len(frames) - 1), SHOWN).round().astype(int)])
    )
    return Pictures(
        f"{key} in {look.episode.name}",
        tuple(frames[place] for place in places),
        tuple(f"{times_s[place]:.2f} s" for place in places),
    )
