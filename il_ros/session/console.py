"""The session's status line (episode, driver, uncertainty, training, labels) and the event lines above it."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

from il_ros.core.tables import counted, percent, shown
from il_ros.episodes.recording.disk import in_words
from il_ros.records.decision import NOBODY, drives
from il_ros.records.labelling import EXPERT
from il_ros.session.notice import Notice, NoticeKind
from il_ros.session.state import YOU, SessionEnd, SessionState, short_number, short_time

_PLAIN, _DIM, _BOLD = "\x1b[0m", "\x1b[2m", "\x1b[1m"
_RED, _GREEN, _ORANGE, _BLUE, _STOPPED = "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[36m", "\x1b[41;97m"
_BELL = "\a"
_TINTS = {
    NoticeKind.SUCCESS: _GREEN,
    NoticeKind.FAILURE: _RED,
    NoticeKind.EXPERT: _ORANGE,
    NoticeKind.REQUEST: _ORANGE,
    NoticeKind.POLICY: _BLUE,
}
_BARS = " ▁▂▃▄▅▆▇█"
_ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
_BAR_CELLS = 8
_LITTLE_DISK_H, _MUCH_DISK_H = 0.5, 24.0
"""The disk's part of the line is orange below the first, and left out from the second on: it lasts all day."""


def status_line(state: SessionState, width: int, *, colour: bool = True) -> str:
    """Return the status line, at most `width` characters without escape sequences; the last parts are left out first.

    Who drives, or what is requested, is shortened instead.
    """
    state = _escaped(state)
    parts = [
        *(
            _episode(state),
            _driver(state),
            _uncertainty(state),
            _success(state),
            _training(state),
            _counts(state),
            _disk(state),
        )
    ]
    line = ""
    for place, part in enumerate(filter(None, parts)):
        longer = f"{line}{_DIM} │ {_PLAIN}{part}" if line else part
        if len(_ESCAPE.sub("", longer)) > width:
            room = width - len(_ESCAPE.sub("", line)) - len(" │ …")
            if place == 1 and room > 0:
                line += f"{_DIM} │ {_PLAIN}{_BOLD}{_ESCAPE.sub('', part)[:room]}…{_PLAIN}"
            break
        line = longer
    return line if colour else _ESCAPE.sub("", line)


def event_line(notice: Notice, clock: str, *, colour: bool = True) -> str:
    """Return the line of an event at the time `clock` ('12:03:41'); a request for the expert rings the bell."""
    tint = _TINTS.get(notice.kind)
    text = f"{tint}{shown(notice.text)}{_PLAIN}" if tint else shown(notice.text)
    line = f"{_DIM}{clock}{_PLAIN}  {text}"
    bell = _BELL if notice.kind is NoticeKind.REQUEST else ""
    return bell + (line if colour else _ESCAPE.sub("", line))


def sparkline(values: Sequence[float], top: float) -> str:
    """Return one bar character per value; `top` and above give a full bar."""
    last = len(_BARS) - 1
    return "".join(_BARS[min(last, max(0, round(last * value / top)))] for value in values) if top > 0 else ""


def _escaped(state: SessionState) -> SessionState:
    """Return the state with control characters in its texts, which come from messages, as their escapes."""
    values = {field.name: getattr(state, field.name) for field in fields(state)}
    texts: dict[str, Any] = {name: shown(text) for name, text in values.items() if isinstance(text, str)}
    return replace(state, **texts)


def _episode(state: SessionState) -> str:
    if state.estop:
        return f"{_STOPPED} STOPPED {_PLAIN}"
    if state.recording:
        minutes, seconds = divmod(state.recorded_s, 60)
        return f"{_RED}●{_PLAIN} {state.recording} {int(minutes)}:{seconds:04.1f}"
    outcome = {"success": _GREEN, "failure": _RED}.get(state.outcome, "")
    last = f"{_DIM}{state.last}{_PLAIN} {outcome}{state.outcome}{_PLAIN}" if state.last else "no episode yet"
    return f"○ {last}"


def _driver(state: SessionState) -> str:
    if state.estop:
        return state.estop
    if state.ending is SessionEnd.WAITING:
        return f"{_BOLD}the session ends when the training is done{_PLAIN}"
    if state.phase:
        return f"{_BOLD}{state.phase}{_PLAIN}"
    if state.wanted:
        return f"{_ORANGE}{_BOLD}expert requested:{_PLAIN} {state.wanted}"
    expert = drives(state.driver, EXPERT)
    if state.moment and state.recording and not expert:
        return f"{_ORANGE}{_BOLD}{'time is paused until you drive' if state.paused else 'no driver'}{_PLAIN}"
    if state.moments and not state.recording:
        left = "n next moment" if state.moment < state.moments else "all moments shown, ctrl-D ends"
        return f"{_DIM}{left}, ? keys{_PLAIN}"
    if state.paused or not (state.running or expert):
        return f"{_DIM}at rest: {_at_rest(state)}, ? keys{_PLAIN}"
    if expert:
        part = f" {', '.join(state.held)}" if state.held else ""
        return f"{_ORANGE}{state.expert} drive{'' if state.expert == YOU else 's'}{shown(part)}{_PLAIN}"
    if state.driver != NOBODY:
        version = f" {state.version}" if state.version else ""
        return f"{_BLUE}{state.driver}{version} drives{_PLAIN}"
    if not state.learns:
        why = state.why or "nobody demonstrates"
    else:
        why = state.why if state.has_policy else "no policy yet, take over to demonstrate the task"
    return f"{_DIM}no driver: {why}{_PLAIN}"


def _at_rest(state: SessionState) -> str:
    """What the person can do now."""
    if state.learns:
        return "n next start, p run"
    return "drive to demonstrate" if state.recording and state.expert == YOU else "n next take"


def _uncertainty(state: SessionState) -> str:
    if state.uncertainty is None:
        return ""
    if not state.threshold:
        return f"uncertainty {short_number(state.uncertainty)}"
    bar = sparkline([state.uncertainty], state.threshold)
    tint = _ORANGE if state.uncertainty > state.threshold else ""
    return f"uncertainty {tint}{bar}{_PLAIN} {short_number(state.uncertainty)} of {short_number(state.threshold)}"


def _success(state: SessionState) -> str:
    """Return how likely the success is there, by a model that may end the episode."""
    if state.success_share is None or not state.recording:
        return ""
    return f"success {percent(state.success_share)}"


def _training(state: SessionState) -> str:
    if not state.training:
        return ""
    if state.training_share is None:
        return state.training
    full = round(_BAR_CELLS * min(1.0, state.training_share))
    bar = f"{'█' * full}{_DIM}{'░' * (_BAR_CELLS - full)}{_PLAIN}"
    left = "" if state.training_left_s is None else f", {short_time(state.training_left_s)} left"
    return f"{state.training} {bar} {percent(state.training_share)}{left}"


def _disk(state: SessionState) -> str:
    """Return how long the disk lasts; "" while it is unknown, or a day and more."""
    if state.disk_h is None or state.disk_h >= _MUCH_DISK_H:
        return ""
    tint = _ORANGE if state.disk_h < _LITTLE_DISK_H else _DIM
    return f"{tint}disk {in_words(state.disk_h)}{_PLAIN}"


def _counts(state: SessionState) -> str:
    return (
        f"{counted(state.labels, 'label')} in {counted(state.done + bool(state.recording), 'episode')}"
        if state.done
        else counted(state.labels, "label")
    )
