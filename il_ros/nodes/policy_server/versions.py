"""The version in control, its predecessors, their driving records, and the roll-back."""

from __future__ import annotations

import contextlib
import json
import os
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

from il_ros.core.tables import shown
from il_ros.interactive.promotion.rollback import Driving, DrivingLog, Evidence, worse
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.shell import Refusal
from il_ros.policies import lineage
from il_ros.policies.lineage import ACTIVE, BAD, REFUSED, REPLACED, ROLLED_BACK, Lineage, LineageError
from il_ros.records.decision import decode

LOOK_S = 1.0
KEPT = 5
"""Number of previous versions that stay in memory for an immediate roll-back."""


@dataclass(frozen=True)
class LoadedVersion:
    """A policy that has or had control, its run's folder, and its driving record from before."""

    policy: Any
    run: Path
    past: Driving

    @property
    def identity(self) -> tuple[Path, str]:
        """Equal for two loads of the same version."""
        return self.run, self.policy.version


class Versions:
    """The versions and verdicts; calls `take(policy)` between two ticks to put a policy in control."""

    def __init__(self, node: Node, take: Callable[[Any], None]) -> None:
        self._node, self._take = node, take
        evidence = Evidence()
        declare(
            node, "supervisor_decisions", "dagger_supervisor/decision", "supervisor's decisions, "
            "from which interventions are counted", read_only=True,
        )  # fmt: skip
        declare(
            node, "rollback.automatic", True, "roll back to the previous version when interventions rise",
        )  # fmt: skip
        declare(
            node, "rollback.chance", evidence.chance, "largest probability to roll back a version that "
            "is no worse than its predecessors", minimum=1e-9, maximum=0.999,
        )  # fmt: skip
        declare(
            node, "rollback.least", evidence.least, "smallest number of interventions for a roll-back",
            minimum=1,
        )  # fmt: skip
        self.current: LoadedVersion | None = None
        self._before: list[LoadedVersion] = []
        self._log = DrivingLog()
        self._excluded: dict[Path, str] = {}  # kept in memory too: version.json may not be writable
        self._foreign: set[Path] = set()  # runs with a version.json of something else
        self.last_verdict = ""
        self._publisher = node.create_publisher(String, "~/version", LATCHED)
        node.create_service(Trigger, "~/rollback", self._on_rollback)
        node.create_subscription(
            String, value(node, "supervisor_decisions"), self._on_decision, QoSProfile(depth=50), raw=True
        )
        node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

    @property
    def values(self) -> dict[str, Any]:
        """Values for the diagnostics."""
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
        """Return why a version is not examined (in control, refused or rolled back here), else ""."""
        if self.current is not None and run == self.current.run:
            return "it is in control"
        return self._excluded.get(run, "")

    def refuse(self, run: Path, reason: str, checks: Mapping[str, Any], *, lasting: bool = True) -> None:
        """Announce that a candidate is refused; `lasting`: it stays refused."""
        if lasting:
            self._excluded[run] = f"refused: {reason}"
            self._note(run, state=REFUSED, reason=reason, checks=dict(checks))
        self._say(f"{run.name} refused: {reason}", warn=True)
        self._publish(run.name, REFUSED, reason, checks)

    def begin(self, policy: Any, run: Path) -> None:
        """Register the policy that the node was configured with, whatever its earlier verdict."""
        self.current, self._before = self._standing(policy, run), []
        self._note(run, state=ACTIVE, reason="configured")
        self._publish(policy.version, ACTIVE, "configured", {})

    def admit(self, policy: Any, run: Path, why: str, checks: Mapping[str, Any]) -> None:
        """Put a new version in control, and keep the previous one for a roll-back."""
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
        """Put the previous version in control again; raises Refusal when there is none."""
        if self.current is None or not self._before:
            raise Refusal("there is no previous version to go back to")
        bad, self.current = self.current, self._before.pop()
        self._take(self.current.policy)
        self._excluded[bad.run] = f"rolled back: {why}"
        self._note(bad.run, state=ROLLED_BACK, reason=why)
        self._note(self.current.run, state=ACTIVE, reason=f"after the roll-back of {bad.policy.version}")
        sentence = (
            f"version {self.current.policy.version} in control again, {bad.policy.version} rolled back: {why}"
        )
        self._say(sentence, warn=True)
        self._publish(bad.policy.version, ROLLED_BACK, why, {})
        return sentence

    def close(self) -> None:
        """Save the driving record of the version in control."""
        if self.current is not None:
            self._note(self.current.run)
        self.current, self._before = None, []

    # ---- what comes in -----------------------------------------------------------------------------------

    def _on_decision(self, raw: bytes) -> None:
        self._log.observe(decode(raw))

    def _on_rollback(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, self.go_back("requested")
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

    def _standing(self, policy: Any, run: Path) -> LoadedVersion:
        """Return a policy that takes control; warn when it was refused or rolled back earlier."""
        bad = self._excluded.get(run, "") or lineage.recorded_bad(run)
        if bad:
            self._node.get_logger().warning(
                f"{shown(run.name)} was {shown(bad)}; it is in control because the parameter `checkpoint` names it"
            )
        with contextlib.suppress(LineageError):
            self._driving(lineage.read(run))
        return LoadedVersion(policy, run, self._log.of(policy.version))

    def _driving(self, record: Lineage) -> Driving:
        """Return a version's driving record; initially that of its lineage."""
        if record.version not in self._log.by_version and record.driven_s:
            self._log.by_version[record.version] = Driving(record.driven_s, record.interventions)
        return self._log.of(record.version)

    def _note(self, run: Path, **changes: Any) -> None:
        """Write changes and the driving record into a run's version.json, if it has one of this package.

        A refused or rolled-back version keeps that state, even while it is in control.
        """
        if not lineage.is_ours(run):
            self._tell_foreign(run)
            return
        try:
            record = lineage.read(run)
            driving = self._driving(record)
            drove: dict[str, Any] = {
                "driven_s": round(driving.seconds, 3),
                "interventions": driving.interventions,
            }
            changed = replace(record, **drove, **({} if record.state in BAD else changes))
            if changed != record:
                lineage.write(run, changed, durable=False)  # ticks must not wait for the disk
        except (LineageError, OSError) as error:
            self._node.report_error("version.json", Refusal(shown(str(error))))

    def _tell_foreign(self, run: Path) -> None:
        """Log once that a run's version.json is left alone."""
        file = run / lineage.FILE
        if run not in self._foreign and os.path.lexists(file):
            self._foreign.add(run)
            self._node.get_logger().warning(
                f"{shown(str(file))} is damaged, or not a version.json of il_ros; nothing is written into it"
            )

    def _say(self, sentence: str, warn: bool = False) -> None:
        self.last_verdict = sentence = shown(sentence, lines=True)
        log = self._node.get_logger()
        if warn:
            log.warning(sentence)
        else:
            log.info(sentence)

    def _publish(self, version: str, state: str, reason: str, checks: Mapping[str, Any]) -> None:
        """Publish the newest verdict and the version in control after it."""
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
