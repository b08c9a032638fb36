"""Restore a recorded moment in the embedded simulator and record the expert's demonstration from there.

The result is an ordinary episode with sensors, commands and decisions; `made_from` names the moment. Its
labels are those of mode `expert`.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from il_ros.control.limiter.actuation import Actuation
from il_ros.core import actions, messages
from il_ros.core.contract import Contract, parse
from il_ros.core.specs import STRING, Vector
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.episodes.recording.options import Label, RecordedStream, RecordOptions, contract_streams
from il_ros.episodes.recording.record import EpisodeRecorder
from il_ros.episodes.recording.stream import Stream
from il_ros.policies.protocol import Observation
from il_ros.records.decision import Decision, to_json
from il_ros.records.labelling import EXPERT
from il_ros.session.relabelling.moments import MarkedMoment, RelabelError
from il_ros.sim.lockstep import command_messages
from il_ros.sim.tasks.task import Task

Act = Callable[[Observation], Vector | None]
DECISIONS = "/dagger_supervisor/decision"
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
    recorder = EpisodeRecorder(RecordOptions(root, pre_roll_s=0.0), contract, lambda: task.time_ns)
    streams = _streams(recorder, contract)
    label = Label(
        moment.info.task, OPERATOR, moment.info.instruction, moment.info.seed, made_from=moment.words
    )
    synchroniser, actuation = Synchroniser(teacher.observations), Actuation(contract)
    observed = _observe(
        task, synchroniser, recorder, streams
    )  # recording starts only when all streams have messages
    if act(observed) is None:
        recorder.close()
        return None
    name = recorder.start(label)
    period_s = contract.period_ns / 1e9
    try:
        for tick in range(max(1, round(seconds / period_s))):
            if tick == 0:
                _anchor(actuation, contract, actions.measured(teacher, observed))
            observed = _observe(task, synchroniser, recorder, streams)
            advice = act(observed)
            if advice is None:
                break
            command = advice[0]
            limited = actuation.follow(tuple(command.tolist()), period_s)
            _decide(task.time_ns, tuple(command.tolist()), actuation, limited, recorder, streams, moment)
            sent = np.array(actuation.sent)
            commands = command_messages(contract, sent, task.time_ns)
            for action in contract.actions:
                raw = messages.encode(action.type, commands[action.topic])
                recorder.receive(streams[action.topic], raw)
            task.step(commands)
            if task.success or task.failed:
                break
        recorder.mark("success" if task.success else "unmarked")
    finally:
        recorder.close()
    return root / name


def _streams(recorder: EpisodeRecorder, contract: Contract) -> dict[str, Stream]:
    specs = contract_streams(contract, {topic: f"/{topic.lstrip('/')}" for topic in contract.topics})
    streams = {spec.contract_topic: recorder.add_stream(spec) for spec in specs}
    streams[DECISIONS] = recorder.add_stream(RecordedStream(DECISIONS, STRING, role="decision"))
    return streams


def _observe(
    task: Task, synchroniser: Synchroniser, recorder: EpisodeRecorder, streams: dict[str, Stream]
) -> Observation:
    for reading in task.readings():
        raw = messages.encode(reading.type, reading.message)
        if reading.topic in streams:
            recorder.receive(streams[reading.topic], raw)
        if reading.topic in synchroniser.topics:
            synchroniser.push(reading.topic, raw, task.time_ns)
    observation = synchroniser.sample(task.time_ns)
    if isinstance(observation, NoObservation):
        raise RuntimeError(f"{task.name} at {task.time_ns} ns: " + "; ".join(observation.reasons))
    return observation.values


def _anchor(actuation: Actuation, contract: Contract, measured: Vector) -> None:
    """Start the safety gate's ramps at the measured positions, and of velocities at zero."""
    known = {
        key: tuple(measured[part].tolist())
        for key, part in contract.action_slices.items()
        if np.isfinite(measured[part]).all()
    }
    unknown = actuation.anchor(known, from_rest=True)
    if unknown:
        raise ValueError(f"no ramp can start, not measured: {', '.join(unknown)}")


def _decide(
    stamp_ns: int,
    command: tuple[float, ...],
    actuation: Actuation,
    limited: list[str],
    recorder: EpisodeRecorder,
    streams: dict[str, Stream],
    moment: MarkedMoment,
) -> None:
    decision = Decision(
        stamp_ns,
        stamp_ns,
        EXPERT,
        f"labelled afterwards, from {moment.words}",
        {EXPERT: command},
        actuation.sent,
        tuple(limited),
        mode="expert",
    )
    raw = messages.encode(STRING, messages.make(STRING, data=to_json(decision)))
    recorder.receive(streams[DECISIONS], raw)
