"""Detection of commands without effect: a protective stop of the robot, or a controller that was switched."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from il_ros.control.limiter.rotation import norm_problem
from il_ros.control.limiter.safety import SafetyLimiter
from il_ros.control.limiter.starts import StartTolerance, start_problem
from il_ros.core.contract import Contract
from il_ros.core.specs import POSE
from il_ros.records.decision import Numbers


class FollowingCheck:
    """Says when the measured state stays farther from the commands than the following error.

    `longest_s`: for how long it may be so; 0: no check. Checked are the position keys with two numbers or more, except
    `exempt`: a gripper of one number is blocked by what it holds.
    """

    def __init__(
        self, contract: Contract, tolerance: StartTolerance, longest_s: float, exempt: Sequence[str] = ()
    ) -> None:
        self._longest_ns = round(longest_s * 1e9)
        self._tolerance = tolerance
        self._slices = contract.action_slices
        self._limiters = {
            action.key: SafetyLimiter(action)
            for action in contract.actions
            if longest_s > 0 and action.is_position and action.size > 1 and action.key not in exempt
        }
        self._since_ns: dict[str, int] = {}

    @property
    def needed(self) -> bool:
        """Whether there is anything to check."""
        return bool(self._limiters)

    def clear(self, keys: Collection[str] | None = None) -> None:
        """Start anew, for example after a handover; `keys`: for these only."""
        for key in list(self._since_ns) if keys is None else keys:
            self._since_ns.pop(key, None)

    def problem(
        self,
        sent: Numbers,
        measured: Mapping[str, Numbers],
        time_ns: int,
        keys: Collection[str] | None = None,
    ) -> str:
        """Return why the robot does not follow the commands `sent` (A,), "" while it does.

        `measured`: the state of each key, absent where unknown. `time_ns`: the robot's clock. `keys`: check only these.
        """
        for key, limiter in self._limiters.items():
            if keys is not None and key not in keys:
                continue
            apart = self._apart(key, limiter, sent, measured)
            if not apart:
                self._since_ns.pop(key, None)
                continue
            since_ns = self._since_ns.setdefault(key, time_ns)
            if time_ns - since_ns >= self._longest_ns:
                return (
                    f"the robot has not followed the commands for {(time_ns - since_ns) / 1e9:.2f} s: {key}/{apart}. "
                    "Is it in a protective stop, or does another controller drive it?"
                )
        return ""

    def _apart(self, key: str, limiter: SafetyLimiter, sent: Numbers, measured: Mapping[str, Numbers]) -> str:
        state = measured.get(key)
        if state is None or (limiter.spec.type == POSE and norm_problem(state[3:])):
            return ""
        return start_problem(limiter, state, limiter.start(sent[self._slices[key]]), self._tolerance)
