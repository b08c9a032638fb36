"""The part of a joint policy that one contract needs: it observes and commands what this contract does.

It is a policy like any other. Its network completes the window with masked zeros for what other robots observe, and
with the numbers that say which contract is meant, and leaves out what other robots are commanded.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.derived import DerivedSpec
from il_ros.core.specs import ObservationSpec
from il_ros.policies.action_form import ActionForm
from il_ros.policies.disagreement import rms
from il_ros.policies.features import Inputs
from il_ros.policies.joint.contracts import PART, JoinedContract, keys_of
from il_ros.policies.normaliser import Affine, Normaliser, ShownRange
from il_ros.policies.protocol import Actions, Array, Batch, NumpyForward, PolicyModel, PolicySettings, Window
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.vocabulary import Vocabulary

TASKS = "tasks_by_part"
"""The metric of a joint policy that has the tasks of each part's episodes."""


class PartNetwork(PolicyModel):
    """A joint network, asked as `part`; B samples, T ticks, H steps."""

    state: Tensor
    columns: Tensor
    actions: Tensor

    def __init__(self, whole: LoadedPolicy, part: Contract, settings: PolicySettings) -> None:
        super().__init__()
        inputs, own = whole.inputs, Inputs.for_policy(part, settings)
        self.network, self.count = whole.network, len(whole.form.names)
        self._words = Vocabulary.among(whole.network.assets())
        self._places = {key: torch.from_numpy(at) for key, at in inputs.columns.items()}
        self._lacking = [
            spec for spec in _specs(inputs) if spec.key not in (PART, *(s.key for s in _specs(own)))
        ]
        state, at = np.zeros(len(inputs.features_of)), inputs.columns[PART]
        state[at] = one_hot(whole.contract, part)
        state[at] = whole.normaliser.state.normalise(state)[at]
        for name, values in {
            "state": state.astype(np.float32),
            "columns": _columns(inputs.features_of, own.features_of),
            "actions": _columns(whole.form.names, ActionForm(part).names),
        }.items():
            self.register_buffer(name, torch.from_numpy(values), persistent=False)

    @property
    def ways(self) -> int:
        """See `PolicyModel.ways`."""
        return self.network.ways

    def assets(self) -> dict[str, bytes]:
        """See `Model.assets`."""
        return dict(self.network.assets())

    def completed(self, window: Window) -> Window:
        """Return the window of the joint network."""
        shape, device = window.state.shape[:2], window.state.device
        state = self.state.expand(*shape, -1).clone()
        state[..., self.columns] = window.state
        others, absent = dict(window.others), dict(window.absent)
        for spec in self._lacking:
            absent[spec.key] = torch.ones(shape, dtype=torch.bool, device=device)
            if spec.kind == "image":
                kind = torch.float32 if spec.dtype == np.float32 else torch.uint8
                others[spec.key] = torch.zeros((*shape, *spec.shape), dtype=kind, device=device)
            elif spec.kind == "text" and self._words is not None:
                tokens = torch.from_numpy(self._words.encode("")).to(device)
                others[spec.key] = tokens.expand(*shape, -1)
        places = {key: at.to(device) for key, at in self._places.items()}
        return Window(state, places, others, window.past, absent)

    def sample(self, batch: Batch, rng: torch.Generator, previous: Tensor | None = None) -> Actions:
        """See `PolicyModel.sample`; the uncertainty is that of the own actions where it is known of each."""
        committed = previous
        if previous is not None:
            committed = previous.new_zeros((*previous.shape[:2], self.count))
            committed[..., self.actions] = previous
        asked = replace(batch, observation=self.completed(batch.observation))
        found = self.network.sample(asked, rng, committed)
        spread = None if found.spread is None else found.spread[..., self.actions]
        uncertainty = found.uncertainty if spread is None else spread.square().mean(dim=-1).sqrt()
        return Actions(found.chunk[..., self.actions], uncertainty, found.way, spread)

    def numpy_forward(self) -> NumpyForward | None:
        """See `PolicyModel.numpy_forward`."""
        forward = self.network.numpy_forward()
        if forward is None:
            return None
        state, columns, actions = self.state.numpy(), self.columns.numpy(), self.actions.numpy()

        def answer(own: Array) -> tuple[Array, float | None, Array | None]:
            ticks = own.reshape(-1, len(columns))
            whole = np.tile(state, (len(ticks), 1))
            whole[:, columns] = ticks
            chunk, uncertainty, *rest = forward(whole.reshape(-1))
            spread = rest[0][actions] if rest and rest[0] is not None else None
            return chunk[:, actions], uncertainty if spread is None else rms(spread), spread

        return answer


def part_policy(whole: LoadedPolicy, part: Contract) -> LoadedPolicy:
    """Return the policy for one part of a joint policy's contract."""
    own = part_settings(whole.settings, whole.contract, part)
    network = PartNetwork(whole, part, own)
    metrics = dict(whole.metrics)
    metrics["tasks"] = metrics.get(TASKS, {}).get(part.name, metrics.get("tasks", []))
    normaliser = _normaliser(whole.normaliser, network, Inputs.for_policy(part, own))
    named = (whole.version, metrics, whole.device, whole.uncertainty_model)
    return LoadedPolicy(part, whole.family, own, network, normaliser, *named)


def joint_settings(settings: Any, own: JoinedContract) -> Any:
    """Return a family's settings for a joined contract: what not all parts have is optional, PART is read."""
    inputs = settings.inputs and tuple(dict.fromkeys((*settings.inputs, PART)))
    partial = tuple(key for key in own.partial if not inputs or key in inputs)
    return replace(settings, inputs=inputs, optional=tuple(dict.fromkeys((*settings.optional, *partial))))


def part_settings(settings: Any, own: Contract, part: Contract) -> Any:
    """Return the settings of a part of a joint policy; what not all parts have is there where a part has it."""
    partial = own.partial if isinstance(own, JoinedContract) else ()
    known = keys_of(part)
    return replace(
        settings,
        inputs=tuple(key for key in settings.inputs if key in known),
        optional=tuple(key for key in settings.optional if key in known and key not in partial),
    )


def one_hot(own: Contract, part: Contract) -> NDArray[np.float64]:
    """Return the observation PART of a part (P,)."""
    return np.array([float(name == part.name) for name in own.observation(PART).names])


def _columns(names: tuple[str, ...], own: tuple[str, ...]) -> NDArray[np.intp]:
    """Return the place of each own name among the names."""
    place = {name: at for at, name in enumerate(names)}
    return np.array([place[name] for name in own], dtype=np.intp)


def _specs(inputs: Inputs) -> tuple[ObservationSpec | DerivedSpec, ...]:
    return (*inputs.state, *inputs.images, *inputs.texts)


def _normaliser(before: Normaliser, network: PartNetwork, own: Inputs) -> Normaliser:
    at, done, shown = network.columns.numpy(), network.actions.numpy(), before.shown
    if shown is not None:
        shown = ShownRange(shown.lower[at], shown.upper[at], shown.floor[at], shown.still[at])
    return Normaliser(
        Affine(before.state.centre[at], before.state.scale[at]),
        Affine(before.actions.centre[done], before.actions.scale[done]),
        {spec.key: before.images[spec.key] for spec in own.images},
        shown,
    )
