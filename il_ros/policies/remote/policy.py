"""A policy that answers from another process or machine; it takes the place of a trained one."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np

from il_ros.core.contract import Contract
from il_ros.core.specs import Vector
from il_ros.policies.action_form import ActionForm
from il_ros.policies.protocol import Observation, PolicyError
from il_ros.policies.remote import mapping, translation
from il_ros.policies.remote.connection import OWN, Connection, ConnectionNews, RemoteError
from il_ros.policies.remote.mapping import RemoteSpec
from il_ros.policies.uncertainty import PolicyAnswer, UncertaintyModel
from il_ros.policies.window import TickWindow

Seen = Any
"""One observation, or those of a window, oldest first (`runner.Seen`)."""


class RemotePolicy:
    """A policy server as a policy. Not thread-safe. It connects with the first request, and again after each loss.

    Without a connection, and after `timeout_s`, `act` raises PolicyError: nothing is proposed then. The connection
    ends with `close`, or with the last reference to the policy.
    """

    waits: ClassVar[Literal[True]] = True
    """The answer depends on another process, which may be gone: it always computes beside the streams."""
    family = "remote"
    device = "another process"

    def __init__(self, spec: RemoteSpec) -> None:
        """Raise MissingError (`extra`) if a package is not installed."""
        self.spec, self.connection = spec, Connection(spec.endpoint)
        self.metrics: Mapping[str, Any] = {}
        self.uncertainty_model = UncertaintyModel()
        self._numbers = itertools.count(1)
        weakref.finalize(self, self.connection.close, wait=False)

    @property
    def contract(self) -> Contract:
        """What the policy observes and commands."""
        return self.spec.contract

    @property
    def version(self) -> str:
        """One word for the mapping and the contract; the server's own version is in `server`."""
        return self.spec.version

    @property
    def horizon(self) -> int:
        """Number of steps H of a chunk."""
        return self.spec.horizon

    @property
    def history(self) -> int:
        """Number of ticks T that the server is shown."""
        return self.spec.history

    @property
    def may_lack(self) -> tuple[str, ...]:
        """The keys of the observations that may be missing: none, as the server is sent all that are mapped."""
        return ()

    @property
    def server(self) -> Mapping[str, Any]:
        """Values for diagnostics: address, connection, and the server's own version if it says one."""
        own = self.connection.metadata.get(OWN)
        version = own.get("version") if isinstance(own, dict) else self.connection.metadata.get("version")
        return {
            "remote": self.spec.endpoint.url,
            "remote connected": self.connection.why or "yes",
            "remote connections": self.connection.connections,
            **({"remote version": str(version)[:100]} if isinstance(version, str) else {}),
        }

    def news(self) -> list[ConnectionNews]:
        """Return and forget what happened to the connection since the last call."""
        return self.connection.news()

    def open(self) -> None:
        """Begin to connect; it does not wait."""
        self.connection.open()

    def close(self) -> None:
        """End the connection; the policy cannot be used afterwards."""
        self.connection.close()

    def in_episode(self) -> Callable[[Observation], Vector]:
        """Return `act` for the successive ticks of one episode, with a window of its own."""
        window, ticks = TickWindow(self.history, self.contract.period_ns), iter(range(1 << 62))
        return lambda observation: self.act(window.push(next(ticks) * self.contract.period_ns, observation))

    def act(self, seen: Seen, previous: Vector | None = None, seed: int = 0) -> Vector:
        """Return (H, A) absolute commands in the contract's flat order and units; raises PolicyError."""
        return self.act_in_parts(seen, previous, seed)[0]

    def act_with_uncertainty(
        self, seen: Seen, previous: Vector | None = None, seed: int = 0
    ) -> tuple[Vector, float | None]:
        """Return the commands (H, A), and their uncertainty if the server says one."""
        answer = self.act_in_parts(seen, previous, seed)
        return answer.commands, answer.uncertainty

    def act_in_parts(
        self, seen: Seen, previous: Vector | None = None, seed: int = 0, way: int | None = None
    ) -> PolicyAnswer:
        """Return the commands (H, A), and their uncertainty if the server says one; see `LoadedPolicy`.

        `previous` is not sent. `seed` is sent to a server of il_ros. Raises PolicyError if a `way` is asked for.
        """
        if way is not None:
            raise PolicyError(f"way is {way}; a remote policy cannot be asked for one")
        ticks = (seen,) if isinstance(seen, Mapping) else tuple(seen)
        message = translation.request(self.spec, ticks)
        try:
            self.connection.require()
            if isinstance(self.connection.metadata.get(OWN), dict):
                message[OWN] = {"request": next(self._numbers), "seed": int(seed) & (2**63 - 1)}
            answer = self.connection.ask(message)
            commands = translation.commands(self.spec, answer, ticks[-1])
            return PolicyAnswer(commands, translation.uncertainty(self.spec, answer), 0.0)
        except (RemoteError, PolicyError) as error:
            raise PolicyError(f"remote policy {error}") from error

    def beyond_shown(self, observation: Observation) -> dict[str, float]:
        """Return nothing: what the server's policy was shown is not known here."""
        return {}

    def heard(self, observation: Observation) -> tuple[str, ...]:
        """Return nothing, as `beyond_shown`."""
        return ()

    def difference(self, commands: Vector, others: Vector) -> Vector:
        """Return the difference (..., L) of absolute commands (..., A), in halves of the contract's ranges."""
        apart: Vector = self.form.difference(commands, others) / self._scale
        return apart

    @cached_property
    def form(self) -> ActionForm:
        """The form in which commands are compared."""
        return ActionForm(self.contract)

    @cached_property
    def _scale(self) -> Vector:
        ranges = self.form.ranges
        return np.where(np.isfinite(ranges) & (ranges > 0), ranges / 2, 1.0)


def load(folder: Path) -> RemotePolicy:
    """Return the remote policy of a folder, not connected yet; raises MappingError, and MissingError (`extra`)."""
    return RemotePolicy(mapping.read(folder))
