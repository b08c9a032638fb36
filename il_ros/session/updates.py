"""The state of a session after each message, with event lines for the console."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from il_ros.core.tables import counted
from il_ros.policies.lineage import BAD
from il_ros.records import statuses
from il_ros.records.decision import Decision, drives
from il_ros.records.labelling import EXPERT, POLICY, label
from il_ros.records.rating import Rating
from il_ros.records.takeovers import NO_DRIVERS
from il_ros.session.notice import Notice, NoticeKind
from il_ros.session.setup import REST_MODE
from il_ros.session.state import UNDONE, YOU, SessionEnd, SessionState, short_number

Update = tuple[SessionState, tuple[Notice, ...]]
"""The state after a message, and the events to show."""


def after_decision(state: SessionState, decision: Decision) -> Update:
    """Process a decision: driver and reason, labels, takeovers."""
    notices = []
    labelled = state.counts and label(decision.mode or "priority", decision) is not None
    authorities, mode = decision.authorities, decision.mode
    intervened = bool(state.recording and state.last_drivers.took_over(authorities, mode))
    held = tuple(group for group, part in decision.groups.items() if part.authority == EXPERT)
    took, had = drives(decision.authority, EXPERT), drives(state.driver, EXPERT)
    after = replace(
        state,
        now_ns=decision.stamp_ns,
        # not `now_ns`, which may be from before a reset of the simulator
        started_ns=state.started_ns or decision.stamp_ns,
        driver=decision.authority,
        why=decision.reason,
        mode=decision.mode,
        uncertainty=decision.uncertainty,
        has_policy=state.has_policy or decision.proposals.get(POLICY) is not None,
        labels=state.labels + labelled,
        episode_labels=state.episode_labels + labelled,
        interventions=state.interventions + intervened,
        last_drivers=state.last_drivers.after(authorities, mode),
        held=held,
    )
    if took and not had and after.mode != "dagger":
        after = replace(
            after,
            taken_ns=decision.stamp_ns,
            taken_labels=state.labels,
        )
        uncertainty = (
            ""
            if decision.uncertainty is None
            else f"  (policy uncertainty: {short_number(decision.uncertainty)})"
        )
        text = f"{state.expert} {'drive' if state.expert == YOU else 'drives'}{_groups(held)}{uncertainty}"
        notices.append(Notice(text, NoticeKind.EXPERT))
    elif took and state.taken_ns is not None and held != state.held:
        text = f"{state.expert} {'drive' if state.expert == YOU else 'drives'}{_groups(held)} now"
        notices.append(Notice(text, NoticeKind.EXPERT))
    elif not took and state.taken_ns is not None:
        held_s = (decision.stamp_ns - state.taken_ns) / 1e9
        got = state.labels - state.taken_labels
        if had:
            labels = f", {counted(got, 'label')}" if got else ""
            notices.append(Notice(f"handed back after {held_s:.1f} s{labels}"))
        after = replace(after, taken_ns=None)
    if decision.version and decision.authority != EXPERT and decision.version != state.version:
        if state.version:
            text = f"policy {decision.version} drives now, previously {state.version}"
            notices.append(Notice(text, NoticeKind.POLICY))
        after = replace(after, version=decision.version)
    return after, tuple(notices)


def _groups(held: tuple[str, ...]) -> str:
    """Return the action groups that the expert drives, as a part of a sentence; "" where there is one."""
    return f" {', '.join(held)}" if held else ""


def after_supervisor_status(state: SessionState, status: Mapping[str, Any]) -> Update:
    """Process the supervisor's status: threshold, emergency stop, mode."""
    estop = status.get("estop") or ""
    notices: tuple[Notice, ...] = ()
    if estop and not state.estop:
        notices = (Notice(f"STOPPED: {estop}", NoticeKind.FAILURE),)
    if state.estop and not estop:
        notices = (Notice("the emergency stop is cleared"),)
    at_rest = bool(status.get("at_rest"))
    after = replace(
        state,
        at_rest=at_rest,
        running=not at_rest and (status["mode"] != REST_MODE if status.get("mode") else state.running),
        estop=estop,
        threshold=status.get("threshold"),
        disagreement=status.get("disagreement"),
        mode=status.get("mode", ""),
        supervisor_known=True,
    )
    return after, notices


