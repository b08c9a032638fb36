"""Which features of a data set are the observations and actions of a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import ActionSpec, ObservationSpec
from il_ros.core.tables import counted, listed
from il_ros.episodes.exchange.errors import ExchangeError
from il_ros.episodes.exchange.lerobot.columns import TEXT
from il_ros.episodes.exchange.lerobot.draft import word_of
from il_ros.episodes.exchange.lerobot.layout import (
    ACTION,
    COUNTERS,
    IMAGES,
    INTERVENTION,
    STATE,
    SUCCESS,
    DatasetInfo,
    Feature,
)

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class FeaturePart:
    """Numbers of one feature: `places` are their indices in it, in the contract's order."""

    feature: Feature
    places: tuple[int, ...]

    def of(self, values: Array) -> Array:
        """Return the numbers (T, n) among the feature's (T, *shape), as float64."""
        chosen = values.reshape(len(values), -1)[:, list(self.places)]
        return np.ascontiguousarray(chosen, dtype=np.float64)


@dataclass(frozen=True)
class Match:
    """The features of each observation and action, by key.

    `sentences`: the text observations that get the task sentence. `extra`: features of numbers and texts that the
    contract does not use; they are kept on topics of their own. `unused`: pictures that it does not use. `groups`: the
    contract's action groups, empty if it has one.
    """

    numbers: Mapping[str, FeaturePart]
    pictures: Mapping[str, Feature]
    texts: Mapping[str, Feature]
    sentences: tuple[str, ...]
    actions: Mapping[str, FeaturePart]
    extra: tuple[Feature, ...]
    unused: tuple[Feature, ...]
    groups: tuple[str, ...] = ()


def match(contract: Contract, info: DatasetInfo, given: Mapping[str, str]) -> Match:
    """Find the features for a contract; `given`: a feature by the contract's key, where names do not say it.

    Numbers are found by name: 'KEY/ELEMENT' as exports have them, or the element's name in the state. A feature
    of the same key and size is taken in its order.
    Raises ExchangeError that names the key and the features there are.
    """
    if contract.rate_hz != info.fps:
        raise ExchangeError(
            f"{info.root}: fps is {info.fps}, but contract '{contract.name}' has rate_hz {contract.rate_hz:g}; it must "
            f"have rate_hz {info.fps}"
        )
    keys = {spec.key for spec in (*contract.observations, *contract.actions)}
    unknown = [key for key in given if key not in keys]
    if unknown:
        raise ExchangeError(
            f"contract '{contract.name}' has no '{unknown[0]}'; it has: {', '.join(sorted(keys))}"
        )
    numbers, pictures, texts, sentences = {}, {}, {}, []
    for spec in contract.observations:
        named = _given(spec.key, info, given)
        if spec.kind == "numeric":
            numbers[spec.key] = _numbers(spec.key, _observed_names(spec), info, named, STATE)
        elif spec.kind == "image":
            pictures[spec.key] = _picture(spec, info, named)
        else:
            feature = named or info.features.get(TEXT + spec.key)
            if feature is None:
                sentences.append(spec.key)
            else:
                texts[spec.key] = feature
    actions = {
        spec.key: _action(spec, contract, info, _given(spec.key, info, given)) for spec in contract.actions
    }
    used = {part.feature.key for part in (*numbers.values(), *actions.values())}
    used |= {each.key for each in (*pictures.values(), *texts.values())}
    whole = {key for key in used if _whole(info.features[key], (*numbers.values(), *actions.values()))}
    others = (*info.numbers, *info.texts)
    return Match(
        numbers,
        pictures,
        texts,
        tuple(sentences),
        actions,
        tuple(each for each in others if each.key not in whole and each.key not in COUNTERS),
        tuple(each for each in info.pictures if each.key not in used),
        tuple(group.name for group in contract.groups) if contract.grouped else (),
    )


def interpreted(info: DatasetInfo) -> tuple[Feature | None, Feature | None]:
    """Return the features `intervention` and `next.success`, None where the data set has none of one number."""
    found = [info.features.get(key) for key in (INTERVENTION, SUCCESS)]
    first, second = (
        each if each is not None and each.is_number and each.size == 1 else None for each in found
    )
    return first, second


