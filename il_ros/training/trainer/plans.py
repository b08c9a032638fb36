"""The plan of a training or of an evaluation: one JSON document, which the process that does it reads.

The trainer sends a plan to its process (`encode`, `decode`); the command line makes the same plan from its options.
"""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from il_ros.policies.versions import fault_of
from il_ros.records import strict_json as check
from il_ros.records.outcomes import OUTCOMES
from il_ros.records.strict_json import JsonError
from il_ros.sim import HELD_OUT_SEED
from il_ros.training.metrics.writers import PROGRAMS


class PlanError(ValueError):
    """A text that is not a plan, or a plan with an invalid field; the error names field, value and remedy.

    `field`: the name of the field, with which the message begins; "" where it is about the whole text.
    """

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


@dataclass(frozen=True)
class TrainingPlan:
    """What to train on, how, and where to write the result; the options of `il-ros train`.

    `data`: the folder of the episodes. `out`: the folder of the result. `version`: of the policy, "": named after
    `out`. `contract`, `recipe`: a file or a packaged name, "": the recorded contract, the recipe that `auto` chooses.
    `race`: seconds of training for a race of the recipes that `auto` may choose (`il_ros.training.auto.race`), 0: none.
    `changes`: of the recipe, KEY=VALUE each. `outcomes`, `tasks`: of the episodes to use; without tasks, of all.
    `poor`: also use episodes that the recorder graded poor.
    `joint`: one policy for the contracts of all episodes, also those in the folders `further`; `weights`: of a
    contract's frames, NAME=NUMBER each (`il_ros.training.joint`).
    `recorded`: the recipe has own steps, and they are those that were recorded (`il_ros.rl.recorded`).
    `resume`: continue the run in `out`. `overwrite`: replace the policy in `out`.
    `start`: the checkpoint whose weights and normaliser are the initial ones, with `warm_epochs` epochs and at most
    `warm_s` seconds; 0: the recipe's. `background`: run at idle priority. `log`: programs for which
    the metrics are written, too (`il_ros.training.metrics.writers`).
    Raises PlanError on an invalid field.
    """

    data: Path
    out: Path
    version: str = ""
    contract: str = ""
    recipe: str = ""
    race: float = 0.0
    changes: tuple[str, ...] = ()
    outcomes: tuple[str, ...] = OUTCOMES
    tasks: tuple[str, ...] = ()
    poor: bool = False
    joint: bool = False
    further: tuple[Path, ...] = ()
    weights: tuple[str, ...] = ()
    recorded: bool = False
    resume: bool = False
    overwrite: bool = False
    start: Path | None = None
    warm_epochs: int = 0
    warm_s: float = 0.0
    background: bool = False
    log: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_valid(self)
        if fault := fault_of(self.version):
            raise PlanError(fault, "version")
        for name, given in (("further", self.further), ("weights", self.weights)):
            if given and not self.joint:
                raise PlanError(
                    f"{name} is {', '.join(map(str, given))}; it has a meaning for joint training only", name
                )

    def by_hand(self, out: Path, *, resume: bool = False) -> str:
        """Return the command with which a person trains the same into `out`, or continues it.

        What starts from weights of an earlier version is trained from scratch; with `recorded` it goes on from them.
        """
        words = ["il-ros", "train", str(self.data), *map(str, self.further), "--out", str(out)]
        words += ["--joint"] if self.joint else []
        words += [word for weight in self.weights for word in ("--weight", weight)]
        for name, value in (("--contract", self.contract), ("--recipe", self.recipe)):
            words += [name, value] if value else []
        words += ["--race", f"{self.race:g}"] if self.race and not resume else []
        words += [word for change in self.changes for word in ("--set", change)]
        if self.outcomes != OUTCOMES:
            words += [word for outcome in self.outcomes for word in ("--outcome", outcome)]
        words += ["--poor"] if self.poor else []
        words += ["--recorded"] if self.recorded else []
        words += [word for task in self.tasks for word in ("--task", task)]
        words += [word for name in self.log for word in ("--log", name)]
        words += ["--resume"] if resume else []
        if (resume or self.recorded) and self.start is not None:
            words += ["--from", str(self.start)]
        return shlex.join(words)