def after_request(state: SessionState, request: Mapping[str, Any]) -> Update:
    """Process a request for the expert, or its end."""
    if not request.get("wanted"):
        return replace(state, wanted=""), ()
    notice = Notice(f"expert requested: {request['why']}", NoticeKind.REQUEST)
    return replace(state, wanted=str(request["why"])), (notice,)


def after_recorder_status(state: SessionState, status: Mapping[str, Any]) -> Update:
    """Process the recorder's status: the running episode, and the outcome of the last one."""
    now = status.get("episode") or ""
    last = status.get("last") or {}
    notices = []
    disk = status.get("disk") or {}
    after = replace(state, recording=now, recorder_known=True, disk_h=disk.get("hours"))
    if now != state.recording:
        after = replace(after, episode_labels=0, interventions=0, started_ns=0, success_share=None)
        after = replace(after, last_drivers=NO_DRIVERS)
        if now:
            seed = "" if state.seed is None else f"  (start {state.seed})"
            notices.append(Notice(f"{now} is being recorded{seed}"))
        else:
            after = replace(
                after,
                last=state.recording,
                outcome="",
                labels=state.labels if state.counts else state.labels - state.episode_labels,
                last_labels=state.episode_labels if state.counts else 0,
                done=state.done + state.counts,
                last_kept=state.counts,
                taken_ns=None,
            )
            notices.append(Notice(f"{state.recording} ended after {state.recorded_s:.1f} s{_counts(state)}"))
    warned = tuple(status.get("warnings") or ())
    notices += [Notice(text, NoticeKind.FAILURE) for text in warned if text not in state.warned]
    after = replace(after, warned=warned)
    name, outcome = last.get("episode", ""), last.get("outcome", "")
    if name == after.last and last.get("discarded"):
        after = replace(after, outcome=UNDONE)
    elif name == after.last and outcome != after.outcome != UNDONE:
        by = last.get("outcome_by", "")
        model = f" (by model {by}; f: no, it is a failure, g: yes)" if by else ""
        text = f"{name}: {outcome}{model}" + _grade(last, first=not after.outcome)
        notices.append(Notice(text, _OUTCOME_KINDS.get(outcome, NoticeKind.INFO)))
        after = replace(after, outcome=outcome)
    return after, tuple(notices)


def after_training_event(state: SessionState, event: Mapping[str, Any]) -> Update:
    """Process an event of the trainer; unknown kinds are ignored."""
    kind, job = event.get("event"), str(event.get("job", "training"))
    total, at = event.get("epochs"), event.get("epoch")
    if kind == "noticed":
        new, wanted = event.get("labels", 0), event.get("train_after", 0)
        corrected = any(each["interventions"] for each in event.get("episodes", {}).values())
        notice = Notice(f"{new} of {counted(wanted, 'label')} needed for a training; b starts it now")
        return state, (notice,) if 0 < new < wanted and not corrected else ()
    now_s = event.get("at_s")
    if kind == "began":
        return replace(_no_training(state), training=job, training_command=event.get("command", "")), ()
    if kind == "reading" and event.get("episode") and event.get("episodes"):
        share = (event["episode"] - 1) / event["episodes"]
        return replace(state, training=f"{job}, reading", training_share=share), ()
    if kind == "start":
        frames = f", {counted(event['frames'], 'frame')}" if "frames" in event else ""
        after = replace(state, training=job, training_share=0.0, training_began_s=now_s, training_left_s=None)
        return after, (Notice(f"{job}{frames}"),)
    if kind == "epoch" and total and at is not None:
        share = min(1.0, float(at) / float(total))
        left_s = None
        if now_s is not None and state.training_began_s is not None and share > 0:
            left_s = max(0.0, (now_s - state.training_began_s) * (1 - share) / share)
        return replace(state, training=job, training_share=share, training_left_s=left_s), ()
    ends = {"done": "done", "cancelled": "cancelled", "failed": f"failed: {event.get('reason', '')}"}
    if kind in ends:
        notices = [
            Notice(f"{job}: {ends[kind]}", NoticeKind.FAILURE if kind == "failed" else NoticeKind.INFO)
        ]
        notices += [Notice(event["advice"])] if kind == "done" and event.get("advice") else []
        return _training_over(_no_training(state), kind), tuple(notices)
    if kind == "announced":
        return _training_over(state, kind), ()
    if kind in ("damaged", "poor"):
        text = f"not trained on, {kind}: {event['episode']}: {event['reason']}"
        return state, (Notice(text, NoticeKind.FAILURE),)
    return state, ()


