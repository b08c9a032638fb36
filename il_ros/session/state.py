"""What a session knows of the robot: a record that each message makes anew, and what is worth a line."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from il_ros.records.decision import NOBODY, Decision
from il_ros.records.labelling import EXPERT, POLICY, label
from il_ros.records.takeovers import NO_DRIVER, LastDriver

UNDONE = "undone"
"""The outcome of an episode that was discarded."""

Update = tuple["SessionState", tuple[str, ...]]
"""The world after a message, and the lines to tell."""


@dataclass(frozen=True)
class SessionState:
    """All that the status line shows and the wishes depend on; "" and None: nothing is known.

    `has_policy`: one has proposed. `running`: it may drive. `helping`: the simulated teacher was asked to
    drive. `judged`: the task has shown since the start that it is not done, so that its success counts.
    `labels`: of this session, without what was undone; `episode_labels`: of the running episode,
    `last_labels`: of the one before. `moment`: how many recorded moments have been returned to.
    `taken_ns`: since when the expert drives. `started_ns`: of the episode's first decision.
    """

    now_ns: int = 0
    recording: str = ""
    started_ns: int = 0
    last: str = ""
    outcome: str = ""
    driver: str = NOBODY
    why: str = ""
    mode: str = ""
    uncertainty: float | None = None
    threshold: float | None = None
    version: str = ""
    has_policy: bool = False
    disagreement: float | None = None
    estop: str = ""
    wanted: str = ""
    training: str = ""
    training_share: float | None = None
    running: bool = False
    helping: bool = False
    paused: bool = False
    judged: bool = False
    success: bool = False
    failed: bool = False
    seed: int | None = None
    moment: int = 0
    labels: int = 0
    episode_labels: int = 0
    last_labels: int = 0
    taken_ns: int | None = None
    taken_labels: int = 0
    interventions: int = 0
    last_driver: LastDriver = NO_DRIVER
    done: int = 0
    recorder_heard: bool = False
    supervisor_heard: bool = False

    @property
    def recorded_s(self) -> float:
        """How long the running episode has been recorded, up to the newest decision."""
        return max(0.0, (self.now_ns - self.started_ns) / 1e9) if self.recording and self.started_ns else 0.0

    @property
    def ready(self) -> bool:
        """Whether recorder and supervisor are there."""
        return self.recorder_heard and self.supervisor_heard


def heard_decision(state: SessionState, decision: Decision) -> Update:
    """Take a decision in: who drives and why, labels, and what a takeover was worth."""
    lines = []
    labelled = bool(state.recording) and label(decision.mode or "priority", decision) is not None
    intervened = bool(state.recording) and state.last_driver.took_over(decision.authority, decision.mode)
    after = replace(
        state,
        now_ns=decision.stamp_ns,
        started_ns=state.started_ns
        or decision.stamp_ns,  # `now_ns` may be of before a reset of the simulator
        driver=decision.authority,
        why=decision.reason,
        mode=decision.mode,
        uncertainty=decision.uncertainty,
        has_policy=state.has_policy or decision.proposals.get(POLICY) is not None,
        labels=state.labels + labelled,
        episode_labels=state.episode_labels + labelled,
        interventions=state.interventions + intervened,
        last_driver=state.last_driver.after(decision.authority, decision.mode),
    )
    if decision.authority == EXPERT and state.driver != EXPERT and after.mode != "dagger":
        after = replace(
            after,
            taken_ns=decision.stamp_ns,
            taken_labels=state.labels,
        )
        uncertainty = (
            "" if decision.uncertainty is None else f"  (the policy's doubt: {decision.uncertainty:.2g})"
        )
        lines.append(f"you drive{uncertainty}")
    elif decision.authority != EXPERT and state.taken_ns is not None:
        held_s = (decision.stamp_ns - state.taken_ns) / 1e9
        got = state.labels - state.taken_labels
        if state.driver == EXPERT:
            lines.append(f"handed back after {held_s:.1f} s" + (f", {got} labels" if got else ""))
        after = replace(after, taken_ns=None)
    if decision.version and decision.authority != EXPERT and decision.version != state.version:
        if state.version:
            lines.append(f"policy {decision.version} drives now, before it was {state.version}")
        after = replace(after, version=decision.version)
    return after, tuple(lines)


def heard_supervisor(state: SessionState, status: Mapping[str, Any]) -> Update:
    """Take the supervisor's status in: threshold, emergency stop, mode."""
    estop = status.get("estop") or ""
    lines = (f"STOPPED: {estop}",) if estop and not state.estop else ()
    if state.estop and not estop:
        lines = ("the emergency stop is cleared",)
    after = replace(
        state,
        estop=estop,
        threshold=status.get("threshold"),
        disagreement=status.get("disagreement"),
        mode=status.get("mode", ""),
        supervisor_heard=True,
    )
    return after, lines


