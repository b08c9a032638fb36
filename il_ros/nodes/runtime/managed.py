"""Run an il_ros node: DDS and memory settings, executor, signals, errors, lifecycle.

class MyNode(managed.ManagedNode):            # or managed.PlainNode
    def __init__(self, **kwargs):
        super().__init__("my_node", **kwargs)
    def configure(self): ...                  # raise Refusal("why") to stay unconfigured
    def activate(self): ...

def main(args=None):
    return managed.main(MyNode, args)
"""

from __future__ import annotations

import functools
import sys
from collections.abc import Callable, Sequence
from typing import Any

import rclpy
from lifecycle_msgs.srv import ChangeState
from rclpy.executors import ExternalShutdownException
from rclpy.experimental import EventsExecutor
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future

from il_ros.core.processes.stopping import launcher, stop_signals
from il_ros.core.strict_yaml import brief
from il_ros.core.tables import say, worded
from il_ros.nodes.runtime import process
from il_ros.nodes.runtime.parameters import ParameterError, declare, value
from il_ros.nodes.runtime.shell import Refusal, Shell

__all__ = ["ManagedNode", "PlainNode", "Refusal", "main", "spin"]

LONGEST_SPIN_S = 1.0  # see `spin`
TEARDOWN_S = 5.0
"""Longest time for the middleware to end; the robot is stopped by then, and each file closed."""

process.set_dds_profile()  # Fast DDS reads it when the process creates its first node


class PlainNode(Shell, Node):
    """A node without lifecycle, active from construction."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._set_up()

    def start(self) -> None:
        """Log that the node runs."""
        self.get_logger().info("running")

    def stop(self) -> None:
        """Release resources; called once before destruction. Subclasses override."""


class ManagedNode(Shell, LifecycleNode):
    """A lifecycle node. Subclasses override configure, activate, deactivate, cleanup; they may raise Refusal.

    A Refusal keeps the node's state; any other exception is logged with its traceback and returns the node to
    `unconfigured`. `cleanup` must be callable at any time and repeatedly: it also runs after a failed
    configure and at shutdown. The parameter `autostart` configures and activates at start.
    """

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        declare(self, "autostart", True, "configure and activate at start, without a lifecycle manager")
        self._set_up()
        for service in self.services:
            if service.srv_type is ChangeState:
                service.callback = functools.partial(self._on_change_state, service.callback)

    def configure(self) -> None:
        """Load and create resources; publish nothing yet."""

    def activate(self) -> None:
        """Start publishing."""

    def deactivate(self) -> None:
        """Stop publishing; keep the loaded resources."""

    def cleanup(self) -> None:
        """Release all that `configure` created."""

    @property
    def state(self) -> str:
        """The lifecycle state's name: unconfigured, inactive, active or finalized."""
        return self._state_machine.current_state[1]

    def start(self) -> None:
        """Configure and activate if `autostart` is set; a refusal is logged and keeps the state."""
        if value(self, "autostart") and self.trigger_configure() == TransitionCallbackReturn.SUCCESS:
            self.trigger_activate()

    def stop(self) -> None:
        """Deactivate and clean up from any state."""
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
        twice = self.simulated_time.twice()
        if twice:
            self.report_error("activate refused", Refusal(twice))
            return TransitionCallbackReturn.FAILURE
        result = self._transition(self.activate)
        if result != TransitionCallbackReturn.SUCCESS:
            self.deactivate()  # what was activated before the failure must not go on
        if self.alone:
            process.settle_objects()  # objects loaded so far are permanent
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
        """After an unexpected exception: release everything; the node can be configured again."""
        return self._transition(self.cleanup)

    def _on_change_state(self, change: Callable[..., Any], request: Any, response: Any) -> Any:
        """Refuse a transition that the present state does not have: rclpy would raise an error and not answer."""
        wanted, possible = request.transition, self._state_machine.available_transitions
        # as rclpy: a label counts before a number
        if any(
            wanted.label == label if wanted.label else wanted.id == number for number, label, *_ in possible
        ):
            return change(request, response)
        names = {number: label for number, label, *_ in self._state_machine.transition_graph}
        name = wanted.label or names.get(wanted.id, f"transition {wanted.id}")
        labels = ", ".join(label for _, label, *_ in possible)
        why = f"{brief(name)} is not possible in state {self.state}; possible: {labels}"
        self.report_error("change_state refused", Refusal(why))
        response.success = False
        return response

    def _transition(self, action: Callable[[], None]) -> TransitionCallbackReturn:
        """Run `action` and report its exception, which rclpy would discard silently."""
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
    """Run a node until SIGINT, SIGTERM, SIGHUP, its launcher's end or its own end; return the exit code.

    It is 0 after a signal, 1 if the node cannot start, and the result of `node.ended` if that is done.
    """
    name = getattr(make_node, "__name__", "node")
    try:
        launched_by = launcher()
    except ValueError as error:
        say(f"{name} cannot start: {worded(error)}", file=sys.stderr)
        return 1
    try:
        rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    except rclpy_implementation.RCLError as error:  # no folder for its log, or an enclave that is not there
        say(f"{name} cannot start: {error}", file=sys.stderr)
        return 1
    try:
        executor = EventsExecutor()
        # Not executor.shutdown(): between two spins, it would tear the executor down in the thread of the signals,
        # while this one destroys the node's subscriptions.
        woken: Any = Future()
        node: Any = None

        def suspended() -> None:
            if node is not None:
                node.suspended()

        with stop_signals(
            lambda: woken.set_result(None), launched_by=launched_by, ending=True, suspended=suspended
        ) as stopped:
            try:
                node = make_node()
            except (ParameterError, Refusal) as error:
                say(f"{name} cannot start: {worded(error)}", file=sys.stderr)
                return 1
            node.alone = True
            executor.add_node(node)
            if not stopped():
                node.start()
            process.settle_objects()
            spin(executor, node, stopped, woken)
            node.stop()  # before the context ends: sends a last command, closes a bag
            with process.ends_within(TEARDOWN_S):
                node.destroy_node()
                executor.shutdown()  # frees what it has in use, and with it the node's participant
            return node.ended.result() if node.ended is not None and node.ended.done() else 0
    finally:
        rclpy.try_shutdown()


def spin(executor: Any, node: Shell, stopped: Callable[[], bool], woken: Future) -> None:
    """Run callbacks until `stopped()`, which is looked at when the future `woken` is done, or until `node.ended` is.

    Each wait has a deadline: without one EventsExecutor.spin() waits until the end of time_t, which overflows
    in the wheels' C++ runtime, and no callback runs.
    """
    if node.ended is not None:
        node.ended.add_done_callback(lambda _: woken.set_result(None))
    while not (stopped() or woken.done()):
        try:
            executor.spin_until_future_complete(woken, LONGEST_SPIN_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # from a callback that `Shell` could not guard
            node.report_error("callback", error)
