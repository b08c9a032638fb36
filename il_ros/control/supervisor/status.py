"""What the supervisor says about itself on `~/status`: JSON, published on every change and once a second."""

from __future__ import annotations

import json
from typing import Any

from il_ros.control.supervisor.supervision import Supervision
from il_ros.core.contract import Contract


def status(supervision: Supervision, contract: Contract, now_ns: int, steady_ns: int) -> dict[str, Any]:
    """Return who has authority and why, the epoch, the mode's state, the emergency stop and each source's.

    Sources should begin afresh (forget chunks and histories) when `epoch` grows, and name it in proposals.
    """
    absences = supervision.proposals_in.absences(now_ns, steady_ns)
    sources = {}
    for source in supervision.proposals_in.sources:
        states = supervision.proposals_in.states[source.name]
        age_s = None if states.proposal is None else (steady_ns - states.arrival_steady_ns) / 1e9
        sources[source.name] = {
            "priority": source.priority,
            "absent": absences[source.name],
            "age_s": age_s,
            "accepted": states.accepted,
            "rejected": states.rejected,
            "last_rejection": states.rejection,
        }
    return {
        "authority": supervision.authority,
        "reason": supervision.reason,
        "generation": supervision.generation,
        "mode": supervision.mode.name,
        **supervision.mode.state(now_ns),
        "estop": supervision.estop.latched,
        "contract": contract.name,
        "contract_hash": contract.hash,
        "sources": sources,
    }


def change(supervision: Supervision) -> tuple[Any, ...]:
    """Return what must be announced at once when it differs from before."""
    mode = supervision.mode
    return (supervision.generation, supervision.estop.latched, mode.name, mode.request)


def to_json(record: dict[str, Any]) -> str:
    """Return one line of JSON."""
    return json.dumps(record, allow_nan=False, separators=(",", ":"))
