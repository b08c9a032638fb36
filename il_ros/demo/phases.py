"""The demo's phases: expert demonstrations, training, policy episodes; each in its own processes."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from il_ros.core import share
from il_ros.core.processes.group import ProcessGroup
from il_ros.core.progress import progress
from il_ros.records import trials
from il_ros.records.trials import Trials
from il_ros.scenarios import SCENARIOS, domain
from il_ros.scenarios.graph import command
from il_ros.sim import HELD_OUT_SEED
from il_ros.sim.tasks.task import task_class, task_names

TIME_LIMIT_S = 20.0
LONGEST_PHASE_S = 1800.0


@dataclass(frozen=True)
class DemoPlan:
    """The demo's settings and folders; an invalid one is a ValueError that names the command's option."""

    task: str
    folder: Path
    demonstrations: int = 30
    episodes: int = 20
    seed: int = 0
    changes: tuple[str, ...] = ()
    """Changes of the training recipe, key=value each."""

    def __post_init__(self) -> None:
        if self.task not in task_names():
            raise ValueError(f"--task is {self.task!r}; one of: {', '.join(task_names())}")
        for name, least in (("demonstrations", 2), ("episodes", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"--{name} is {getattr(self, name)}; at least {least} is needed")
        if not 0 <= self.seed <= self.seed + self.demonstrations <= HELD_OUT_SEED:
            raise ValueError(
                f"--seed is {self.seed}: the seeds of the demonstrations must lie in 0..{HELD_OUT_SEED}"
            )

    @property
    def contract(self) -> str:
        """The task's contract: a name in config/contracts, or a file."""
        return task_class(self.task).contract

    @property
    def shown(self) -> Path:
        """Folder of the expert's episodes."""
        return self.folder / "shown"

    @property
    def performed(self) -> Path:
        """Folder of the policy's episodes."""
        return self.folder / "performed"

    @property
    def trained(self) -> Path:
        """Folder of the training run: curves, and the checkpoint."""
        return self.folder / "trained"

    @property
    def checkpoint(self) -> Path:
        """Folder of the trained policy."""
        return self.trained / "checkpoint"


def isolate() -> None:
    """Restrict the demo's topics to this computer and a private domain, because it commands an arm."""
    domain.isolate()
    os.environ.setdefault("MUJOCO_GL", "egl")
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def show(plan: DemoPlan) -> Trials:
    """Record demonstrations of the scripted expert."""
    given = {"expert": "scripted", "root": str(plan.shown), "operator": "scripted expert"}
    return _conduct(plan, "record", "show", plan.demonstrations, plan.seed, given)


def perform(plan: DemoPlan) -> Trials:
    """Record the policy in held-out episodes."""
    given = {"checkpoint": str(plan.checkpoint), "root": str(plan.performed), "operator": "policy"}
    return _conduct(plan, "deploy", "run", plan.episodes, HELD_OUT_SEED, given)


def train(plan: DemoPlan) -> None:
    """Train the policy on the demonstrations."""
    words = [sys.executable, "-m", "il_ros", "train", str(plan.shown), "--out", str(plan.trained)]
    changes = [word for change in plan.changes for word in ("--set", change)]
    _wait(plan, "train", {"train": [*words, *changes, "--progress", "json"]}, _TrainBar())


class _TrainBar:
    """A progress bar of epochs, fed by the lines of training."""

    def __init__(self) -> None:
        self._bar = progress("train ", "epoch", file=sys.stdout)

    def __call__(self, _name: str, line: str) -> None:
        if not line.startswith("{"):
            return
        event = json.loads(line)
        if event["event"] == "start":
            self._bar.total = event["epochs"]
        elif event["event"] == "epoch":
            loss = event["validation_loss"]
            if loss is not None:
                self._bar.set_postfix_str(f"validation loss {loss:.2g}", refresh=False)
            self._bar.update(event["epoch"] - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


class _TrialBar:
    """A progress bar of episodes: with each line of the conductor, what its result file holds."""

    def __init__(self, title: str, count: int, result: Path) -> None:
        self._result = result
        self._bar = progress(f"{title:6}", "episode", count, file=sys.stdout)

    def __call__(self, name: str, _line: str) -> None:
        if name == "conductor" and (done := trials.so_far(self._result)) is not None:
            self._bar.set_postfix_str(f"{done.successes} succeeded", refresh=False)
            self._bar.update(len(done.done) - self._bar.n)

    def close(self) -> None:
        """Leave the bar as it is."""
        self._bar.close()


def _conduct(
    plan: DemoPlan, scenario: str, title: str, episodes: int, seed: int, given: Mapping[str, str]
) -> Trials:
    result = plan.folder / f"{title}.json"
    specs = SCENARIOS[scenario].nodes(
        {
            **given,
            "task": plan.task,
            "speed": "0",
            "seed": str(seed),
            "episodes": str(episodes),
            "time_limit_s": str(TIME_LIMIT_S),
            "result": str(result),
            "params_file": str(share.path("config", "demo.yaml")),
        }
    )
    _wait(plan, title, {spec.name: command(spec) for spec in specs}, _TrialBar(title, episodes, result))
    return trials.from_json(result.read_text())


def _wait(plan: DemoPlan, title: str, commands: Mapping[str, list[str]], bar: _TrialBar | _TrainBar) -> None:
    """Run processes until one ends; raises ChildError with its last output unless it succeeded."""
    try:
        with ProcessGroup(commands, plan.folder / "log" / title, bar) as group:
            ending = group.wait(LONGEST_PHASE_S)
            if ending.status != 0 or ending.name not in ("conductor", "train"):
                raise group.failure(ending)
    finally:
        bar.close()
