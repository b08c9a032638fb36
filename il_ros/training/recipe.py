"""A recipe: policy settings and training settings, from a YAML file and command-line changes."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from il_ros.core import settings, strict_yaml
from il_ros.core.plugins import PluginError
from il_ros.core.settings import SettingsError, at_least, one_of
from il_ros.core.strict_yaml import YamlError
from il_ros.core.tables import listed
from il_ros.episodes.arrays.cache import PICTURES
from il_ros.episodes.arrays.dataset import SPLITS
from il_ros.policies.uncertainty import KINDS
from il_ros.training import device
from il_ros.training.device import FLOAT32, PRECISIONS
from il_ros.training.trainer.recipe_file import AUTO as AUTO
from il_ros.training.trainer.recipe_file import OWN_STEPS, has_own_steps, read, shipped
from il_ros.training.weighting import Weighting

SCHEDULES = ("cosine", "constant")
LAST, BEST, SUCCESS = KEEPS = ("last", "best", "success")
"""'last' is the default: validation loss is a poor predictor of success (Mandlekar et al., "What Matters in
Learning from Offline Human Demonstrations for Robot Manipulation", 2021), especially on one or two episodes;
and weights that were selected on the held-out episodes cannot be tested on them for promotion.
"""

MOST_THREADS = 1024
"""Torch crashes with a million."""
ADDED: dict[str, Any] = {
    "still_every": 1,
    "input_margin": None,
    "ema": 0.0,
    "input_dropout": None,
    "pictures": None,
    "crop": 0.0,
    "colour": 0.0,
    "blur_px": 0.0,
    "mirror": [],
    "validation_by": "episode",
    "precision": FLOAT32,
    "compile": False,
    "accumulate": 1,
    "test_every": 0,
    "tests": None,
}
"""Keys of `training` that earlier recipes lack, and the value that those worked by.

None: any, because an interrupted training keeps its normaliser.
"""
RENAMED = {"doubt": "uncertainty"}
"""Keys of `training` in recipes from before 2026-11-29, and their present names."""


@dataclass(frozen=True)
class Training:
    """Training settings; config/training/*.yaml explain each."""

    epochs: int = 200
    seconds: float = 0.0
    batch_size: int = 64
    accumulate: int = 1
    learning_rate: float = 1e-3
    schedule: str = "cosine"
    warmup_steps: int = 0
    weight_decay: float = 0.0
    gradient_clip: float = 0.0
    ema: float = 0.0
    state_noise: float = 0.0
    input_dropout: float = 0.1
    input_margin: float = 1.0
    shift_px: int = 0
    crop: float = 0.0
    colour: float = 0.0
    blur_px: float = 0.0
    mirror: tuple[str, ...] = ()
    validation: float = 0.1
    validation_most: int = 3
    validation_by: str = "episode"
    validate_every: int = 1
    test_every: int = 0
    tests: int = 20
    patience: int = 0
    keep: str = LAST
    seed: int = 0
    threads: int = 1
    device: str = "auto"
    precision: str = FLOAT32
    compile: bool = False
    uncertainty: str = "raw"
    recovery: float = 1.0
    recovery_s: float = 1.0
    lapse: float = 1.0
    lapse_s: float = 1.0
    still_every: int = 1
    pictures: str = "auto"

    def __post_init__(self) -> None:
        for name in (
            "epochs",
            "batch_size",
            "accumulate",
            "validation_most",
            "validate_every",
            "tests",
            "threads",
            "still_every",
        ):
            at_least(name, getattr(self, name), 1)
        for name in (
            "seconds",
            "warmup_steps",
            "weight_decay",
            "gradient_clip",
            "state_noise",
            "input_margin",
            "shift_px",
            "blur_px",
            "patience",
            "test_every",
        ):
            at_least(name, getattr(self, name), 0)
        at_least("seed", self.seed, 0)
        if self.threads > MOST_THREADS:
            raise ValueError(f"threads is {self.threads}; at most {MOST_THREADS} are possible")
        if not 0 < self.learning_rate < 1:
            raise ValueError(f"learning_rate is {self.learning_rate}; it must be above 0 and below 1")
        if not 0 <= self.validation < 1:
            raise ValueError(f"validation is {self.validation}; it must be at least 0 and below 1")
        device.check(self.device)
        for name in ("ema", "input_dropout", "crop", "colour"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}; it must be at least 0 and below 1")
        one_of("pictures", self.pictures, PICTURES)
        one_of("validation_by", self.validation_by, SPLITS)
        one_of("precision", self.precision, PRECISIONS)
        one_of("schedule", self.schedule, SCHEDULES)
        one_of("keep", self.keep, KEEPS)
        one_of("uncertainty", self.uncertainty, KINDS)
        if self.keep == SUCCESS and not self.test_every:
            raise ValueError(
                "keep is 'success', but test_every is 0; set the number of epochs between tests in the simulator"
            )
        if self.accumulate > self.batch_size:
            raise ValueError(
                f"accumulate is {self.accumulate}; a batch of batch_size {self.batch_size} cannot be divided into more "
                f"than {self.batch_size} parts"
            )
        if self.accumulate > 1 and self.compile:
            raise ValueError("compile is for whole batches; set compile to false, or accumulate to 1")
        _ = self.weighting

    @property
    def weighting(self) -> Weighting:
        """The label weights; raises ValueError if they are invalid."""
        return Weighting(self.recovery, self.recovery_s, self.lapse, self.lapse_s)


@dataclass(frozen=True)
class Recipe:
    """A policy family, its settings (`policy`), and the training settings.

    `reason`: a sentence that says why `il_ros.training.auto.rules` chose it; "" if a person did.
    """

    family: str = "bc"
    policy: Any = None
    training: Training = field(default_factory=Training)
    reason: str = field(default="", compare=False)

    def __post_init__(self) -> None:
        if self.policy is None:
            from il_ros.policies.families.registry import family  # imports torch

            object.__setattr__(self, "policy", family(self.family).settings())

    def to_plain(self) -> dict[str, Any]:
        """Return a JSON-compatible dictionary, the inverse of `from_plain`."""
        return {
            "family": self.family,
            "policy": settings.plain(self.policy),
            "training": settings.plain(self.training),
        }

    def reading(self) -> dict[str, Any]:
        """Return the options of `Dataset.open` that a recipe decides alone."""
        return {
            "validation": self.training.validation,
            "validation_most": self.training.validation_most,
            "validation_by": self.training.validation_by,
            "seed": self.training.seed,
            "history": self.policy.history,
            "rule": self.policy.rule,
            "pictures": self.training.pictures,
        }

    @classmethod
    def from_plain(cls, values: Mapping[str, Any], source: str) -> Recipe:
        """Return the recipe for `values`; raises SettingsError naming the wrong key."""
        if OWN_STEPS in values:
            raise SettingsError(
                f"{source}: has the section '{OWN_STEPS}': it trains with own steps in an environment, by "
                "`il-ros train`"
            )
        require_keys(values, ("family", "policy", "training"), source)
        from il_ros.policies.families.registry import family  # imports torch

        name = str(values.get("family", "bc"))
        try:
            kind = family(name)
        except PluginError as error:
            raise SettingsError(f"{source}: family: {error}") from error
        policy = settings.build(kind.settings, values.get("policy"), f"{source}: policy")
        for key in ("inputs", "optional"):
            named = getattr(policy, key)
            if twice := [each for each in dict.fromkeys(named) if named.count(each) > 1]:
                raise SettingsError(f"{source}: policy: {key} has '{twice[0]}' twice; once is enough")
        return cls(
            name,
            policy,
            settings.build(Training, values.get("training"), f"{source}: training", RENAMED),
        )


def load(name: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Return the recipe in a file, or the one shipped under that name in config/training.

    `changes`: `key=value` strings that override the file, such as `epochs=50` or `policy.hidden=[64, 64]`.
    Raises SettingsError naming the file or change, the key, and the valid alternatives.
    """
    values, source = read(name, ("policy", "training"))
    recipe = Recipe.from_plain(values, source)  # report errors in the file before errors in the changes
    return changed(recipe, changes) if changes else recipe


def require_keys(values: Mapping[str, Any], known: Sequence[str], source: str) -> None:
    """Raise SettingsError on a key of a recipe that is not known."""
    for key in values:
        if key not in known:
            raise SettingsError(f"{source}: unknown key '{key}'; {settings.guess(str(key), known)}")


def changed(recipe: Recipe, changes: Sequence[str]) -> Recipe:
    """Return a recipe with `key=value` changes; a key is `training.epochs`, or `epochs` alone.

    Raises SettingsError naming the change and the nearest known key.
    """
    return Recipe.from_plain(changed_values(recipe.to_plain(), changes), "--set")


def require_known(name: str, changes: Sequence[str]) -> None:
    """Raise SettingsError on a change whose key no shipped recipe of its kind has; it needs no torch.

    `name`: of the recipe; "" is AUTO. One recipe alone leaves out what is for another loss. Of a person's file, whose
    family may be one of another package, nothing is said here.
    """
    keys = {change: change.partition("=")[0].strip() for change in changes}
    has_own_keys = Path(name).suffix or {"family", "reward.family"} & {*keys.values()}
    if has_own_keys or not changes:
        return
    own_steps = name not in ("", AUTO) and has_own_steps(name)
    sections: dict[str, Any] = {}
    for each in shipped():
        values = read(each, ("policy",))[0]
        for part, given in values.items():
            if isinstance(given, Mapping) and (part == "policy" or (OWN_STEPS in values) == own_steps):
                sections.setdefault(part, {}).update(given)
    full = {f"{part}.{key}" for part, given in sections.items() for key in given}
    known = full | {key.partition(".")[2] for key in full}
    changed_values(sections, [change for change in changes if keys[change] not in known or "=" not in change])


def require_valid(name: str, changes: Sequence[str]) -> None:
    """Raise SettingsError on a value that a change gives a key of `training` and that is invalid; it needs no torch.

    `name`: of the recipe; "" is AUTO, for which a value is invalid that no recipe may have. Recipes with own steps,
    and the keys of `policy`, whose settings are those of a family, are left to `load`.
    """
    own = {each.name for each in fields(Training)}
    mine = [change for change in changes if change.partition("=")[0].strip().removeprefix("training.") in own]
    faults = []
    for each in (name,) if name not in ("", AUTO) else shipped():
        values, source = read(each, ("policy", "training"))
        if OWN_STEPS in values:
            continue
        training = settings.build(Training, values.get("training"), f"{source}: training", RENAMED)
        sections = changed_values({"training": settings.plain(training)}, mine)
        try:
            settings.build(Training, sections["training"], "--set: training", RENAMED)
        except SettingsError as error:
            faults.append(error)
        else:
            return
    if faults:
        raise faults[0]


def policy_differences(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Return a sentence for each policy setting in which a policy (`before`) differs from a recipe (`now`), by key."""
    return [
        f"policy.{key} is {before.get(key)}, the recipe's {value}"
        for key, value in now.items()
        if value != before.get(key)
    ]


def changed_values(values: dict[str, Any], changes: Sequence[str]) -> dict[str, Any]:
    """Return the values of a recipe's sections with `key=value` changes; raises SettingsError as `changed`."""
    for change in changes:
        key, equals, text = change.partition("=")
        if (former := key.strip().removeprefix("training.")) in RENAMED:
            raise SettingsError(f"--set {change}: this key is now called '{RENAMED[former]}'")
        if not equals or not key.strip():
            raise SettingsError(f"--set {change}: must be key=value, such as epochs=50")
        part, name = _place(values, key.strip())
        try:
            values[part][name] = strict_yaml.load(text, f"--set {key}")
        except YamlError as error:
            raise SettingsError(f"--set {change}: '{text}' is not a YAML value: {error}") from error
    return values


def _place(values: Mapping[str, Any], key: str) -> tuple[str, str]:
    sections = [part for part, keys in values.items() if isinstance(keys, Mapping)]
    full = {f"{part}.{name}" for part in sections for name in values[part]}
    matching = sorted(known for known in full if key in (known, known.partition(".")[2]))
    if len(matching) == 1:
        part, _, name = matching[0].partition(".")
        return part, name
    if matching:
        raise SettingsError(f"--set {key}: is in several sections; write {' or '.join(matching)}")
    if key in sections:
        own = listed(sorted(known for known in full if known.startswith(f"{key}.")))
        raise SettingsError(f"--set {key}: is a section; its keys are {own or 'none'}")
    short = {known.partition(".")[2] for known in full}
    close = difflib.get_close_matches(key, sorted(full | short), n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(sorted(full))}"
    raise SettingsError(f"--set {key}: unknown key; {hint}")
