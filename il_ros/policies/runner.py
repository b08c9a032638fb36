"""Inference with a trained policy: a window of observations in, absolute commands out, on one CPU core."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.policies.action_form import ActionForm
from il_ros.policies.disagreement import rms
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Normaliser
from il_ros.policies.protocol import (
    Actions,
    Array,
    Batch,
    NumpyForward,
    Observation,
    PolicyError,
    PolicyModel,
    Window,
)
from il_ros.policies.uncertainty import PolicyAnswer, UncertaintyModel
from il_ros.policies.vocabulary import Vocabulary
from il_ros.policies.window import TickWindow

Seen = Observation | Sequence[Observation]
"""One observation, or the observations of a window, oldest first (`TickWindow`)."""

PROOF_SCALES = (0.0, 0.3, 1.0, 1.0, 3.0)
"""Sizes of the random normalised states on which a NumPy forward pass is compared with `sample`."""
PROOF_RELATIVE = 1e-3
"""Largest difference there, of the largest number in the answer; float32 rounding is a thousandth of that."""


@dataclass(frozen=True, eq=False)
class LoadedPolicy:
    """A network with everything needed for inference. Not thread-safe: `act` reuses its buffers.

    It keeps nothing from one call to the next. A policy with `history` above 1 gets the observations of the last
    ticks from its caller; with fewer, its history begins with the first of them.

    `metrics`: the training metrics stored in the checkpoint (losses, data, duration).
    """

    contract: Contract
    family: str
    settings: Any
    network: PolicyModel
    normaliser: Normaliser
    version: str = ""
    metrics: Mapping[str, Any] = field(default_factory=dict)
    device: str = "cpu"
    uncertainty_model: UncertaintyModel = field(default_factory=UncertaintyModel)
    waits: ClassVar[Literal[False]] = False
    """Whether an answer depends on another process, as that of a `RemotePolicy`."""

    def __post_init__(self) -> None:
        self.network.eval().to(self.device)
        _ = self._numpy_forward  # build it now, so that the first tick is not slower
        if self.vocabulary is not None and (why := self.vocabulary.get_ready()):
            logging.getLogger(__name__).warning(
                "policy %s does not understand instructions that were not shown: %s", self.version, why
            )

    @property
    def horizon(self) -> int:
        """Number of steps H of a chunk."""
        return int(self.settings.horizon)

    @property
    def history(self) -> int:
        """Number of ticks T that the policy sees."""
        return int(self.settings.history)

    @cached_property
    def form(self) -> ActionForm:
        """The form in which the policy has learnt its actions."""
        return ActionForm.of_size(self.contract, len(self.normaliser.actions.centre))

    @cached_property
    def inputs(self) -> Inputs:
        """The observations that the policy uses."""
        return Inputs.for_policy(self.contract, self.settings)

    @property
    def may_lack(self) -> tuple[str, ...]:
        """The keys of the observations that may be missing."""
        return self.inputs.may_lack

    @cached_property
    def vocabulary(self) -> Vocabulary | None:
        """The words of the policy's vocabulary; None if it reads no text."""
        return Vocabulary.among(self.network.assets())

    def normalised_state(self, observations: Observation, *, clipped: bool = True) -> Vector:
        """Return the network's state input: (F,) of one observation, or (T, F) of an episode's arrays.

        It is clipped to what the demonstrations showed, unless `clipped` is False; the features of a missing optional
        observation are 0.
        Raises PolicyError, naming the key, if an observation is missing or not finite.
        """
        features = self._features(observations)
        return self.normaliser.inputs(features) if clipped else self.normaliser.state.normalise(features)

    def beyond_shown(self, observation: Observation) -> dict[str, float]:
        """Return the features outside what the demonstrations showed, with their distance in scales.

        A text that was not shown counts as `Vocabulary.strangeness` says. Empty for a checkpoint that does not record
        the range. Raises PolicyError as `normalised_state`.
        """
        excess = self.normaliser.excess(self._features(observation))
        found = {
            name: float(far) for name, far in zip(self.inputs.features_of, excess, strict=True) if far > 0
        }
        return found | self._strange_texts(observation)

    def heard(self, observation: Observation) -> tuple[str, ...]:
        """Return a sentence for each text of an observation that was not shown: what it is taken for, if anything."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return ()
        spoken = {key: str(observation[key]) for key in self._texts if key in observation}
        found = {
            f"{key} {text!r} was not shown": vocabulary.understanding(text) for key, text in spoken.items()
        }
        return tuple(f"{what}: {why}" for what, why in found.items() if why)

    def in_episode(self) -> Callable[[Observation], Vector]:
        """Return `act` for the successive ticks of one episode, with a window of its own."""
        window, ticks = TickWindow(self.history, self.contract.period_ns), iter(range(1 << 62))
        return lambda observation: self.act(window.push(next(ticks) * self.contract.period_ns, observation))

    def act(self, seen: Seen, previous: Vector | None = None, seed: int = 0) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units; see `act_in_parts`."""
        return self.act_with_uncertainty(seen, previous, seed)[0]

    def act_with_uncertainty(
        self, seen: Seen, previous: Vector | None = None, seed: int = 0
    ) -> tuple[Vector, float | None]:
        """Return the commands (H, A) and their uncertainty (>= 0), None if the policy has no uncertainty.

        The uncertainty is in units of normalised actions (demonstrated actions lie within about -1..1), or
        in the units of the calibration in `uncertainty_model`. The largest distance of a state feature beyond
        what was shown, in scales, is added to it, also if it is None otherwise. See `act_in_parts`.
        """
        answer = self.act_in_parts(seen, previous, seed)
        return answer.commands, answer.uncertainty

    def act_in_parts(
        self, seen: Seen, previous: Vector | None = None, seed: int = 0, way: int | None = None
    ) -> PolicyAnswer:
        """Return the commands (H, A), and the parts of their uncertainty.

        `previous` (K, A): the absolute commands of the first K steps, which are committed already; the chunk
        continues them. `seed`: where the policy draws its answer by chance, equal seeds give equal answers.
        `way`: the way to do the task, of those that the network keeps apart (`PolicyModel.ways`); None: it chooses.
        Raises PolicyError, naming the key, if an observation is missing or not finite, and if the network's output
        is not finite; ValueError if `previous` is longer than a chunk, or there is no such way.
        """
        if way is not None and not 0 <= way < self.network.ways:
            raise ValueError(
                f"way is {way}; policy {self.version} has {counted(self.network.ways, 'way')}, from 0 on"
            )
        newest = seen if isinstance(seen, Mapping) else seen[-1]
        features = self._features(newest)
        state = self.normaliser.inputs(features)
        committed = None if previous is None or not len(previous) else self._committed(previous, newest)
        taken: int | None = None
        if self._numpy_forward is not None:
            rows = state if self.history == 1 else self._states(seen).reshape(-1)
            chunk, uncertainty, *spreads = self._numpy_forward(rows)
            spread = spreads[0] if spreads else None
            if committed is not None:
                chunk = np.concatenate([committed, chunk[len(committed) :]])
        else:
            chunk, uncertainty, spread, taken = self._sample(self.window(seen), committed, seed, way)
        restored = self.normaliser.actions.restore(chunk.astype(np.float64))
        if not np.isfinite(restored).all():
            step, column = np.argwhere(~np.isfinite(restored))[0]
            name = self.form.names[column]
            raise PolicyError(f"policy {self.version}: {name} is {restored[step, column]} at step {step}")
        if uncertainty is not None and not np.isfinite(uncertainty):
            raise PolicyError(f"policy {self.version}: its uncertainty is {uncertainty}")
        try:
            commands = self.form.commands(restored, newest)
        except ValueError as error:
            raise PolicyError(f"policy {self.version}: {error}") from error
        own = self.uncertainty_model.of(state, uncertainty)
        normaliser = self.normaliser
        beyond = 0.0 if normaliser.shown is None else float(normaliser.excess(features).max(initial=0.0))
        if self.vocabulary is not None:
            beyond = max(beyond, *self._strange_texts(newest).values(), 0.0)
        return PolicyAnswer(commands, own, beyond, self._own_by_group(spread), taken)

    def _own_by_group(self, spread: Array | None) -> Mapping[str, float] | None:
        """Return the uncertainty of each action group from that of each learnt number (L,); None if unknown."""
        if spread is None or not self.contract.grouped:
            return None
        columns = self.form.columns_by_group
        own = {group: rms(spread[places]) for group, places in columns.items()}
        if not np.isfinite(list(own.values())).all():
            raise PolicyError(f"policy {self.version}: its uncertainties are {own}")
        return self.uncertainty_model.of_groups(own)

    def difference(self, commands: Vector, others: Vector) -> Vector:
        """Return the difference (..., L) of absolute commands (..., A) in units of normalised actions, as learnt."""
        return self.form.difference(commands, others) / self.normaliser.actions.scale

    def window(self, seen: Seen) -> Window:
        """Return the network's input for one window: T ticks, B = 1; raises PolicyError as `act_in_parts`."""
        ticks, existing = self._ticks(seen)
        inputs = self.inputs
        past = None if self.history == 1 else self._tensor(existing)
        missing = [inputs.absent(tick) for tick in ticks]
        completed = [inputs.completed(tick) for tick in ticks]
        others = {
            spec.key: self._tensor(np.stack([inputs.image(spec, tick) for tick in completed]))
            for spec in inputs.images
        }
        if self.vocabulary is not None:
            encode = self.vocabulary.encode
            others |= {
                spec.key: self._tensor(np.stack([encode(inputs.text(spec, tick)) for tick in completed]))
                for spec in inputs.texts
            }
        return Window(
            self._tensor(self._states(seen).astype(np.float32)),
            {key: torch.from_numpy(places).to(self.device) for key, places in inputs.columns.items()},
            others,
            past,
            {key: self._tensor(np.array([key in each for each in missing])) for key in inputs.optional},
        )

    def _features(self, observations: Observation) -> Vector:
        """Return raw features (..., F); those of missing optional observations are at the normaliser's centre."""
        inputs = self.inputs
        features = inputs.state_features(observations)
        missing = inputs.absent(observations) if inputs.optional else ()
        for key in missing:
            if key in inputs.columns:
                places = inputs.columns[key]
                features[..., places] = self.normaliser.state.centre[places]
        return features

    def _strange_texts(self, observation: Observation) -> dict[str, float]:
        """Return the texts of an observation that were not shown, by key and text, with their strangeness."""
        vocabulary = self.vocabulary
        if vocabulary is None:
            return {}
        spoken = {key: str(observation[key]) for key in self._texts if key in observation}
        found = {
            f"the words of {key} ({text!r})": vocabulary.strangeness(text) for key, text in spoken.items()
        }
        return {name: strangeness for name, strangeness in found.items() if strangeness}

    @cached_property
    def _texts(self) -> tuple[str, ...]:
        return tuple(spec.key for spec in self.inputs.texts)

    def _ticks(self, seen: Seen) -> tuple[list[Observation], Array]:
        """Return the window's T observations, the oldest repeated before the history begins, and which exist (T,)."""
        given = [seen] if isinstance(seen, Mapping) else list(seen[-self.history :])
        lacking = self.history - len(given)
        return [*given[:1] * lacking, *given], np.arange(self.history) >= lacking

    def _states(self, seen: Seen) -> Vector:
        """Return the normalised states of the window (T, F)."""
        return np.stack([self.normalised_state(tick) for tick in self._ticks(seen)[0]])

    def _committed(self, previous: Vector, newest: Observation) -> Vector:
        """Return committed commands (K, A) as the network learnt them (K, L), normalised."""
        if (
            previous.ndim != 2
            or len(previous) > self.horizon
            or previous.shape[1] != self.contract.action_size
        ):
            raise ValueError(
                f"previous is {previous.shape}; it must be (K, {self.contract.action_size}), with K at most "
                f"{self.horizon}"
            )
        return self.normaliser.actions.normalise(self.form.learnt_at(previous, newest))

    def _tensor(self, values: Array) -> Tensor:
        """Return values (T, ...) as (1, T, ...) on the device."""
        return torch.from_numpy(values[None]).to(self.device)

    def _sample(
        self, window: Window, committed: Vector | None, seed: int, way: int | None
    ) -> tuple[Array, float | None, Array | None, int | None]:
        previous = None if committed is None else self._tensor(committed.astype(np.float32))
        answer = sample(self.network, Batch(window, way=way), previous, seed)
        chunk: Array = answer.chunk[0].cpu().numpy()
        spread = None if answer.spread is None else answer.spread[0].cpu().numpy()
        uncertainty = None if answer.uncertainty is None else float(answer.uncertainty[0])
        return chunk, uncertainty, spread, None if answer.way is None else int(answer.way[0])

    @cached_property
    def _numpy_forward(self) -> NumpyForward | None:
        """The NumPy forward pass: a quarter of torch's time, because call overhead exceeds the arithmetic of a row."""
        if self.device != "cpu" or self.inputs.images or self.inputs.texts:
            return None
        return proven_numpy_forward(self.network, self.history, self.inputs)