@dataclass(frozen=True)
class EvaluationPlan:
    """Which policy to evaluate, and in which episodes; the options of `il-ros evaluate`.

    `checkpoint`: the folder of the checkpoint or of its training. `episodes`: their number. `task`: the simulated
    task, "": the one trained on. `seed`: of the first episode. `hold_s`: seconds for which success must hold.
    `threads`: of the policy's computation. `background`: run at idle priority. `success_return`: the return with
    which an episode of a Gymnasium environment succeeds, None: the environment's own. `execute`: ticks for which each
    chunk is played.
    Raises PlanError on an invalid field.
    """

    checkpoint: Path
    episodes: int
    task: str = ""
    simulator: str = "mujoco"
    seed: int = HELD_OUT_SEED
    hold_s: float = 0.0
    threads: int = 1
    background: bool = False
    success_return: float | None = None
    execute: int = 1

    def __post_init__(self) -> None:
        _require_valid(self)


Plan = TrainingPlan | EvaluationPlan


def encode(plan: Plan) -> str:
    """Return the plan as a JSON document of one line."""
    return json.dumps({"job": _JOB_OF[type(plan)], **_plain(plan)})


def decode(text: str) -> Plan:
    """Return the plan in a document; raises PlanError on any other text."""
    try:
        document = check.loads(text)
        job = check.record("a plan", {"job": check.one_of(*_KINDS)}, others=True)(document, "")["job"]
        kind, checks = _KINDS[job]
        values = check.record(f"a plan to {job}", {"job": check.text, **checks})(document, "")
    except JsonError as error:
        raise PlanError(str(error)) from error
    del values["job"]
    made: Plan = kind(**values)
    return made


def _require_valid(plan: Plan) -> None:
    _, checks = _KINDS[_JOB_OF[type(plan)]]
    for name, value in _plain(plan).items():
        try:
            checks[name](value, name)
        except JsonError as error:
            raise PlanError(str(error), name) from error


def _plain(plan: Plan) -> dict[str, Any]:
    return {field.name: _plain_value(getattr(plan, field.name)) for field in fields(plan)}


def _plain_value(value: Any) -> Any:
    if isinstance(value, Path):
        return str(value)
    return [_plain_value(each) for each in value] if isinstance(value, tuple) else value


def _path(value: Any, name: str) -> Path:
    """Check the name of a file, which need not be UTF-8."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise JsonError(f"{name} is {check.shown(value)}; it must be the name of a file or folder")
    return Path(value)


_TRAINING: dict[str, check.Check] = {
    "data": _path,
    "out": _path,
    "version": check.text,
    "contract": check.text,
    "recipe": check.text,
    "race": check.number(0.0),
    "changes": check.several(check.text),
    "outcomes": check.several(check.one_of(*OUTCOMES), least=1),
    "tasks": check.several(check.text),
    "poor": check.flag,
    "joint": check.flag,
    "further": check.several(_path),
    "weights": check.several(check.text),
    "recorded": check.flag,
    "resume": check.flag,
    "overwrite": check.flag,
    "start": check.or_null(_path),
    "warm_epochs": check.whole(),
    "warm_s": check.number(0.0),
    "background": check.flag,
    "log": check.several(check.one_of(*PROGRAMS)),
}
_EVALUATION: dict[str, check.Check] = {
    "checkpoint": _path,
    "episodes": check.whole(1),
    "task": check.text,
    "simulator": check.text,
    "seed": check.whole(),
    "hold_s": check.number(0.0),
    "threads": check.whole(1, 1024),
    "background": check.flag,
    "success_return": check.or_null(check.number()),
    "execute": check.whole(1),
}
_KINDS: dict[str, tuple[type[Any], dict[str, check.Check]]] = {
    "train": (TrainingPlan, _TRAINING),
    "evaluate": (EvaluationPlan, _EVALUATION),
}
_JOB_OF: dict[type[Any], str] = {kind: job for job, (kind, _) in _KINDS.items()}
