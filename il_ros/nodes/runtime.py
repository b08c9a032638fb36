"""How every il_ros node is run: DDS and memory settings, executor, signals, errors, lifecycle.

class Recorder(runtime.ManagedNode):          # or runtime.PlainNode
    def __init__(self, **kwargs):
        super().__init__("recorder", **kwargs)
    def configure(self): ...                  # raise Refusal("why") to stay unconfigured
    def activate(self): ...

def main(args=None):
    return runtime.main(Recorder, args)
"""

from __future__ import annotations

import functools
import os
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from il_ros.nodes import process

process.set_dds_profile()  # Fast DDS reads it when the first participant is made

import rclpy  # noqa: E402
from rclpy.executors import ExternalShutdownException  # noqa: E402
from rclpy.experimental import EventsExecutor  # noqa: E402
from rclpy.lifecycle import LifecycleNode, TransitionCallbackReturn  # noqa: E402
from rclpy.node import Node  # noqa: E402
from rclpy.signals import SignalHandlerOptions  # noqa: E402
from rclpy.task import Future  # noqa: E402

from il_ros.nodes.diagnostics import ERROR, Diagnostics, Status  # noqa: E402
from il_ros.nodes.parameters import ParameterError, declare, value  # noqa: E402

ERROR_SHOWN_S = 10.0  # so long an error in a callback stays in the diagnostics
LONGEST_SPIN_S = 1.0  # see `spin`


class Refusal(Exception):
    """A reason, for a person to read, why a transition or a request is refused; no traceback is logged."""


class Shell:
    """What all nodes share: guarded callbacks, diagnostics, real-time priority. Mixed in before a Node class.

    An exception in a timer, subscription or service callback is logged with its traceback, shown in the
    diagnostics for ten seconds, and the node goes on. A service that answers `success` and `message` says
    False and the error.
    """

    _last_error: tuple[float, str] | None = None
    diagnostics: Diagnostics

    def status(self) -> Status:
        """Return what the diagnostics should say; subclasses override."""
        return Status()

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable, *args: Any, **kwargs: Any
    ) -> Any:
        """Do as rclpy does, with a guarded callback."""
        return super().create_subscription(msg_type, topic, self._guard(callback, topic), *args, **kwargs)

    def create_timer(self, timer_period_sec: float, callback: Callable, *args: Any, **kwargs: Any) -> Any:
        """Do as rclpy does, with a guarded callback."""
        return super().create_timer(timer_period_sec, self._guard(callback, "timer"), *args, **kwargs)

    def create_service(
        self, srv_type: Any, srv_name: str, callback: Callable, *args: Any, **kwargs: Any
    ) -> Any:
        """Do as rclpy does, with a guarded callback."""

        @functools.wraps(callback)
        def answer(request: Any, response: Any) -> Any:
            try:
                return callback(request, response)
            except Exception as error:
                self.report_error(f"service {srv_name}", error)
                if hasattr(response, "success") and hasattr(response, "message"):
                    response.success, response.message = False, _sentence(error)
                return response

        return super().create_service(srv_type, srv_name, answer, *args, **kwargs)

    def report_error(self, where: str, error: BaseException) -> None:
        """Log `error` (a Refusal in one line, all else with its traceback) and show it in the diagnostics."""
        sentence = f"{where}: {_sentence(error)}"
        now_s = time.monotonic()
        again = self._last_error is not None and self._last_error[1] == sentence
        if not (
            again and now_s - self._last_error[0] < 1.0
        ):  # one that repeats every tick is logged once a second
            trace = "" if isinstance(error, Refusal) else "\n" + "".join(traceback.format_exception(error))
            self.get_logger().error(sentence + trace)
            self._last_error = (now_s, sentence)

    def _guard(self, callback: Callable, where: str) -> Callable:
        @functools.wraps(callback)  # rclpy reads the signature through this
        def run(*args: Any) -> Any:
            try:
                return callback(*args)
            except Exception as error:
                self.report_error(f"{where} ({getattr(callback, '__name__', 'callback')})", error)

        return run

    def _set_up(self) -> None:
        """Declare the shared parameters and start the diagnostics; called once the Node exists."""
        priority = declare(
            self, "realtime_priority", 0, "SCHED_FIFO priority of this process; 0 leaves normal scheduling",
            minimum=0, maximum=99, read_only=True,
        )  # fmt: skip
        process.keep_large_buffers()
        self.get_logger().debug(f"Fast DDS profile: {os.environ.get(process.DDS_PROFILE_VARIABLE, 'none')}")
        problem = process.set_realtime(priority) if priority else ""
        if problem:
            self.get_logger().warning(problem)
        self.diagnostics = Diagnostics(self, self._status_with_errors)

    def _status_with_errors(self) -> Status:
        status = self.status()
        if self._last_error is None or time.monotonic() - self._last_error[0] > ERROR_SHOWN_S:
            return status
        return Status(ERROR, self._last_error[1], status.values)


class PlainNode(Shell, Node):
    """A node without lifecycle: it works from its construction on."""

    def __init__(self, name: str, **kwargs: Any) -> None:
        super().__init__(name, **kwargs)
        self._set_up()

    def start(self) -> None:
        """Nothing to bring up."""

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
        return self._transition(self.activate)

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
    """Run one node until SIGINT or SIGTERM; return the process's exit code (0 after a signal, 1 if it could not start)."""
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    try:
        executor = EventsExecutor()
        with process.stop_signals(lambda: executor.shutdown(0)) as stopped:
            try:
                node = make_node()
            except (ParameterError, Refusal) as error:
                print(f"{getattr(make_node, '__name__', 'node')} cannot start: {error}", file=sys.stderr)
                return 1
            executor.add_node(node)
            node.start()
            spin(executor, node, stopped)
            node.stop()  # the context still lives: a last command, a closed bag
            node.destroy_node()
    finally:
        rclpy.try_shutdown()
    return 0


def spin(executor: Any, node: Shell, stopped: Callable[[], bool]) -> None:
    """Run callbacks until `stopped()`.

    Always with a deadline: EventsExecutor.spin() without one waits until the end of time_t, which overflows
    in the wheels' C++ runtime, and then nothing runs at all.
    """
    never = Future()
    while not stopped():
        try:
            executor.spin_until_future_complete(never, LONGEST_SPIN_S)
        except ExternalShutdownException:
            return
        except Exception as error:  # from a callback that `Shell` could not guard
            node.report_error("callback", error)


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, Refusal) else f"{type(error).__name__}: {error}"
