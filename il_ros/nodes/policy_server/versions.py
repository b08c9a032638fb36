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
from il_ros.interactive.promotion.rollback import Driving, DrivingLog, Evidence, TrustedDecisions, worse
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.shell import CLOCK_SAID_EVERY_S, Refusal
from il_ros.nodes.runtime.streams import MATCHED, NO_EVENTS, Events
from il_ros.policies import lineage
from il_ros.policies.lineage import ACTIVE, BAD, REFUSED, REPLACED, ROLLED_BACK, Lineage, LineageError
from il_ros.policies.versions import occupy
from il_ros.records.decision import decode

LOOK_S = 1.0
KEPT = 5
"""Number of previous versions that stay in memory for an immediate roll-back."""


@dataclass(frozen=True)
class LoadedVersion:
    """A policy that has or had control, its run's folder, and its driving record from before.

    `verdict`: the one in its version.json when it took control, "" if none.
    """

    policy: Any
    run: Path
    past: Driving
    verdict: str = ""

    @property
    def identity(self) -> tuple[Path, str]:
        """Equal for two loads of the same version."""
        return self.run, self.policy.version


class Versions:
    """The versions and verdicts; calls `take(policy, keep)` between two ticks to put a policy in control.

    `keep`: whether an answer that the version before is computing may still be proposed.
    `fetch(run, why)` loads an earlier version, which is not in memory, and admits it.
    """

    def __init__(
        self, node: Node, take: Callable[[Any, bool], None], fetch: Callable[[Path, str], None]
    ) -> None:
        self._node, self._take, self._fetch = node, take, fetch
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
        self._occupied = -1  # descriptor of its locked folder
        self._log = DrivingLog()
        self._decisions = TrustedDecisions(self._log)
        self._doubt = ""
        # kept in memory too: version.json may not be writable; with the number of pardons by then
        self._excluded: dict[Path, tuple[str, int]] = {}
        self._foreign: set[Path] = set()  # runs with a version.json of something else
        self.last_verdict = ""
        self._publisher = node.create_publisher(String, "~/version", LATCHED)
        node.create_service(Trigger, "~/rollback", self._on_rollback)
        self._topic = node.resolve_topic_name(value(node, "supervisor_decisions"))
        self._subscription = node.create_subscription(
            String, self._topic, self._on_decision, QoSProfile(depth=50), raw=True, event_callbacks=NO_EVENTS
        )
        self._events = Events(self._subscription, {MATCHED: self._on_matched})
        self._publishers = self._appeared = 0
        self._timer = node.create_timer(LOOK_S, self._look, clock=Clock(clock_type=ClockType.STEADY_TIME))

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
            "not counted because": self._doubt,
            "last verdict": self.last_verdict,
        }

    # ---- verdicts ----------------------------------------------------------------------------------------

    def known(self, run: Path) -> str:
        """Return why a version is not examined (in control, refused or rolled back here), else ""."""
        if self.current is not None and run == self.current.run:
            return "it is in control"
        return self._excluded.get(run, ("", 0))[0]

    def refuse(self, run: Path, reason: str, checks: Mapping[str, Any], *, lasting: bool = True) -> None:
        """Announce that a candidate is refused; `lasting`: it stays refused."""
        if lasting:
            self._exclude(run, f"refused: {reason}")
            self._note(run, state=REFUSED, reason=reason, checks=dict(checks))
        self._say(f"{run.name} refused: {reason}", warn=True)
        self._publish(run.name, REFUSED, reason, checks)

    def begin(self, policy: Any, run: Path) -> None:
        """Register the policy that the node was configured with, whatever its earlier verdict."""
        self._put(self._standing(policy, run))
        self._before = []
        self._note(run, state=ACTIVE, reason="configured")
        self._node.get_logger().info(f"policy {shown(self._described())}")
        self._publish(policy.version, ACTIVE, "configured", {})

    def admit(self, policy: Any, run: Path, why: str, checks: Mapping[str, Any]) -> None:
        """Put a new version in control, and keep the previous one for a roll-back."""
        before, taking = self.current, self._standing(policy, run)
        self._put(taking)
        if before is not None:
            others = (each for each in (*self._before, before) if each.identity != taking.identity)
            self._before = [each for each in others if not self._withdrawn(each)][-KEPT:]
            self._note(before.run, state=REPLACED, reason=f"by {policy.version}")
        self._take(policy, True)
        self._note(run, state=ACTIVE, reason=why, checks=dict(checks))
        was = before.policy.version if before is not None else "nothing"
        self._say(f"version {policy.version} in control (was {was}): {why}")
        self._publish(policy.version, ACTIVE, why, checks)

    def go_back(self, why: str) -> str:
        """Put the previous version in control again, or have it loaded if it is not in memory.

        Returns what was done; raises Refusal when there is no earlier version.
        """
        self._before = [each for each in self._before if not self._withdrawn(each)]
        if self.current is None:
            raise Refusal("no version is in control")
        if self._before:
            return self._return_to(self._before.pop(), why)
        return self._load_earlier(lineage.good_before(self.current.run), why)

    def _return_to(self, earlier: LoadedVersion, why: str) -> str:
        """Put an earlier version that is in memory in control."""
        bad = self._condemn(why)
        self._put(earlier)
        self._take(earlier.policy, False)
        self._note(earlier.run, state=ACTIVE, reason=f"after the roll-back of {bad.policy.version}")
        sentence = (
            f"version {earlier.policy.version} in control again, {bad.policy.version} rolled back: {why}"
        )
        self._say(sentence, warn=True)
        self._publish(bad.policy.version, ROLLED_BACK, why, {})
        return sentence

    def _load_earlier(self, run: Path | None, why: str) -> str:
        """Have an earlier version loaded; the one in control goes on until then."""
        if run is None:
            raise Refusal("there is no previous version to go back to")
        bad = self._condemn(why).policy.version
        sentence = f"{bad} rolled back: {why}; loading {run.name}, until then {bad} stays in control"
        self._say(sentence, warn=True)
        self._publish(bad, ROLLED_BACK, why, {})
        self._fetch(run, f"after the roll-back of {bad}")
        return sentence

    def _condemn(self, why: str) -> LoadedVersion:
        """Record that the version in control is rolled back, and return it."""
        bad = self.current
        assert bad is not None
        self._exclude(bad.run, f"rolled back: {why}")
        self._note(bad.run, state=ROLLED_BACK, reason=why)
        self.current = replace(bad, verdict=lineage.recorded_bad(bad.run))
        return self.current

    def close(self) -> None:
        """Save the driving record of the version in control."""
        if self.current is not None:
            self._note(self.current.run)
        self._put(None)
        self._before = []

    def end(self) -> None:
        """Release the events, which keep the subscription alive; nothing is observed any more."""
        self._events.close()
        self._node.destroy_timer(self._timer)

    # ---- what comes in -----------------------------------------------------------------------------------

    def _on_decision(self, raw: bytes) -> None:
        now_ns = self._node.get_clock().now().nanoseconds
        if now_ns:  # else simulated time has not arrived yet, and no stamp can be judged
            self._decisions.observe(decode(raw), now_ns)

    def _on_matched(self, event: Any) -> None:
        self._publishers, self._appeared = event.current_count, event.total_count_change

    def _on_rollback(self, _request: Trigger.Request, response: Trigger.Response) -> Trigger.Response:
        response.success, response.message = True, self.go_back("requested")
        return response

    def _look(self) -> None:
        self._appeared = 0
        self._events.look()
        self._decisions.look(self._publishers, self._appeared)
        doubt = self._decisions.doubt
        if doubt and doubt != self._doubt:
            self._node.get_logger().warning(
                f"decisions on {self._topic} do not count for or against a version: {shown(doubt)}",
                throttle_duration_sec=CLOCK_SAID_EVERY_S,  # its seconds differ each time
            )
        self._doubt = doubt
        self._look_for_pardons()
        self._look_for_rollback()
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

    def _look_for_rollback(self) -> None:
        """Go back if a person rolled the version in control back since it took control (`il-ros policy rollback`)."""
        if self.current is None:
            return
        found = lineage.recorded_bad(self.current.run)
        if found == self.current.verdict or not lineage.is_ours(self.current.run):
            return
        self.current = replace(self.current, verdict=found)
        if not found:  # pardoned
            return
        why = lineage.read(self.current.run).reason
        earlier = lineage.good_before(self.current.run)
        kept = next((each for each in self._before if each.run == earlier), None)
        try:
            if kept is not None:
                self._before.remove(kept)
                self._return_to(kept, why)
            else:
                self._load_earlier(earlier, why)
        except Refusal as refusal:
            self._node.report_error("roll-back", refusal)

    def _withdrawn(self, version: LoadedVersion) -> bool:
        """Return whether a version was refused or rolled back since it took control."""
        return version.run in self._excluded or lineage.recorded_bad(version.run) not in ("", version.verdict)

    def _put(self, version: LoadedVersion | None) -> None:
        """Set the version in control, and lock its folder, so that `il-ros policy` can read it."""
        if self._occupied >= 0:
            os.close(self._occupied)
        self.current = version
        self._occupied = -1 if version is None else occupy(version.run)

    def _exclude(self, run: Path, why: str) -> None:
        self._excluded[run] = why, lineage.pardons_of(run)

    def _look_for_pardons(self) -> None:
        """Forget the verdict on each version that a person pardoned since (`il-ros policy pardon`)."""
        for run, (_, pardons) in list(self._excluded.items()):
            if lineage.pardons_of(run) > pardons and lineage.is_good(run):
                del self._excluded[run]
                told = lineage.read(run)
                if self.current is None or self.current.run != run:
                    self._log.by_version[told.version] = Driving(told.driven_s, told.interventions)
                self._say(f"version {told.version} was pardoned: it may be examined and drive again")

    # ---- what is written and said ------------------------------------------------------------------------

    def _standing(self, policy: Any, run: Path) -> LoadedVersion:
        """Return a policy that takes control; warn when it was refused or rolled back earlier."""
        bad = self._excluded.get(run, ("", 0))[0] or lineage.recorded_bad(run)
        if bad:
            self._node.get_logger().warning(
                f"{shown(run.name)} was {shown(bad)}; it is in control because the parameter `checkpoint` names it"
            )
        with contextlib.suppress(LineageError):
            self._driving(lineage.read(run))
        return LoadedVersion(policy, run, self._log.of(policy.version), lineage.recorded_bad(run))

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

    def _described(self) -> str:
        """Return the policy in control in one phrase, "" without one."""
        if self.current is None:
            return ""
        policy = self.current.policy
        return lineage.describe(policy.version, self.current.run, policy.metrics)

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
            "policy": self._described(),
            "verdict": {"version": version, "state": state, "reason": reason, "checks": dict(checks)},
            "driving": {
                name: {"seconds": round(each.seconds, 1), "interventions": each.interventions}
                for name, each in self._log.by_version.items()
            },
            "at_s": time.time(),
        }
        self._publisher.publish(String(data=json.dumps(record)))
