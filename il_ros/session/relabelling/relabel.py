"""Restore a recorded moment in the embedded simulator and record the expert's demonstration from there.

The result is an ordinary episode with sensors, commands and decisions; `made_from` names the moment. Its
labels are those of mode `expert`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from il_ros.control.limiter.actuation import Actuation
from il_ros.core import actions
from il_ros.core.contract import Contract, parse
from il_ros.core.specs import Vector
from il_ros.envs.episode_log import EpisodeLog
from il_ros.episodes.recording.options import Label
from il_ros.policies.protocol import Observation
from il_ros.records.decision import Decision
from il_ros.records.labelling import EXPERT
from il_ros.records.outcomes import SUCCESS, UNMARKED
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError
from il_ros.sim.lockstep import Lockstep
from il_ros.sim.tasks.task import Task

Act = Callable[[Observation], Vector | None]
OPERATOR = "scripted expert, afterwards"


def contract_of(moment: MarkedMoment) -> Contract:
    """Return the contract under which a moment was recorded."""
    return parse(moment.info.contract_text, f"{moment.info.name} (its contract)")


def relabel(
    moment: MarkedMoment, task: Task, act: Act, teacher: Contract, root: Path, seconds: float = 3.0
) -> Path | None:
    """Record the expert from a moment on as a new episode under `root`; return its folder.

    None: the expert gives up at that moment, and nothing was recorded. The episode ends after `seconds`, with
    the task, or when the expert gives up. `act` maps observations of `teacher`, the contract of the task's
    expert, to absolute commands (H, A); that contract has the state even where the policy has images.
    Raises RelabelError when the state does not fit the task or the episode has no seed, RuntimeError when a
    tick has no observation, RecordError when recording fails.
    """
    contract = contract_of(moment)
    if moment.info.seed is None:
        raise RelabelError(f"{moment.info.name}: was recorded without the simulation's seed")
    task.reset(moment.info.seed)
    try:
        task.restore(moment.state)
    except ValueError as error:
        raise RelabelError(f"{moment.words}: {error}") from error
    label = Label(
        moment.info.task, OPERATOR, moment.info.instruction, moment.info.seed, made_from=moment.words
    )
    log, actuation = EpisodeLog(contract, root), Actuation(contract)
    world = Lockstep(task, teacher, log)
    period_s = contract.period_ns / 1e9
    log.begin(label)
    try:
        for tick in range(max(1, round(seconds / period_s))):
            observed = world.observe()
            advice = act(observed)
            if advice is None:
                break
            if tick == 0:
                _anchor(actuation, contract, actions.measured(teacher, observed))
            command = tuple(advice[0].tolist())
            limited = actuation.follow(command, period_s)
            log.decision(_decision(command, actuation, limited, moment))
            world.step(np.array(actuation.sent))
            if task.success or task.failed:
                break
        return log.end(SUCCESS if task.success else UNMARKED, "labelled afterwards")
    finally:
        log.close("interrupted")


def _anchor(actuation: Actuation, contract: Contract, measured: Vector) -> None:
    """Start the limiter's ramps at the measured positions, and of velocities at zero."""
    known = {
        key: tuple(measured[part].tolist())
        for key, part in contract.action_slices.items()
        if np.isfinite(measured[part]).all()
    }
    unknown = actuation.anchor(known, from_rest=True)
    if unknown:
        raise ValueError(f"no ramp can start, not measured: {', '.join(unknown)}")


def _decision(
    command: tuple[float, ...], actuation: Actuation, limited: list[str], moment: MarkedMoment
) -> Decision:
    return Decision(
        0,
        0,
        EXPERT,
        f"labelled afterwards, from {moment.words}",
        {EXPERT: command},
        actuation.sent,
        tuple(limited),
        mode="expert",
    )
