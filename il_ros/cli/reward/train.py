"""`il-ros reward train`: success and progress models from verdicts, and rewards of maximum-entropy IRL."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from il_ros.cli import options
from il_ros.core import atomic
from il_ros.core.progress import progress, with_progress
from il_ros.core.tables import counted, grouped, percent, say, table, worded
from il_ros.episodes.catalogue import require_episodes, usable_in
from il_ros.policies.versions import CONFIG

if TYPE_CHECKING:
    from il_ros.core.contract import Contract
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.irl.settings import TabularTraining
    from il_ros.rewards.checkpoint import LoadedReward
    from il_ros.rewards.settings import FrameSettings
    from il_ros.training.loop import EpochMetrics
    from il_ros.training.recipe import Training
    from il_ros.training.rewards.rating import Rated

SUCCESS, PROGRESS, CELLS, CLEARANCE = "success", "progress", "cells", "clearance"
FAMILIES = (SUCCESS, PROGRESS, CELLS, CLEARANCE)
"""The families that are learnt from episodes alone: from verdicts, or from what was done (`il_ros.irl`)."""


def add_verb(verbs: Any) -> None:
    """Add the verb `train`."""
    verb = verbs.add_parser(
        "train",
        help="learn a reward model from recorded episodes",
        description="Learn to see the success of a task from the verdicts of recorded episodes (success), how much of "
        "it is done (progress), what it is worth to be in each cell of a map (cells), or what clearance is worth to a "
        "robot of the simulated task drive (clearance); the last two by maximum-entropy IRL. See docs/rewards.md.",
    )
    options.add_data(verb)
    verb.add_argument("-o", "--out", type=Path, default=Path("reward"), help="folder (default: ./reward)")
    verb.add_argument("--family", default=SUCCESS, help=f"of the model: {', '.join(FAMILIES)}")
    options.add_contract(verb)
    verb.add_argument(
        "--task", action="append", default=[], help="only episodes of this task; may be repeated"
    )
    verb.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as inputs=[overhead], hold_s=0.2, epochs=30, seed=1; may be repeated",
    )
    verb.add_argument("--overwrite", action="store_true", help="replace the reward model in --out")
    verb.set_defaults(act=_train)


@dataclass(frozen=True)
class _Learnt:
    """What a training found: the rows of its report."""

    reward: LoadedReward
    rows: Sequence[tuple[str, str]]


def _train(args: argparse.Namespace) -> int:
    if args.family not in FAMILIES:
        raise ValueError(
            f"--family {args.family} is not learnt from episodes alone; these are: {', '.join(FAMILIES)}. GAIL and "
            f"AIRL are learnt beside a policy:  il-ros train {args.data} --recipe gail"
        )
    if (args.out / CONFIG).exists() and not args.overwrite:
        raise ValueError(
            f"{args.out} already holds a model: --overwrite replaces it, another --out keeps both"
        )
    settings, training = _settings(args)
    require_episodes(args.data)
    atomic.require_folder(args.out)
    from il_ros.training.loop import TrainingError  # imports torch
    from il_ros.training.trainer.opening import contract_of

    learn = _by_verdicts if args.family in (SUCCESS, PROGRESS) else _by_irl
    try:
        learnt = learn(args, contract_of(args.contract, args.data), settings, training)
    except TrainingError as error:
        say(f"il-ros reward train: {worded(error)}", file=sys.stderr)
        return 1
    rows = [("reward", learnt.reward.version), *learnt.rows, ("folder", str(args.out))]
    say(table(("result", ""), rows))
    say(f"next: il-ros reward rank {args.data} --reward {args.out}")
    return 0


def _by_verdicts(
    args: argparse.Namespace, contract: Contract, settings: FrameSettings, training: Training
) -> _Learnt:
    from il_ros.policies.versions import named_by
    from il_ros.records.labelling import SENT
    from il_ros.rewards.registry import inputs_of
    from il_ros.rewards.settings import SuccessSettings
    from il_ros.training.rewards.run import train

    with _named_set():  # before the episodes are read
        inputs_of(contract, settings)
    dataset = _opened(
        args,
        contract,
        by_model=False,  # a model would learn its own errors
        validation=training.validation,
        validation_most=10,
        seed=training.seed,
        rule=SENT,
        history=settings.history(contract),
    )
    epochs = settings.members * training.epochs
    with closing(progress("training", "epoch", epochs)) as bar:

        def on_epoch(metrics: EpochMetrics) -> None:
            bar.set_postfix_str(f"loss {metrics.train_loss:.4f}", refresh=False)
            bar.update()

        done = train(dataset, settings, training, args.out, version=named_by(args.out), on_epoch=on_epoch)
    rows = [("loss", f"{done.curves[-1].train_loss:.4f}")]
    marked = [rated for rated in done.held_out if rated.episode.outcome != "unmarked"]
    if isinstance(done.reward.settings, SuccessSettings):
        rows.append(("threshold", f"{done.reward.settings.decides_at:.2f}"))
    if marked and judges(done.reward):
        rows.append(("held out", judged(marked)))
    return _Learnt(done.reward, rows)


def _by_irl(
    args: argparse.Namespace,
    contract: Contract,
    settings: Any,
    training: TabularTraining,
) -> _Learnt:
    from il_ros.episodes.layout import load_info
    from il_ros.irl.from_episodes import (
        learn_cells,
        learn_clearance,
        require_cells,
        require_clearance,
    )
    from il_ros.policies.versions import named_by
    from il_ros.records.labelling import BY_MODE
    from il_ros.rewards import checkpoint
    from il_ros.rewards.registry import inputs_of
    from il_ros.sim.tasks.drive import DriveTask

    if args.out.exists():
        atomic.require_only(args.out, checkpoint.FILES)
    # before the episodes are read
    if args.family == CLEARANCE and not any(entry.task == DriveTask.name for entry in usable_in(args.data)):
        raise ValueError(
            f"{args.data}: no episode of the simulated task '{DriveTask.name}', whose clearances the family "
            f"{CLEARANCE} is about; `il-ros env record {DriveTask.name}` records some"
        )
    with _named_set():
        if args.family == CELLS:
            require_cells(contract, settings)
        else:
            require_clearance(contract, settings, training)
    dataset = _opened(args, contract, validation=0.0, rule=BY_MODE)
    with closing(progress("iterations", "iteration", training.iterations)) as bar:

        def on_iteration(iteration: int, objective: float) -> None:
            bar.set_postfix_str(f"objective {objective:.4f}", refresh=False)
            bar.update(iteration - bar.n)

        words: dict[str, Any] = {"version": named_by(args.out), "progress": on_iteration}
        if args.family == CELLS:
            done = learn_cells(dataset.train, contract, settings, training, **words)
        else:
            seeds = {each.name: load_info(args.data / each.name).seed for each in dataset.train}
            done = learn_clearance(dataset.train, contract, settings, training, seeds, **words)
    for line in grouped(tuple(done.left_out.items())):
        say(f"  left out {line}")
    checkpoint.save(args.out, done.reward)
    found, reward = done.fit, checkpoint.load(args.out)
    if not found.converged:
        say(
            f"warning: ended before the optimum ({found.message}); --set iterations={2 * training.iterations}"
        )
    rows = [
        ("demonstrations", str(len(reward.metrics["data"]["train"]))),
        ("iterations", str(found.iterations)),
        ("objective", f"{found.objective:.4f} nats an episode"),
        ("feature error", f"{found.feature_error:.2g}"),
    ]
    if args.family == CLEARANCE:
        limits_m = (f"short of {limit:g} m" for limit in settings.limits_m)
        named = zip(("a metre", *limits_m), found.parameters, strict=True)
        rows.append(("worth of", ", ".join(f"{name}: {value:.3g}" for name, value in named)))
    else:
        placed: Any = reward.settings
        rows.append(("map", f"{placed.rows} x {counted(placed.columns, 'cell')} of {placed.cell:g}"))
        features = inputs_of(contract, placed).features_of
        rows.append(("axes", ", ".join(features[axis] for axis in placed.axes)))
    return _Learnt(reward, rows)


def _opened(
    args: argparse.Namespace, contract: Contract, *, by_model: bool = True, **options: Any
) -> Dataset:
    from il_ros.episodes.arrays.dataset import Dataset
    from il_ros.episodes.catalogue import Selection

    dataset = Dataset.open(
        args.data,
        contract,
        Selection(tasks=tuple(args.task), by_model=by_model),
        progress=lambda entries: with_progress(entries, "reading", "episode"),
        **options,
    )
    say(dataset.summary.lines()[0])
    tell_left_out(dataset)
    return dataset


def _settings(args: argparse.Namespace) -> tuple[Any, Any]:
    """Return the settings of model and training that the options give; raises SettingsError. It needs no torch."""
    from il_ros.core import settings
    from il_ros.irl.settings import TabularTraining
    from il_ros.rewards.settings import CellSettings, ClearanceSettings
    from il_ros.training.recipe import changed_values
    from il_ros.training.rewards.settings import FAMILIES as BY_VERDICTS
    from il_ros.training.rewards.settings import TRAINING

    kinds: dict[str, type[Any]] = {**BY_VERDICTS, CELLS: CellSettings, CLEARANCE: ClearanceSettings}
    model = kinds[args.family]()
    training: Any = TRAINING if args.family in BY_VERDICTS else TabularTraining()
    sections = {"reward": settings.plain(model), "training": settings.plain(training)}
    values = changed_values(sections, args.set)
    return (
        settings.build(type(model), values["reward"], "--set"),
        settings.build(type(training), values["training"], "--set"),
    )


@contextmanager
def _named_set() -> Iterator[None]:
    """Within, an error about a setting begins with the option that sets it."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"--set: {error}") from error


def tell_left_out(dataset: Dataset) -> None:
    """Print which episodes are left out, and why."""
    for line in grouped(dataset.summary.left_out):
        say(f"  left out {line}")


def judges(reward: LoadedReward) -> bool:
    """Return whether a model gives verdicts."""
    return reward.family == SUCCESS


def judged(marked: list[Rated]) -> str:
    """Return how many of the verdicts on episodes a success model meets."""
    from il_ros.records.outcomes import SUCCESS

    right = sum((rated.fired_s is not None) == (rated.episode.outcome == SUCCESS) for rated in marked)
    return f"{right} of {len(marked)} verdicts ({percent(right / len(marked))})"