def heard_request(state: SessionState, request: Mapping[str, Any]) -> Update:
    """Take the robot's call for the expert in, or its end."""
    if not request.get("wanted"):
        return replace(state, wanted=""), ()
    return replace(state, wanted=str(request["why"])), (f"the robot asks for you: {request['why']}",)


def heard_recorder(state: SessionState, status: Mapping[str, Any]) -> Update:
    """Take the recorder's status in: what is being recorded, and what became of the last episode."""
    now = status.get("episode") or ""
    last = status.get("last") or {}
    lines = []
    after = replace(state, recording=now, recorder_heard=True)
    if now != state.recording:
        after = replace(after, episode_labels=0, interventions=0, started_ns=0, last_driver=NO_DRIVER)
        if now:
            seed = "" if state.seed is None else f"  (start {state.seed})"
            lines.append(f"{now} is being recorded{seed}")
        else:
            after = replace(
                after,
                last=state.recording,
                outcome="",
                last_labels=state.episode_labels,
                done=state.done + 1,
                taken_ns=None,
            )
            lines.append(
                f"{state.recording} ended after {state.recorded_s:.1f} s: {_count(state.interventions)}, "
                f"{state.episode_labels} labels"
            )
    told = (last.get("episode", ""), last.get("outcome", ""))
    if told[0] == after.last and told[1] != after.outcome != UNDONE:
        lines.append(f"{told[0]}: {told[1]}" + _grade(last, first=not after.outcome))
        after = replace(after, outcome=told[1])
    return after, tuple(lines)


def heard_training(state: SessionState, event: Mapping[str, Any]) -> Update:
    """Take an event of the trainer in; unknown kinds change nothing."""
    kind, job = event.get("event"), str(event.get("job", "training"))
    total, at = event.get("epochs"), event.get("epoch")
    if kind == "noticed":
        new, wanted = event.get("labels", 0), event.get("train_after", 0)
        corrected = any(each["interventions"] for each in event.get("episodes", {}).values())
        told = f"{new} of the {wanted} labels that start a training; b starts it now"
        return state, (told,) if 0 < new < wanted and not corrected else ()
    if kind == "began":
        return replace(state, training=job, training_share=None), ()
    if kind == "start":
        frames = f", {event['frames']} frames" if "frames" in event else ""
        return replace(state, training=job, training_share=0.0), (f"{job}{frames}",)
    if kind == "epoch" and total and at is not None:
        return replace(state, training=job, training_share=float(at) / float(total)), ()
    ends = {"done": "done", "cancelled": "cancelled", "failed": f"failed: {event.get('reason', '')}"}
    if kind in ends:
        return replace(state, training="", training_share=None), (f"{job}: {ends[kind]}",)
    if kind == "damaged":
        return state, (f"not trained on, damaged: {event['episode']}: {event['reason']}",)
    return state, ()


def heard_gate(state: SessionState, told: Mapping[str, Any]) -> Update:
    """Take the policy server's verdict on a version in; that one drives is told when it does."""
    verdict = told["verdict"]
    if verdict["state"] in ("refused", "rolled back"):
        control = f"; {told['version']} stays in control" if told["version"] else ""
        return state, (f"policy {verdict['version']} {verdict['state']}: {verdict['reason']}{control}",)
    return state, ()


def heard_task(
    state: SessionState, *, success: bool | None = None, failed: bool | None = None
) -> SessionState:
    """Take in what the simulator says of the task."""
    after = replace(
        state,
        success=state.success if success is None else success,
        failed=state.failed if failed is None else failed,
    )
    return replace(after, judged=after.judged or not (after.success or after.failed))


HEARD: dict[str, Callable[[SessionState, Mapping[str, Any]], Update]] = {
    "dagger_supervisor/status": heard_supervisor,
    "dagger_supervisor/request": heard_request,
    "recorder/status": heard_recorder,
    "trainer/progress": heard_training,
    "policy_server/version": heard_gate,
}
"""Topic (String, JSON) -> what its messages change."""


def _count(interventions: int) -> str:
    return {0: "no intervention", 1: "1 intervention"}.get(interventions, f"{interventions} interventions")


def _grade(last: Mapping[str, Any], *, first: bool) -> str:
    if not first or last.get("grade") in (None, "good"):
        return ""
    return f"  ({last['grade']}: {'; '.join(last.get('reasons', ()))})"
