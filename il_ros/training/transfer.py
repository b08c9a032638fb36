"""Transfer: training from a policy that has other inputs or actions, of another task or robot.

What both share by name is kept: inputs and actions with their normalisation, and all weights between them. New inputs
begin without influence (weights of 0), new actions with the initial weights of a new network. Which axes of a weight
belong to inputs or actions is found by describing the network with one input and one action more, so a family needs no
code for it. That the new network answers as the old one did, on what they share, is checked; where it does not, because
the family lays out its weights in another way, only those that depend on neither inputs nor actions are kept.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from il_ros.core import settings
from il_ros.core.contract import Contract
from il_ros.core.tables import listed_by_key
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.policies import checkpoint, weights
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.registry import family, make_network
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser, ShownRange
from il_ros.policies.protocol import Batch, ModelSpec, PolicyModel, Window
from il_ros.policies.runner import LoadedPolicy, sample
from il_ros.training.fitting import fit_normaliser, used_samples
from il_ros.training.recipe import Recipe, policy_differences
from il_ros.training.trainer import warm_start

SCALES = 3.0
"""Largest ratio of a number's scales, old and new, with which its normalisation is kept."""
FAR = 5.0
"""Largest distance of its centres, in old scales."""
MAY_DIFFER = ("inputs", "optional")
"""Policy settings in which the old and the new policy may differ."""
TRANSFERRED = "transferred"
"""The metric of a policy to start from: lines that say what it has kept; of one that was trained, it is `transfer`."""
_NEW = -1
_INPUTS = "inputs", "as their range or unit is another, or they never moved before"
_ACTIONS = "actions", "as their range or meaning is another"


class TransferError(ValueError):
    """A policy from which nothing can be kept; the message says why."""


@dataclass(frozen=True)
class Shared:
    """Which numbers of the new policy the old one has: its place there (N,), _NEW without; `names` of the new ones."""

    names: tuple[str, ...]
    before: tuple[str, ...]
    places: NDArray[np.intp]

    @classmethod
    def of(
        cls, names: Sequence[str], before: Sequence[str], alike: NDArray[np.bool_] | None = None
    ) -> Shared:
        """Return what two lists of names share; `alike` (N,): which of the common ones may be kept."""
        place = {name: number for number, name in enumerate(before)}
        places = np.array([place.get(name, _NEW) for name in names], dtype=np.intp)
        if alike is not None:
            places[~alike] = _NEW
        return cls(tuple(names), tuple(before), places)

    @property
    def kept(self) -> NDArray[np.intp]:
        """The numbers of the new policy that are kept."""
        return np.flatnonzero(self.places != _NEW)

    def lines(self, what: str, why: str) -> list[str]:
        """Return what is new, learnt anew, with the reason `why`, and left out, in a line each."""
        before, now = set(self.before), set(self.names)
        lost = [name for name, place in zip(self.names, self.places, strict=True) if place == _NEW]
        groups = (
            (f"new {what}", [name for name in lost if name not in before], self.names),
            (f"{what} learnt anew, {why}", [name for name in lost if name in before], self.names),
            (f"{what} left out", [name for name in self.before if name not in now], self.before),
        )
        return [f"{words}: {listed_by_key(names, of)}" for words, names, of in groups if names]


