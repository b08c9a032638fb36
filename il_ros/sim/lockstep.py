"""A task in one process, tick by tick: its sensors become an observation, an action becomes commands.

Simulated time stands still between an observation and its command, as on a ROS graph in lockstep. The messages
are serialised, pushed into the synchroniser and sampled at the tick, so the observations equal a node's.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from numpy.typing import NDArray

from il_ros.core import messages
from il_ros.core.codecs import encode
from il_ros.core.contract import Contract
from il_ros.core.messages import Message
from il_ros.core.specs import Vector
from il_ros.core.synchroniser import NoObservation, Synchroniser
from il_ros.sim.tasks.task import Task


class Tap(Protocol):
    """Receives every message of an episode, sensors and commands, in order, such as a recorder."""

    def message(self, topic: str, type_name: str, raw: bytes, time_ns: int) -> None:
        """Take a serialised message; `time_ns`: simulated time."""


class NoObservationError(RuntimeError):
    """A tick has no observation; the message names the streams and the reasons."""


class Lockstep:
    """The task's episodes under a contract. `tap`: receives the messages, None: nobody does.

    Raises ValueError when the contract does not fit the task.
    """

    def __init__(self, task: Task, contract: Contract, tap: Tap | None = None) -> None:
        require_fit(task, contract)
        self.task, self.contract, self.tap = task, contract, tap
        self._synchroniser = Synchroniser(contract.observations)

    def reset(self, seed: int) -> None:
        """Begin the episode of a seed."""
        self.task.reset(seed)

    def observe(self) -> Mapping[str, NDArray[Any]]:
        """Return the observation of the present tick; call it once per tick, also for the tap.

        Raises NoObservationError naming the reasons when there is none.
        """
        task, now_ns = self.task, self.task.time_ns
        for reading in task.readings():
            wanted = reading.topic in self._synchroniser.topics
            if wanted or self.tap is not None:
                raw = messages.encode(reading.type, reading.message)
                if wanted:
                    self._synchroniser.push(reading.topic, raw, now_ns)
                if self.tap is not None:
                    self.tap.message(reading.topic, reading.type, raw, now_ns)
        observation = self._synchroniser.sample(now_ns)
        if isinstance(observation, NoObservation):
            raise NoObservationError(f"{task.name} at {now_ns} ns: " + "; ".join(observation.reasons))
        return observation.values

    def step(self, action: Vector | None) -> None:
        """Command an action (A,), absolute values in the contract's flat order, for one control period.

        None: nothing is commanded. Raises ValueError when it is not a command.
        """
        now_ns = self.task.time_ns
        commands = {} if action is None else command_messages(self.contract, action, now_ns)
        if self.tap is not None:
            for topic, message in commands.items():
                type_name = self.task.commands[topic]
                self.tap.message(topic, type_name, messages.encode(type_name, message), now_ns)
        self.task.step(commands)


def command_messages(contract: Contract, action: Vector, stamp_ns: int) -> dict[str, Message]:
    """Return the command messages of one flat action (A,), by topic."""
    return {
        spec.topic: encode(spec, action[contract.action_slices[spec.key]], stamp_ns)
        for spec in contract.actions
    }


def require_fit(task: Task, contract: Contract) -> None:
    """Raise ValueError, naming topic or rate, when the contract observes or commands what the task does not have."""
    missing = [topic for topic in (spec.topic for spec in contract.observations) if topic not in task.streams]
    if missing:
        raise ValueError(
            f"contract {contract.name} observes {missing[0]}; "
            f"{task.name} publishes: {', '.join(task.streams)}"
        )
    strange = [spec.topic for spec in contract.actions if spec.topic not in task.commands]
    if strange:
        raise ValueError(
            f"contract {contract.name} commands {strange[0]}; {task.name} takes: {', '.join(task.commands)}"
        )
    if contract.period_ns != task.control_period_ns:
        raise ValueError(
            f"contract {contract.name} has rate_hz {contract.rate_hz:g}; {task.name} is controlled "
            f"at {1e9 / task.control_period_ns:g} Hz"
        )
