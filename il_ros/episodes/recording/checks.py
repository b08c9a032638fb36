"""What the data doctor finds in a take while it is recorded, as sentences of its grade."""

from __future__ import annotations

from il_ros.core.contract import Contract
from il_ros.episodes.doctor.findings import worst_first
from il_ros.episodes.doctor.live import TakeHistory, TakeWatch
from il_ros.records.decision import Decision


class TakeChecks:
    """Collects a take and examines it at its end, in the writer's thread.

    An error of a check costs the checks, not the take: it is a sentence of the grade.
    """

    def __init__(self, contract: Contract, history: TakeHistory, name: str, started_ns: int) -> None:
        self._watch, self._history, self._started_ns = TakeWatch(contract, name), history, started_ns
        self._failed = ""

    def message(self, topic: str, raw: bytes, log_ns: int) -> None:
        """Take a message by its topic in the contract, "" for others."""
        if topic and not self._failed:
            try:
                self._watch.message(topic, raw, log_ns)
            except Exception as error:
                self._fail(error)

    def decision(self, made: Decision) -> None:
        """Take a decision."""
        if not self._failed:
            try:
                self._watch.decision(made)
            except Exception as error:
                self._fail(error)

    def sentences(self) -> tuple[str, ...]:
        """Return what is wrong with the take, worst first, in the words of `il-ros episodes doctor`."""
        if not self._failed:
            try:
                take = self._watch.take()
                found = self._history.findings(*take, self._started_ns) if take else []
                return tuple(f"{each.check.value}: {each.what.rstrip('.')}" for each in worst_first(found))
            except Exception as error:
                self._fail(error)
        return (self._failed,)

    def _fail(self, error: Exception) -> None:
        what = f"{type(error).__name__}: {error}"
        self._failed = f"the doctor's checks failed ({what}); `il-ros episodes doctor` repeats them"