def transferred(start: LoadedPolicy, contract: Contract, recipe: Recipe, fitted: Normaliser) -> LoadedPolicy:
    """Return a policy for `contract` and `recipe` with the weights of `start` that fit.

    `fitted`: the normaliser of the new data.
    Its metrics hold one entry, TRANSFERRED, lines that say what was kept. Raises TransferError when the family or
    a setting other than MAY_DIFFER differs, or no input and no action is shared.
    """
    _require_alike(start, recipe)
    inputs, form = Inputs.for_policy(contract, recipe.policy), ActionForm(contract)
    observed = _shared_inputs(start, inputs, fitted)
    acted = _shared_actions(start, contract, form, fitted)
    if not len(observed.kept) and not len(acted.kept) and not start.inputs.images:
        raise TransferError(f"{start.version} shares no input and no action with contract '{contract.name}'")
    shared = ((observed, *_INPUTS), (acted, *_ACTIONS))
    normaliser = _normaliser(start.normaliser, fitted, observed, acted, inputs)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.training.seed)
        network = make_network(recipe.family, recipe.policy, contract, normaliser, start.network.assets())
    begun = {name: value.clone() for name, value in network.state_dict().items()}
    spec = _spec(contract, normaliser, inputs, start)
    layout = _layout(recipe.family, recipe.policy, spec)
    counts = (f"{len(each.kept)} of {len(each.names)} {what}" for each, what, _ in shared)
    kept = "\n".join(
        [f"{' and '.join(counts)} kept", *(line for each, *words in shared for line in each.lines(*words))]
    )
    if layout is not None:
        network.load_state_dict(_mapped(start, network, spec, layout, observed, acted))
    if layout is None or not _answers_alike(start, network, inputs, observed, acted):
        network.load_state_dict(begun)
        network.load_state_dict(_untouched(start, network, layout))
        kept = "kept only the weights between inputs and actions: this family's others cannot be mapped"
    said = {TRANSFERRED: f"transferred from {start.version}: {kept}"}
    return LoadedPolicy(contract, recipe.family, recipe.policy, network, normaliser, start.version, said)


def begin(
    path: Path | None, dataset: Dataset, recipe: Recipe, epochs: int, seconds: float
) -> tuple[LoadedPolicy | None, Recipe, str]:
    """Return what `warm_start.begin` does; a policy of another contract or of other inputs is transferred."""
    start, limited, refusal = warm_start.begin(path, dataset.contract, recipe, epochs, seconds)
    if path is None or not refusal:
        return start, limited, refusal
    try:
        other = checkpoint.load(path)
        _require_alike(other, recipe)
        inputs = Inputs.for_policy(dataset.contract, recipe.policy)
        shown, *_ = used_samples(dataset.train, inputs, recipe, ActionForm(dataset.contract))
        fitted = fit_normaliser(shown, inputs, dataset.contract, recipe)
        own = recipe.training
        limits = replace(own, epochs=epochs or own.epochs, seconds=seconds or own.seconds)
        return transferred(other, dataset.contract, recipe, fitted), replace(recipe, training=limits), ""
    except (checkpoint.CheckpointError, TransferError) as error:
        return None, recipe, refusal if str(error) in refusal else f"{refusal}\n{error}"


def _require_alike(start: LoadedPolicy, recipe: Recipe) -> None:
    if start.family != recipe.family:
        raise TransferError(f"family is {start.family}, the recipe's {recipe.family}")
    own = {key: value for key, value in settings.plain(recipe.policy).items() if key not in MAY_DIFFER}
    for difference in policy_differences(settings.plain(start.settings), own):
        raise TransferError(difference)


def _shared_inputs(start: LoadedPolicy, inputs: Inputs, fitted: Normaliser) -> Shared:
    """Return the shared features: of one name and unit, with a similar range."""
    both = Shared.of(inputs.features_of, start.inputs.features_of)
    old_units = np.array(start.inputs.units, dtype=np.str_)
    alike = np.zeros(len(both.names), dtype=bool)
    for number in both.kept:
        place = both.places[number]
        alike[number] = old_units[place] == inputs.units[number] and _similar(
            start.normaliser.state, int(place), fitted.state, int(number), moved=_moved(start, int(place))
        )
    return Shared.of(inputs.features_of, start.inputs.features_of, alike)


def _moved(start: LoadedPolicy, place: int) -> bool:
    shown = start.normaliser.shown
    return shown is None or not bool(shown.still[place])


def _shared_actions(start: LoadedPolicy, contract: Contract, form: ActionForm, fitted: Normaliser) -> Shared:
    """Return the shared learnt numbers: of actions that mean the same, all with a similar range."""
    both = Shared.of(form.names, start.form.names)
    meant = {action.key: (action.quantity, action.mode, action.unit) for action in contract.actions}
    before = {action.key: (action.quantity, action.mode, action.unit) for action in start.contract.actions}
    keys = [name.partition("/")[0] for name in both.names]
    fit = {key: meant[key] == before.get(key) for key in keys}
    for number in both.kept:
        place = int(both.places[number])
        fit[keys[number]] &= _similar(start.normaliser.actions, place, fitted.actions, int(number))
    return Shared.of(form.names, start.form.names, np.array([fit[key] for key in keys], dtype=bool))


