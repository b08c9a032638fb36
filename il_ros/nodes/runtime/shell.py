"""Base class of all nodes: guarded callbacks, diagnostics, real-time priority."""

from __future__ import annotations

import functools
import os
import time
import traceback
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from rclpy.task import Future

from il_ros.core.messages import MessageError
from il_ros.core.tables import shown
from il_ros.nodes.runtime import process
from il_ros.nodes.runtime.diagnostics import ERROR, WARN, Diagnostics, Status
from il_ros.nodes.runtime.parameters import declare
from il_ros.nodes.runtime.publishers import SimulatedTime
from il_ros.nodes.runtime.terminal import Terminal

ERROR_SHOWN_S = 10.0  # how long the diagnostics show an error of a callback
CLOCK_SAID_EVERY_S = 10.0


class Refusal(Exception):  # noqa: N818 - not an error
    """A transition or a request is refused; the message is the reason, logged without a traceback."""


EXPLAINED = (Refusal, MessageError)
"""Errors whose text says all; any other one is logged with its traceback."""

if TYPE_CHECKING:
    Base: Any
else:
    Base = object  # a Node class follows in the method resolution order


class Shell(Base):
    """Guarded callbacks, diagnostics and real-time priority. Mix in before a Node class.

    Simulated time without /clock, or with two, is logged and shown in the diagnostics of every node.

    An exception in a timer, subscription or service callback is logged with its traceback and shown in the
    diagnostics for ten seconds; the node keeps running. A message that its reader refuses (MessageError) is
    logged without a traceback: the fault is its sender's. A service whose response has `success` and `message`
    returns False and the error.
    """

    ended: Future | None = None
    """For a node that ends by itself: a future whose result is the process's exit code."""
    alone = False
    """Whether the node is alone in its process and may change process settings."""
    _last_error: tuple[float, str] | None = None
    screen: Terminal | None = None
    """The terminal in which the node shows a status: lines of its log are written above that, not into it."""
    diagnostics: Diagnostics
    simulated_time: SimulatedTime

    def status(self) -> Status:
        """Return the status for the diagnostics; subclasses override."""
        return Status()

    def suspended(self) -> None:
        """React to Ctrl-Z, which does not suspend a node; called in another thread. Subclasses override."""

    def create_subscription(
        self, msg_type: Any, topic: str, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call rclpy's method with a guarded callback."""
        return super().create_subscription(msg_type, topic, self._guard(callback, topic), *args, **kwargs)

    def create_timer(
        self, timer_period_sec: float, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call rclpy's method with a guarded callback."""
        return super().create_timer(timer_period_sec, self._guard(callback, "timer"), *args, **kwargs)

    def create_service(
        self, srv_type: Any, srv_name: str, callback: Callable[..., Any], *args: Any, **kwargs: Any
    ) -> Any:
        """Call rclpy's method with a guarded callback."""

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
        """Log `error` (with a traceback unless it is a Refusal or MessageError) and show it in the diagnostics."""
        sentence = f"{where}: {_sentence(error)}"
        now_s = time.monotonic()
        again = self._last_error is not None and self._last_error[1] == sentence
        if not (again and now_s - self._last_error[0] < 1.0):  # a repeated error is logged once a second
            trace = "" if isinstance(error, EXPLAINED) else "\n" + "".join(traceback.format_exception(error))
            with self.above_status():
                self.get_logger().error(shown(sentence + trace, lines=True))
            self._last_error = (now_s, sentence)

    def above_status(self) -> AbstractContextManager[None]:
        """Return the context in which a line of the log leaves the terminal's status whole."""
        return nullcontext() if self.screen is None else self.screen.aside()

    def _guard(self, callback: Callable[..., Any], where: str) -> Callable[..., Any]:
        @functools.wraps(callback)  # rclpy reads the signature through this
        def run(*args: Any) -> Any:
            try:
                return callback(*args)
            except Exception as error:
                self.report_error(f"{where} ({getattr(callback, '__name__', 'callback')})", error)

        return run

    def _set_up(self) -> None:
        """Declare the shared parameters and start the diagnostics; call after Node's constructor."""
        priority = declare(
            self, "realtime_priority", 0, "SCHED_FIFO priority of this process; 0: normal scheduling",
            minimum=0, maximum=99, read_only=True,
        )  # fmt: skip
        process.keep_large_buffers()
        self.get_logger().debug(f"Fast DDS profile: {os.environ.get(process.DDS_PROFILE_VARIABLE, 'none')}")
        if process.without_shared_memory():
            self.get_logger().warning(process.NO_SHARED_MEMORY)
        problem = process.set_realtime(priority) if priority else ""
        if problem:
            self.get_logger().warning(problem)
        self.simulated_time = SimulatedTime(self)
        self.diagnostics = Diagnostics(self, self._status_with_errors)

    def _status_with_errors(self) -> Status:
        status = self.status()
        wrong = self.simulated_time.twice() or self.simulated_time.missing()
        if wrong:
            with self.above_status():
                self.get_logger().error(shown(wrong), throttle_duration_sec=CLOCK_SAID_EVERY_S)
            return Status(ERROR, wrong, status.values)
        if self._last_error is not None and time.monotonic() - self._last_error[0] <= ERROR_SHOWN_S:
            return Status(ERROR, self._last_error[1], status.values)
        if awaited := self.simulated_time.awaited():
            with self.above_status():
                self.get_logger().info(shown(awaited), once=True)
            return Status(WARN, awaited, status.values)
        return status


def _sentence(error: BaseException) -> str:
    return str(error) if isinstance(error, EXPLAINED) else f"{type(error).__name__}: {error}"
