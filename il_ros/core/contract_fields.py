"""Parsing and validation of one observation or one action of a contract file.

`unit` of an observation says which numbers share a scale, see docs/normalisation.md: `rad` for all numbers,
`rad (gripper m)` with exceptions by name, or `m, m, rad` for each name or element.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from il_ros.core.codecs import codec_in, is_stamped
from il_ros.core.codecs.base import Codec, Selected
from il_ros.core.specs import (
    ARRAY,
    BOUNDED,
    CHOICE,
    COMPRESSED_IMAGE,
    DYNAMIC_JOINT_STATE,
    EXPIRED,
    IMAGE,
    IMAGE_ENCODINGS,
    IMAGE_FITS,
    JOINT_STATE,
    LASER_SCAN,
    MOST_PIXELS,
    NAN_BEAMS,
    POSE,
    QUANTITIES,
    TRANSFORMS,
    WHOLE,
    ActionGroup,
    ActionSpec,
    ImageSpec,
    Limits,
    ObservationSpec,
    ScanSpec,
    turn_of,
)
from il_ros.core.strict_yaml import Section, brief
from il_ros.core.tables import listed

_WHOLE = 1e-3
"""How exactly limits must be a whole turn apart, as a share of it."""


def observation(key: str, section: Section) -> ObservationSpec:
    """Read one observation; raises YamlError that names the invalid field."""
    codec, type_name = codec_in(section), section.text("type")
    selection = codec.select(type_name, section)
    headerless = not is_stamped(type_name)
    stamp = section.text("stamp", "arrival" if headerless else "header", choices=("header", "arrival"))
    if headerless and stamp == "header":
        raise section.error("stamp", f"{type_name} has no header; only 'arrival' is possible")
    frames, static = _frames(section) if type_name == TRANSFORMS else ((), "")
    return ObservationSpec(
        key=key,
        topic=_topic(section),
        type=type_name,
        max_age_s=section.number("max_age_s"),
        names=selection.names,
        fields=selection.fields,
        elements=selection.elements,
        unit=section.text("unit", ""),
        image=_image(section) if type_name in (IMAGE, COMPRESSED_IMAGE) else None,
        stamp=stamp,
        scan=_scan(section) if type_name == LASER_SCAN and selection.fields == ("ranges",) else ScanSpec(),
        continuous=_observed_continuous(section, type_name, selection) if codec.joints else (),
        frames=frames,
        static=static,
    )


def action(key: str, section: Section, observations: Mapping[str, ObservationSpec]) -> ActionSpec:
    """Read one action; raises YamlError that names the invalid field."""
    codec, type_name = codec_in(section), section.text("type")
    quantity = section.text("quantity", codec.quantities[0], choices=QUANTITIES)
    if quantity in (BOUNDED, CHOICE):
        return _unmeasured(key, section, codec, quantity)
    selection = codec.select_action(type_name, section, quantity)
    if quantity not in codec.quantities:
        other = {"position": "velocities, not positions", "velocity": "positions, not velocities"}[quantity]
        raise section.error("quantity", f"{type_name} carries {other}")
    names = selection.names
    velocity = quantity == "velocity"
    safe = section.text("safe", "zero" if velocity else "hold", choices=("hold", "zero", "stop"))
    if velocity and safe == "hold":
        raise section.error("safe", "'hold' would repeat a velocity forever; use 'zero' or 'stop'")
    if not velocity and safe == "zero":
        raise section.error("safe", "'zero' would move every position to 0; use 'hold' or 'stop'")
    mode = section.text("mode", "absolute", choices=("absolute", "delta"))
    if mode == "delta" and (velocity or type_name == POSE):
        raise section.error("mode", "'delta' is for joint positions; velocities and poses are 'absolute'")
    reference, index = _reference(section, names, observations, required=not velocity)
    expires_s = section.number("expires_s", math.nan)
    expired = section.text("expired", EXPIRED[0], choices=EXPIRED)
    if expired == "stop" and not velocity:
        raise section.error(
            "expired", "'stop' is a velocity of 0; an expired position has no label: 'no_label'"
        )
    continuous = _continuous(section, names) if codec.joints else ()
    if continuous and velocity:
        raise section.error("continuous", "is for positions; a velocity has no end anyway")
    measured = observations.get(reference or "")
    if measured is not None and codec.joints and not velocity:
        continuous = tuple(name for name in names if name in (*continuous, *measured.continuous))
    turn = turn_of(section.text("unit", ""))
    limits = _limits(section, names, velocity, dict.fromkeys(continuous, turn))
    return ActionSpec(
        key=key,
        topic=_topic(section),
        type=type_name,
        names=names,
        limits=limits,
        unit=section.text("unit", ""),
        quantity=quantity,
        mode=mode,
        reference=reference,
        reference_index=index,
        safe=safe,
        frame_id=section.text("frame_id", ""),
        expires_s=None if math.isnan(expires_s) else expires_s,
        expired=expired,
        continuous=continuous,
        home=_home(section, names, limits, velocity),
        paths=selection.fields,
    )


def _unmeasured(key: str, section: Section, codec: Codec, quantity: str) -> ActionSpec:
    """Read an action that no observation measures: a number within bounds, or one of several choices."""
    type_name = section.text("type")
    if not codec.unmeasured:
        raise section.error(
            "quantity",
            f"'{quantity}' is for {ARRAY}, Float32MultiArray, Float64, Float32, Int32 and Bool, and for numbers that "
            f"`fields` names; {type_name} carries motion",
        )
    for name in ("reference", "mode", "continuous", "home", "expired"):
        if name in section:
            raise section.error(
                name, f"is for positions; nothing measures an action of quantity '{quantity}'"
            )
    selection = codec.select_action(type_name, section, quantity)
    names = selection.names
    if quantity == CHOICE:
        if "limits" in section:
            raise section.error("limits", "a choice has none; leave it out")
        if len(names) < 2:
            raise section.error("names", f"{list(names)} is no choice; two names or more are needed")
        count = len(names)
        limits = Limits((0.0,) * count, (1.0,) * count, (1.0,) * count, (math.inf,) * count)
    else:
        limits = _bounds(section, names)
    stops = quantity == BOUNDED and all(
        low <= 0.0 <= high for low, high in zip(limits.lower, limits.upper, strict=True)
    )
    safe = section.text("safe", "zero" if stops else "hold", choices=("hold", "zero", "stop"))
    if safe == "stop" or (safe == "zero" and not stops):
        allowed = "'hold' or 'zero'" if stops else "'hold', as 0 is not within the limits"
        raise section.error("safe", f"'{safe}' is not possible here; use {allowed}")
    expires_s = section.number("expires_s", math.nan)
    return ActionSpec(
        key=key,
        topic=_topic(section),
        type=type_name,
        names=names,
        limits=limits,
        unit=section.text("unit", ""),
        quantity=quantity,
        safe=safe,
        frame_id=section.text("frame_id", ""),
        expires_s=None if math.isnan(expires_s) else expires_s,
        paths=selection.fields,
    )


def _bounds(section: Section, names: tuple[str, ...]) -> Limits:
    """Read the limits of a bounded action: `lower` and `upper`, and the largest change per second, `rate`."""
    part, count = section.section("limits"), len(names)
    assert part is not None
    lower, upper = (part.numbers(each, count, positive=False) for each in ("lower", "upper"))
    if lower is None or upper is None:
        raise part.error("upper" if lower else "lower", "missing; a bounded action needs lower and upper")
    for name, low, high in zip(names, lower, upper, strict=True):
        if not (math.isfinite(low) and math.isfinite(high) and low < high):
            raise part.error("lower", f"{name} is from {low:g} to {high:g}; two finite bounds are needed")
    rate = part.numbers("rate", count, positive=True) or (math.inf,) * count
    part.done()
    largest = tuple(max(abs(low), abs(high)) for low, high in zip(lower, upper, strict=True))
    return Limits(lower, upper, largest, rate)


def _home(section: Section, names: tuple[str, ...], limits: Limits, velocity: bool) -> tuple[float, ...]:
    home = section.numbers("home", len(names), positive=False) or ()
    if home and velocity:
        raise section.error("home", "is for positions; a velocity has none")
    for name, value, lower, upper in zip(names, home, limits.lower, limits.upper, strict=False):
        if not lower <= value <= upper:
            raise section.error("home", f"{name} is {value:g}; its limits are {lower:g} to {upper:g}")
    return home


def with_continuous(
    observations: Iterable[ObservationSpec], actions: Sequence[ActionSpec]
) -> tuple[ObservationSpec, ...]:
    """Return the observations, with the joints that actions declare as continuous marked there as well."""
    found = []
    for spec in observations:
        declared = [name for action in actions if action.reference == spec.key for name in action.continuous]
        names = spec.names or spec.elements
        continuous = tuple(name for name in names if name in (*spec.continuous, *declared))
        found.append(replace(spec, continuous=continuous))
    return tuple(found)


def groups(section: Section | None, slices: Mapping[str, slice]) -> tuple[ActionGroup, ...]:
    """Read the action groups; without a section, one group has all actions.

    `slices`: the place of each action key in the flat action vector. Raises YamlError unless every action is in exactly
    one group.
    """
    if section is None:
        return (_group(WHOLE, tuple(slices), slices),)
    of_action: dict[str, str] = {}
    found = []
    for name in section.keys:
        if not name.replace("_", "").isalnum() or not name[0].isalpha():
            raise section.error(
                name, "a group's name begins with a letter and has letters, digits and underscores"
            )
        if name == WHOLE:
            raise section.error(name, f"'{WHOLE}' means all actions; choose another name")
        keys = section.texts(name)
        for key in keys:
            if key not in slices:
                raise section.error(name, f"'{key}' is not an action; the actions are: {', '.join(slices)}")
            if of_action.setdefault(key, name) != name:
                raise section.error(
                    name, f"'{key}' is in group '{of_action[key]}' already; it must be in one"
                )
        found.append(_group(name, keys, slices))
    section.done()
    for key in slices:
        if key not in of_action:
            known = ", ".join(section.keys) or "none"
            raise section.error(
                key, f"action '{key}' is in no group; every action must be in one of: {known}"
            )
    return tuple(found)


def _group(name: str, keys: Sequence[str], slices: Mapping[str, slice]) -> ActionGroup:
    ordered = tuple(key for key in slices if key in keys)
    return ActionGroup(
        name, ordered, tuple(i for key in ordered for i in range(slices[key].stop)[slices[key]])
    )


def _topic(section: Section) -> str:
    topic = section.text("topic")
    if any(character.isspace() for character in topic) or topic.endswith("/") or "//" in topic:
        raise section.error("topic", f"'{topic}' is not a topic name")
    return topic


def _frames(section: Section) -> tuple[tuple[str, str], str]:
    """Read the parent and the child frame of transforms, and the topic of the static ones."""
    frames = tuple(frame.lstrip("/") for frame in section.texts("frames"))
    if len(frames) != 2 or "" in frames or frames[0] == frames[1]:
        raise section.error(
            "frames",
            f"has {list(frames)}; two are needed, the parent and the child, such as [base_link, tool0]",
        )
    topic = section.text("topic")
    static = section.text("static", f"{topic}_static")
    if static == topic:
        raise section.error("static", f"is the topic of the other transforms too, {topic}")
    return (frames[0], frames[1]), static


def _image(section: Section) -> ImageSpec:
    part = section.section("image")
    assert part is not None
    spec = ImageSpec(
        width=part.integer("width"),
        height=part.integer("height"),
        encoding=part.text("encoding", "rgb8", choices=IMAGE_ENCODINGS),
        fit=part.text("fit", "exact", choices=IMAGE_FITS),
    )
    part.done()
    if spec.width > MOST_PIXELS or spec.height > MOST_PIXELS or spec.width * spec.height > MOST_PIXELS:
        raise part.error(
            "width", f"{brief(spec.width)}x{brief(spec.height)} has more than {MOST_PIXELS} pixels"
        )
    return spec


def _observed_continuous(section: Section, type_name: str, selection: Selected) -> tuple[str, ...]:
    continuous = _continuous(section, selection.names or selection.elements)
    if continuous and type_name in (JOINT_STATE, DYNAMIC_JOINT_STATE) and "position" not in selection.fields:
        raise section.error("continuous", f"is for positions, but fields are {list(selection.fields)}")
    return continuous


def _continuous(section: Section, names: tuple[str, ...]) -> tuple[str, ...]:
    """Read the joints without end: a list of names, or true for all."""
    everything = section.flag_or_texts("continuous")
    if isinstance(everything, bool):
        return names if everything else ()
    for name in everything:
        if name not in names:
            raise section.error("continuous", f"'{name}' is not among the names: {', '.join(names)}")
    return everything


def _scan(section: Section) -> ScanSpec:
    angles = section.numbers("angles", 2, positive=False)
    if angles is not None:
        first, last = angles
        if not (math.isfinite(first) and math.isfinite(last) and 0 < abs(last - first) <= 2 * math.pi + 1e-3):
            raise section.error("angles", f"[{first:g}, {last:g}] must be two angles in rad within one turn")
    return ScanSpec(
        None if angles is None else (angles[0], angles[1]),
        section.text("nan_beams", ScanSpec().nan_beams, choices=NAN_BEAMS),
    )


def _reference(
    section: Section, names: tuple[str, ...], observations: Mapping[str, ObservationSpec], required: bool
) -> tuple[str | None, tuple[int, ...]]:
    """Return the observation that measures the commanded joints, and their indices; ramps, holds and deltas use it."""
    key = section.text("reference", None if required else "")
    if not key:
        return None, ()
    if key not in observations:
        raise section.error("reference", f"'{key}' is not an observation; one of: {', '.join(observations)}")
    places = observations[key].places
    index = []
    for name in names:
        place = places.get(f"position/{name}", places.get(name))
        if place is None:
            raise section.error(
                "reference", f"'{key}' doesn't measure '{name}'; it has: {listed([*places], 20)}"
            )
        index.append(place)
    return key, tuple(index)


def _limits(section: Section, names: tuple[str, ...], velocity: bool, turns: Mapping[str, float]) -> Limits:
    """Read the limits. The speed limit is mandatory, because the safety limiter depends on it.

    `turns`: the whole turn of each continuous joint; its position limits are such a turn, or absent.
    """
    part, count = section.section("limits"), len(names)
    assert part is not None
    lower = part.numbers("lower", count, positive=False) or (-math.inf,) * count
    upper = part.numbers("upper", count, positive=False) or (math.inf,) * count
    speed = part.numbers("speed", count, positive=True)
    acceleration = part.numbers("acceleration", count, positive=True) or (math.inf,) * count
    if speed is None:
        unit = "m/s or rad/s of the base" if velocity else "units per second of each joint"
        raise part.error("speed", f"missing; the safety limiter needs it ({unit})")
    for name, low, high in zip(names, lower, upper, strict=True):
        if low >= high:
            raise part.error("lower", f"{low:g} is not below upper {high:g}")
        turn = turns.get(name)
        without = math.isinf(low) and math.isinf(high)
        if turn is not None and not (without or abs(high - low - turn) <= _WHOLE * turn):
            raise part.error(
                "lower",
                f"'{name}' is continuous, so its limits are a whole turn ({turn:g}) apart, or -.inf and .inf; "
                f"not {low:g} and {high:g}",
            )
    if velocity and any(low > 0 or high < 0 for low, high in zip(lower, upper, strict=True)):
        raise part.error("lower", "velocity limits must include 0, so that the robot can stop")
    part.done()
    return Limits(lower, upper, speed, acceleration)