def _similar(before: Affine, place: int, now: Affine, number: int, *, moved: bool = True) -> bool:
    """Return whether a number's old normalisation suits its new values; one that never moved had no influence."""
    if not moved:
        return False
    ratio = float(now.scale[number] / before.scale[place])
    far = abs(float(now.centre[number] - before.centre[place])) / float(before.scale[place])
    return ratio <= SCALES and far <= FAR


def _normaliser(
    before: Normaliser, fitted: Normaliser, observed: Shared, acted: Shared, inputs: Inputs
) -> Normaliser:
    """Return the fitted normaliser with the old maps of what is shared; the shown range of it grows."""
    shown = fitted.shown
    if shown is not None and before.shown is not None:
        lower, upper, still = shown.lower.copy(), shown.upper.copy(), shown.still.copy()
        at, places = observed.kept, observed.places[observed.kept]
        lower[at] = np.minimum(lower[at], before.shown.lower[places])
        upper[at] = np.maximum(upper[at], before.shown.upper[places])
        still[at] &= before.shown.still[places]
        shown = ShownRange(lower, upper, shown.floor, still)
    images = {spec.key: before.images.get(spec.key, fitted.images[spec.key]) for spec in inputs.images}
    state = _kept_map(before.state, fitted.state, observed)
    return replace(
        fitted,
        state=state,
        actions=_kept_map(before.actions, fitted.actions, acted),
        images=images,
        shown=shown,
    )


def _kept_map(before: Affine, fitted: Affine, shared: Shared) -> Affine:
    centre, scale = fitted.centre.copy(), fitted.scale.copy()
    at, places = shared.kept, shared.places[shared.kept]
    centre[at], scale[at] = before.centre[places], before.scale[places]
    return Affine(centre, scale)


def _spec(contract: Contract, normaliser: Normaliser, inputs: Inputs, start: LoadedPolicy) -> ModelSpec:
    size = len(normaliser.actions.centre)
    return ModelSpec(contract, inputs, size, normaliser, start.network.assets())


Layout = dict[str, tuple[tuple[int, int], ...]]
"""By weight, how much each of its axes grows with one input and with one action more."""


