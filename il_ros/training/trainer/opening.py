"""What a plan refers to: the episodes, their contract, the recipe, and a folder that a training may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TypeVar

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import Entry, Selection, scan, usable_in
from il_ros.episodes.foreign_types import find_beside
from il_ros.policies import checkpoint
from il_ros.policies.features import Inputs
from il_ros.policies.versions import CHECKPOINT, next_version, taken
from il_ros.training import outputs, saved
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.joint.opening import JointEpisodes
from il_ros.training.recipe import Recipe
from il_ros.training.trainer.plans import TrainingPlan

Data = TypeVar("Data")


def opened(
    plan: TrainingPlan, progress: Callable[[Sequence[Entry]], Iterable[Entry]] = lambda entries: entries
) -> tuple[Dataset, Recipe]:
    """Return the episodes of a plan, and its recipe: the one that it names, or the one that `auto` chooses.

    Raises DatasetError when no episode remains, ValueError on an invalid recipe or contract.
    """
    if plan.joint:
        several = JointEpisodes(plan, progress)
        return several.whole(*_read(plan, several.read, several.choose))
    own = contract_of(plan.contract, plan.data, joint=True)
    select = Selection(plan.outcomes, plan.tasks, poor=plan.poor)
    held_out = None
    if plan.resume:  # the same episodes, split and recipe, whatever was recorded since
        before = saved.data(plan.out)
        select = Selection(names=(*before["train"], *before["validation"]), poor=True)
        held_out = before["validation"]

    def read(recipe: Recipe) -> Dataset:
        inputs = Inputs.for_policy(own, recipe.policy)  # unknown inputs are an error before the data are read
        return Dataset.open(
            *(plan.data, own, select),
            held_out=held_out,
            progress=progress,
            optional=inputs.may_lack,
            jobs=0,
            **recipe.reading(),
        )

    def choose(found: Dataset | None) -> Recipe:
        return rules.chosen(own, () if found is None else found.train, plan.changes)

    return _read(plan, read, choose)


def _read(
    plan: TrainingPlan, read: Callable[[Recipe], Data], choose: Callable[[Data | None], Recipe]
) -> tuple[Data, Recipe]:
    """Return the data and the recipe of a plan.

    `choose`: the recipe of `auto` for data; None: the one to read them by first. A choice of another history reads
    them again.
    """
    automatic = plan.recipe in ("", recipes.AUTO)
    if not automatic:
        recipe = recipes.load(plan.recipe, plan.changes)
    elif plan.resume:
        recipe = recipes.changed(saved.recipe(plan.out), plan.changes)
    else:
        recipe = choose(None)
    found = read(recipe)
    if automatic and not plan.resume:
        expected, recipe = recipe, choose(found)
        if recipe.policy.history != expected.policy.history:
            found = read(recipe)
    return found, recipe


def contract_of(name: str, data: Path, *, joint: bool = False) -> Contract:
    """Return the contract of file or packaged name `name`, or, when "", of the recorded episodes.

    Raises ValueError when there is none, or the episodes have several. `joint`: the command has --joint for those.
    """
    if name:
        return find_beside(name, lambda: [entry.folder for entry in scan(data).usable])
    usable = usable_in(data)
    recorded = {
        entry.info.contract_hash: entry
        for entry in usable
        if entry.info is not None and entry.info.contract_text
    }
    if not recorded:
        raise ValueError(f"{data}: no episode records its contract; give one with --contract")
    if len(recorded) > 1:
        named = ", ".join(f"{entry.name}: {key}" for key, entry in recorded.items())
        together = ", or train one policy for all of them with --joint" if joint else ""
        raise ValueError(f"{data}: episodes of several contracts ({named}); choose with --contract{together}")
    (entry,) = recorded.values()
    assert entry.info is not None
    return contracts.parse(entry.info.contract_text, f"{entry.folder} (its contract)")


def require_free(plan: TrainingPlan) -> None:
    """Raise ValueError when training would replace what no training wrote, or a policy without --overwrite."""
    for folder in (plan.out, plan.out / CHECKPOINT):
        if versions := taken(folder):
            raise ValueError(
                f"{folder} holds versions ({', '.join(versions[-3:])}), and a training writes one. "
                f"Type:  il-ros train {plan.data} --out {folder / next_version(folder)}"
            )
    outputs.require_writable(plan.out)
    if plan.resume or plan.overwrite or not (plan.out / CHECKPOINT).exists():
        return
    try:
        what = f"policy {checkpoint.load(plan.out / CHECKPOINT).version}"
    except ValueError:  # damaged: do not replace it without --overwrite
        what = "a checkpoint"
    raise ValueError(
        f"{plan.out} already holds {what}: --resume continues its training, --overwrite replaces it, "
        "another --out keeps both"
    )
