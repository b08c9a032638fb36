"""The examination of a candidate: loading, replay, timing, and a run in shadow of the driving policy.

It runs in a thread beside the control loop and sleeps after each inference, so that ticks take precedence.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.interactive.promotion import criteria, replays
from il_ros.interactive.promotion.criteria import PromotionLimits, Seen
from il_ros.interactive.promotion.loading import UnfitError, loaded, warm_up, zero_observation

if TYPE_CHECKING:
    from il_ros.policies.disagreement import Difference
    from il_ros.policies.loading import AnyPolicy
    from il_ros.policies.runner import LoadedPolicy

TIMED = 200
"""Minimum number of timed inferences."""


@dataclass(frozen=True)
class ExaminationPlan:
    """The options of an examination. `root`: folder of the recorded episodes; None: no replay.

    The shadow run ends after `shadow_ticks` ticks, or after `shadow_s` seconds.
    """

    limits: PromotionLimits = field(default_factory=PromotionLimits)
    root: Path | None = None
    shadow_ticks: int = 0
    shadow_s: float = 2.0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Verdict:
    """`refused`: the reason, "" when the candidate is accepted. `checks`: the measurements and their durations.

    `lasting`: the reason lies in the version itself, not in the node or in a transient fault. `seconds`: how long an
    accepted candidate took for its last answers.
    """

    refused: str
    checks: Mapping[str, Any]
    policy: AnyPolicy | None = None
    lasting: bool = True
    seconds: tuple[float, ...] = ()


ShadowTick = tuple[Seen, Vector, "Vector | None"]


class ShadowBuffer:
    """Passes what the driving policy saw and answered to the examining thread.

    A tick is its window, its chunk (H, A), and the chunk's first steps (K, A) that were committed; None: none was.
    """

    def __init__(self) -> None:
        self._ticks: deque[ShadowTick] = deque(maxlen=8)
        self.active = False

    def push(self, seen: Seen, chunk: Vector, committed: Vector | None = None) -> None:
        """Store a tick if a shadow run is active; called at every tick."""
        if self.active:
            self._ticks.append((seen, chunk, committed))

    def pop(self) -> ShadowTick | None:
        """Remove and return the oldest stored tick, None without one."""
        return self._ticks.popleft() if self._ticks else None

    def clear(self) -> None:
        """Discard the stored ticks."""
        self._ticks.clear()


def examine(
    checkpoint: Path,
    contract: Contract | None,
    driving: LoadedPolicy | None,
    plan: ExaminationPlan,
    shadow: ShadowBuffer,
) -> Verdict:
    """Return the verdict on the candidate at `checkpoint`; a bad candidate raises no error.

    `contract`: the required one; None: the candidate's own. `driving`: the policy in control, None without
    one; it is not thread-safe, so pass a copy.
    """
    checks: dict[str, Any] = {}
    clock = _Laps(checks)
    try:
        candidate = loaded(checkpoint, contract, driving, plan.device)
        if candidate.waits:
            raise UnfitError(
                "it is a remote policy, which is not promoted: name its folder in the parameter checkpoint",
                lasting=False,
            )
        clock.lap("load_s")
        refused = _measure(candidate, driving, plan, shadow, checks, clock)
        seconds = () if refused else warm_up(candidate)
    except UnfitError as error:
        return Verdict(str(error), checks, lasting=error.lasting)
    except ValueError as error:  # invalid input or output
        return Verdict(str(error), checks)
    return Verdict(refused, checks) if refused else Verdict("", checks, candidate, seconds=seconds)


def load_requested(
    checkpoint: Path, contract: Contract | None, driving: AnyPolicy | None, device: str
) -> Verdict:
    """Return the verdict on a checkpoint that an operator requested: loaded and warmed up, not measured."""
    try:
        policy = loaded(checkpoint, contract, driving, device)
        seconds = warm_up(policy)
    except ValueError as error:
        return Verdict(
            str(error), {}, lasting=False
        )  # for example a partial copy: a later request may succeed
    return Verdict("", {}, policy, seconds=seconds)


def _measure(
    candidate: LoadedPolicy,
    driving: LoadedPolicy | None,
    plan: ExaminationPlan,
    shadow: ShadowBuffer,
    checks: dict[str, Any],
    clock: _Laps,
) -> str:
    warm_up(candidate)
    limits = plan.limits
    if candidate.metrics.get("reward"):
        limits = limits.of_reward(candidate.network.departure)
        checks["slack"] = limits.slack
    apart = (candidate if driving is None else driving).difference
    timed = _Timed(candidate)
    seen: list[Seen] = []
    history = max(candidate.history, 1 if driving is None else driving.history)
    optional = set(candidate.may_lack)
    optional &= optional if driving is None else set(driving.may_lack)  # both answer each frame
    for kind, names, judge in replays.replay_sets(candidate, driving):
        replay, checks[kind] = replays.frames(names, candidate.contract, plan.root, history, sorted(optional))
        if not replay:
            continue
        error = criteria.replay_error(timed.act, replay, apart)
        before = None if driving is None else criteria.replay_error(_yielding(driving), replay, apart)
        checks[kind] |= {"error": error, "driving_error": before}
        clock.lap(f"{kind}_s")
        if refused := judge(error, before, limits):
            return refused
        seen += [window for window, _ in replay]
    seen = seen or [[zero_observation(candidate.contract)]]
    while len(timed.durations_s) < TIMED:
        timed.act(seen[len(timed.durations_s) % len(seen)])
    period_s = candidate.contract.period_ns / 1e9
    p99_s, refused = criteria.judge_latency(timed.durations_s, period_s, plan.limits, candidate.horizon)
    checks["computing_p99_ms"] = 1e3 * p99_s
    clock.lap("latency_s")
    if refused or driving is None or not plan.shadow_ticks:
        return refused
    found = _in_shadow(candidate, plan, shadow, apart)
    checks |= {"shadow_ticks": len(found), "shadow_difference": float(np.mean(found)) if found else None}
    clock.lap("shadow_s")
    return criteria.judge_shadow(found, plan.limits)


def _in_shadow(
    candidate: LoadedPolicy, plan: ExaminationPlan, shadow: ShadowBuffer, apart: Difference
) -> list[float]:
    shadow.clear()
    shadow.active = True
    end_s = time.monotonic() + plan.shadow_s
    found: list[float] = []
    try:
        while len(found) < plan.shadow_ticks and time.monotonic() < end_s:
            tick = shadow.pop()
            if tick is None:
                time.sleep(0.002)
                continue
            seen, chunk, committed = tick
            previous = np.empty((0, chunk.shape[1])) if committed is None else committed
            previous = previous[: min(len(previous), candidate.horizon - 1)]
            own = candidate.act(seen, previous)[len(previous) :]
            found.append(criteria.difference(own, chunk[len(previous) :], apart))
        return found
    finally:
        shadow.active = False


class _Timed:
    """Measures a policy's computing time; on the CPU the thread's own, which excludes other load."""

    def __init__(self, policy: LoadedPolicy) -> None:
        self._policy = policy
        # the thread's clock does not advance while a GPU computes
        self._clock: Callable[[], float] = time.thread_time if policy.device == "cpu" else time.perf_counter
        self.durations_s: list[float] = []

    def act(self, seen: Seen) -> np.ndarray[Any, Any]:
        started_s = self._clock()
        chunk = self._policy.act(seen)
        self.durations_s.append(self._clock() - started_s)
        time.sleep(0.0005)  # lets a tick run in between
        return chunk


def _yielding(policy: LoadedPolicy) -> Callable[[Seen], np.ndarray[Any, Any]]:
    def act(seen: Seen) -> np.ndarray[Any, Any]:
        time.sleep(0.0005)
        return policy.act(seen)

    return act


class _Laps:
    """Records the duration of each step, in seconds."""

    def __init__(self, checks: dict[str, Any]) -> None:
        self._checks, self._since_s = checks, time.monotonic()

    def lap(self, name: str) -> None:
        now_s = time.monotonic()
        self._checks[name] = round(now_s - self._since_s, 4)
        self._since_s = now_s
