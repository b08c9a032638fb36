"""Labels of demonstrations without actions, inferred from their observations by an inverse model.

A tick is between the observations of several chunks, of H steps each; its label is the mean of what they say about it.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from il_ros.core.specs import Vector
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays, filled
from il_ros.episodes.arrays.replay import Frame, Replay, open_replay
from il_ros.episodes.bag.reader import open_bag, require_whole
from il_ros.episodes.catalogue import Entry
from il_ros.episodes.inferred_labels import UNCOMMANDED, InferredLabels
from il_ros.policies.checkpoint import CheckpointError
from il_ros.policies.features import Inputs
from il_ros.policies.runner import LoadedPolicy
from il_ros.training.batches import Batches
from il_ros.training.samples import Samples, samples

MOST_BEYOND = 1.0
"""A tick gets no label if an input is farther beyond what the model learnt from, in scales (`Normaliser.excess`)."""
_ROWS = 256


class HasActionsError(ValueError):
    """The episode has commands or was driven, so nothing is to be inferred; the message says which."""


@dataclass(frozen=True)
class Inferred:
    """What a model inferred about an episode; `left_out`: ticks without a label, by the reason."""

    labels: InferredLabels
    left_out: dict[str, int]

    def sentence(self) -> str:
        """Return the counts."""
        reasons = ", ".join(f"{count} {reason}" for reason, count in self.left_out.items())
        without = f"; {counted(sum(self.left_out.values()), 'tick')} without: {reasons}" if reasons else ""
        return f"{counted(len(self.labels), 'label')} by {self.labels.source}{without}"


def source_of(model: LoadedPolicy) -> str:
    """Return the name of an inverse model as the source of labels."""
    return f"inverse model {model.version}"


def require_inverse(model: LoadedPolicy) -> None:
    """Raise CheckpointError, a ValueError, if a model is no inverse model."""
    if not model.settings.follows:
        raise CheckpointError(
            f"{model.version} is a policy of family '{model.family}', not an inverse model; train one with: "
            "il-ros train EPISODES --recipe inverse"
        )


def infer(model: LoadedPolicy, entry: Entry, most_beyond: float = MOST_BEYOND) -> Inferred:
    """Return the labels of an episode that has observations of the model's contract, and no commands.

    Raises HasActionsError where a source drove or commands were recorded, ValueError when no tick gets a label or the
    model is no inverse model, MismatchError and BagError as `open_replay`.
    """
    require_inverse(model)
    require_whole(entry.folder)
    replay = open_replay(
        open_bag(entry.folder),
        model.contract,
        entry.info,
        model.settings.rule,
        model.may_lack,
        commanded=False,
    )
    left_out: Counter[str] = Counter()
    episode = _observed(entry.name, replay, model.inputs, left_out)
    commands, known = infer_arrays(model, episode)
    left_out["before a gap or the end, so nothing followed"] += int((~known).sum())
    beyond = model.normaliser.excess(_features(model, episode)).max(axis=1, initial=0.0) > most_beyond
    left_out["beyond what the model learnt from"] += int((known & beyond).sum())
    kept = known & ~beyond
    if not kept.any():
        reasons = ", ".join(f"{reason} ({count})" for reason, count in left_out.items() if count)
        raise ValueError(f"{entry.name}: no tick gets a label: {reasons}")
    labels = InferredLabels(
        source_of(model), model.contract.action_names, episode.ticks_ns[kept], commands[kept]
    )
    return Inferred(labels, {reason: count for reason, count in left_out.items() if count})


def infer_arrays(model: LoadedPolicy, episode: EpisodeArrays) -> tuple[Vector, NDArray[np.bool_]]:
    """Return the inferred commands (T, A), within the contract's limits, and which of them are known (T,).

    The commands of `episode` are not used. A tick is known if a chunk that contains it has an observation at its end.
    """
    horizon, rows = model.horizon, np.arange(len(episode))
    some = samples(
        [episode], model.inputs, horizon, form=model.form, history=model.history, ahead=model.settings.ahead
    )
    chunks = model.normaliser.actions.restore(_answers(model, some))  # (T, H, L)
    total = np.zeros((len(episode), chunks.shape[2]))
    count = np.zeros(len(episode), dtype=np.intp)
    whole = some.continues[:, -1]
    for step in range(horizon):
        np.add.at(total, rows[whole] + step, chunks[whole, step])
        np.add.at(count, rows[whole] + step, 1)
    known = count > 0
    commands = np.zeros((len(episode), model.contract.action_size))
    lower, upper = _limits(model)
    for row in np.flatnonzero(known):
        learnt = (total[row] / count[row])[None]
        commands[row] = model.form.commands(learnt, episode.observation(int(row)))[0]
    return np.clip(commands, lower, upper), known


def _observed(name: str, replay: Replay, inputs: Inputs, left_out: Counter[str]) -> EpisodeArrays:
    """Return the observed ticks of an episode as frames without commands; raises HasActionsError, ValueError."""
    seen: list[dict[str, Any]] = []
    ticks_ns: list[int] = []
    for item in replay:
        if isinstance(item, Frame):
            raise HasActionsError(f"{name}: has commands, from {item.authority or 'a command topic'}")
        if item.observation is None:
            left_out["without an observation"] += item.tick_ns is not None
        elif item.missing in UNCOMMANDED:
            seen.append(dict(item.observation.values))
            ticks_ns.append(item.observation.tick_ns)
        else:
            raise HasActionsError(f"{name}: was driven: {'; '.join(item.reasons)}")
    if not seen:
        raise ValueError(f"{name}: no tick has an observation")
    keys = {source.key for source in inputs.sources}
    gone = {key: np.array([key not in each for each in seen]) for key in keys}
    present = {key: next((each[key] for each in seen if key in each), None) for key in keys}
    shown = {
        key: np.stack([each.get(key, np.zeros_like(example)) for each in seen])
        for key, example in present.items()
        if example is not None
    }
    shown |= {
        key: np.stack([each[key] for each in seen])
        for key in set.intersection(*(set(each) for each in seen)) - keys
    }  # what actions refer to
    nothing = np.zeros((len(seen), replay.contract.action_size))
    return EpisodeArrays(
        name,
        shown,
        nothing,
        nothing,
        np.array(ticks_ns, dtype=np.int64),
        replay.contract.period_ns,
        absent={key: missing for key, missing in gone.items() if missing.any() and key in shown},
    )


def _answers(model: LoadedPolicy, some: Samples) -> Vector:
    """Return the model's normalised chunks (T, H, L).

    Inputs are not clipped to what the model learnt from: a clipped position would get the label of another one.
    """
    unclipped = replace(model.normaliser, shown=None)
    batches = Batches(some, model.inputs, unclipped, model.device, vocabulary=model.vocabulary, follows=True)
    rng = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        found = [model.network.sample(batch, rng).chunk.cpu().numpy() for batch in batches.in_order(_ROWS)]
    chunks: Vector = np.concatenate(found).astype(np.float64)
    return chunks


def _features(model: LoadedPolicy, episode: EpisodeArrays) -> Vector:
    return model.inputs.state_features(filled(episode))


def _limits(model: LoadedPolicy) -> tuple[Vector, Vector]:
    lower, upper = zip(*(action.limits.arrays()[:2] for action in model.contract.actions), strict=True)
    return np.concatenate(lower), np.concatenate(upper)
