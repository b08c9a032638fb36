"""A policy against what it is given now: numbers outside its training's range or without their motion, moved cameras.

A shift within the range of the training is not seen in numbers: it may be another start position as well.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

import numpy as np

from il_ros.core.specs import Vector
from il_ros.core.tables import percent
from il_ros.episodes.arrays.episode import missing_of
from il_ros.episodes.doctor.camera_view import VIEWS, CameraView, small_pictures
from il_ros.episodes.doctor.findings import Check, Finding, Line, Pictures, Plot, Severity
from il_ros.episodes.doctor.takes import TakeSet
from il_ros.policies.runner import LoadedPolicy

OUTSIDE = 0.02
"""Share of the frames of the takes in which a number may be outside the range that was shown in training."""
FAR = 0.25
"""A number is outside if it is farther than this from the range, in the scale of its normalisation."""
SQUEEZED, LEAST_TAKES = 0.05, 5
"""A number hardly varies if its deviation over at least so many takes is below this share of that in the training."""
MOVED, FITS = 0.015, 1.5
"""A camera was moved if its view is shifted by this share, and then fits the training's this many times better."""
MOVED_GREY, GREY, TIMES = 6.0, 12.0, 1.5
"""Its background then differs by more than the first (of 255), and TIMES the usual; without a shift by the second."""
MOST_NAMED = 6


def skew(takes: TakeSet, policy: LoadedPolicy) -> list[Finding]:
    """Find numbers and cameras that are not what the policy was trained on."""
    return [*_numbers(takes, policy), *_cameras(takes, policy)]


def _numbers(takes: TakeSet, policy: LoadedPolicy) -> list[Finding]:
    shown, inputs = policy.normaliser.shown, policy.inputs
    if shown is None or not inputs.state:
        return []
    numeric = {spec.key for spec in takes.numeric}
    features, excess = [], []
    for episode in takes.episodes:
        seen = {key: np.asarray(values) for key, values in episode.observations.items() if key in numeric}
        complete = ~np.any([missing_of(episode, key) for key in numeric], axis=0)
        found = inputs.state_features({key: values[complete] for key, values in seen.items()})
        features.append(found)
        excess.append(policy.normaliser.excess(found))
    outside = np.array(
        [np.mean(each > FAR, axis=0) if len(each) else np.zeros(each.shape[1]) for each in excess]
    )
    spread = np.concatenate(features).std(axis=0) / policy.normaliser.state.scale
    squeezed = (spread < SQUEEZED) & ~shown.still & (len(takes.episodes) >= LEAST_TAKES)
    names, found_now = inputs.features_of, list[Finding]()
    for column in np.flatnonzero((outside > OUTSIDE).any(axis=0)).tolist():
        found_now.append(
            _outside(takes, names[column], outside[:, column], [each[:, column] for each in excess])
        )
    for column in np.flatnonzero(squeezed & ~(outside > OUTSIDE).any(axis=0)).tolist():
        found_now.append(
            _squeezed(takes, names[column], float(spread[column]), [each[:, column] for each in features])
        )
    found_now.sort(key=lambda each: -each.size)
    return found_now[:MOST_NAMED]


def _outside(takes: TakeSet, name: str, shares: Vector, excess: list[Vector]) -> Finding:
    share = float(np.average(shares, weights=[max(1, len(each)) for each in excess]))
    concerned = tuple(each.name for each, one in zip(takes.episodes, shares, strict=True) if one > OUTSIDE)
    worst = int(np.argmax(shares))
    return Finding(
        Check.SKEW,
        Severity.FAULT if share > 0.1 else Severity.CAUTION,
        f"{name} is outside what the policy was trained on in {percent(share)} of the frames, in "
        f"{takes.listed(concerned)}.",
        "The policy clips it to the nearest value of its training data: it acts as if the scene were another one.",
        concerned,
        share / OUTSIDE,
        (
            "Compare units, calibration, mounts and start positions with those of the training takes; then demonstrate "
            "here and train again: il-ros train.",
        ),
        Plot(
            f"{name}: distance from the range that was shown, in scales",
            "frames",
            "",
            (Line(takes.episodes[worst].name, np.arange(len(excess[worst]), dtype=float), excess[worst]),),
        ),
    )


