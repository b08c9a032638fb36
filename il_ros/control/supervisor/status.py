"""The supervisor's `~/status`: JSON, published on every change and once a second."""

from __future__ import annotations

import json
from typing import Any

from il_ros.control.supervisor.supervision import Supervision
from il_ros.core.contract import Contract


def status(supervision: Supervision, contract: Contract, now_ns: int, steady_ns: int) -> dict[str, Any]:
    """Return the authority with its reason, the generation, and the states of mode, emergency stop and sources.

    When `generation` increases, sources should discard chunks, and send it in their proposals; what they observed
    before the tick `generation_ns`, at which the last one of all action groups began, is not played. `episode_ns` is
    when the last episode began, by the node's clock, 0 without one: windows of past ticks begin there, whoever drove
    since.
    """
    absences = supervision.proposal_buffer.absent(now_ns, steady_ns)
    sources = {}
    for source in supervision.proposal_buffer.sources:
        state = supervision.proposal_buffer.states[source.name]
        age_s = None if state.proposal is None else (steady_ns - state.arrival_steady_ns) / 1e9
        sources[source.name] = {
            "priority": source.priority,
            "absent": absences[source.name].text,
            "age_s": age_s,
            "accepted": state.accepted,
            "rejected": state.rejected,
            "last_rejection": state.rejection,
        }
    return {
        "authority": supervision.authority,
        "reason": supervision.reason,
        "generation": supervision.generation,
        "generation_ns": supervision.generation_ns,
        "episode_ns": supervision.episode_ns,
        "mode": supervision.mode.name,
        **supervision.mode.state(now_ns),
        "estop": supervision.estop.latched,
        "at_rest": supervision.at_rest,
        "contract": contract.name,
        "contract_hash": contract.hash,
        "sources": sources,
        **_groups(supervision, contract),
    }


def _groups(supervision: Supervision, contract: Contract) -> dict[str, Any]:
    """Return the authority over each action group with its reason; nothing where there is one group."""
    if not contract.grouped:
        return {}
    reasons = supervision.reasons
    return {
        "groups": {
            group: {"authority": name, "reason": reasons[group]}
            for group, name in supervision.authorities.items()
        }
    }


def change(supervision: Supervision) -> tuple[Any, ...]:
    """Return the values whose change must be published at once."""
    mode = supervision.mode
    return (supervision.generation, supervision.estop.latched, supervision.at_rest, mode.name, mode.request)


def to_json(record: dict[str, Any]) -> str:
    """Return one line of JSON."""
    return json.dumps(record, allow_nan=False, separators=(",", ":"))
