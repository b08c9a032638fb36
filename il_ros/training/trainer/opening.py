"""What a plan refers to: the episodes, their contract, the recipe, and a folder that a training may write."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

from il_ros.core import contract as contracts
from il_ros.core.contract import Contract
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.catalogue import Entry, Selection, scan
from il_ros.episodes.foreign_types import read_beside
from il_ros.policies import checkpoint
from il_ros.policies.features import Inputs
from il_ros.policies.versions import CHECKPOINT, next_version, taken
from il_ros.training import outputs, saved
from il_ros.training import recipe as recipes
from il_ros.training.auto import rules
from il_ros.training.joint import opening as joint
from il_ros.training.recipe import Recipe
from il_ros.training.trainer.plans import TrainingPlan


def opened(
    plan: TrainingPlan, progress: Callable[[Sequence[Entry]], Iterable[Entry]] = lambda entries: entries
) -> tuple[Dataset, Recipe]:
    """Return the episodes of a plan, and its recipe: the one that it names, or the one that `auto` chooses.

    Raises DatasetError when no episode remains, ValueError on an invalid recipe or contract.
    """
    if plan.joint:
        return joint.opened(plan, progress)
    own = contract_of(plan.contract, plan.data)
    automatic = plan.recipe in ("", recipes.AUTO)
    select = Selection(plan.outcomes, plan.tasks, poor=plan.poor)
    held_out = None
    if plan.resume:  # the same episodes, split and recipe, whatever was recorded since
        before = saved.data(plan.out)
        select = Selection(names=(*before["train"], *before["validation"]), poor=True)
        held_out = before["validation"]

    def read(recipe: Recipe) -> Dataset:
        policy, training = recipe.policy, recipe.training
        inputs = Inputs.for_policy(own, policy)  # unknown inputs are an error before the data are read
        return Dataset.open(
            *(plan.data, own, select),
            validation=training.validation,
            validation_most=training.validation_most,
            validation_by=training.validation_by,
            seed=training.seed,
            held_out=held_out,
            progress=progress,
            history=policy.history,
            optional=inputs.may_lack,
            rule=policy.rule,
            pictures=training.pictures,
            jobs=0,
        )

    if not automatic:
        recipe = recipes.load(plan.recipe, plan.changes)
    elif plan.resume:
        recipe = recipes.changed(saved.recipe(plan.out), plan.changes)
    else:
        recipe = rules.chosen(own, changes=plan.changes)
    dataset = read(recipe)
    if automatic and not plan.resume:
        expected, recipe = recipe, rules.chosen(own, dataset.train, plan.changes)
        if recipe.policy.history != expected.policy.history:
            dataset = read(recipe)
    return dataset, recipe


def contract_of(name: str, data: Path) -> Contract:
    """Return the contract of file or packaged name `name`, or, when "", of the recorded episodes.

    Raises ValueError when there is none, or the episodes have several.
    """
    if name:
        return read_beside(
            lambda: contracts.find(name), lambda: [entry.folder for entry in scan(data).usable]
        )
    recorded = {
        entry.info.contract_hash: entry
        for entry in scan(data).usable
        if entry.info is not None and entry.info.contract_text
    }
    if not recorded:
        raise ValueError(
            f"{data}: no episode records its contract (or there are no episodes); give one with --contract"
        )
    if len(recorded) > 1:
        named = ", ".join(f"{entry.name}: {key}" for key, entry in recorded.items())
        raise ValueError(
            f"{data}: episodes of several contracts ({named}); choose with --contract, or train one policy for all of "
            "them with --joint"
        )
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
