"""The supervisor's mode as parameters that can change at run time, and its requests for the expert."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, fields
from typing import Any

from rcl_interfaces.msg import SetParametersResult
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import String

from il_ros.control.supervisor.arbitration import Mode, Request
from il_ros.core.tables import shown
from il_ros.interactive.modes.beta import UNITS
from il_ros.interactive.modes.gate import TAKEOVERS, TIMED_OUT, GatedOptions
from il_ros.interactive.modes.options import ModeOptions
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records.labelling import MODES

BELL = "\a"
GATED = tuple(field.name for field in fields(GatedOptions))


class ModeParameters:
    """Declares the mode parameters and calls `changed()` after each change of the resulting options.

    A value that contradicts the other parameters is refused with the reason. `check(options)` raises
    ValueError for options that do not fit the node's other parameters.
    """

    def __init__(self, node: Node, check: Callable[[ModeOptions], Any], changed: Callable[[], None]) -> None:
        self._node, self._check, self._changed = node, check, changed
        self._names = declare_modes(node)
        self._options: ModeOptions | None = None
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._after)

    def options(self) -> ModeOptions:
        """Return the current options; raises ValueError when the parameters contradict each other."""
        self._options = _options({name: value(self._node, name) for name in self._names})
        return self._options

    def _on_set(self, given: Sequence[Parameter]) -> SetParametersResult:
        new = {item.name: item.value for item in given if item.name in self._names}
        if new:
            try:
                self._check(_options({name: value(self._node, name) for name in self._names} | new))
            except ValueError as error:
                return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _after(self, given: Sequence[Parameter]) -> None:
        before = self._options
        if any(item.name in self._names for item in given) and self.options() != before:
            self._changed()


def declare_modes(node: Node) -> tuple[str, ...]:
    """Declare the parameters of all modes; return their names."""
    default, gated = ModeOptions(), GatedOptions()
    declare(node, "mode", default.mode, "arbitration mode; see il_ros/interactive/modes", choices=MODES)
    declare(
        node, "dagger.beta", default.beta, "the expert's share of control by round: constant:0.3, linear:10 "
        "(rounds), exponential:0.85 (base), step:1 (rounds)",
    )  # fmt: skip
    declare(
        node, "dagger.unit", default.unit, "how often the source in control is drawn: once per", choices=UNITS
    )
    declare(node, "dagger.segment", default.segment, "length of a segment", unit="steps", minimum=1)
    declare(node, "dagger.seed", default.seed, "seed of the random draws", minimum=0)
    declare(
        node, "dagger.round", default.round_index, "round of the schedule; -1: the number of policy versions "
        "received", minimum=-1,
    )  # fmt: skip
    declare(
        node, "dagger.queried", default.queried, "share of the policy's ticks at which the expert's proposal "
        "is a label; successive ticks carry similar information", minimum=0.001, maximum=1.0,
    )  # fmt: skip
    declare(
        node, "gated.ask", gated.ask, "uncertainty above which the expert is requested (the budget may "
        "raise it); 0: learnt from interventions and the budget", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.release", gated.release, "share of that threshold below which the request is withdrawn",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    declare(
        node, "gated.per_hour", gated.per_hour, "largest number of requests per hour, spread evenly",
        unit="1/h", minimum=1,
    )  # fmt: skip
    declare(
        node, "gated.at_once", gated.at_once, "largest number of requests ahead of the even spread", minimum=1
    )
    declare(
        node, "gated.warm_up_s", gated.warm_up_s, "time under policy control before the budget's "
        "threshold applies", unit="s", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.least_s", gated.least_s, "shortest time under policy control between a hand-back "
        "and the next request, and shortest time under a requested expert", unit="s", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.timeout_s", gated.timeout_s, "time after which an unanswered request times out",
        unit="s", minimum=0.001,
    )  # fmt: skip
    declare(
        node, "gated.timed_out", gated.timed_out, "after the time-out: keep holding, resume the policy, or "
        "stop until ~/restart", choices=TIMED_OUT,
    )  # fmt: skip
    declare(
        node, "gated.takeover", gated.takeover, "when a proposing expert takes over: anytime (a person with "
        "a deadman), or only when asked (an expert that always proposes)", choices=TAKEOVERS,
    )  # fmt: skip
    declare(
        node, "gated.sources", gated.sources, "what requests the expert: policy (its uncertainty), progress (the node "
        "judge sees none, see judge_topic), or both with a space between",
    )  # fmt: skip
    declare(
        node, "gated.stalled", gated.stalled, "time without progress, in units of the longest in a success, above "
        "which progress requests the expert", minimum=0.001,
    )  # fmt: skip
    return (
        "mode",
        *(f"dagger.{name}" for name in ("beta", "unit", "segment", "seed", "round", "queried")),
        *(f"gated.{name}" for name in GATED),
    )


class RequestAnnouncer:
    """Announces expert requests: on `~/request` (JSON, latched), in the log, with the terminal bell."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(String, "~/request", LATCHED)
        self._open: Request | None = None

    def show(self, mode: Mode, reason: str) -> None:
        """Announce a change of the mode's request; `reason`: why a request ended."""
        request, before = mode.request, self._open
        if request == before:
            return
        self._open = request
        if request is not None:
            record = {"wanted": True, **asdict(request)}
            self._node.get_logger().warning(
                shown(f"expert requested (request {request.number}): {request.why}")
            )
            sys.stderr.write(BELL)
            sys.stderr.flush()
        else:
            assert before is not None
            record = {"wanted": False, **asdict(before), "over": reason}
            self._node.get_logger().info(shown(f"request {before.number} ended: {reason}"))
        self._publisher.publish(String(data=json.dumps(record)))


def _options(values: dict[str, Any]) -> ModeOptions:
    return ModeOptions(
        mode=values["mode"],
        beta=values["dagger.beta"],
        unit=values["dagger.unit"],
        segment=values["dagger.segment"],
        seed=values["dagger.seed"],
        round_index=values["dagger.round"],
        queried=values["dagger.queried"],
        gated=GatedOptions(**{name: values[f"gated.{name}"] for name in GATED}),
    )
