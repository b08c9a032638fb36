"""A candidate's examination, step by step: loaded, replayed, timed, and run in shadow of the driving policy.

Runs in a thread beside the ticks: after each answer it lets others go first.
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
from il_ros.interactive.promotion import criteria, replays
from il_ros.interactive.promotion.criteria import Observation, PromotionLimits
from il_ros.interactive.promotion.loading import UnfitError, loaded, made_up, warm_up

if TYPE_CHECKING:
    from il_ros.policies.runner import LoadedPolicy

TIMED = 200
"""Answers that are timed at least."""


@dataclass(frozen=True)
class ExaminationPlan:
    """What a candidate is examined by. `root`: of the recorded episodes; None: no replay.

    The shadow ends after `shadow_ticks` ticks, or `shadow_s` seconds when nobody ticks.
    """

    limits: PromotionLimits = field(default_factory=PromotionLimits)
    root: Path | None = None
    shadow_ticks: int = 0
    shadow_s: float = 2.0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True)
class Verdict:
    """`refused`: why, "" when the candidate is admitted. `checks`: what was measured, in how long.

    `lasting`: that was measured of the version itself; otherwise the node's or a passing fault is in the way.
    """

    refused: str
    checks: Mapping[str, Any]
    policy: LoadedPolicy | None = None
    lasting: bool = True


class ShadowBuffer:
    """Ticks of the driving policy, passed to the thread that examines: observation and its chunk (H, A)."""

    def __init__(self) -> None:
        self._ticks: deque[tuple[Observation, np.ndarray[Any, Any]]] = deque(maxlen=8)
        self.wanted = False

    def cast(self, observation: Observation, chunk: np.ndarray[Any, Any]) -> None:
        """Called at every tick: keep it if somebody wants it."""
        if self.wanted:
            self._ticks.append((observation, chunk))

    def take(self) -> tuple[Observation, np.ndarray[Any, Any]] | None:
        """Return the oldest tick kept, None when there is none."""
        return self._ticks.popleft() if self._ticks else None

    def clear(self) -> None:
        """Forget what was kept."""
        self._ticks.clear()


def examine(
    checkpoint: Path,
    contract: Contract | None,
    driving: LoadedPolicy | None,
    plan: ExaminationPlan,
    shadow: ShadowBuffer,
) -> Verdict:
    """Return the verdict on the candidate at `checkpoint`; never raises on a bad one.

    `contract`: what it must see and command (None: its own). `driving`: the policy in control, None for none;
    it must not act meanwhile through this very object from another thread: give a copy.
    """
    checks: dict[str, Any] = {}
    clock = _Laps(checks)
    try:
        candidate = loaded(checkpoint, contract, driving, plan.device)
        clock.lap("load_s")
        refused = _measure(candidate, driving, plan, shadow, checks, clock)
    except UnfitError as error:
        return Verdict(str(error), checks, lasting=error.lasting)
    except ValueError as error:  # what it can't take or must not say
        return Verdict(str(error), checks)
    return Verdict(refused, checks, None if refused else candidate)


def take(checkpoint: Path, contract: Contract | None, driving: LoadedPolicy | None, device: str) -> Verdict:
    """Return the verdict on a checkpoint that a person wants: loaded and warmed up, not measured."""
    try:
        policy = loaded(checkpoint, contract, driving, device)
        warm_up(policy)
    except ValueError as error:
        return Verdict(str(error), {}, lasting=False)  # half copied, say: a second order may find it whole
    return Verdict("", {}, policy)


def _measure(
    candidate: LoadedPolicy,
    driving: LoadedPolicy | None,
    plan: ExaminationPlan,
    shadow: ShadowBuffer,
    checks: dict[str, Any],
    clock: _Laps,
) -> str:
    warm_up(candidate)
    scale = (candidate if driving is None else driving).normaliser.actions.scale
    timed = _Timed(candidate)
    seen: list[Observation] = []
    for kind, names, judge in replays.wanted(candidate, driving):
        replay, checks[kind] = replays.frames(names, candidate.contract, plan.root)
        if not replay:
            continue
        error = criteria.replay_error(timed.act, replay, scale)
        before = None if driving is None else criteria.replay_error(_gently(driving), replay, scale)
        checks[kind] |= {"error": error, "driving_error": before}
        clock.lap(f"{kind}_s")
        if refused := judge(error, before, plan.limits):
            return refused
        seen += [observation for observation, _ in replay]
    seen = seen or [made_up(candidate.contract)]
    while len(timed.durations_s) < TIMED:
        timed.act(seen[len(timed.durations_s) % len(seen)])
    period_s = candidate.contract.period_ns / 1e9
    p99_s, refused = criteria.judge_latency(timed.durations_s, period_s, plan.limits)
    checks["computing_p99_ms"] = 1e3 * p99_s
    clock.lap("latency_s")
    if refused or driving is None or not plan.shadow_ticks:
        return refused
    apart = _in_shadow(candidate, plan, shadow, scale)
    checks |= {"shadow_ticks": len(apart), "shadow_difference": float(np.mean(apart)) if apart else None}
    clock.lap("shadow_s")
    return criteria.judge_shadow(apart, plan.limits)


def _in_shadow(
    candidate: LoadedPolicy, plan: ExaminationPlan, shadow: ShadowBuffer, scale: Any
) -> list[float]:
    shadow.clear()
    shadow.wanted = True
    end_s = time.monotonic() + plan.shadow_s
    apart: list[float] = []
    try:
        while len(apart) < plan.shadow_ticks and time.monotonic() < end_s:
            tick = shadow.take()
            if tick is None:
                time.sleep(0.002)
                continue
            observation, chunk = tick
            apart.append(criteria.difference(candidate.act(observation), chunk, scale))
        return apart
    finally:
        shadow.wanted = False


class _Timed:
    """A policy whose answers are timed, by its own computing: a busy machine doesn't condemn a policy."""

    def __init__(self, policy: LoadedPolicy) -> None:
        self._policy = policy
        # a graphics card computes while the thread's own clock stands still
        self._clock: Callable[[], float] = time.thread_time if policy.device == "cpu" else time.perf_counter
        self.durations_s: list[float] = []

    def act(self, observation: Observation) -> np.ndarray[Any, Any]:
        started_s = self._clock()
        chunk = self._policy.act(observation)
        self.durations_s.append(self._clock() - started_s)
        time.sleep(0.0005)  # a tick may come in between
        return chunk


def _gently(policy: LoadedPolicy) -> Callable[[Observation], np.ndarray[Any, Any]]:
    def act(observation: Observation) -> np.ndarray[Any, Any]:
        time.sleep(0.0005)
        return policy.act(observation)

    return act


class _Laps:
    """Notes how long each step took, in seconds."""

    def __init__(self, checks: dict[str, Any]) -> None:
        self._checks, self._since_s = checks, time.monotonic()

    def lap(self, name: str) -> None:
        now_s = time.monotonic()
        self._checks[name] = round(now_s - self._since_s, 4)
        self._since_s = now_s
