"""An il_ros node whose steps on the path from observation to command leave time stamps; a child of bench/path_trace.py.

    python bench/support/traced.py OUT EXECUTABLE [arguments of the node]

The functions are wrapped from outside, so that the nodes themselves carry no trace. Times are those of the monotonic
clock, which all processes of a machine share. OUT gets a list of ticks, each a list of [step, time in ns], at the end.
"""

from __future__ import annotations

import functools
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

JOINT_STATE, PROPOSAL = "sensor_msgs/msg/JointState", "trajectory_msgs/msg/JointTrajectory"

marks: list[tuple[str, int]] = []


def mark(name: str) -> None:
    marks.append((name, time.monotonic_ns()))


def wrap(owner: Any, name: str, before: str = "", after: str = "") -> None:
    """Leave a mark before and after each call of a function."""
    wrapped: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(wrapped)
    def run(*args: Any, **words: Any) -> Any:
        if before:
            mark(before)
        result = wrapped(*args, **words)
        if after:
            mark(after)
        return result

    setattr(owner, name, run)


class TracedPublisher:
    """Marks the call of publish and its return."""

    def __init__(self, publisher: Any, before: str, after: str) -> None:
        self._publisher, self._before, self._after = publisher, before, after

    def publish(self, message: Any) -> None:
        mark(self._before)
        self._publisher.publish(message)
        mark(self._after)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._publisher, name)


def trace_policy_server() -> None:
    from il_ros.core.synchroniser import Synchroniser
    from il_ros.nodes.runtime.proposer import Proposer
    from il_ros.nodes.runtime.streams import TickedStreams
    from il_ros.policies.runner import LoadedPolicy
    from il_ros.records import proposal

    receive, init = TickedStreams._receive, Proposer.__init__

    def stamped(self: Any, topic: str, raw: bytes, arrival_ns: int) -> None:
        from il_ros.core import messages

        at_ns = time.monotonic_ns()
        marks.append((f"tick {messages.raw_stamp_ns(JOINT_STATE, raw)}", at_ns))
        mark("received")
        receive(self, topic, raw, arrival_ns)

    def traced(self: Any, *args: Any, **words: Any) -> None:
        init(self, *args, **words)
        self._publisher = TracedPublisher(self._publisher, "encoded", "published")

    TickedStreams._receive, Proposer.__init__ = stamped, traced  # type: ignore[method-assign]
    wrap(Synchroniser, "push", after="buffered")
    wrap(Synchroniser, "sample", after="decoded and synchronised")
    wrap(LoadedPolicy, "act_in_parts", before="prepared", after="inferred")
    wrap(proposal, "encode")


def trace_supervisor() -> None:
    from il_ros.control.limiter.shaper import CommandShaper
    from il_ros.control.supervisor.decider import Decider
    from il_ros.core import messages
    from il_ros.nodes.supervisor.node import DaggerSupervisor
    from il_ros.records import proposal

    on_proposal, activate = DaggerSupervisor._on_proposal, DaggerSupervisor.activate

    def stamped(self: Any, name: str, raw: bytes) -> None:
        at_ns = time.monotonic_ns()
        marks.append((f"tick {messages.raw_stamp_ns(PROPOSAL, raw)}", at_ns))
        mark("received")
        on_proposal(self, name, raw)
        mark("recorded")

    def traced(self: Any) -> None:
        activate(self)
        self._commands = [
            (TracedPublisher(command[0], "command encoded", "command published"), *command[1:])
            for command in self._commands
        ]

    DaggerSupervisor._on_proposal = stamped  # type: ignore[method-assign]
    DaggerSupervisor.activate = traced  # type: ignore[method-assign]
    wrap(proposal, "decode", after="decoded")
    wrap(Decider, "decide", after="decided")
    wrap(CommandShaper, "advance", before="target chosen", after="limited")


def by_tick() -> list[list[tuple[str, int]]]:
    """Return the marks of each tick."""
    ticks: list[list[tuple[str, int]]] = []
    for name, at_ns in marks:
        if name.startswith("tick "):
            ticks.append([])
        if ticks:
            ticks[-1].append((name, at_ns))
    return ticks


def main() -> None:
    out, executable = Path(sys.argv[1]), sys.argv[2]
    sys.argv = [executable, *sys.argv[3:]]
    if executable == "policy_server":
        from il_ros.nodes.policy_server.node import main as run

        trace_policy_server()
    else:
        from il_ros.nodes.supervisor.node import main as run

        trace_supervisor()
    code = run()
    out.write_text(json.dumps(by_tick()))
    sys.exit(code)


if __name__ == "__main__":
    main()
