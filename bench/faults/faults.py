"""All faults of the campaign: each is begun while the policy drives and the recorder records, and ended again."""

from __future__ import annotations

from kinds import clocks, disks, network, people, points, processes, proposals, streams

FAULTS = [
    fault
    for kind in (processes, points, disks, streams, proposals, clocks, people, network)
    for fault in kind.FAULTS
]
