"""Conversion of a contract's observations, and of what is derived from them, to network inputs.

They are one state vector, images, and texts.

Orientations are encoded as the first two columns of the rotation matrix (`rotations`), the angles of continuous
joints as cosine and sine: q and -q, and angles a whole turn apart, map to the same features, continuously.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from il_ros.core import derived
from il_ros.core.contract import Contract
from il_ros.core.derived import DerivedSpec
from il_ros.core.specs import ObservationSpec, Vector, orientations_in
from il_ros.policies.protocol import PolicyError, PolicySettings
from il_ros.policies.rotations import columns_of

Array = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Inputs:
    """The observations that a policy uses: `state` (D raw values in one vector), `images` and `texts`.

    `state` has the numeric observations and the contract's derived ones. `optional`: the keys that may be missing; a
    derived one is missing where something that it is computed from is.
    """

    state: tuple[ObservationSpec | DerivedSpec, ...]
    images: tuple[ObservationSpec, ...] = ()
    texts: tuple[ObservationSpec, ...] = ()
    optional: tuple[str, ...] = ()

    @classmethod
    def for_policy(cls, contract: Contract, settings: PolicySettings) -> Inputs:
        """Return the inputs of a policy with these settings; raises ValueError as `of`."""
        read = {"image": settings.reads_images, "text": settings.reads_text}
        return cls.of(contract, settings.inputs, settings.optional, **read)

    @classmethod
    def of(
        cls,
        contract: Contract,
        keys: tuple[str, ...] = (),
        optional: tuple[str, ...] = (),
        *,
        image: bool = True,
        text: bool = False,
    ) -> Inputs:
        """Return the inputs for `keys`, or for all of the contract's observations and derived ones if empty.

        Raises ValueError on an unknown key, on `optional` inputs that are none or all of the inputs, the trigger or an
        action's reference, on one that is not optional although it is derived from one that is, and on an image or
        text observation that the policy does not support (`image`, `text`).
        """
        known: dict[str, ObservationSpec | DerivedSpec] = {spec.key: spec for spec in contract.observations}
        known |= {spec.key: spec for spec in contract.derived}
        for key in keys:
            if key not in known:
                raise ValueError(
                    f"inputs: contract '{contract.name}' has no '{key}'; it has: {', '.join(known)}"
                )
        specs = [known[key] for key in keys or known]
        supported = {"numeric": True, "image": image, "text": text}
        for spec in specs:
            if not supported[spec.kind]:
                others = ", ".join(other.key for other in specs if supported[other.kind])
                raise ValueError(
                    f"inputs: '{spec.key}' is {'a text' if spec.kind == 'text' else 'a camera'}, which this policy "
                    f"does not support; try [{others}]"
                )
        used = [spec.key for spec in specs]
        for key in optional:
            if key not in used:
                raise ValueError(f"optional: '{key}' is not among the inputs: {', '.join(used)}")
        if set(used) <= set(optional):
            raise ValueError("optional: all inputs may be missing; at least one must always be there")
        for spec in specs:
            missing = [source.key for source in derived.sources(spec) if source.key in optional]
            if missing and spec.key not in optional:
                raise ValueError(
                    f"optional: '{spec.key}' is derived from '{missing[0]}', which may be missing; name it there too"
                )
        observed = [spec for spec in specs if isinstance(spec, ObservationSpec)]
        images, texts = (tuple(spec for spec in observed if spec.kind == kind) for kind in ("image", "text"))
        made = cls(tuple(spec for spec in specs if spec.kind == "numeric"), images, texts, optional)
        made._require_possible(contract)
        return made

    def _require_possible(self, contract: Contract) -> None:
        """Raise ValueError if what may be missing starts the ticks, or is an action's reference."""
        for key in self.may_lack:
            if contract.observation(key).topic == contract.trigger:
                raise ValueError(f"optional: '{key}' is the contract's trigger; without it there is no tick")
            for action in contract.actions:
                if action.reference == key:
                    raise ValueError(
                        f"optional: '{key}' is the reference of action '{action.key}'; it must always be there"
                    )

    @cached_property
    def columns(self) -> dict[str, Array]:
        """The places of each numeric observation among the F features, by key."""
        keys = np.array([name.partition("/")[0] for name in self.features_of], dtype=np.str_)
        return {spec.key: np.flatnonzero(keys == spec.key) for spec in self.state}

    def absent(self, observations: Mapping[str, Array]) -> tuple[str, ...]:
        """Return the optional keys that are missing in one observation, or in an episode's arrays."""
        return tuple(
            key
            for key in self.optional
            if any(source.key not in observations for source in derived.sources(self._specs[key]))
        )

    def completed(self, observations: Mapping[str, Array]) -> Mapping[str, Array]:
        """Return the observations with zeros (an empty text) in the place of missing optional ones."""
        missing = self.absent(observations)
        if not missing:
            return observations
        specs = self._specs
        present = next((source for source in self.sources if source.key in observations), None)
        frames: tuple[int, ...] = ()
        if present is not None:
            shape = np.shape(observations[present.key])
            frames = shape[: len(shape) - len(present.shape)]
        zeros = {
            key: np.broadcast_to(np.zeros((), specs[key].dtype), (*frames, *specs[key].shape))
            for key in missing
        }
        return {**observations, **zeros}

    @cached_property
    def sources(self) -> tuple[ObservationSpec, ...]:
        """The observations that the policy needs, also those that its inputs are derived from."""
        found = {source.key: source for spec in self._specs.values() for source in derived.sources(spec)}
        return tuple(found.values())

    @cached_property
    def may_lack(self) -> tuple[str, ...]:
        """The keys of the observations that may be missing: those that only optional inputs need."""
        needed = {spec for key in self._specs if key not in self.optional for spec in self.sources_of(key)}
        found = [
            source.key for key in self.optional for source in self.sources_of(key) if source not in needed
        ]
        return tuple(dict.fromkeys(found))

    def sources_of(self, key: str) -> tuple[ObservationSpec, ...]:
        """Return the observations that an input is derived from; of an observation, itself."""
        return tuple(derived.sources(self._specs[key]))

    @cached_property
    def _specs(self) -> dict[str, ObservationSpec | DerivedSpec]:
        return {spec.key: spec for spec in (*self.state, *self.images, *self.texts)}

    @cached_property
    def formulas(self) -> dict[str, str]:
        """How each derived input is computed, by key."""
        return {spec.key: spec.formula for spec in self.state if isinstance(spec, DerivedSpec)}

    @cached_property
    def elements(self) -> tuple[str, ...]:
        """The names of the D raw values, such as 'joints/position/joint1'."""
        return tuple(f"{spec.key}/{element}" for spec in self.state for element in spec.elements)

    @cached_property
    def units(self) -> tuple[str, ...]:
        """The unit of each of the F features, "" if unknown; see `il_ros.core.units`."""
        raw = [unit for spec in self.state for unit in derived.units(spec)]
        circles = 6 * len(self._quaternions) + 2 * len(self._angles)
        return (*(raw[index] for index in self._plain), *["1"] * circles)

    @cached_property
    def features_of(self) -> tuple[str, ...]:
        """The name of each of the F features: an element, and the place in an orientation or a circle."""
        plain = [self.elements[index] for index in self._plain]
        holders = [self.elements[first].rpartition(".")[0] for first in self._quaternions]
        rotated = [f"{holder}.{place}" for holder in holders for place in range(6)]
        turning = [f"{self.elements[index]}.{part}" for index in self._angles for part in ("cos", "sin")]
        return (*plain, *rotated, *turning)

    def names_where(self, chosen: Array) -> tuple[str, ...]:
        """Return the names of the chosen features (F,); one name for a whole observation or field."""
        names = [name for name, taken in zip(self.features_of, chosen, strict=True) if taken]
        for level in (_key_name, _field_name):
            whole, found = Counter(map(level, self.features_of)), Counter(map(level, names))
            names = [level(name) if found[level(name)] == whole[level(name)] else name for name in names]
        return tuple(dict.fromkeys(names))

    @cached_property
    def groups(self) -> tuple[str, ...]:
        """The unit group of each of the F features, such as 'joints/position [rad]'."""
        raw = [group for spec in self.state for group in derived.groups(spec)]
        rotated = [raw[first] for first in self._quaternions for _ in range(6)]
        turning = [f"{raw[index]} turn" for index in self._angles for _ in range(2)]
        return (*(raw[index] for index in self._plain), *rotated, *turning)

    def raw(self, observations: Mapping[str, Array]) -> Vector:
        """Return the state (D,) of one observation, or (T, D) of an episode's arrays.

        Raises PolicyError naming the key that is missing, has a wrong shape, or contains NaN or infinity.
        """
        if not self.state:
            return np.empty((*self._frames_shape(observations), 0))
        try:
            seen = derived.completed(self.state, observations) if self.formulas else observations
            state = np.concatenate([seen[spec.key] for spec in self.state], axis=-1, dtype=np.float64)
        except (KeyError, ValueError):
            state = None
        if state is None or state.shape[-1] != len(self.elements) or not np.isfinite(state).all():
            raise self._error(observations)
        return state

    def state_features(self, observations: Mapping[str, Array]) -> Vector:
        """Return the features (F,) of one observation, or (T, F) of an episode's arrays; see `raw`.

        Those of a missing optional observation say nothing.
        """
        return self.features(self.raw(self.completed(observations) if self.optional else observations))

    def features(self, raw: Vector) -> Vector:
        """Return the features (..., F) of raw states (..., D).

        They are the unchanged values, then six per orientation, then cosine and sine per continuous joint.
        """
        if not (self._quaternions or self._angles):
            return raw
        shape = raw.shape[:-1]
        columns = columns_of(raw[..., self._quaternion_index])  # (..., Q, 6)
        angles = raw[..., list(self._angles)] * (2 * np.pi / self._turns[list(self._angles)])
        circles = np.stack([np.cos(angles), np.sin(angles)], axis=-1)  # (..., C, 2)
        parts = (raw[..., self._plain], columns.reshape(*shape, -1), circles.reshape(*shape, -1))
        return np.concatenate(parts, axis=-1)

    def image(self, spec: ObservationSpec, observation: Mapping[str, Array]) -> Array:
        """Return one frame (H, W, C); raises PolicyError naming the key if it is missing or invalid."""
        frame = observation.get(spec.key)
        if frame is None or frame.shape != spec.shape or frame.dtype != spec.dtype:
            found = "is missing" if frame is None else f"is {frame.shape} {frame.dtype}"
            raise PolicyError(f"observation '{spec.key}' {found}; {spec.shape} {spec.dtype} is required")
        if frame.dtype != np.uint8 and not np.isfinite(frame).all():
            raise PolicyError(f"observation '{spec.key}' contains NaN or infinity")
        return frame

    def text(self, spec: ObservationSpec, observation: Mapping[str, Array]) -> str:
        """Return a text; raises PolicyError naming the key if it is missing."""
        if spec.key not in observation:
            raise PolicyError(f"observation '{spec.key}' is missing; a text is required")
        return str(observation[spec.key])

    def _frames_shape(self, observations: Mapping[str, Array]) -> tuple[int, ...]:
        """Return () for one observation, (T,) for an episode's arrays, from the shape of an image or a text."""
        for spec in (*self.images, *self.texts):
            if spec.key in observations:
                shape = np.shape(observations[spec.key])
                return shape[: len(shape) - len(spec.shape)]
        return ()

    @cached_property
    def _quaternions(self) -> tuple[int, ...]:
        """The index in the raw vector at which each complete orientation begins."""
        return orientations_in([element.partition("/")[2] for element in self.elements])

    @cached_property
    def _quaternion_index(self) -> Array:
        return np.array(self._quaternions, np.intp)[:, None] + np.arange(4)

    @cached_property
    def _turns(self) -> Vector:
        """The whole turn of each raw value that is a continuous joint's angle, 0 for the others (D,)."""
        return np.concatenate([np.zeros(0), *(spec.turns for spec in self.state)])

    @cached_property
    def _angles(self) -> tuple[int, ...]:
        """The index in the raw vector of each angle of a continuous joint."""
        return tuple(np.flatnonzero(self._turns > 0).tolist())

    @cached_property
    def _plain(self) -> Array:
        taken = {first + offset for first in self._quaternions for offset in range(4)} | set(self._angles)
        return np.array([index for index in range(len(self.elements)) if index not in taken], dtype=np.intp)

    def _error(self, observations: Mapping[str, Array]) -> PolicyError:
        for spec in self.sources:
            if spec.kind != "numeric":
                continue
            value = observations.get(spec.key)
            if value is None:
                return PolicyError(
                    f"observation '{spec.key}' is missing; there are: {', '.join(observations)}"
                )
            if value.shape[-1:] != spec.shape:
                return PolicyError(f"observation '{spec.key}' is {value.shape}; {spec.shape} is required")
            bad = np.argwhere(~np.isfinite(np.asarray(value, dtype=np.float64)))
            if len(bad):
                *frame, column = bad[0]
                where = f" in frame {frame[0]}" if frame else ""
                number = value[tuple(bad[0])]
                return PolicyError(f"observation '{spec.key}': {spec.elements[column]} is {number}{where}")
        shapes = {spec.key: observations[spec.key].shape for spec in self.sources}
        if len({shape[:-1] for shape in shapes.values()}) == 1:
            return PolicyError(
                f"what is derived from the observations is not finite: {', '.join(self._specs)}"
            )
        return PolicyError(f"observations differ in their number of frames: {shapes}")


def _field_name(name: str) -> str:
    """Return 'joints/position' of 'joints/position/joint1', 'object/position' of 'object/position.x'."""
    key, _, element = name.partition("/")
    return f"{key}/{element.replace('/', '.').partition('.')[0]}"


def _key_name(name: str) -> str:
    return name.partition("/")[0]
