"""Executable `sim_gz`, node `sim`: a gz-sim behind ros_gz's bridge becomes a task's robot.

Bridged topics (config/gz) become the contract's topics and keep gz's stamps. Commands become one target per
joint when the supervisor's decision shows that all of them were published. `task/success`, `task/failed` and
`task/episode` are those of the embedded simulator. `~/reset` places the models by the seed (the arm drives to
its start, like a real one), `~/pause` pauses gz, which runs by its own clock. Nothing is published about the
task until gz has placed the models of the first episode; the request is repeated every few seconds. When gz
refuses a later reset, the running episode continues.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from functools import partial
from typing import Any

from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile
from std_msgs.msg import Float64, String
from std_srvs.srv import SetBool, Trigger

from il_ros.core import messages
from il_ros.core.messages import Message
from il_ros.nodes.runtime import managed
from il_ros.nodes.runtime.diagnostics import ERROR, OK, WARN, Status
from il_ros.nodes.runtime.parameters import declare, value
from il_ros.nodes.runtime.publishers import SoleUse
from il_ros.nodes.runtime.streams import RawSubscriptions, message_class
from il_ros.nodes.sim.frames import FramePublisher
from il_ros.records.ticks import Ticks
from il_ros.sim.gazebo.world import world_element
from il_ros.sim.gz import services
from il_ros.sim.gz.task import gz_task
from il_ros.sim.tasks.reading import Reading
from il_ros.sim.tasks.task import task_names

WARN_EVERY_S = 2.0
RETRY_S = 2.0  # after gz refused the first start


class SimGz(managed.PlainNode):
    """Converts between bridged topics and the task's topics; see the module."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__("sim", **kwargs)
        name = declare(self, "task", "push", "what is simulated", choices=task_names(), read_only=True)
        declare(self, "seed", 0, "seed of the next episode; counted up at each ~/reset", minimum=0)
        topic = declare(
            self, "decision_topic", "dagger_supervisor/decision", "decisions, which follow a tick's commands",
            read_only=True,
        )  # fmt: skip
        self.task, self.scene = gz_task(name)
        self._next, self._next_scene = gz_task(
            name
        )  # computes the model poses of a start before it is applied
        self._world = world_element(name).find("world").get("name")
        self._ticks = Ticks(self.task.control_period_ns)
        self._commands: dict[str, Message] = {}
        self._commanded = True
        self._ticked = self._episodes = self._refused = 0
        self._frames = FramePublisher(self, self.task, clock=False, reliable=True)
        self._sole = SoleUse(
            self, self._frames.topics, "two simulators contradict each other, stop one of them"
        )
        self._targets = {
            target: self.create_publisher(Float64, target, QoSProfile(depth=1))
            for target in self.scene.targets
        }
        self._streams = RawSubscriptions(self, self.scene.subscriptions, self._on_bridged)
        for command, kind in self.task.commands.items():
            take = partial(self._on_command, command, kind)
            self.create_subscription(message_class(kind), command, take, QoSProfile(depth=1), raw=True)
        self.create_subscription(String, topic, self._on_decision, QoSProfile(depth=10))
        self.create_service(Trigger, "~/reset", self._on_reset)
        self.create_service(SetBool, "~/pause", self._on_pause)
        self._begun, self._refusal, self._refused_s = False, "", 0.0

    def status(self) -> Status:
        """Return the state of the connection to gz."""
        return self._sole.status(self._connected())

    def _connected(self) -> Status:
        values = {"ticks": self._ticked, "episodes": self._episodes, "refused messages": self._refused}
        if missing := self.scene.missing:
            return Status(WARN, f"no message on {', '.join(missing)}: do gz and its bridge run?", values)
        if self._refusal:
            return Status(ERROR, f"no episode yet, retrying: {self._refusal}", values)
        return Status(OK, "running", values)

    def stop(self) -> None:
        """Unsubscribe."""
        self._streams.close()

    def _on_bridged(self, topic: str, raw: bytes, _arrival_ns: int) -> None:
        try:
            message = messages.decode(self.scene.subscriptions[topic], raw)
            self.scene.receive(topic, message)
        except ValueError as error:
            self._refuse(str(error))
            return
        if topic != self.scene.trigger or self.scene.missing:
            return
        if not self._begun:
            self._begin_first()
            if not self._begun:
                return
        stamp_ns = messages.stamp_ns(message)
        if self._ticks.starts(stamp_ns):
            if not self._commanded:  # no decision came for the tick before
                self._act()
            self._commanded = False
            self._ticked += 1
            self._frames.publish([self._stamped(reading, stamp_ns) for reading in self.task.readings()])

    def _stamped(self, reading: Reading, tick_ns: int) -> Reading:
        """Return the reading with gz's stamp, so that a silent stream ages."""
        stamp_ns = self.scene.stamps.get(reading.topic, tick_ns)
        reading.message.header = messages.header(stamp_ns, reading.message.header.frame_id)
        return reading

    def _on_command(self, topic: str, kind: str, raw: bytes) -> None:
        try:
            self._commands[topic] = messages.decode(kind, raw)
        except ValueError as error:
            self._refuse(f"{topic}: {error}")

    def _on_decision(self, _message: String) -> None:
        if self._begun:
            self._act()

    def _act(self) -> None:
        """Send the newest commands to the joints."""
        commands, self._commands = self._commands, {}
        self._commanded = True
        try:
            self.task.step(commands)
        except ValueError as error:
            self._refuse(str(error))
        self._send()

    def _send(self) -> None:
        for topic, target in self.scene.targets.items():
            self._targets[topic].publish(Float64(data=target))

    def _begin_first(self) -> None:
        """Begin the first episode, or log why gz refuses it; retry after RETRY_S."""
        if self._refusal and time.monotonic() < self._refused_s + RETRY_S:
            return
        try:
            self._begin()
        except RuntimeError as error:
            self._refusal, self._refused_s = str(error), time.monotonic()
            self.get_logger().error(f"no episode yet: {error}")

    def _begin(self) -> int:
        """Begin the episode of parameter `seed`; return the seed.

        Raises RuntimeError when gz does not place the models; then nothing has changed.
        """
        seed = value(self, "seed")
        self._next.reset(seed)
        services.ask(services.put(self._world, self._next_scene.poses))
        self._begun, self._refusal = True, ""
        self.task.reset(seed)
        self._commands.clear()
        self.set_parameters([Parameter("seed", value=seed + 1)])
        self._frames.episode(seed, self._episodes)
        self._episodes += 1
        self._send()
        return seed

    def _on_reset(self, _request: Any, response: Any) -> Any:
        if missing := self.scene.missing:
            raise managed.Refusal(f"no message on {', '.join(missing)}: do gz and its bridge run?")
        response.message = f"seed {self._begin()}"
        response.success = True
        return response

    def _on_pause(self, request: Any, response: Any) -> Any:
        services.ask(services.pause(self._world, request.data))
        response.success, response.message = True, "paused" if request.data else "running"
        return response

    def _refuse(self, sentence: str) -> None:
        self._refused += 1
        self.get_logger().error(f"refused: {sentence}", throttle_duration_sec=WARN_EVERY_S)


def main(args: Sequence[str] | None = None) -> int:
    """Run the node."""
    return managed.main(SimGz, args)


if __name__ == "__main__":
    sys.exit(main())
