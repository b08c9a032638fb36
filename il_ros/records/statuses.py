"""Read the status topics of the nodes: std_msgs/String with one JSON object.

`read` returns the fields that this package uses, with their types checked; other fields are ignored. A field
that a node has not set is absent or null.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from il_ros.core.messages import MessageError
from il_ros.records import strict_json as check
from il_ros.records.strict_json import Check

SUPERVISOR = "dagger_supervisor/status"
REQUEST = "dagger_supervisor/request"
RECORDER = "recorder/status"
TRAINING = "trainer/progress"
PROMOTION = "policy_server/version"


class StatusError(MessageError):
    """A text that is not a message of its status topic; the error names topic, field, value and remedy."""


def read(topic: str, text: str) -> dict[str, Any]:
    """Return the fields of a message on one of the topics above; raises StatusError on any other text."""
    try:
        record = check.loads(text, nan_is_null=True)  # a loss may be NaN
        values: dict[str, Any] = _CHECKS[topic](record, "")
        if topic == TRAINING and values["event"] in _EVENTS:
            values |= _EVENTS[values["event"]](record, "")
    except check.JsonError as error:
        raise StatusError(f"not a message of {topic}: {error}: {text[:80]!r}") from None
    return values


def _some(what: str, checks: Mapping[str, Check], required: tuple[str, ...] = ()) -> Check:
    return check.record(what, checks, [name for name in checks if name not in required], others=True)


_COUNT = check.or_null(check.whole())
_NUMBER = check.or_null(check.number())
_TEXT = check.or_null(check.text)
_VERDICT = {"version": check.text, "state": check.text, "reason": check.text}
_LAST = {
    "episode": check.text,
    "outcome": check.text,
    "outcome_by": check.text,
    "grade": _TEXT,
    "reasons": check.several(check.text),
}
_DISK = {"free_bytes": _COUNT, "bytes_per_s": _NUMBER, "hours": _NUMBER}
_COUNTS = {"labelled": check.whole(), "interventions": check.whole()}

_CHECKS = {
    SUPERVISOR: _some(
        "a status",
        {
            "authority": check.text,
            "generation": check.whole(),
            "generation_ns": check.whole(),
            "episode_ns": check.whole(),
            "mode": check.text,
            "estop": _TEXT,
            "at_rest": check.flag,
            "threshold": _NUMBER,
            "disagreement": _NUMBER,
        },
    ),
    REQUEST: _some("a request", {"wanted": check.flag, "why": check.text}, ("wanted", "why")),
    RECORDER: _some(
        "a status",
        {
            "episode": _TEXT,
            "last": check.or_null(_some("the last episode", _LAST)),
            "warnings": check.several(check.text),
            "disk": check.or_null(_some("the disk", _DISK)),
        },
    ),
    TRAINING: _some("an event", {"event": check.name_text, "job": check.text}, ("event",)),
    PROMOTION: _some(
        "a verdict",
        {
            "version": check.text,
            "policy": check.text,
            "verdict": _some("a verdict", _VERDICT, tuple(_VERDICT)),
        },
        ("verdict",),
    ),
}
_EVENTS = {
    "noticed": _some(
        "an event",
        {
            "labels": check.whole(),
            "train_after": check.whole(),
            "episodes": check.mapping(_some("an episode", _COUNTS, tuple(_COUNTS))),
        },
    ),
    "began": _some("an event", {"command": check.text}),
    "reading": _some("an event", {"episode": _COUNT, "episodes": _COUNT}),
    "start": _some("an event", {"frames": check.whole(), "at_s": _NUMBER}),
    "epoch": _some("an event", {"epoch": _COUNT, "epochs": _COUNT, "at_s": _NUMBER}),
    "done": _some("an event", {"advice": check.text}),
    "failed": _some("an event", {"reason": check.text}),
    "damaged": _some("an event", {"episode": check.text, "reason": check.text}, ("episode", "reason")),
    "poor": _some("an event", {"episode": check.text, "reason": check.text}, ("episode", "reason")),
}
"""The further fields of an event on trainer/progress, by its kind."""
