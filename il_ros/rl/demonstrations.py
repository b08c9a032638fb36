"""Recorded episodes as the steps of demonstrations, and the scales of what they show."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from il_ros.core.contract import Contract
from il_ros.core.specs import CHOICE
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.action_form import ActionForm
from il_ros.policies.families.actor import ActorNetwork
from il_ros.policies.features import Inputs
from il_ros.policies.normaliser import Affine, Normaliser, fit_actions, fit_state, noise_floors
from il_ros.policies.protocol import Batch, Window
from il_ros.records.outcomes import SUCCESS
from il_ros.rl.buffer import EnvironmentStep
from il_ros.rl.world import Scales
from il_ros.training.samples import Samples, samples

SHOWN, LIMITS = "shown", "limits"
RANGES = (SHOWN, LIMITS)
FEW_STEPS = 100


def fit_scales(
    episodes: Sequence[EpisodeArrays], contract: Contract, inputs: Inputs, action_range: str
) -> Scales:
    """Return the scales of demonstrations; own steps have the same.

    Inputs are not clipped to what was shown, as those of a clone are: a learner must see where it is. `action_range`:
    what -1..1 stands for: SHOWN, the range of the demonstrated actions, or LIMITS, that of the contract's limits
    (of the demonstrated ones where there is no limit, and of deltas).
    Raises ValueError naming the episode on observations or actions that are not finite.
    """
    form = ActionForm(contract)
    shown = samples(episodes, inputs, 1, form=form)
    features, actions = shown.features, shown.actions[:, 0]
    state = fit_state(features, inputs.groups, noise_floors(features, inputs.units))
    scale = _stated(fit_actions(actions, "min_max", form.ranges, form.groups), form, action_range)
    return Scales(contract, inputs, Normaliser(state, scale), form)


def steps_of(episode: EpisodeArrays, scales: Scales, most_steps: int) -> list[EnvironmentStep]:
    """Return the steps of a demonstration. Only what happened within a run without a gap is a step.

    An episode shorter than `most_steps`, the environment's limit, was ended by the task, so its last action led into
    the absorbing state; without a label there, as where only corrections are labelled, that step is not known. The last
    action of another one led to an observation that was not recorded, and is left out.
    `earned` is 1 for a last step that ended as a success, else 0; environments with other rewards have other numbers.
    """
    some: Samples = samples([episode], scales.inputs, 1, form=scales.form)
    states = scales.normaliser.inputs(some.features).astype(np.float32)
    learnt = scales.normaliser.actions.normalise(some.actions[:, 0])
    actions = np.clip(learnt, -1.0, 1.0).astype(np.float32)
    found = [
        EnvironmentStep(states[place], actions[place], states[some.following[place, 0]])
        for place in np.flatnonzero(some.continues[:, 0])
    ]
    if episode.steps < most_steps and episode.ends_with_a_frame:
        earned = float(episode.outcome == SUCCESS)
        found.append(EnvironmentStep(states[-1], actions[-1], states[-1], earned, terminated=True))
    return found


def deviation_of(shown: Sequence[EnvironmentStep], clone: ActorNetwork) -> Tensor:
    """Return how far demonstrated actions are from the clone's answers (A,), root mean square, in normalised numbers.

    A clone that repeats what was shown exactly leaves no deviation; at least that of the demonstrated actions from one
    step to the next is returned.
    """
    states = torch.from_numpy(np.stack([step.observation for step in shown]))
    actions = torch.from_numpy(np.stack([step.action for step in shown]))
    with torch.no_grad():
        answers = clone.sample(Batch(Window(states[:, None])), torch.Generator()).chunk[:, 0]
    follows = [np.array_equal(before.following, after.observation) for before, after in pairwise(shown)]
    changes = (actions[1:] - actions[:-1])[torch.tensor(follows, dtype=torch.bool)]
    apart = (actions - answers).square().mean(dim=0).sqrt()
    return torch.maximum(apart, changes.square().mean(dim=0).sqrt()) if len(changes) else apart


def warnings_of(episodes: Sequence[EpisodeArrays], most_steps: int) -> list[str]:
    """Return what may be wrong with the demonstrations, a sentence each."""
    found = []
    total = sum(len(episode) for episode in episodes)
    if total < FEW_STEPS:
        found.append(
            f"{counted(total, 'step')} in {counted(len(episodes), 'demonstration')} are few; from {FEW_STEPS} on a "
            "reward can tell what they have in common"
        )
    longest = max(episode.steps for episode in episodes)
    if longest > most_steps:
        found.append(
            f"a demonstration has {counted(longest, 'step')}, and the environment ends after {most_steps}: what is "
            "shown later cannot be reached; set the environment's limit, or cut the episodes"
        )
    ended = [each for each in episodes if each.steps < most_steps and each.ends_with_a_frame]
    short = [each.steps for each in ended if each.outcome != SUCCESS]
    if short:
        found.append(
            f"{counted(len(short), 'demonstration')} of {min(short)} to {counted(max(short), 'step')} without the "
            f"verdict success: shorter than the environment's limit ({most_steps}), so their end is taken for the "
            "task's own; where the environment ends nothing before its limit, the length would tell them from own steps"
        )
    gaps = sum(len(episode.runs) > 1 for episode in episodes)
    if gaps:
        found.append(f"{counted(gaps, 'demonstration')} have gaps; the steps over them are left out")
    return found


def _stated(shown: Affine, form: ActionForm, action_range: str) -> Affine:
    """Return the map with the contract's limits where they count; a choice is 0 or 1, whatever was shown of it."""
    contract, centre, scale = form.contract, shown.centre.copy(), shown.scale.copy()
    for place, name in enumerate(form.names):
        if name not in contract.action_names:  # a part of an angle or an orientation
            continue
        key = name.partition("/")[0]
        action = next(each for each in contract.actions if each.key == key)
        index = contract.action_names.index(name) - contract.action_slices[key].start
        lower, upper, speed, _ = (bound[index] for bound in action.limits.arrays())
        if action.quantity == CHOICE:
            lower, upper = 0.0, 1.0
        elif action_range == SHOWN or action.mode == "delta":
            continue
        elif action.is_velocity:
            lower, upper = -speed, speed
        if np.isfinite([lower, upper]).all():
            centre[place], scale[place] = (lower + upper) / 2, (upper - lower) / 2
    return Affine(centre, scale)
