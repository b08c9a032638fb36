"""Executable `teleop_leader`, node `expert`: a leader arm (JointState) proposes while enabled."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

import numpy as np
from sensor_msgs.msg import JointState
from std_msgs.msg import Bool
from std_srvs.srv import SetBool

from il_ros.core.messages import MessageError
from il_ros.core.specs import ActionGroup, Vector
from il_ros.core.tables import counted
from il_ros.nodes.runtime.parameters import ParameterError, declare
from il_ros.nodes.runtime.shell import Refusal
from il_ros.nodes.teleop.targets import Teleop
from il_ros.teleop.leader import ALIGNMENTS, Alignment, Leader, parse_joints

FOLLOWER_FRESH_S = 0.5  # how recent the follower's measured state must be to engage


class TeleopLeader(Teleop):
    """The clutch, service `~/enable` (SetBool) or topic `~/enable` (Bool, a pedal), engages and releases.

    A leader that falls silent is released and must be enabled again. Under a contract with several action groups, each
    group whose joints the leader has is engaged on its own by `~/GROUP/enable`, and all of them by `~/enable`.
    """

    def set_up(self) -> None:
        """Read the joint map and the alignment; subscribe to the leader and to the clutch."""
        line = 'lines "ACTION JOINT [SCALE [OFFSET]]": action = scale * leader joint + offset'
        joints = declare(self, "joints", [], line, read_only=True)
        differ = "behaviour when leader and follower differ at engage"
        how = declare(self, "alignment", "refuse", differ, choices=ALIGNMENTS, read_only=True)
        largest = "largest difference of a joint"
        difference = declare(self, "max_difference", 0.2, largest, unit="rad or m", read_only=True)
        blending = "time over which 'blend' removes the difference"
        blend_s = declare(self, "blend_time", 2.0, blending, unit="s", read_only=True)
        silence = "silence of the leader after which it is released"
        self._timeout_s = declare(self, "timeout", 0.2, silence, unit="s", minimum=0.01, read_only=True)
        names, groups = self.contract.action_names, self.contract.groups
        try:
            mapped = {joint.action: joint for joint in parse_joints(joints, names, groups)}
            alignment = Alignment(how, difference, blend_s)
            self._leaders = {
                group: Leader(
                    [mapped[names[place]] for place in group.columns],
                    alignment,
                    self.contract.turns[group.index],
                )
                for group in groups
                if names[group.columns[0]] in mapped
            }
        except ValueError as error:
            raise ParameterError(str(error)) from error
        self._positions: dict[str, float] = {}
        self._received_s: dict[str, float] = {}
        self._measured_s = float("-inf")
        self._measured: Vector | None = None
        self.create_subscription(JointState, "leader/joint_states", self._on_leader, 10)
        every = tuple(self._leaders)
        self._add_clutch("~/enable", every)
        for group in every if self.contract.grouped else ():
            self._add_clutch(f"~/{group.name}/enable", (group,))

    def target(self, measured: Vector, tick_ns: int) -> Vector | None:
        """Return the leader's position as a follower action (A,) in the engaged groups; None while there is none."""
        now_s = time.monotonic()
        self._measured, self._measured_s = measured, now_s
        target = np.full(self.contract.action_size, np.nan)
        for group in self._engaged():
            leader = self._leaders[group]
            try:
                self._require_leader(leader, now_s)
                target[group.index] = leader.target(self._positions, now_s)
            except ValueError as error:
                leader.release()
                self.get_logger().warning(f"leader released{self._of((group,))}: {error}")
        return target if self._engaged() else None

    def groups(self) -> tuple[str, ...]:
        """Return the engaged groups."""
        return tuple(group.name for group in self._engaged())

    def _engaged(self) -> list[ActionGroup]:
        return [group for group, leader in self._leaders.items() if leader.engaged]

    def _of(self, groups: Sequence[ActionGroup]) -> str:
        """Return which groups a sentence is about; "" where the contract has one."""
        return f" ({', '.join(group.name for group in groups)})" if self.contract.grouped else ""

    def _on_leader(self, message: JointState) -> None:
        """Take the positions of a message, which may be those of a part of the leader's joints."""
        if not message.position:
            return
        if len(message.position) != len(message.name):
            counts = f"{counted(len(message.name), 'name')} and {counted(len(message.position), 'position')}"
            raise MessageError(f"leader/joint_states: {counts} in a message")
        self._positions.update(zip(message.name, message.position, strict=True))
        self._received_s.update(dict.fromkeys(message.name, time.monotonic()))

    def _add_clutch(self, name: str, groups: Sequence[ActionGroup]) -> None:
        """Add the service and the pedal's topic `name`, which engage and release these groups."""

        def on_enable(request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
            self._clutch(request.data, groups)
            response.success, response.message = True, "engaged" if request.data else "released"
            return response

        def on_pedal(message: Bool) -> None:
            engaged = [self._leaders[group].engaged for group in groups]
            if not all(engaged) if message.data else any(engaged):  # pedals send repeatedly
                self._clutch(message.data, groups)

        self.create_subscription(Bool, name, on_pedal, 10)
        self.create_service(SetBool, name, on_enable)

    def _clutch(self, engage: bool, groups: Sequence[ActionGroup]) -> None:
        """Engage or release; raises Refusal when leader or follower is silent or they differ too much."""
        if not engage:
            for group in groups:
                self._leaders[group].release()
            self.release([group.name for group in groups])
            return
        now_s = time.monotonic()
        try:
            for group in groups:
                self._require_leader(self._leaders[group], now_s)
            if self._measured is None or now_s - self._measured_s > FOLLOWER_FRESH_S:
                raise ValueError("the follower's state is unknown: see the diagnostics of this node")
            for group in groups:
                self._leaders[group].engage(self._positions, self._measured[group.index], now_s)
        except ValueError as error:
            for group in groups:
                self._leaders[group].release()
            raise Refusal(f"not engaged: {error}") from error
        self.get_logger().info(f"leader engaged{self._of(groups)}")

    def _require_leader(self, leader: Leader, now_s: float) -> None:
        if not any(now_s - at_s <= self._timeout_s for at_s in self._received_s.values()):
            raise ValueError(f"nothing on leader/joint_states for {self._timeout_s:g} s")
        for joint in leader.joints:
            if joint in self._received_s and now_s - self._received_s[joint] > self._timeout_s:
                raise ValueError(f"nothing of '{joint}' on leader/joint_states for {self._timeout_s:g} s")


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return TeleopLeader.main(args)


if __name__ == "__main__":
    sys.exit(main())
