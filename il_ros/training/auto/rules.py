"""`recipe: auto`: look at the episodes, and choose the family of policies and its settings, with the reason.

`RULES` is the whole choice: the first rule that applies gives a shipped recipe and changes of it. A rule whose family
is not registered is passed over, so a rule may name one that another package brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace

import numpy as np

from il_ros.core import plugins, strict_yaml
from il_ros.core.contract import Contract
from il_ros.core.settings import SettingsError
from il_ros.core.specs import BOUNDED, CHOICE
from il_ros.core.strict_yaml import YamlError
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.policies.sentences import encoder
from il_ros.policies.vocabulary import MOST_TEXTS
from il_ros.training import recipe as recipes
from il_ros.training.auto.ways import Ways, find_ways
from il_ros.training.recipe import Recipe

WIDE_BATCH, WIDE_STEPS = 128, 4000
MOE_BATCH, MOE_STEPS = 256, 3000
PICTURE_BATCH, PICTURE_STEPS = 64, 6000
MANY_FRAMES = 3000
"""From so many frames on, motion is learnt at a lower rate; a training then has more steps."""
SPARE_EXPERTS, MOST_EXPERTS = 2, 8
"""Experts of `moe` beyond the ways that were found, and the most that it may have."""
LEAST_EPOCHS, MOST_EPOCHS = 30, 1000
WIDE = "ensemble, squared error"
"""The name of the wider networks in a race."""


@dataclass(frozen=True)
class Findings:
    """What was found in the episodes and their contract.

    `pictures` and `texts`: keys of such inputs. `quantities`: those of the actions. `episodes`: their number;
    `frames`: labelled frames of all; `seconds`: the median duration of one. `ways`: several ways to do the task, None:
    one, or what the policy sees besides numbers may tell which. `instructions`: different texts in the episodes.
    """

    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    quantities: frozenset[str]
    episodes: int
    frames: int
    seconds: float
    ways: Ways | None = None
    instructions: int = 0

    @classmethod
    def of(
        cls, contract: Contract, episodes: Sequence[EpisodeArrays] = (), inputs: Sequence[str] = ()
    ) -> Findings:
        """Return the findings of training episodes; `inputs`: the keys that the policy uses, empty: all."""
        durations = [len(episode) * contract.period_ns / 1e9 for episode in episodes]
        used = [spec for spec in contract.observations if not inputs or spec.key in inputs]
        pictures, texts = (
            tuple(spec.key for spec in used if spec.kind == kind) for kind in ("image", "text")
        )
        return cls(
            pictures,
            texts,
            frozenset(action.quantity for action in contract.actions),
            len(episodes),
            sum(len(episode) for episode in episodes),
            float(np.median(durations)) if durations else 0.0,
            None if pictures or texts else find_ways(contract, episodes, inputs),
            len({text for episode in episodes for text in _spoken(episode, texts)}),
        )

    @property
    def amount(self) -> str:
        """The amount of data in words: '10 episodes of 12 s, 2400 frames'."""
        return f"{counted(self.episodes, 'episode')} of {self.seconds:.3g} s, {counted(self.frames, 'frame')}"


Changes = Callable[[Findings], tuple[str, ...]]


def _none(found: Findings) -> tuple[str, ...]:
    return ()


@dataclass(frozen=True)
class RecipeRule:
    """Where it `applies`, `recipe` with `changes` is used. `why` ends the sentence 'chose RECIPE: ...'.

    `rivals`: what else may suit such data, by name: a recipe and its changes, for `il_ros.training.auto.race`.
    """

    recipe: str
    applies: Callable[[Findings], bool]
    why: Callable[[Findings], str]
    changes: Changes = _none
    rivals: Mapping[str, tuple[str, Changes]] = field(default_factory=dict)


def _amount(found: Findings, steps: int, batch: int) -> tuple[str, ...]:
    """Return the settings of about `steps` optimiser steps of `batch` frames, on all frames."""
    epochs = math.ceil(steps / max(1, math.ceil(found.frames / batch)))
    return (
        f"batch_size={batch}",
        f"epochs={min(max(epochs, LEAST_EPOCHS), MOST_EPOCHS)}",
        "still_every=1",
    )


def _wide(found: Findings) -> tuple[str, ...]:
    """Return settings for actions that jump: the squared error averages over what one batch shows of them."""
    return (
        "loss=mse",
        "hidden=[128, 128]",
        "learning_rate=0.003",
        *_amount(found, WIDE_STEPS, WIDE_BATCH),
    )


def _motion(found: Findings) -> tuple[str, ...]:
    """Return the rate for many frames; docs/figures/cloning.md has its measurements."""
    return ("learning_rate=0.003",) if found.frames >= MANY_FRAMES else ()


def _probable(found: Findings) -> tuple[str, ...]:
    """Return settings for choices, as wide as those for efforts."""
    return ("hidden=[128, 128]", "learning_rate=0.003", *_amount(found, WIDE_STEPS, WIDE_BATCH))


def _pictured(found: Findings) -> tuple[str, ...]:
    """Return settings for pictures; docs/figures/cloning.md has their measurements."""
    return (
        "loss=l1",
        "horizon=16",
        "learning_rate=0.003",
        *_amount(found, PICTURE_STEPS, PICTURE_BATCH),
    )


def _spoken(episode: EpisodeArrays, keys: Sequence[str]) -> set[str]:
    """Return the different texts of an episode."""
    return {
        str(text)
        for key in keys
        if key in episode.observations
        for text in np.unique(episode.observations[key])
    }


def _paraphrases(found: Findings) -> tuple[str, ...]:
    """Return settings for what is told in words; of free speech, no text is a paraphrase of another."""
    understood = 0 < found.instructions <= MOST_TEXTS and encoder.is_installed()
    return ("paraphrases=true",) if understood else ()


def _told(found: Findings) -> str:
    compared = f"; what was not shown is compared in meaning by {encoder.NAME}" if _paraphrases(found) else ""
    return f"it reads words ({', '.join(found.texts)}){compared}"


def _experts(found: Findings) -> tuple[str, ...]:
    """Return settings for the ways that were found; docs/figures/cloning.md has their measurements."""
    ways = len(found.ways.counts) if found.ways is not None else 1
    experts = min(max(4, ways + SPARE_EXPERTS), MOST_EXPERTS)
    return (f"experts={experts}", *_amount(found, MOE_STEPS, MOE_BATCH))


def _several(found: Findings) -> str:
    assert found.ways is not None
    return (
        f"{found.ways.sentence}, whose mean may be none of them; play several steps of a chunk (`execute: 4` of "
        "policy_server)"
    )


RULES = (
    RecipeRule(
        "film",
        lambda found: bool(found.texts),
        _told,
        _paraphrases,
        rivals={"transformer": ("transformer", _paraphrases)},
    ),
    RecipeRule(
        "bc_cnn",
        lambda found: bool(found.pictures),
        lambda found: f"there are pictures ({', '.join(found.pictures)})",
        _pictured,
    ),
    RecipeRule("moe", lambda found: found.ways is not None, _several, _experts, {"flow": ("flow", _none)}),
    RecipeRule(
        "bc_categorical",
        lambda found: found.quantities == {CHOICE},
        lambda found: "the actions are choices: their probabilities, wider networks and larger batches",
        _probable,
        {WIDE: ("ensemble", _wide)},
    ),
    RecipeRule(
        "ensemble",
        lambda found: found.quantities <= {BOUNDED, CHOICE},
        lambda found: (
            "the actions are efforts, which jump from one tick to the next: squared error, wider networks and larger "
            "batches"
        ),
        _wide,
        {"ensemble, absolute error": ("ensemble", _none), "two_step": ("two_step", _none)},
    ),
    RecipeRule(
        "ensemble",
        lambda found: True,
        lambda found: (
            "the actions are motion, which must be precise and changes little within a tick: absolute error, small "
            "networks and small batches" + ("; many frames: a lower rate" if _motion(found) else "")
        ),
        _motion,
        rivals={WIDE: ("ensemble", _wide), "two_step": ("two_step", _none)},
    ),
)
"""In order; the last one always applies. docs/figures/cloning.md has their measurements ('One default for all')."""


def chosen(contract: Contract, episodes: Sequence[EpisodeArrays] = (), changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe for training episodes, with the user's `changes` on top; its `reason` says why.

    Without episodes, those to come decide nothing, only the contract does. Raises SettingsError on a change that does
    not fit the chosen recipe.
    """
    found = Findings.of(contract, episodes, _inputs(changes))
    rule = _rule(found)
    recipe = recipes.load(rule.recipe, (*rule.changes(found), *changes))
    amount = f" for {found.amount}" if episodes else ""
    return replace(recipe, reason=f"auto chose {rule.recipe}{amount}: {rule.why(found)}")


