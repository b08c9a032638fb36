"""Load and examine new checkpoints in a thread; deliver each verdict between two ticks."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from std_msgs.msg import String

from il_ros.core.contract import Contract
from il_ros.core.tables import shown
from il_ros.interactive.promotion.criteria import PromotionLimits
from il_ros.interactive.promotion.examination import (
    ExaminationPlan,
    ShadowBuffer,
    Verdict,
    examine,
    load_requested,
)
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.qos import LATCHED
from il_ros.nodes.runtime.shell import Refusal
from il_ros.policies import lineage

POLL_S = 0.02
_LONGEST = 200  # characters of an announced path in the log
LEAVE_S = 5.0  # longest wait for a running examination at shutdown
SWITCH_S = 0.0005
"""Python's thread switch interval; the default is ten times as long."""


@dataclass(frozen=True)
class Candidate:
    """A version by its run's folder; `requested`: why it takes control without promotion, "" if it needs it."""

    run: Path
    requested: str = ""


Decide = Callable[[Candidate, Verdict], None]


def declare_promotion(node: Node) -> None:
    """Declare the parameters of promotion."""
    declare(
        node, "candidates", "", "topic (std_msgs/String) that announces new checkpoints, such as "
        "trainer/checkpoint; empty: none", read_only=True,
    )  # fmt: skip
    declare(
        node, "versions", "checkpoint", "folder of the versions v1, v2, ...: an announced checkpoint is taken "
        "only from below it", read_only=True,
    )  # fmt: skip
    declare(
        node, "promotion.root", "", "folder of recorded episodes: a candidate is replayed on held-out ones "
        "and on those that it alone or both versions were trained on; empty: no replay", read_only=True,
    )  # fmt: skip
    limits, plan = PromotionLimits(), ExaminationPlan()
    for name, default, text, unit in (
        (
            "tolerance",
            limits.tolerance,
            "allowed increase of the error over the driving policy's, on held-out episodes and on those "
            "that both were trained on",
            "share",
        ),
        (
            "slack",
            limits.slack,
            "allowed absolute increase of the error, also on new episodes",
            "normalised actions",
        ),
        ("latency", limits.latency, "largest p99 of the computing time", "tick periods"),
        ("disagreement", limits.disagreement, "largest mean difference in shadow", "normalised actions"),
        ("shadow_s", plan.shadow_s, "time limit of the shadow run, even without ticks", "s"),
    ):
        declare(node, f"promotion.{name}", default, text, unit=unit, minimum=0.0, maximum=1e6, read_only=True)
    declare(
        node, "promotion.shadow_ticks", plan.shadow_ticks, "ticks for which a candidate runs in shadow of "
        "the driving policy; 0: none", minimum=0, maximum=100_000, read_only=True,
    )  # fmt: skip