def _whole(feature: Feature, parts: Sequence[FeaturePart]) -> bool:
    """Return whether all numbers of a feature are used; texts and pictures are used whole."""
    used = {place for part in parts if part.feature.key == feature.key for place in part.places}
    return not feature.is_number or len(used) == feature.size


def _given(key: str, info: DatasetInfo, given: Mapping[str, str]) -> Feature | None:
    if key not in given:
        return None
    if given[key] not in info.features:
        raise ExchangeError(
            f"{info.root}: has no feature '{given[key]}', which is given for {key}; it has: {', '.join(info.features)}"
        )
    return info.features[given[key]]


def _observed_names(spec: ObservationSpec) -> tuple[str, ...]:
    return spec.elements


def _numbers(
    key: str, names: Sequence[str], info: DatasetInfo, given: Feature | None, usual: str
) -> FeaturePart:
    candidates = [given] if given is not None else list(info.numbers)
    by_own = _by_name(tuple(f"{key}/{name}" for name in names), candidates)
    if by_own is not None:
        return by_own
    if given is None:
        same = [each for each in info.numbers if word_of(each.key) == key]
        candidates = [*same, *(each for each in info.numbers if each.key == usual)]
    for forms in (tuple(names), tuple(name.removeprefix("position/") for name in names)):
        found = _by_name(forms, candidates)
        if found is not None:
            return found
    in_order = [
        each
        for each in candidates
        if each.size == len(names) and (given is not None or word_of(each.key) == key)
    ]
    if in_order:
        return FeaturePart(in_order[0], tuple(range(len(names))))
    raise ExchangeError(_lacks(key, names, info, given))


def _by_name(names: tuple[str, ...], candidates: Sequence[Feature]) -> FeaturePart | None:
    for feature in candidates:
        places = {name: place for place, name in enumerate(feature.elements)}
        if len(places) == feature.size and all(name in places for name in names):
            return FeaturePart(feature, tuple(places[name] for name in names))
    return None


def _action(spec: ActionSpec, contract: Contract, info: DatasetInfo, given: Feature | None) -> FeaturePart:
    try:
        return _numbers(spec.key, spec.names, info, given, ACTION)
    except ExchangeError:
        action = info.features.get(ACTION) if given is None else None
        if (
            action is not None
            and len(contract.actions) == 1
            and action.is_number
            and action.size == spec.size
        ):
            return FeaturePart(action, tuple(range(spec.size)))  # a drafted contract has the state's names
        raise


def _picture(spec: ObservationSpec, info: DatasetInfo, given: Feature | None) -> Feature:
    assert spec.image is not None
    found = [given] if given is not None else [info.features.get(IMAGES + spec.key)]
    found += [each for each in info.pictures if word_of(each.key) == spec.key]
    feature = next((each for each in found if each is not None), None)
    depth = spec.image.encoding == "depth"
    if feature is None or not feature.is_picture or feature.is_depth != depth:
        held = (
            listed([f"{each.key}{' (depth)' if each.is_depth else ''}" for each in info.pictures]) or "none"
        )
        wrong = (
            f"'{feature.key}' is no {'depth' if depth else 'colour'} picture"
            if feature
            else "no feature has its name"
        )
        raise ExchangeError(
            f"{info.root}: for the camera {spec.key}, {wrong}; pictures: {held}. Give one: {spec.key}=FEATURE"
        )
    return feature


def _lacks(key: str, names: Sequence[str], info: DatasetInfo, given: Feature | None) -> str:
    where = f"'{given.key}' does not have" if given is not None else "no feature has"
    has = "; ".join(f"{each.key} ({each.size}): {listed(each.elements)}" for each in info.numbers)
    return (
        f"{info.root}: {where} the {counted(len(names), 'number')} of {key}: {listed(names)}. The data set has {has}. "
        f"Give a feature: {key}=FEATURE"
    )
