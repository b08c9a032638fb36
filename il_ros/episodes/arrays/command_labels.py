"""The commands of a bag without decisions: which one is in force at a tick, and for how long.

A command counts for the tick in whose period it arrives, and for the following ticks until it is superseded or
has expired (`Contract.expires_s`). A trajectory is interpolated at the tick, lasts until it is superseded, and
expires after its last point.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from contextlib import suppress

import numpy as np

from il_ros.core import messages
from il_ros.core.actions import References
from il_ros.core.codecs import CodecError, decode
from il_ros.core.codecs import trajectory as trajectories
from il_ros.core.codecs.trajectory import Trajectory
from il_ros.core.contract import Contract
from il_ros.core.specs import JOINT_TRAJECTORY, ActionSpec, Vector
from il_ros.core.synchroniser import HISTORY_NS, Observation, Synchroniser
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.bag.topics import ContractTopics
from il_ros.records.labelling import NoLabel


class UnlabelledError(ValueError):
    """A tick has no command; `kind` says why for the program, the text for people."""

    def __init__(self, kind: NoLabel, reason: str):
        super().__init__(reason)
        self.kind = kind


def command_topics(contract: Contract, streams: ContractTopics) -> set[str]:
    """Return the bag's topics that `ActionCommands` needs: commands, and the measured start of trajectories."""
    names = set(streams.commanded.values())
    for action in contract.actions:
        if action.type == JOINT_TRAJECTORY and action.reference is not None:
            names.add(streams.observed[contract.observation(action.reference).topic])
    return names


class ActionCommands:
    """The commands of one action in a bag. `recorded`: the bag's messages by topic, each by log time."""

    def __init__(
        self,
        contract: Contract,
        action: ActionSpec,
        streams: ContractTopics,
        recorded: Mapping[str, Sequence[BagMessage]],
    ):
        self._action, self._name = action, f"{action.key} ({action.topic})"
        self._period_ns, self._expires_s = contract.period_ns, contract.expires_s(action)
        self._commands = recorded.get(streams.commanded.get(action.topic, ""), ())
        self._log_times = [item.log_ns for item in self._commands]
        self._references = References(contract)
        self._reference = next(
            (spec for spec in self._references.specs if spec.key == action.reference), None
        )
        topic = "" if self._reference is None else streams.observed[self._reference.topic]
        self._measured = recorded.get(topic, ())
        self._read: tuple[int, Vector | Trajectory, tuple[int, Vector] | None] | None = None

    def at(self, tick_ns: int, arrival_ns: int, end_ns: int) -> Vector:
        """Return the command (A_k,) in force at a tick.

        `arrival_ns`: log time of the tick. `end_ns`: log time of the next one; later commands are not used.
        Raises UnlabelledError when there is none, it has expired, or it can't be read.
        """
        count = bisect_left(self._log_times, end_ns)
        if not count:
            raise UnlabelledError(NoLabel.NO_COMMAND, f"{self._name}: no command yet")
        log_ns = self._log_times[count - 1]
        try:
            command, start = self._decoded(count - 1)
            if not isinstance(command, Trajectory):
                return self._unexpired(command, (arrival_ns - log_ns) / 1e9)
            begin_ns = log_ns if command.stamp_ns is None else command.stamp_ns
            # one that arrives within the tick's period counts for its end, the next tick
            due_ns = tick_ns if log_ns <= arrival_ns else tick_ns + self._period_ns
            time_s = (max(due_ns, log_ns) - begin_ns) / 1e9
            before = None if start is None else ((start[0] - begin_ns) / 1e9, start[1])
            return self._unexpired(command.at(time_s, before), time_s - command.duration_s)
        except UnlabelledError:
            raise
        except (CodecError, ValueError) as error:
            text = str(error) if isinstance(error, CodecError) else f"{self._name}: {error}"
            raise UnlabelledError(NoLabel.UNREADABLE, text) from error

    def _unexpired(self, values: Vector, age_s: float) -> Vector:
        if age_s <= self._expires_s:
            return values
        if self._action.expired == "stop":
            return np.zeros(self._action.size)
        raise UnlabelledError(
            NoLabel.EXPIRED,
            f"{self._name}: its last command has expired, {age_s:.3f} s old at the tick; "
            f"expires_s is {self._expires_s:g}",
        )

    def _decoded(self, index: int) -> tuple[Vector | Trajectory, tuple[int, Vector] | None]:
        """Return command `index`, and for a trajectory its arrival and the measured positions there."""
        if self._read is None or self._read[0] != index:
            item = self._commands[index]
            message = messages.decode(item.type, item.raw)
            if self._action.type == JOINT_TRAJECTORY:
                plan = self._trajectory(message, item.log_ns)
                start = self._start(item.log_ns) if plan.needs_start else None
                self._read = index, plan, start
            else:
                self._read = index, decode(self._action, message), None
        return self._read[1:]

    def _trajectory(self, message: messages.Message, log_ns: int) -> Trajectory:
        plan = trajectories.read(self._action, message)
        if plan.stamp_ns is not None:
            late_s = (log_ns - plan.stamp_ns) / 1e9 - plan.duration_s
            if late_s > 0:
                raise ValueError(
                    f"the trajectory ended {late_s:.3f} s before it arrived; controllers refuse it"
                )
        return plan

    def _start(self, arrival_ns: int) -> tuple[int, Vector] | None:
        """Return the measured positions (A_k,) when a trajectory arrived; None when they are not known."""
        if self._reference is None:
            return None
        synchroniser = Synchroniser([self._reference])
        end = bisect_right(self._measured, arrival_ns, key=_log_ns)
        begin = bisect_left(self._measured, arrival_ns - HISTORY_NS, key=_log_ns)
        for item in self._measured[max(0, begin - 1) : end]:
            with suppress(messages.MessageError):  # too short for a header; `replay.observe` reports it
                synchroniser.push(self._reference.topic, item.raw, item.log_ns)
        found = synchroniser.sample(arrival_ns)
        if not isinstance(found, Observation):
            return None
        positions = self._references.of(self._action, found.values)
        return None if positions is None else (arrival_ns, positions)


def _log_ns(message: BagMessage) -> int:
    return message.log_ns