class Candidates:
    """Receives checkpoints and examines them one at a time.

    Anybody on the graph can announce a path: it must lie below the folder of versions, and only the examining
    thread opens its files.

    `driving()` returns the policy in control, `contract()` the required one while there is no policy,
    `known(run)` why a version needs no examination, from memory. `decide(candidate, verdict)` is called
    between two ticks, once per candidate. During an examination only the newest announced candidate waits,
    and a requested one takes precedence. When another policy takes control during an examination, the
    candidate is examined again, or dropped for a newer one.
    """

    def __init__(
        self,
        node: Node,
        driving: Callable[[], Any],
        contract: Callable[[], Contract | None],
        decide: Decide,
        known: Callable[[Path], str],
    ) -> None:
        self._node, self._driving, self._contract = node, driving, contract
        self._decide, self._known = decide, known
        self.shadow = ShadowBuffer()
        self.examining = ""
        """Name of the version under examination, "" if none."""
        self._next: Candidate | None = None
        self._thread: threading.Thread | None = None
        # with the policy in control at the start; a text: why there is no verdict
        self._verdict: tuple[Candidate, Any, Verdict | str] | None = None
        self._timer: Any = None
        sys.setswitchinterval(SWITCH_S)  # bounds the wait of a tick for the examining thread
        self._root = Path(value(node, "versions")).resolve()
        topic = value(node, "candidates")
        if topic:
            self._subscription = node.create_subscription(String, topic, self._on_announced, LATCHED)

    def request(self, path: Path, why: str) -> None:
        """Load a requested checkpoint, in place of a waiting candidate."""
        self._next = Candidate(run_of(path.resolve()), why)
        self._examine_next()

    def close(self) -> None:
        """Wait for the thread; deliver no more verdicts."""
        self._next = None
        if self._thread is not None:
            self._node.destroy_timer(self._timer)
            self._thread.join(timeout=LEAVE_S)
            self._thread, self._verdict, self.examining = None, None, ""

    def _plan(self) -> ExaminationPlan:
        node = self._node
        limits = PromotionLimits(
            tolerance=value(node, "promotion.tolerance"),
            slack=value(node, "promotion.slack"),
            latency=value(node, "promotion.latency"),
            disagreement=value(node, "promotion.disagreement"),
        )
        root = value(node, "promotion.root")
        return ExaminationPlan(
            limits,
            Path(root) if root else None,
            value(node, "promotion.shadow_ticks"),
            value(node, "promotion.shadow_s"),
            value(node, "device"),
            value(node, "threads"),
        )

    def _on_announced(self, message: String) -> None:
        path = self._below(message.data)
        if path is None or self._excluded(path):
            return
        if self._next is None or not self._next.requested:
            self._next = Candidate(path)
        self._examine_next()

    def _below(self, announced: str) -> Path | None:
        """Return the run of an announced checkpoint; None if it is not below the folder of versions."""
        try:
            # a path that is elsewhere by its name is not looked at, a link not followed out of the folder
            path = Path(os.path.abspath(announced))
            run = run_of(path.resolve() if path.is_relative_to(self._root) else path)
        except (OSError, ValueError, RuntimeError) as error:
            self._tell(announced, str(error))
            return None
        if run == self._root or not run.is_relative_to(self._root):
            self._tell(announced, f"it is not below {self._root}, the folder of versions")
            return None
        return run

    def _excluded(self, run: Path) -> bool:
        reason = self._known(run)
        if reason:
            self._tell(run.name, reason)
        return bool(reason)

    def _tell(self, name: str, reason: str) -> None:
        self._node.get_logger().info(f"{shown(name[:_LONGEST])} not examined: {shown(reason)}")

    def _examine_next(self) -> None:
        if self._thread is None and self._next is not None:
            candidate, self._next = self._next, None
            self._begin(candidate)

    def _begin(self, candidate: Candidate) -> None:
        if not candidate.requested and self._excluded(candidate.run):
            return  # got its verdict while it waited
        driving = self._driving()
        try:
            contract = self._contract() if driving is None or candidate.requested else driving.contract
        except Refusal as error:
            self._decide(candidate, Verdict(str(error), {}, lasting=False))
            return
        if driving is not None and driving.waits and not candidate.requested:
            why = "a remote policy is in control, and versions are not compared with it; ~/reload loads one"
            self._decide(candidate, Verdict(why, {}, lasting=False))
            return
        self.examining = candidate.run.name
        doing = "loading" if candidate.requested else "examining"
        self._node.get_logger().info(f"{doing} {shown(self.examining)}")
        words = (candidate, contract, driving, self._plan())
        self._thread = threading.Thread(target=self._examine, args=words, name="promotion", daemon=True)
        self._thread.start()
        steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self._node.create_timer(POLL_S, self._poll, clock=steady)

    def _examine(
        self, candidate: Candidate, contract: Contract | None, driving: Any, plan: ExaminationPlan
    ) -> None:
        import torch  # takes a second at the first import

        torch.set_num_threads(plan.threads)
        verdict: Verdict | str
        try:
            if candidate.requested:
                verdict = load_requested(candidate.run, contract, driving, plan.device)
            elif bad := lineage.recorded_bad(candidate.run):
                verdict = bad
            elif outside := self._outside(candidate.run):
                verdict = Verdict(outside, {}, lasting=False)
            else:
                # a copy has its own buffers and does not disturb the policy in control
                copy = None if driving is None else replace(driving)
                verdict = examine(candidate.run, contract, copy, plan, self.shadow)
        except lineage.CheckpointError as error:  # there is none
            verdict = Verdict(str(error), {})
        except Exception as error:  # an examination that fails never promotes
            verdict = Verdict(f"its examination failed: {type(error).__name__}: {error}", {}, lasting=False)
        self._verdict = candidate, driving, verdict

    def _outside(self, run: Path) -> str:
        """Return why a run's checkpoint is not below the folder of versions, "" if it is: it may hold links."""
        from il_ros.policies import checkpoint

        folder = lineage.find_checkpoint(run)
        for path in (folder, *(folder / name for name in checkpoint.FILES)):
            if not path.resolve().is_relative_to(self._root):
                return f"{path}: leads out of {self._root}, the folder of versions"
        return ""

    def _poll(self) -> None:
        """Deliver the verdict, if there is one, between two ticks."""
        if self._verdict is None:
            return
        (candidate, compared, verdict), self._verdict = self._verdict, None
        self._node.destroy_timer(self._timer)
        self._thread.join()
        self._thread, self.examining = None, ""
        driving = self._driving()
        try:
            if isinstance(verdict, str):
                self._tell(candidate.run.name, verdict)
            elif not candidate.requested and (bad := lineage.recorded_bad(candidate.run)):
                self._tell(candidate.run.name, bad)  # a person rolled it back meanwhile
            elif driving is compared or driving is None:
                self._decide(candidate, verdict)
            elif candidate.requested or self._next is None:
                self._begin(candidate)
        finally:
            self._examine_next()


def run_of(path: Path) -> Path:
    """Return the folder that identifies a version: the run of its checkpoint, or the checkpoint itself."""
    return lineage.run_of(path) or path
