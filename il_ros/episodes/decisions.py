"""Read the decisions in a bag. A message that is no decision costs itself, and its reason is kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from il_ros.core.synchroniser import AHEAD_NS
from il_ros.core.tables import counted
from il_ros.episodes.bag.reader import BagMessage
from il_ros.records.decision import Decision, DecisionError, decode


class RecordedDecision(NamedTuple):
    """A decision and the log time of its message."""

    log_ns: int
    decision: Decision


def read_decision(message: BagMessage, actions: int | None = None) -> Decision:
    """Return the decision in a message of a bag; `actions`: the number of the contract's actions, if known.

    Raises DecisionError when it is no decision, has another number of actions, or is stamped further ahead of
    its log time than AHEAD_NS: one such decision would make all others old.
    """
    decision = decode(message.raw)
    ahead_ns = decision.stamp_ns - message.log_ns
    if ahead_ns > AHEAD_NS:
        raise DecisionError(
            f"not a usable decision: stamp_ns is {ahead_ns / 1e9:.3f} s after the message arrived; "
            f"at most {AHEAD_NS / 1e9:g} s is accepted"
        )
    vector = next((each for each in (decision.sent, *decision.proposals.values()) if each is not None), None)
    if actions is not None and vector is not None and len(vector) != actions:
        raise DecisionError(
            f"not a usable decision: the command or proposal has {counted(len(vector), 'number')}; "
            f"the contract has {counted(actions, 'action')}"
        )
    return decision


def read_decisions(
    recorded: Iterable[BagMessage], actions: int | None = None
) -> tuple[list[RecordedDecision], list[str]]:
    """Return the decisions among messages of decision topics, and the reason for each one left out.

    `actions` as in `read_decision`. Raises BagError when the bag is damaged.
    """
    found: list[RecordedDecision] = []
    left_out: list[str] = []
    for message in recorded:
        try:
            found.append(RecordedDecision(message.log_ns, read_decision(message, actions)))
        except DecisionError as error:
            left_out.append(left_out_reason(message, error))
    return found, left_out


def left_out_reason(message: BagMessage, error: Exception) -> str:
    """Return the sentence that says which message was left out and why."""
    return f"a message of {message.topic} is {error}"


def summary(left_out: Sequence[str]) -> str:
    """Return one sentence about the messages left out, with the most common reason; "" without any."""
    if not left_out:
        return ""
    (reason, _), *_ = Counter(left_out).most_common(1)
    return reason if len(left_out) == 1 else f"{counted(len(left_out), 'message')}; most often: {reason}"