def entrants(
    contract: Contract, episodes: Sequence[EpisodeArrays], changes: Sequence[str] = ()
) -> dict[str, Recipe]:
    """Return the recipes that may suit these episodes, by name, that of `chosen` first.

    One that the user's `changes` do not fit, or whose family is not registered, is left out.
    """
    rule = _rule(found := Findings.of(contract, episodes, _inputs(changes)))
    out = {rule.recipe: chosen(contract, episodes, changes)}
    for name, (recipe, own) in rule.rivals.items():
        with suppress(SettingsError):
            out[name] = recipes.load(recipe, (*own(found), *changes))
    return out


def _rule(found: Findings) -> RecipeRule:
    """Return the first rule that applies and whose family is registered."""
    known = plugins.names(plugins.FAMILIES)
    return next(rule for rule in RULES if rule.applies(found) and recipes.load(rule.recipe).family in known)


def _inputs(changes: Sequence[str]) -> tuple[str, ...]:
    """Return the inputs that the user's changes select; empty without."""
    for change in reversed(changes):
        key, _, text = change.partition("=")
        if key.strip() in ("inputs", "policy.inputs"):
            try:
                keys = strict_yaml.load(text, f"--set {key}")
            except YamlError:
                return ()  # the recipe reports it
            return tuple(keys) if isinstance(keys, list) and all(isinstance(key, str) for key in keys) else ()
    return ()
