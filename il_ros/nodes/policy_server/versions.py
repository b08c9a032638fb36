"""Which version is in control, what came before it, how each fared, and the way back."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile
from std_msgs.msg import String
from std_srvs.srv import Trigger

from il_ros.core import messages
from il_ros.interactive.promotion.rollback import Driving, DrivingLog, Evidence, worse
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.shell import Refusal
from il_ros.policies import lineage
from il_ros.policies.lineage import ACTIVE, BAD, REFUSED, REPLACED, ROLLED_BACK, Lineage, LineageError
from il_ros.records.decision import from_json

LOOK_S = 1.0
KEPT = 5
"""Versions before the present one that stay in memory, to go back to at once."""
STRING = "std_msgs/msg/String"


@dataclass(frozen=True)
class Standing:
    """A policy that has, or had, control, its run's folder, and how it had driven before it took control."""

    policy: Any
    run: Path
    past: Driving

    @property
    def identity(self) -> tuple[Path, str]:
        """Of two that are the same, this is equal."""
        return self.run, self.policy.version


class Versions:
    """`take(policy)` is called to put another policy in control, between two ticks."""

    def __init__(self, node: Node, take: Callable[[Any], None]) -> None:
        self._node, self._take = node, take
        evidence = Evidence()
        declare(
            node, "supervisor_decisions", "dagger_supervisor/decision", "supervisor's decisions, by "
            "which interventions are counted", read_only=True,
        )  # fmt: skip
        declare(
            node, "rollback.automatic", True, "go back to the version before when interventions rise",
        )  # fmt: skip
        declare(
            node, "rollback.chance", evidence.chance, "largest probability that a version no worse than "
            "those before is ever rolled back", minimum=1e-9, maximum=0.999,
        )  # fmt: skip
        declare(
            node, "rollback.least", evidence.least, "interventions without which nothing is concluded",
            minimum=1,
        )  # fmt: skip
        self.current: Standing | None = None
        self._before: list[Standing] = []
        self._log = DrivingLog()
        self._stay_out: dict[Path, str] = {}  # also when version.json can't be written
        self.last_verdict = ""
        self._publisher = node.create_publisher(String, "~/version", LATCHED)
        node.create_service(Trigger, "~/rollback", self._on_rollback)
        node.create_subscription(
            String, value(node, "supervisor_decisions"), self._on_decision, QoSProfile(depth=50), raw=True
        )
        node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def values(self) -> dict[str, Any]:
        """For diagnostics."""
        if self.current is None:
            return {"last verdict": self.last_verdict}
        driving = self._log.of(self.current.policy.version)
        return {
            "version": self.current.policy.version,
            "version before": self._before[-1].policy.version if self._before else "",
            "driven [s]": driving.seconds,
            "interventions per minute": driving.per_minute,
            "last verdict": self.last_verdict,
        }

    # ---- verdicts ----------------------------------------------------------------------------------------

    def known(self, run: Path) -> str:
        """Return why a version is not to be examined: it drives, was refused or rolled back. "" otherwise."""
        if self.current is not None and run == self.current.run:
            return "it is in control"
        return self.known_bad(run)

    def known_bad(self, run: Path) -> str:
        """Return why a version was refused or rolled back earlier, "" when it wasn't."""
        if run in self._stay_out:
            return self._stay_out[run]
        try:
            told = lineage.read(run)
        except LineageError as error:
            return f"refused: {error}"
        return f"{told.state}: {told.reason}" if told.state in BAD else ""

    def refuse(self, run: Path, reason: str, checks: Mapping[str, Any], *, lasting: bool = True) -> None:
        """Say that a candidate is refused, and remember it when that is `lasting`."""
        if lasting:
            self._stay_out[run] = f"refused: {reason}"
            self._note(run, state=REFUSED, reason=reason, checks=dict(checks))
        self._say(f"{run.name} refused: {reason}", warn=True)
        self._publish(run.name, REFUSED, reason, checks)

    def begin(self, policy: Any, run: Path) -> None:
        """Note the policy that the node was configured with; a person chose it, whatever its state was."""
        self.current, self._before = self._standing(policy, run), []
        self._note(run, state=ACTIVE, reason="configured")
        self._publish(policy.version, ACTIVE, "configured", {})

    def admit(self, policy: Any, run: Path, why: str, checks: Mapping[str, Any]) -> None:
        """Put a new version in control, and keep the one before to go back to."""
        before, self.current = self.current, self._standing(policy, run)
        if before is not None:
            others = (each for each in (*self._before, before) if each.identity != self.current.identity)
            self._before = [*others][-KEPT:]
            self._note(before.run, state=REPLACED, reason=f"by {policy.version}")
        self._take(policy)
        self._note(run, state=ACTIVE, reason=why, checks=dict(checks))
        was = before.policy.version if before is not None else "nothing"
        self._say(f"version {policy.version} in control (was {was}): {why}")
        self._publish(policy.version, ACTIVE, why, checks)

    def go_back(self, why: str) -> str:
        """Put the version before in control again; raises Refusal when there is none."""
        if self.current is None or not self._before:
            raise Refusal("there is no version before to go back to")
        bad, self.current = self.current, self._before.pop()
        self._take(self.current.policy)
        self._stay_out[bad.run] = f"rolled back: {why}"
        self._note(bad.run, state=ROLLED_BACK, reason=why)
        self._note(self.current.run, state=ACTIVE, reason=f"after the roll-back of {bad.policy.version}")
        sentence = (
            f"version {self.current.policy.version} in control again, {bad.policy.version} rolled back: {why}"
        )
        self._say(sentence, warn=True)
        self._publish(bad.policy.version, ROLLED_BACK, why, {})
        return sentence

    def close(self) -> None:
        """Write down how the version fared so far."""
        if self.current is not None:
            self._note(self.current.run)
        self.current, self._before = None, []

    # ---- what comes in -----------------------------------------------------------------------------------

    def _on_decision(self, raw: bytes) -> None:
        self._log.hear(from_json(messages.decode(STRING, raw).data))

    def _on_rollback(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, self.go_back("asked for")
        return response

    def _look(self) -> None:
        if self.current is None:
            return
        self._note(self.current.run)
        if not (self._before and value(self._node, "rollback.automatic")):
            return
        evidence = Evidence(value(self._node, "rollback.least"), value(self._node, "rollback.chance"))
        old = sum((self._log.of(standing.policy.version) for standing in self._before), Driving())
        why = worse(self._log.of(self.current.policy.version) - self.current.past, old, evidence)
        if why:
            self.go_back(why)

    # ---- what is written and said ------------------------------------------------------------------------

    def _standing(self, policy: Any, run: Path) -> Standing:
        """Return a policy as it takes control; one that was bad does so because a person named it."""
        bad = self.known_bad(run)
        if bad:
            self._node.get_logger().warning(f"{run.name} was {bad}; it drives because `checkpoint` names it")
        with contextlib.suppress(LineageError):
            self._driving(lineage.read(run))
        return Standing(policy, run, self._log.of(policy.version))

    def _driving(self, told: Lineage) -> Driving:
        """Return how a version drove; before it does so here, that is what is told of it."""
        if told.version not in self._log.by_version and told.driven_s:
            self._log.by_version[told.version] = Driving(told.driven_s, told.interventions)
        return self._log.of(told.version)

    def _note(self, run: Path, **changes: Any) -> None:
        """Write what changed, and how the version drove, into a run's version.json, if it has one.

        What was bad stays so, even while it drives.
        """
        if not (run / lineage.FILE).exists():
            return
        try:
            told = lineage.read(run)
            driving = self._driving(told)
            drove: dict[str, Any] = {"driven_s": round(driving.seconds, 3), "interventions": driving.interventions}
            changed = replace(told, **drove, **({} if told.state in BAD else changes))
            if changed != told:
                lineage.write(run, changed, durable=False)  # a tick must not wait for the disk
        except (LineageError, OSError) as error:
            self._node.report_error("version.json", Refusal(str(error)))

    def _say(self, sentence: str, warn: bool = False) -> None:
        self.last_verdict = sentence
        log = self._node.get_logger()
        if warn:
            log.warning(sentence)
        else:
            log.info(sentence)

    def _publish(self, version: str, state: str, reason: str, checks: Mapping[str, Any]) -> None:
        """Publish the newest verdict, and who is in control after it."""
        record = {
            "version": self.current.policy.version if self.current else "",
            "before": [standing.policy.version for standing in self._before],
            "verdict": {"version": version, "state": state, "reason": reason, "checks": dict(checks)},
            "driving": {
                name: {"seconds": round(each.seconds, 1), "interventions": each.interventions}
                for name, each in self._log.by_version.items()
            },
            "at_s": time.time(),
        }
        self._publisher.publish(String(data=json.dumps(record)))
