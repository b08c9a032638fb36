"""The recorder's parameters, and the options, labels and topics made from them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rclpy.node import Node

from il_ros.core.contract import Contract
from il_ros.core.specs import ARRAY, IMAGE, JOINT_TRAJECTORY, STRING
from il_ros.episodes.bag.mcap_file import COMPRESSIONS
from il_ros.episodes.recording.options import (
    AHEAD_S,
    AHEAD_SIMULATED_S,
    MIB,
    Label,
    RecordedStream,
    RecordOptions,
    contract_streams,
)
from il_ros.nodes.recorder.streams import Wanted, wanted_extra
from il_ros.nodes.runtime.contracts import declare_contract
from il_ros.nodes.runtime.parameters import ACTIVATE, declare, value
from il_ros.records.outcomes import OUTCOMES
from il_ros.records.scalars import TOPICS, scalars_of


def declare_all(node: Node) -> None:
    """Declare every parameter of the recorder."""

    def say(name: str, default: Any, text: str, **rest: Any) -> None:
        declare(node, name, default, text, **rest)

    def fixed(name: str, default: Any, text: str, **rest: Any) -> None:
        declare(node, name, default, text, read_at=ACTIVATE, **rest)

    declare_contract(node)
    fixed("root", "episodes", "folder of the episodes; created if missing")
    fixed("extra_topics", [], "further topics to record: 'topic' or 'topic package/msg/Name'")
    fixed(
        "optional",
        [],
        "keys of observations that may be missing (as in the recipe): their silence is a warning",
    )
    fixed("decision_topic", "dagger_supervisor/decision", "the supervisor's decisions; empty: not recorded")
    fixed(
        "proposal_topics",
        ["policy_server/proposal", "expert/proposal"],
        "topics of proposals to record",
    )
    fixed(
        "plots",
        TOPICS,
        "beginning of the topics of the supervisor's plottable numbers; empty: not recorded",
    )
    fixed(
        "camera_topics",
        "",
        "cameras to record beside the contract's, for pictures: names separated by spaces",
    )
    fixed(
        "judge_topic",
        "",
        "ratings of the node judge, such as judge/rating: recorded, and an episode of whose success it is sure ends as "
        "one; empty: none",
    )
    fixed("marks_topic", "session/marks", "moments marked for labelling; empty: not recorded")
    fixed(
        "state_topic",
        "task/state",
        "the simulator's state, from which relabelling restores a moment; empty: not recorded",
    )
    fixed("pre_roll_s", 0.5, "time before the start that is also recorded", unit="s", minimum=0, maximum=60)
    fixed("max_duration_s", 0.0, "longest duration of an episode; 0: no limit", unit="s", minimum=0)
    fixed("min_free_bytes", 1024 * MIB, "disk space to keep free", unit="bytes", minimum=0)
    fixed(
        "disk_warning_s",
        1800.0,
        "time until the disk is full, at the present rate, below which that is a warning; 0: never",
        unit="s",
        minimum=0,
    )
    fixed(
        "silence_s",
        1.0,
        "time without a message after which a required stream is silent",
        unit="s",
        minimum=0,
    )
    fixed(
        "ahead_s",
        -1.0,
        "how far the stamps of a required stream may be ahead of the recorder's clock (median) before its driver's "
        f"clock counts as wrong; below 0: {AHEAD_S:g} s; with use_sim_time {AHEAD_SIMULATED_S:g} s, and at least two "
        "control periods, because /clock may be published less often than the sensors",
        unit="s",
    )
    fixed(
        "compression",
        "none",
        "compression of the bag's chunks; lz4 and zstd cost CPU time",
        choices=COMPRESSIONS,
    )
    fixed("checksums", True, "a CRC for every chunk: 3 % of a core at 80 MB/s")
    fixed("chunk_bytes", 4 * MIB, "size of a chunk at which it is written", unit="bytes", minimum=1024)
    fixed(
        "flush_s",
        0.25,
        "longest time until a chunk is written: the loss when the process is killed",
        unit="s",
        minimum=0.01,
        maximum=1,
    )
    fixed(
        "sync_s",
        5.0,
        "longest time between syncs to disk: the loss on a power failure",
        unit="s",
        minimum=0.1,
    )
    fixed("queue_bytes", 1024 * MIB, "largest backlog of unwritten data", unit="bytes", minimum=MIB)
    say("task", "", "task of the next episodes")
    say("operator", "", "operator of the next episodes")
    say("instruction", "", "instruction of the next episodes")
    say("seed", -1, "seed of the next episode's simulation; -1: none")
    say("made_from", "", "moment of another episode from which the next ones start; empty: none")
    say(
        "outcome",
        "unmarked",
        "outcome of the running episode; reset to unmarked at each start",
        choices=OUTCOMES,
    )


def options(node: Node, contract: Contract) -> RecordOptions:
    """Return the recording options; raises ValueError on invalid parameters."""
    longest_s, ahead_s = value(node, "max_duration_s"), value(node, "ahead_s")
    if ahead_s < 0:  # sensors may overtake the /clock of their tick
        simulated_s = max(AHEAD_SIMULATED_S, 2 * contract.period_ns / 1e9)
        ahead_s = simulated_s if value(node, "use_sim_time") else AHEAD_S
    return RecordOptions(
        root=Path(value(node, "root")).expanduser(),
        pre_roll_s=value(node, "pre_roll_s"),
        max_duration_s=longest_s if longest_s > 0 else math.inf,
        min_free_disk_bytes=value(node, "min_free_bytes"),
        disk_warning_s=value(node, "disk_warning_s"),
        compression=value(node, "compression"),
        checksums=value(node, "checksums"),
        chunk_bytes=value(node, "chunk_bytes"),
        flush_s=value(node, "flush_s"),
        sync_s=value(node, "sync_s"),
        queue_bytes=value(node, "queue_bytes"),
        silence_s=value(node, "silence_s"),
        ahead_s=ahead_s,
        simulated=value(node, "use_sim_time"),
        optional=tuple(value(node, "optional")),
    )


def label(node: Node) -> Label:
    """Return the label of the next episode."""
    seed = value(node, "seed")
    words = {name: value(node, name) for name in ("task", "operator", "instruction", "made_from")}
    return Label(**words, seed=None if seed < 0 else seed)


def wanted(node: Node, contract: Contract) -> list[Wanted]:
    """Return all topics to record, each once: contract, decisions, proposals, plottable numbers, extras.

    Raises ValueError on an invalid entry of extra_topics or optional.
    """
    resolve: Callable[[str], str] = node.resolve_topic_name
    resolved = {topic: resolve(topic) for topic in contract.topics}
    specs = contract_streams(contract, resolved, value(node, "optional"))
    decision = value(node, "decision_topic")
    if decision:
        specs.append(RecordedStream(resolve(decision), STRING, role="decision"))
    specs += [
        RecordedStream(resolve(topic), JOINT_TRAJECTORY) for topic in value(node, "proposal_topics") if topic
    ]
    if beginning := value(node, "plots"):
        specs += [
            RecordedStream(resolve(f"{beginning}/{scalar.name}"), scalar.type)
            for scalar in scalars_of(contract)
        ]
    specs += [
        RecordedStream(resolve(topic), kind)
        for topic, kind in (
            (value(node, "marks_topic"), STRING),
            (value(node, "judge_topic"), STRING),
            (value(node, "state_topic"), ARRAY),
        )
        if topic
    ]
    specs += [RecordedStream(resolve(topic), IMAGE) for topic in value(node, "camera_topics").split()]
    found: dict[str, Wanted] = {}
    for spec in specs:
        found.setdefault(spec.topic, Wanted(spec.topic, spec))
    for entry in value(node, "extra_topics"):
        extra = wanted_extra(entry, resolve)
        found.setdefault(extra.name, extra)
    return list(found.values())
