"""The measured state of the actions: the starting point of ramps and holds."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence

from il_ros.core.actions import References
from il_ros.core.contract import Contract
from il_ros.core.specs import ObservationSpec
from il_ros.core.synchroniser import NoObservation, Synchroniser

Numbers = tuple[float, ...]


class Measured:
    """The observations that actions reference, stored as bytes and decoded only when a ramp starts."""

    def __init__(self, contract: Contract):
        self._actions = [action for action in contract.actions if action.reference is not None]
        self._references = References(contract)
        self.specs: tuple[ObservationSpec, ...] = self._references.specs
        self.publishers: Callable[[str], Sequence[str]] = lambda topic: ()
        """Returns the names of a topic's publishers; see `Synchroniser`."""
        self._streams = {
            spec.key: Synchroniser([spec], lambda topic: self.publishers(topic)) for spec in self.specs
        }
        self._of_topic = {
            topic: [self._streams[other.key] for other in self.specs if topic in other.topics]
            for spec in self.specs
            for topic in spec.topics
        }

    @property
    def topics(self) -> Collection[str]:
        """The topics of these observations."""
        return self._of_topic.keys()

    def push(self, topic: str, raw: bytes, now_ns: int) -> None:
        """Add a serialised message.

        Raises KeyError when no action references the topic, ValueError when the bytes are not a message.
        """
        for stream in self._of_topic[topic]:
            stream.push(topic, raw, now_ns)

    def at(self, time_ns: int, keys: Collection[str] | None = None) -> tuple[dict[str, Numbers], str]:
        """Return the measured values (A_k,) of each action key, and the reasons for the keys without any.

        `keys`: only these; None: all.
        """
        wanted = [action for action in self._actions if keys is None or action.key in keys]
        needed = {action.reference for action in wanted}
        seen = {key: stream.sample(time_ns) for key, stream in self._streams.items() if key in needed}
        reasons = [
            reason for found in seen.values() if isinstance(found, NoObservation) for reason in found.reasons
        ]
        values: dict[str, Numbers] = {}
        for action in wanted:
            found = seen[str(action.reference)]
            if not isinstance(found, NoObservation):
                state = self._references.of(action, found.values)
                assert state is not None
                values[action.key] = tuple(map(float, state))
        return values, "; ".join(reasons)

    def clear(self) -> None:
        """Discard all messages, for example after the clock was set back."""
        for stream in self._streams.values():
            stream.clear()
