"""Proposals and decisions that nobody of ours makes: garbage, forged, far too many."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from dataclasses import replace

import numpy as np
from fault import Fault, Run
from recorded import STRING
from world import PERIOD_S, World

from il_ros.records import decision, proposal
from kinds.messages import PROPOSAL, flood, live, now_ns, odd_json, proposed, published, random, text

DECISION, STATUS = "dagger_supervisor/decision", "dagger_supervisor/status"


def _burst(topic: str, source: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        publish = world.publisher(topic, PROPOSAL)
        for _ in range(20):
            for ahead in range(5):
                publish(proposed(world, source, (0.0, -2.0), ahead * 5 * 10**7 - 10**6))
            time.sleep(3 * PERIOD_S)
        yield

    return run


def _handed_back(run: Run) -> Run:
    """After the fault, let the expert hand back: in mode gated, one that only falls silent is waited for."""

    @contextlib.contextmanager
    def then(world: World) -> Iterator[None]:
        with run(world):
            yield
        publish = world.publisher("expert/proposal", PROPOSAL)
        names, period_ns = world.contract.action_names, world.contract.period_ns
        for _ in range(5):
            released = proposal.releasing("expert", now_ns(world), len(names))
            publish(proposal.encode(released, names, period_ns))
            time.sleep(PERIOD_S)
        world.forget()

    return then


def _forged(world: World) -> bytes:
    _, last = world.decisions[-1]
    made = replace(last, stamp_ns=now_ns(world), authority="expert", mode="hg_dagger")
    return text(decision.to_json(made))


def _to_and_fro(world: World, source: str) -> bytes:
    return proposed(world, source, (0.6, 2.0 * (-1) ** (now_ns(world) // 10**8)))


def _of(source: str, topic: str) -> list[Fault]:
    def constant(*action: float) -> Callable[[World], bytes]:
        return lambda world: proposed(world, source, (action[0], action[1]))

    runs = {
        "random bytes": published(topic, PROPOSAL, random(200), 50),
        "1e308": live(topic, PROPOSAL, constant(1e308, -1e308)),
        "NaN": live(topic, PROPOSAL, constant(np.nan, np.inf)),
        "forged, full speed to and fro": live(topic, PROPOSAL, lambda world: _to_and_fro(world, source)),
        "burst stamped ahead": _burst(topic, source),
        "a flood": flood(topic, PROPOSAL, constant(0.0, 2.0)),
    }
    by_person = source == "expert"
    return [Fault(f"{source}: {what}", _handed_back(run) if by_person else run) for what, run in runs.items()]


FAULTS = [
    *_of("policy", "policy_server/proposal"),
    *_of("expert", "expert/proposal"),
    Fault("decisions: random bytes", published(DECISION, STRING, random(90), 50)),
    Fault("decisions: odd JSON", published(DECISION, STRING, odd_json(), 50)),
    Fault("decisions: forged take-overs", live(DECISION, STRING, _forged)),
    Fault("status of the supervisor: odd JSON", published(STATUS, STRING, odd_json(), 50, latched=True)),
]