def _layout(name: str, policy: Any, spec: ModelSpec) -> Layout | None:
    """Return the layout of a network's weights; None for a family that cannot be described with other sizes."""

    def shapes(of: ModelSpec) -> dict[str, tuple[int, ...]]:
        with weights.shapes_only():
            state = family(name).network(policy, of).state_dict()
        return {key: tuple(value.shape) for key, value in state.items()}

    one = spec.inputs.state[:1]
    wider = replace(spec.inputs, state=(*spec.inputs.state, *one))
    more = len(wider.groups) - len(spec.inputs.groups)
    try:
        own = shapes(spec)
        by_action = shapes(replace(spec, action_size=spec.action_size + 1))
        by_input = shapes(replace(spec, inputs=wider)) if more else own
    except (
        Exception
    ):  # such as classes of the contract's actions; whatever a family raises, its weights are not mapped
        return None
    return {
        key: tuple(
            ((seen - size) // max(more, 1), acted - size)
            for size, seen, acted in zip(own[key], by_input[key], by_action[key], strict=True)
        )
        for key in own
    }


def _mapped(
    start: LoadedPolicy,
    network: PolicyModel,
    spec: ModelSpec,
    layout: Layout,
    observed: Shared,
    acted: Shared,
) -> dict[str, Tensor]:
    """Return the new network's state with the old weights in their places."""
    own = _layout(start.family, start.settings, _spec(start.contract, start.normaliser, start.inputs, start))
    old, new = start.network.state_dict(), dict(network.state_dict())
    cameras = [each.key for each in start.inputs.images] == [each.key for each in spec.inputs.images]
    for name, value in new.items():
        if own is None or name not in old or own.get(name) != layout[name]:
            continue
        axes = zip(old[name].shape, value.shape, layout[name], strict=True)
        places = [_places(*axis, observed, acted, cameras=cameras) for axis in axes]
        maps = [each for each in places if each is not None]
        if len(maps) < len(places):
            continue
        made = value.clone()
        for axis, (by_input, _) in enumerate(layout[name]):
            if by_input:  # a new input begins without influence
                made.index_fill_(axis, torch.from_numpy(np.flatnonzero(maps[axis] == _NEW)), 0)
        to = [torch.from_numpy(np.flatnonzero(each != _NEW)) for each in maps]
        came = [torch.from_numpy(each[each != _NEW]) for each in maps]
        if maps:
            made[torch.meshgrid(*to, indexing="ij")] = old[name][torch.meshgrid(*came, indexing="ij")]
        new[name] = made if maps else old[name].clone()
    return new


def _places(
    before: int, now: int, slopes: tuple[int, int], observed: Shared, acted: Shared, *, cameras: bool
) -> NDArray[np.intp] | None:
    """Return the old place of each new one (N,) along an axis; None if it cannot be told.

    An axis that grows by some numbers per input (or action) has so many blocks of all inputs (for ticks, steps, ...),
    and then the rest, such as camera features, which is mapped if the `cameras` are the same.
    """
    by_input, by_action = slopes
    if by_input and by_action:
        return None
    if not by_input and not by_action:
        return np.arange(now) if before == now else None
    shared, blocks = (observed, by_input) if by_input else (acted, by_action)
    size = len(shared.before)
    parts = [np.where(shared.places == _NEW, _NEW, shared.places + block * size) for block in range(blocks)]
    left, left_before = now - blocks * len(shared.names), before - blocks * size
    if left < 0 or left_before < 0:
        return None
    rest = cameras and left == left_before
    parts.append(np.arange(left) + blocks * size if rest else np.full(left, _NEW))
    return np.concatenate(parts).astype(np.intp)


def _answers_alike(
    start: LoadedPolicy, network: PolicyModel, inputs: Inputs, observed: Shared, acted: Shared
) -> bool:
    """Return whether the network answers as the old one, where what only one of them sees is 0.

    Policies with texts or with other cameras than before are not compared.
    """
    frames = [spec for spec in start.inputs.images if spec in inputs.images]
    others = (*start.inputs.images, *inputs.images, *start.inputs.texts, *inputs.texts)
    if any(spec not in frames for spec in others):
        return True
    network.eval()
    rng, shape = np.random.default_rng(0), (3, start.history)
    old, new = (np.zeros((*shape, len(names))) for names in (observed.before, observed.names))
    drawn = rng.standard_normal((*shape, len(observed.kept)))
    old[..., observed.places[observed.kept]] = drawn
    new[..., observed.kept] = drawn
    pictures = {spec.key: rng.integers(0, 255, (*shape, *spec.shape)).astype(spec.dtype) for spec in frames}
    chunks = []
    for model, values, its in ((start.network, old, start.inputs), (network, new, inputs)):
        window = Window(
            torch.from_numpy(values.astype(np.float32)),
            {key: torch.from_numpy(at) for key, at in its.columns.items()},
            {key: torch.from_numpy(frame) for key, frame in pictures.items()},
            torch.ones(shape, dtype=torch.bool),
        )
        chunks.append(sample(model, Batch(window)).chunk.numpy())
    wanted, found = chunks[0][..., acted.places[acted.kept]], chunks[1][..., acted.kept]
    return bool(np.allclose(found, wanted, rtol=1e-3, atol=1e-4))


def _untouched(start: LoadedPolicy, network: PolicyModel, layout: Layout | None) -> dict[str, Tensor]:
    """Return the new network's state with the old weights that depend on neither inputs nor actions."""
    old = start.network.state_dict()

    def kept(name: str, value: Tensor) -> bool:
        alike = name in old and old[name].shape == value.shape
        return alike and layout is not None and not any(any(axis) for axis in layout[name])

    return {name: old[name] if kept(name, value) else value for name, value in network.state_dict().items()}
