"""`recipe: auto`: look at the episodes, and choose the family of policies and its settings, with the reason.

`RULES` is the whole choice: the first rule that applies gives a shipped recipe and changes of it. A rule whose family
is not registered is passed over, so a rule may name one that another package brings.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from il_ros.core import plugins, strict_yaml
from il_ros.core.contract import Contract
from il_ros.core.specs import BOUNDED, CHOICE
from il_ros.core.strict_yaml import YamlError
from il_ros.core.tables import counted
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.training import recipe as recipes
from il_ros.training.recipe import Recipe

WIDE_BATCH, WIDE_STEPS = 128, 4000
LEAST_EPOCHS, MOST_EPOCHS = 30, 1000


@dataclass(frozen=True)
class Findings:
    """What was found in the episodes and their contract.

    `pictures` and `texts`: keys of such inputs. `quantities`: those of the actions. `episodes`: their number;
    `frames`: labelled frames of all; `seconds`: the median duration of one.
    """

    pictures: tuple[str, ...]
    texts: tuple[str, ...]
    quantities: frozenset[str]
    episodes: int
    frames: int
    seconds: float

    @classmethod
    def of(
        cls, contract: Contract, episodes: Sequence[EpisodeArrays] = (), inputs: Sequence[str] = ()
    ) -> Findings:
        """Return the findings of training episodes; `inputs`: the keys that the policy uses, empty: all."""
        durations = [len(episode) * contract.period_ns / 1e9 for episode in episodes]
        used = [spec for spec in contract.observations if not inputs or spec.key in inputs]
        return cls(
            tuple(spec.key for spec in used if spec.kind == "image"),
            tuple(spec.key for spec in used if spec.kind == "text"),
            frozenset(action.quantity for action in contract.actions),
            len(episodes),
            sum(len(episode) for episode in episodes),
            float(np.median(durations)) if durations else 0.0,
        )

    @property
    def amount(self) -> str:
        """The amount of data in words: '10 episodes of 12 s, 2400 frames'."""
        return f"{counted(self.episodes, 'episode')} of {self.seconds:.3g} s, {counted(self.frames, 'frame')}"


@dataclass(frozen=True)
class RecipeRule:
    """Where it `applies`, `recipe` with `changes` is used. `why` ends the sentence 'chose RECIPE: ...'."""

    recipe: str
    applies: Callable[[Findings], bool]
    why: Callable[[Findings], str]
    changes: Callable[[Findings], tuple[str, ...]] = lambda found: ()


def _wide(found: Findings) -> tuple[str, ...]:
    """Return settings for actions that jump: the squared error averages over what one batch shows of them."""
    steps = math.ceil(found.frames / WIDE_BATCH)
    epochs = min(max(math.ceil(WIDE_STEPS / max(1, steps)), LEAST_EPOCHS), MOST_EPOCHS)
    return (
        "loss=mse",
        "hidden=[128, 128]",
        f"batch_size={WIDE_BATCH}",
        "learning_rate=0.003",
        f"epochs={epochs}",
        "still_every=1",
    )


RULES = (
    RecipeRule(
        "transformer",
        lambda found: bool(found.texts),
        lambda found: f"it reads words ({', '.join(found.texts)})",
    ),
    RecipeRule(
        "bc_cnn",
        lambda found: bool(found.pictures),
        lambda found: f"there are pictures ({', '.join(found.pictures)})",
    ),
    RecipeRule(
        "ensemble",
        lambda found: found.quantities <= {BOUNDED, CHOICE},
        lambda found: (
            "the actions are efforts or choices, which jump from one tick to the next: squared error, wider networks "
            "and larger batches"
        ),
        _wide,
    ),
    RecipeRule(
        "ensemble",
        lambda found: True,
        lambda found: (
            "the actions are motion, which must be precise and changes little within a tick: absolute error, small "
            "networks and small batches"
        ),
    ),
)
"""In order; the last one always applies. BENCHMARKS.md, 'One default for all', has what they were measured on."""


def chosen(contract: Contract, episodes: Sequence[EpisodeArrays] = (), changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe for training episodes, with the user's `changes` on top; its `reason` says why.

    Without episodes, those to come decide nothing, only the contract does. Raises SettingsError on a change that does
    not fit the chosen recipe.
    """
    found = Findings.of(contract, episodes, _inputs(changes))
    known = plugins.names(plugins.FAMILIES)
    for rule in RULES:
        if rule.applies(found) and recipes.load(rule.recipe).family in known:
            recipe = recipes.load(rule.recipe, (*rule.changes(found), *changes))
            amount = f" for {found.amount}" if episodes else ""
            return replace(recipe, reason=f"auto chose {rule.recipe}{amount}: {rule.why(found)}")
    raise AssertionError("the last rule always applies")


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
