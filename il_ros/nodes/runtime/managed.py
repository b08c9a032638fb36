"""How every il_ros node is run: DDS and memory settings, executor, signals, errors, lifecycle.

class Recorder(managed.ManagedNode):          # or managed.PlainNode
    def __init__(self, **kwargs):
        super().__init__("recorder", **kwargs)
    def configure(self): ...                  # raise Refusal("why") to stay unconfigured
    def activate(self): ...

def main(args=None):
    return managed.main(Recorder, args)
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from il_ros.nodes.runtime import process
from il_ros.nodes.runtime.parameters import ParameterError, declare, value
from il_ros.nodes.runtime.shell import Refusal, Shell

__all__ = ["ManagedNode", "PlainNode", "Refusal", "main", "spin"]

LONGEST_SPIN_S = 1.0  # see `spin`

process.set_dds_profile()  # Fast DDS reads it when the process's first node is made


class PlainNode(Shell, Node):
    """A node without lifecycle: it works from its construction on."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._set_up()

    def start(self) -> None:
        """Nothing to bring up: say so."""
        self.get_logger().info("running")

    def stop(self) -> None:
        """Let go of what the node holds; called once before it is destroyed. Subclasses override."""


class ManagedNode(Shell, LifecycleNode):
    """A lifecycle node. Subclasses override configure, activate, deactivate, cleanup and raise to refuse.

    A Refusal leaves the node in the state it was in; any other exception is logged with its traceback and
    sends it back to `unconfigured`. `cleanup` must be callable at any time, twice too: it also runs after
    a failed configure and at shutdown. The parameter `autostart` configures and activates at start.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        declare(self, "autostart", True, "configure and activate at start, without a lifecycle manager")
        self._set_up()

    def configure(self) -> None:
        """Load and create what is needed; nothing goes out yet."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Cease to act, keep what is loaded."""

    def cleanup(self) -> None:
        """Let go of all that configure made."""

    @property
    def state(self) -> str:
        """The lifecycle state's name: unconfigured, inactive, active or finalized."""
        return self._state_machine.current_state[1]

    def start(self) -> None:
        """Configure and activate if `autostart` says so; a refusal is logged and leaves the node waiting."""
        if value(self, "autostart") and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def stop(self) -> None:
        """Deactivate and clean up, from whatever state."""
        if self.state == "active":
            self.trigger_deactivate()
        if self.state != "finalized":
            self.trigger_shutdown()

    def on_configure(self, _state: Any) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        result = self._transition(self.configure)
        if result == TransitionCallbackReturn.FAILURE:
            self.cleanup()
        return result

    def on_activate(self, _state: Any) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        result = self._transition(self.activate)
        if self.alone:
            process.settle_objects()  # what was loaded since the process began is to stay
        return result

    def on_deactivate(self, _state: Any) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        return self._transition(self.deactivate)

    def on_cleanup(self, _state: Any) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        return self._transition(self.cleanup)

    def on_shutdown(self, _state: Any) -> TransitionCallbackReturn:
        """Lifecycle callback."""
        return self._transition(self.cleanup)

    def on_error(self, _state: Any) -> TransitionCallbackReturn:
        """After an unexpected exception: let go of everything; the node can be configured again."""
        return self._transition(self.cleanup)

    def _transition(self, action: Callable[[], None]) -> TransitionCallbackReturn:
        """Run `action`; rclpy would swallow its exception without a word."""
        name = action.__name__
        try:
            action()
        except Refusal as refusal:
            self.report_error(f"{name} refused", refusal)
            return TransitionCallbackReturn.FAILURE
        except Exception as error:
            self.report_error(f"{name} failed", error)
            return TransitionCallbackReturn.ERROR
        self.get_logger().info(f"{name}: done")
        return TransitionCallbackReturn.SUCCESS


def main(make_node: Callable[[], PlainNode | ManagedNode], args: Sequence[str] | None = None) -> int:
    """Run a node until SIGINT, SIGTERM or its own end; return the exit code.

    It is 0 after a signal, 1 if the node can not start, and the result of `node.ended` if that came.
    """
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        executor = EventsExecutor()
        with process.stop_signals(lambda: executor.shutdown(0)) as stopped:
            try:
                node = make_node()
            except (ParameterError, Refusal) as error:
                print(f"{getattr(make_node, '__name__', 'node')} cannot start: {error}", file=sys.stderr)
                return 1
            node.alone = True
            executor.add_node(node)
            node.start()
            process.settle_objects()
            spin(executor, node, stopped)
            node.stop()  # the context still lives: a last command, a closed bag
            node.destroy_node()
            return node.ended.result() if node.ended is not None and node.ended.done() else 0
    finally:
        rclpy.try_shutdown()


def spin(executor: Any, node: Shell, stopped: Callable[[], bool]) -> None:
    """Run callbacks until `stopped()`, or until the future `node.ended` is done.

    Always with a deadline: EventsExecutor.spin() without one waits until the end of time_t, which overflows
    in the wheels' C++ runtime, and then nothing runs at all.
    """
    ended = Future() if node.ended is None else node.ended
    while not (stopped() or ended.done()):
        try:
            executor.spin_until_future_complete(ended, LONGEST_SPIN_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # from a callback that `Shell` could not guard
            node.report_error("callback", error)
