"""Recorded episodes as the steps of demonstrations, and the scales of what they show."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
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
from il_ros.records.labelling import EXPERT
from il_ros.records.outcomes import FAILURE, SUCCESS
from il_ros.rl.steps.buffer import EnvironmentStep
from il_ros.rl.steps.world import Scales
from il_ros.training.samples import Samples, samples

SHOWN, LIMITS = "shown", "limits"
RANGES = (SHOWN, LIMITS)
ENDED, CUT = "ended", "cut"
SHORT = (ENDED, CUT)
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


def steps_of(
    episode: EpisodeArrays, scales: Scales, most_steps: int, short: str = ENDED
) -> list[EnvironmentStep]:
    """Return the steps of a demonstration. Only what happened within a run without a gap is a step.

    An episode shorter than `most_steps`, the environment's limit, was ended by the task, so its last action led into
    the absorbing state; with `short` CUT, this holds only for one with a verdict. Without a label at the end, as where
    only corrections are labelled, that step is not known. The last action of another one led to an observation that
    was not recorded, and is left out.
    `earned` is 1 for a last step that ended as a success, else 0; environments with other rewards have other numbers.
    """
    numbers = _numbers(episode, scales)
    found = [step for _, step in _within(numbers)]
    if _was_ended(episode, most_steps, short):
        found.append(_last(numbers, episode.outcome))
    return found


def recorded_steps(episode: EpisodeArrays, scales: Scales) -> list[EnvironmentStep]:
    """Return the steps of an episode that policy and person drove; its arrays are made by the rule `labelling.DRIVEN`.

    A person's steps are `shown`, as are all of a bag without decisions. A verdict ends the task: the last step has
    earned 1 for a success and 0 for a failure, also where nothing drove until the verdict came. Without one the episode
    was cut off, and its last action, which led to an observation that was not recorded, is left out.
    Raises ValueError where several action groups have an authority each.
    """
    if episode.groups:
        raise ValueError(
            f"episode {episode.name}: its contract has several action groups; learning from recorded steps needs one"
        )
    shown = [source == EXPERT for source in episode.authority] or [True] * len(episode)
    numbers = _numbers(episode, scales)
    found = [step._replace(shown=shown[place]) for place, step in _within(numbers)]
    if episode.outcome in (SUCCESS, FAILURE):
        found.append(_last(numbers, episode.outcome)._replace(shown=shown[-1]))
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


def warnings_of(episodes: Sequence[EpisodeArrays], most_steps: int, short: str = ENDED) -> list[str]:
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
    ended = [each for each in episodes if _was_ended(each, most_steps, short)]
    doubtful = [each.steps for each in ended if each.outcome != SUCCESS]
    if doubtful:
        found.append(
            f"{counted(len(doubtful), 'demonstration')} of {min(doubtful)} to {counted(max(doubtful), 'step')} without "
            f"the verdict success: shorter than the environment's limit ({most_steps}), so their end is taken for the "
            "task's own; where the environment ends nothing before its limit, the length would tell them from own "
            f"steps; if only the recordings ended, add --set short_demonstrations={CUT}"
        )
    gaps = sum(len(episode.runs) > 1 for episode in episodes)
    if gaps:
        found.append(f"{counted(gaps, 'demonstration')} have gaps; the steps over them are left out")
    return found


def _was_ended(episode: EpisodeArrays, most_steps: int, short: str) -> bool:
    """Return whether the task ended a demonstration with its last label."""
    judged = short == ENDED or episode.outcome in (SUCCESS, FAILURE)
    return judged and episode.steps < most_steps and episode.ends_with_a_frame


class _Numbers(NamedTuple):
    """An episode's samples, its normalised states (T, F) and actions (T, L)."""

    samples: Samples
    states: NDArray[np.float32]
    actions: NDArray[np.float32]


def _numbers(episode: EpisodeArrays, scales: Scales) -> _Numbers:
    some = samples([episode], scales.inputs, 1, form=scales.form)
    states = scales.normaliser.inputs(some.features).astype(np.float32)
    learnt = scales.normaliser.actions.normalise(some.actions[:, 0])
    return _Numbers(some, states, np.clip(learnt, -1.0, 1.0).astype(np.float32))


def _within(numbers: _Numbers) -> Iterator[tuple[int, EnvironmentStep]]:
    """Yield each step from one frame to the next of the same run, with the first one's number."""
    some, states, actions = numbers
    for place in np.flatnonzero(some.continues[:, 0]).tolist():
        after = states[some.following[place, 0]]
        yield place, EnvironmentStep(states[place], actions[place], after)


def _last(numbers: _Numbers, outcome: str) -> EnvironmentStep:
    """Return the last step, which ended the task."""
    _, states, actions = numbers
    return EnvironmentStep(states[-1], actions[-1], states[-1], float(outcome == SUCCESS), terminated=True)


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
