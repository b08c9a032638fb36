"""The supervisor's parameters, and the core's options made from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rclpy.node import Node

from il_ros.control.limiter.urdf import read_chain
from il_ros.control.limiter.workspace import Workspace
from il_ros.control.supervisor.arbitration import Source
from il_ros.control.supervisor.supervision import SupervisorOptions
from il_ros.core import share
from il_ros.core.contract import Contract
from il_ros.nodes.runtime.parameters import CONFIGURE, declare, value

TOPICS = {"policy": "policy_server/proposal", "expert": "expert/proposal"}
PRIORITIES = {"policy": 10, "expert": 20}

DRIVING, REST = "driving", "rest"

SILENT_PERIODS = 1.5
SILENT_SIMULATED_S = 1.0


def declare_supervision(node: Node) -> None:
    """Declare the parameters of the core, which are read at configure."""

    def settled(name: str, default: Any, text: str, **rest: Any) -> Any:
        return declare(node, name, default, text, read_at=CONFIGURE, **rest)

    names = settled("sources", ["policy", "expert"], "names of the sources of proposals")
    for name in names:
        settled(f"{name}.topic", TOPICS.get(name, f"{name}/proposal"), "topic of its proposals")
        settled(
            f"{name}.priority",
            PRIORITIES.get(name, 0),
            "the proposing source with the highest priority has authority",
        )
        settled(
            f"{name}.timeout_s",
            0.25,
            "silence after which the source loses authority",
            unit="s",
            minimum=0.001,
        )
        settled(
            f"{name}.max_age_s", 0.2, "age of a proposal's tick beyond which it is rejected", unit="s",
            minimum=0.001,
        )  # fmt: skip
        settled(
            f"{name}.max_observation_age_s", 1.0, "how much older than its tick a proposal's observation may be: a "
            "slow policy continues its last chunk while it computes", unit="s", minimum=0.001,
        )  # fmt: skip
    settled(
        "silence_s", 0.0, "time without a decision after which a timer decides (steady clock); 0: 1.5 "
        "control periods, or 1 s with use_sim_time, because a simulator in lockstep waits", unit="s",
        minimum=0.0,
    )  # fmt: skip
    settled(
        "without_measurement", "wait", "what a ramp starts from when the measured state is missing: "
        "wait for it, or trust the last command (initially the first target)", choices=("wait", "trust"),
    )  # fmt: skip
    settled(
        "keep_command", [""], "action keys whose ramps start from the last command, not from the "
        "measured state, such as a gripper that squeezes",
    )  # fmt: skip
    settled(
        "start_tolerance", 0.1, "how far outside the position limits a ramp may start, in seconds of "
        "motion at the speed limit (2 rad/s: 0.2 rad); farther outside, the last command stays", unit="s",
        minimum=0.0,
    )  # fmt: skip
    settled(
        "following_error", 0.5, "how far from the last command a ramp may start, in seconds of motion "
        "at the speed limit; farther away, the last command stays. A simulator's reset is exempt", unit="s",
        minimum=0.0,
    )  # fmt: skip
    settled(
        "unresponsive_s", 1.0, "how long the measured state may stay farther from the commands than "
        "following_error; then the robot stops (a protective stop, another controller). Not for keys of one number, "
        "such as a gripper, nor for keep_command; 0: no check", unit="s", minimum=0.0,
    )  # fmt: skip
    settled(
        "start", DRIVING, "at the start and after an emergency stop: driving, or rest until a person "
        "lets the sources drive by ~/drive (a key or button of the session)", choices=(DRIVING, REST),
    )  # fmt: skip
    settled(
        "manual", "", "sources that may drive at rest because a person drives by them, separated by "
        "spaces, such as expert",
    )  # fmt: skip
    settled(
        "judge_topic", "", "ratings of the node judge, such as judge/rating, for gated.sources; empty: none"
    )
    settled(
        "hold_at_start", False, "hold the measured state before the first proposal, instead of "
        "sending nothing",
    )  # fmt: skip


def sources(node: Node) -> list[Source]:
    """Return the sources; raises ValueError on an invalid one."""
    return [
        Source(
            name,
            value(node, f"{name}.topic"),
            value(node, f"{name}.priority"),
            value(node, f"{name}.timeout_s"),
            value(node, f"{name}.max_age_s"),
            value(node, f"{name}.max_observation_age_s"),
        )
        for name in value(node, "sources")
    ]


def options(node: Node, contract: Contract) -> SupervisorOptions:
    """Return the options; raises ValueError on an invalid one."""
    silence_s = value(node, "silence_s")
    if not silence_s:
        simulated = value(node, "use_sim_time")
        silence_s = SILENT_SIMULATED_S if simulated else SILENT_PERIODS * contract.period_ns / 1e9
    return SupervisorOptions(
        silence_s,
        value(node, "without_measurement"),
        tuple(filter(None, value(node, "keep_command"))),
        value(node, "hold_at_start"),
        value(node, "start_tolerance"),
        value(node, "following_error"),
        value(node, "use_sim_time"),
        value(node, "unresponsive_s"),
        value(node, "start") == REST,
        tuple(value(node, "manual").split()),
    )


def workspace(contract_name: str, contract: Contract) -> Workspace | None:
    """Return the workspace that a contract declares; the robot's description lies beside the contract's file.

    Raises ValueError when the description cannot be used.
    """
    spec = contract.safety.workspace
    if spec is None:
        return None
    named = Path(contract_name)
    folder = named.parent if named.suffix else share.path("config", "contracts")
    return Workspace(contract, spec, read_chain(folder / spec.description, spec.base, spec.tool))