@torch.inference_mode()
def sample(network: PolicyModel, batch: Batch, previous: Tensor | None = None, seed: int = 0) -> Actions:
    """Return the network's answer; all that it draws depends on `seed` only, also what it draws globally."""
    seed &= 2**63 - 1
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return network.sample(batch, torch.Generator().manual_seed(seed), previous)


def proven_numpy_forward(network: PolicyModel, history: int, inputs: Inputs) -> NumpyForward | None:
    """Return the network's NumPy forward pass if it answers as `sample` does; otherwise None, with a log message.

    The layers of a network do not tell what lies between them, so both are compared on random windows.
    """
    try:
        forward = network.numpy_forward()
        wrong = "" if forward is None else _numpy_fault(network, forward, history, inputs)
    except Exception as error:  # a fault of the fast path costs speed only
        wrong = f"it fails: {error}"
    if wrong:
        logging.getLogger(__name__).warning(
            "%s: its NumPy forward pass is not used, torch is: %s", type(network).__name__, wrong
        )
        return None
    return forward


def _numpy_fault(network: PolicyModel, forward: NumpyForward, history: int, inputs: Inputs) -> str:
    """Return how a NumPy forward pass differs from `sample`, "" if it does not."""
    draw = np.random.default_rng(0)
    for place, scale in enumerate(PROOF_SCALES):
        state = (scale * draw.standard_normal((history, len(inputs.groups)))).astype(np.float32)
        window = _partial(state, inputs, lacking=history // 2 if place % 2 else 0, absent=place % 3 == 1)
        wanted = sample(network, Batch(window))
        chunk = wanted.chunk[0].numpy()
        found, uncertainty, *spreads = forward(window.state[0].numpy().reshape(-1))
        most = PROOF_RELATIVE * float(np.abs(chunk[np.isfinite(chunk)]).max(initial=1e-3))
        if found.shape != chunk.shape or not np.allclose(found, chunk, rtol=0, atol=most, equal_nan=True):
            return f"it answers {_brief(found)} where sample answers {_brief(chunk)}"
        own = None if wanted.uncertainty is None else float(wanted.uncertainty[0])
        alike = (uncertainty is None) == (own is None)
        if uncertainty is not None and own is not None:
            alike = np.allclose(uncertainty, own, rtol=PROOF_RELATIVE, atol=most, equal_nan=True)
        if not alike:
            return f"its uncertainty is {uncertainty} where that of sample is {own}"
        if spreads and spreads[0] is not None:
            spread = None if wanted.spread is None else wanted.spread[0].numpy()
            if spread is None or not np.allclose(
                spreads[0], spread, rtol=PROOF_RELATIVE, atol=most, equal_nan=True
            ):
                return f"its spread is {spreads[0]} where that of sample is {spread}"
    return ""


def _partial(state: Array, inputs: Inputs, lacking: int, absent: bool) -> Window:
    """Return a window of states (T, F), the first ones `lacking`, and without optional inputs if `absent`."""
    columns = {key: torch.from_numpy(places) for key, places in inputs.columns.items()}
    missing = {key: torch.full((1, len(state)), absent) for key in inputs.optional}
    state[:lacking] = state[lacking]
    if absent:
        for key in inputs.optional:
            state[:, inputs.columns[key]] = 0
    past = None if len(state) == 1 else torch.arange(len(state))[None] >= lacking
    return Window(torch.from_numpy(state)[None], columns, {}, past, missing)


def _brief(chunk: Array) -> str:
    return np.array2string(chunk.reshape(-1)[:4], precision=4)
