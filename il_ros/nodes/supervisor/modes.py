"""The supervisor's mode as parameters that may change while it runs, and its calls for the expert."""

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
from il_ros.interactive.modes.beta import UNITS
from il_ros.interactive.modes.gated import TAKEOVERS, TIMED_OUT, GatedOptions
from il_ros.interactive.modes.options import ModeOptions
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.records.labelling import MODES

BELL = "\a"
GATED = tuple(field.name for field in fields(GatedOptions))


class ModeParameters:
    """Declares the parameters; `changed()` is called after each change that gives other options.

    A value that contradicts the others is refused with the reason, and nothing changes. `check(options)`
    raises ValueError for options that don't suit the node's other parameters.
    """

    def __init__(self, node: Node, check: Callable[[ModeOptions], Any], changed: Callable[[], None]) -> None:
        self._node, self._check, self._changed = node, check, changed
        self._names = declare_modes(node)
        self._options: ModeOptions | None = None
        node.add_on_set_parameters_callback(self._on_set)
        node.add_post_set_parameters_callback(self._after)

    def options(self) -> ModeOptions:
        """Return the options that the parameters give now; raises ValueError when they can't be."""
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
    """Declare what the modes take, and return the parameters' names."""
    default, gated = ModeOptions(), GatedOptions()
    declare(node, "mode", default.mode, "who drives; see il_ros/interactive/modes", choices=MODES)
    declare(
        node, "dagger.beta", default.beta, "the expert's share of control by round: constant:0.3, linear:10 "
        "(rounds), exponential:0.85 (base), step:1 (rounds)",
    )  # fmt: skip
    declare(node, "dagger.unit", default.unit, "the driver is drawn once per", choices=UNITS)
    declare(node, "dagger.segment", default.segment, "length of a segment", unit="steps", minimum=1)
    declare(node, "dagger.seed", default.seed, "of the draws", minimum=0)
    declare(
        node, "dagger.round", default.round_index, "round of the schedule; -1: counted from the policy's "
        "versions", minimum=-1,
    )  # fmt: skip
    declare(
        node, "dagger.queried", default.queried, "share of the policy's ticks at which the expert's proposal "
        "is a label; successive ticks tell much the same", minimum=0.001, maximum=1.0, formerly="dagger.asked",
    )  # fmt: skip
    declare(
        node, "gated.ask", gated.ask, "doubt above which the expert is asked (the budget may raise it); 0: "
        "learnt from interventions and the budget alone", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.release", gated.release, "share of that threshold below which the doubt is over",
        minimum=0.0, maximum=1.0,
    )  # fmt: skip
    declare(
        node, "gated.per_hour", gated.per_hour, "requests in any hour at most, spread evenly over it",
        unit="1/h", minimum=1,
    )  # fmt: skip
    declare(node, "gated.at_once", gated.at_once, "requests at most in a row, before they are due", minimum=1)
    declare(
        node, "gated.warm_up_s", gated.warm_up_s, "driving of the policy before the budget's threshold is "
        "trusted", unit="s", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.least_s", gated.least_s, "the policy drives so long at least between a hand-back and "
        "the next request, an expert that was asked before it is sent away", unit="s", minimum=0.0,
    )  # fmt: skip
    declare(
        node, "gated.timeout_s", gated.timeout_s, "a request unanswered for so long has timed out", unit="s",
        minimum=0.001,
    )  # fmt: skip
    declare(
        node, "gated.timed_out", gated.timed_out, "then: go on to hold, let the policy resume, or stop until "
        "~/restart", choices=TIMED_OUT,
    )  # fmt: skip
    declare(
        node, "gated.takeover", gated.takeover, "an expert that proposes takes over anytime (a person with a "
        "deadman), or only when asked (one that always proposes)", choices=TAKEOVERS,
    )  # fmt: skip
    return (
        "mode",
        *(f"dagger.{name}" for name in ("beta", "unit", "segment", "seed", "round", "queried")),
        *(f"gated.{name}" for name in GATED),
    )


class Bell:
    """Calls for the expert: on `~/request` (JSON, latched), in the log and with the terminal's bell."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._publisher = node.create_publisher(String, "~/request", LATCHED)
        self._open: Request | None = None

    def show(self, mode: Mode, reason: str) -> None:
        """Say what changed about the mode's request; `reason`: why it is over."""
        request, before = mode.request, self._open
        if request == before:
            return
        self._open = request
        if request is not None:
            record = {"wanted": True, **asdict(request)}
            self._node.get_logger().warning(f"the expert is wanted (request {request.number}): {request.why}")
            sys.stderr.write(BELL)
            sys.stderr.flush()
        else:
            assert before is not None
            record = {"wanted": False, **asdict(before), "over": reason}
            self._node.get_logger().info(f"request {before.number} is over: {reason}")
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