def _no_training(state: SessionState) -> SessionState:
    return replace(
        state,
        training="",
        training_share=None,
        training_began_s=None,
        training_left_s=None,
        training_command="",
    )


def _training_over(state: SessionState, kind: Any) -> SessionState:
    """Make the end due that waited for a training; a trained policy has its final folder once announced."""
    due = state.ending is SessionEnd.WAITING and kind in ("announced", "cancelled", "failed")
    return replace(state, ending=SessionEnd.DUE) if due else state


def after_rating(state: SessionState, rating: Rating) -> SessionState:
    """Process what a success model says of the running episode."""
    if not state.recording or rating.episode != state.recording:
        return state
    return replace(state, success_share=rating.probability)


def after_promotion(state: SessionState, record: Mapping[str, Any]) -> Update:
    """Process the policy server's verdict on a version; refusals and roll-backs are shown.

    The first policy is shown with its origin. A promoted version is shown by its first decision.
    """
    verdict = record["verdict"]
    if record.get("policy") and not state.policy:
        return replace(state, policy=record["policy"]), (
            Notice(f"policy {record['policy']}", NoticeKind.POLICY),
        )
    if verdict["state"] in BAD:
        control = f"; {record['version']} is in control" if record.get("version") else ""
        text = f"policy {verdict['version']} {verdict['state']}: {verdict['reason']}{control}"
        return state, (Notice(text, NoticeKind.FAILURE),)
    return state, ()


def after_task(
    state: SessionState, *, success: bool | None = None, failed: bool | None = None
) -> SessionState:
    """Process the simulator's success and failure flags of the task."""
    after = replace(
        state,
        success=state.success if success is None else success,
        failed=state.failed if failed is None else failed,
    )
    return replace(after, judged=after.judged or not (after.success or after.failed))


UPDATES: dict[str, Callable[[SessionState, Mapping[str, Any]], Update]] = {
    statuses.SUPERVISOR: after_supervisor_status,
    statuses.REQUEST: after_request,
    statuses.RECORDER: after_recorder_status,
    statuses.TRAINING: after_training_event,
    statuses.PROMOTION: after_promotion,
}
"""The update function of each topic; `statuses.read` reads the topic's messages."""

_OUTCOME_KINDS = {"success": NoticeKind.SUCCESS, "failure": NoticeKind.FAILURE}


def _counts(state: SessionState) -> str:
    """Return what the episode that has just ended holds; nothing of a discarded one counts."""
    if not state.counts:
        return ""
    labels = counted(state.episode_labels, "label")
    if not state.learns:  # no policy drives, so nobody intervenes
        return f": {labels}"
    count = state.interventions
    return f": {counted(count, 'intervention') if count else 'no intervention'}, {labels}"


def _grade(last: Mapping[str, Any], *, first: bool) -> str:
    if not first or last.get("grade") in (None, "good"):
        return ""
    return f"  ({last['grade']}: {'; '.join(last.get('reasons', ()))})"