def _squeezed(takes: TakeSet, name: str, spread: float, values: list[Vector]) -> Finding:
    names = tuple(each.name for each in takes.episodes)
    joined = np.concatenate(values)
    return Finding(
        Check.SKEW,
        Severity.CAUTION,
        f"{name} varies by {percent(spread)} of what it varied in training (deviation), in {takes.listed(names)}.",
        "To the policy it looks as if this never moved: a sensor in another unit, one that is dead, or takes that all "
        "show one case.",
        names,
        SQUEEZED / max(spread, 1e-3),
        ("Compare the sensor's unit and driver with those of the training takes.",),
        Plot(name, "frames of all takes", "", (Line("now", np.arange(len(joined), dtype=float), joined),)),
    )


def _cameras(takes: TakeSet, policy: LoadedPolicy) -> Iterator[Finding]:
    for spec in takes.cameras:
        view = _view(policy, spec.key)
        if view is None:
            continue
        now = {
            each.name: small_pictures(each.observations[spec.key]).mean(axis=0)
            for each in takes.episodes
            if not missing_of(each, spec.key).any()
        }
        apart = {name: view.difference(picture) for name, picture in now.items()}
        differs = {name: each.grey > TIMES * view.usual for name, each in apart.items()}
        moved = [
            name
            for name, each in apart.items()
            if differs[name] and each.grey > MOVED_GREY and each.shift >= MOVED and each.fits >= FITS
        ]
        other = [name for name in apart if differs[name] and apart[name].grey > GREY and name not in moved]
        right, down = (_median(getattr(apart[name], way) for name in moved) for way in ("right", "down"))
        shift = (
            f"shows the scene {percent(abs(right))} of its width to the {'right' if right > 0 else 'left'} and "
            f"{percent(abs(down))} of its height {'down' if down > 0 else 'up'}"
        )
        grey = _median(apart[name].grey for name in other)
        if moved:
            size = _median(apart[name].fits for name in moved) / FITS
            yield _camera(takes, spec.key, view, now, moved, shift, size)
        if other:
            what = f"shows another background (by {grey:.0f} of 255)"
            yield _camera(takes, spec.key, view, now, other, what, grey / max(GREY, TIMES * view.usual))


def _median(values: Iterable[float]) -> float:
    found = list(values)
    return float(np.median(found)) if found else 0.0


def _camera(
    takes: TakeSet,
    key: str,
    view: CameraView,
    now: Mapping[str, Vector],
    names: list[str],
    what: str,
    size: float,
) -> Finding:
    return Finding(
        Check.SKEW,
        Severity.FAULT if 2 * len(names) >= len(now) else Severity.CAUTION,
        f"Camera {key} {what}, compared with the takes of the training, in {takes.listed(names)}.",
        "The policy sees every object at another place or in another light, and reaches beside it.",
        tuple(names),
        size,
        (
            "Put the camera and the light back to how they were, by the two pictures; or demonstrate here and train "
            "again: il-ros train.",
        ),
        Pictures(
            f"{key}: mean picture",
            tuple(_as_picture(each) for each in (view.mean, now[names[0]])),
            ("in training", names[0]),
        ),
    )


def _as_picture(grey: Vector) -> np.ndarray:  # type: ignore[type-arg]
    return np.repeat(np.rint(grey).astype(np.uint8)[..., None], 3, axis=2)


def _view(policy: LoadedPolicy, key: str) -> CameraView | None:
    """Return the view that was kept of a camera; None for a policy from before they were kept, or if it is damaged."""
    try:
        return CameraView.from_plain(policy.metrics[VIEWS][key])
    except (KeyError, TypeError, ValueError):
        return None
