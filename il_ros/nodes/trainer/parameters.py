"""The trainer's parameters, and the training and evaluation plans made from them."""

from __future__ import annotations

from pathlib import Path

from rclpy.node import Node

from il_ros.core.settings import SettingsError
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.sim import HELD_OUT_SEED
from il_ros.training.trainer.plans import EvaluationPlan, TrainingPlan
from il_ros.training.trainer.recipe_file import has_own_steps


def declare_all(node: Node) -> None:
    """Declare every parameter of the trainer."""
    declare(node, "root", "episodes", "folder of the recorded episodes")
    declare(node, "checkpoint", "checkpoint", "folder that receives the policies v1, v2, ...")
    declare(node, "contract", "", "contract, a file or a shipped name; empty: the recorded one")
    declare(
        node, "recipe", "", "recipe, a file or a shipped name; empty: auto, by the episodes; one with own steps, such "
        "as residual: reinforcement learning from the recorded ones"
    )  # fmt: skip
    declare(node, "changes", [], "changes of the recipe, key=value each")
    declare(node, "poor", False, "also train on episodes that the recorder graded poor", read_only=True)
    declare(node, "background", True, "use only idle processor time")
    declare(node, "watch", False, "train automatically on new episodes", read_only=True)
    declare(
        node, "train_after", 200, "watch: number of new labelled ticks that starts a training, as an "
        "intervention does; 0: only ~/train starts one, from the newest good version's weights",
        minimum=0, read_only=True,
    )  # fmt: skip
    declare(
        node, "warm_epochs", 100, "watch: epochs of a training that starts from an earlier version's "
        "weights; 0: the recipe's", minimum=0,
    )  # fmt: skip
    declare(
        node, "warm_s", 30.0, "watch: time limit of these epochs, kept by replaying only part of the "
        "old frames; 0: none", unit="s", minimum=0.0,
    )  # fmt: skip
    declare(node, "task", "", "simulated task to evaluate on; empty: the one trained on")
    declare(node, "episodes", 20, "episodes of an evaluation", minimum=1, maximum=100_000)
    declare(node, "seed", HELD_OUT_SEED, "first seed of an evaluation", minimum=0)


def training_plan(node: Node, start: Path | None, version: str, out: Path) -> TrainingPlan:
    """Return the plan of the training of `version` in `out`, from the weights of `start` or from scratch (None).

    Raises PlanError when a parameter is no valid field of it.
    """
    return TrainingPlan(
        data=Path(value(node, "root")),
        out=out,
        version=version,
        contract=value(node, "contract"),
        recipe=value(node, "recipe"),
        recorded=learns_recorded(value(node, "recipe")),
        changes=tuple(value(node, "changes")),
        poor=value(node, "poor"),
        start=start,
        warm_epochs=value(node, "warm_epochs"),
        warm_s=value(node, "warm_s"),
        background=value(node, "background"),
    )


def learns_recorded(recipe: str) -> bool:
    """Return whether a recipe learns from all that was driven, not from labels alone: one with own steps.

    A recipe that cannot be read is an error of its training.
    """
    try:
        return bool(recipe) and has_own_steps(recipe)
    except SettingsError:
        return False


def evaluation_plan(node: Node, checkpoint: Path) -> EvaluationPlan:
    """Return the plan to evaluate a trained policy; raises PlanError as `training_plan` does."""
    return EvaluationPlan(
        checkpoint=checkpoint,
        task=value(node, "task"),
        episodes=value(node, "episodes"),
        seed=value(node, "seed"),
        background=value(node, "background"),
    )
