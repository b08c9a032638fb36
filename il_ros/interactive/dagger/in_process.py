"""Demonstrations and DAgger on a task in one process, simulated or of Gymnasium, recorded as ordinary episodes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path

import numpy as np

from il_ros.control.limiter.in_process import InProcessLimiter
from il_ros.control.supervisor.arbitration import Mode
from il_ros.core.contract import Contract
from il_ros.core.share import package_version
from il_ros.envs.episode_log import EpisodeLog, outcome_of
from il_ros.envs.gym_task import FLOAT, REWARD
from il_ros.episodes.arrays.episode import EpisodeArrays
from il_ros.episodes.recording.options import Label
from il_ros.interactive.dagger.human import HumanModel, SimulatedHuman, typical_motion, velocities
from il_ros.interactive.dagger.interaction import Expert, Human, InteractionLoop
from il_ros.interactive.dagger.learner import Learner
from il_ros.interactive.dagger.rounds import Act, Round, dagger, drive
from il_ros.interactive.modes.memory import ModeMemory
from il_ros.interactive.modes.options import ModeOptions, make_mode
from il_ros.policies import checkpoint, lineage
from il_ros.policies.runner import LoadedPolicy
from il_ros.policies.versions import CHECKPOINT, begin_next, claimed, publish
from il_ros.records.labelling import EXPERT, POLICY
from il_ros.sim.rollout import Rollout, rollout
from il_ros.sim.tasks.task import Task, is_judged


class TaskEpisodes:
    """Runs episodes of a task under a contract, and records each one under `root`; None: nothing is recorded.

    An episode goes on until success has held for `hold_s` seconds; what success looks like is then in the recording.

    It is a `rounds.RunEpisode`. Give `on_decision` to `drive` or `dagger`, so that decisions are recorded too.
    """

    def __init__(
        self,
        task: Task,
        contract: Contract,
        root: Path | None = None,
        operator: str = "",
        hold_s: float = 0.0,
    ) -> None:
        self.task, self.contract, self._hold_s = task, contract, hold_s
        self._operator = operator
        self._log = (
            None if root is None else EpisodeLog(contract, root, {REWARD: FLOAT} if _rewards(task) else {})
        )
        self.on_decision = (lambda _: None) if self._log is None else self._log.decision
        self.folders: list[Path] = []
        """The folders of the recorded episodes."""
        self.last: Rollout | None = None

    def __call__(self, act: Act, seed: int) -> bool:
        """Run the episode of a seed; return its success. Raises RecordError when it cannot be saved."""
        if self._log is not None:
            self._log.begin(Label(self.task.name, self._operator, seed=seed))
        try:
            done = rollout(self.task, act, self.contract, seed, hold_s=self._hold_s, tap=self._log)
        except BaseException:
            if self._log is not None:
                self._log.close("interrupted")
            raise
        if self._log is not None:
            ended = "the time is up" if is_judged(self.task) else "ended"
            reason = "the expert gave up" if done.gave_up else "success" if done.success else ended
            outcome = outcome_of(done.success if done.judged or done.gave_up else None)
            folder = self._log.end(outcome, reason)
            self.folders += [] if folder is None else [folder]
        self.last = done
        return done.success


def demonstrate(run: TaskEpisodes, expert: Expert, seeds: Sequence[int]) -> Iterator[Rollout]:
    """Have the expert show one episode per seed, recorded by `run`; yield each one's result."""
    mode = make_mode(ModeOptions(EXPERT), run.contract, (POLICY, EXPERT), ModeMemory())
    interaction = _loop(mode, run.contract)
    for seed in seeds:
        drive(run, interaction, None, expert, seed, run.on_decision)
        assert run.last is not None
        yield run.last


def correct(
    run: TaskEpisodes,
    expert: Expert,
    learner: Learner,
    options: ModeOptions,
    seeds: Sequence[Sequence[int]],
    shown: Sequence[EpisodeArrays] = (),
    policy: LoadedPolicy | None = None,
) -> Iterator[Round]:
    """Yield the rounds of DAgger in any mode; round i runs one recorded episode for each of `seeds[i]`.

    `shown`: demonstrations. `policy`: the first one; None: trained on `shown`, or without them the expert drives
    the first round alone. In hg_dagger a simulated person decides when the expert takes over.
    Raises ValueError when the mode needs a policy or demonstrations and there are none.
    """
    if policy is None and shown:
        policy = learner.learn(shown, None, "shown")
    if policy is None and options.mode in ("policy", "hg_dagger", "gated"):
        raise ValueError(f"mode {options.mode} needs a first policy: record demonstrations before")
    mode = make_mode(options, run.contract, (POLICY, EXPERT), ModeMemory(run.contract.period_ns))
    human = _person(options.seed, run.contract, shown) if options.mode == "hg_dagger" else None
    interaction = _loop(mode, run.contract, human)
    return dagger(run, expert, learner, interaction, seeds, shown, policy, run.on_decision)


def save_version(
    folder: Path,
    policy: LoadedPolicy,
    run: TaskEpisodes,
    labels: int,
    shown: Sequence[EpisodeArrays] = (),
    parent: str = "",
) -> Path:
    """Write a policy as the next version v1, v2, ... in `folder`, with its origin; return the version's folder.

    `labels`: the frames that it was trained on, in the episodes `shown` and those that `run` has recorded.
    `parent`: the version that its training started from, "" if none.
    """
    version, place = begin_next(folder)
    names = [*(episode.name for episode in shown), *(each.name for each in run.folders)]
    metrics = {
        **policy.metrics,
        "tasks": [run.task.name],
        "data": {"train": names, "validation": []},
        "frames": labels,
        "parent": parent,
        "finished": True,
        "il_ros": package_version(),
    }
    saved = replace(policy, version=version, metrics=metrics)
    with claimed(place):
        checkpoint.save(place / CHECKPOINT, saved)
        made_at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        data = {"train": names, "validation": []}
        lineage.write(
            place,
            lineage.Lineage(
                version, parent, data=data, labels=labels, contract_hash=run.contract.hash, trained_at=made_at
            ),
        )
        return publish(place, version)


def _loop(mode: Mode, contract: Contract, human: Human | None = None) -> InteractionLoop:
    return InteractionLoop(mode, contract.period_ns, human, contract.groups, InProcessLimiter(contract))


def _person(seed: int, contract: Contract, shown: Sequence[EpisodeArrays]) -> Human:
    if not shown:
        raise ValueError("mode hg_dagger needs demonstrations: the simulated person moves as in these")
    rng = np.random.default_rng(seed)
    return SimulatedHuman(HumanModel(), typical_motion(shown, contract), rng, velocities(contract))


def _rewards(task: Task) -> bool:
    return REWARD in task.streams
