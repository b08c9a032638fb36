"""Waits for coroutines of a node; every wait has a time-out and a message for it."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.task import Future

from il_ros.nodes.runtime import retry


class WaitError(RuntimeError):
    """A condition did not hold in time, or a service refused; the message names it."""


class ServiceRefusedError(WaitError):
    """A service answered, and refused; the message gives its reason."""


class Waiting:
    """Awaitable time-outs, services and conditions for one node, on the steady clock.

    `notify()` makes pending `until` waits evaluate their conditions again; call it after state changes.
    """

    def __init__(self, node: Node) -> None:
        self._node = node
        self._steady = Clock(clock_type=ClockType.STEADY_TIME)
        self._pending: list[tuple[Callable[[], bool], Future]] = []

    def notify(self) -> None:
        """Evaluate the pending conditions."""
        for condition, future in self._pending:
            if not future.done() and condition():
                future.set_result(None)

    async def within(self, future: Future, timeout_s: float, what: str) -> Any:
        """Return the future's result; raises WaitError after `timeout_s`."""
        either = Future()
        timer = self._node.create_timer(timeout_s, lambda: _finish(either), clock=self._steady)
        future.add_done_callback(lambda _: _finish(either))
        await either
        self._node.destroy_timer(timer)
        if not future.done():
            raise WaitError(f"{what}: not within {timeout_s:g} s")
        return future.result()

    async def pause(self, seconds: float) -> None:
        """Return after some time; only for polling where no notification exists."""
        over = Future()
        timer = self._node.create_timer(seconds, lambda: _finish(over), clock=self._steady)
        await over
        self._node.destroy_timer(timer)

    async def until(self, condition: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Return once `condition()` holds; raises WaitError after `timeout_s`."""
        holds = Future()
        self._pending.append((condition, holds))
        self.notify()
        try:
            await self.within(holds, timeout_s, what)
        finally:
            self._pending.remove((condition, holds))

    async def call(self, client: Any, request: Any, timeout_s: float, *, again: bool = False) -> Any:
        """Return the service's response; raises WaitError when it is absent or silent.

        Raises ServiceRefusedError when it refuses. `again`: the request may be repeated; see
        `il_ros.nodes.runtime.retry`.
        """
        name = client.service_name
        deadline_ns = self._steady.now().nanoseconds + round(timeout_s * 1e9)
        while not client.service_is_ready():  # rclpy has no event for a new service
            if self._steady.now().nanoseconds > deadline_ns:
                raise WaitError(f"service {name}: not there within {timeout_s:g} s; is its node running?")
            await self.pause(0.05)
        first = Future()  # the first response; a slow service answers each repeated request

        def arrived(done: Future) -> None:
            if not first.done():
                first.set_result(done.result())

        what = f"answer of service {name}"
        for wait_s in retry.waits_s(request, timeout_s, again=again):
            client.call_async(request).add_done_callback(arrived)
            with contextlib.suppress(WaitError):
                response = await self.within(first, wait_s, what)
                break
        else:
            raise WaitError(f"{what}: not within {timeout_s:g} s")
        if (refusal := retry.refusal(response)) is not None:
            raise ServiceRefusedError(f"service {name} refused: {refusal}")
        return response


def parameters(**values: int | str | tuple[float, ...]) -> SetParameters.Request:
    """Return a request that sets these parameters."""
    return SetParameters.Request(parameters=[Parameter(name=n, value=_value(v)) for n, v in values.items()])


def _value(value: int | str | tuple[float, ...]) -> ParameterValue:
    if isinstance(value, tuple):
        return ParameterValue(type=ParameterType.PARAMETER_DOUBLE_ARRAY, double_array_value=value)
    if isinstance(value, int):
        return ParameterValue(type=ParameterType.PARAMETER_INTEGER, integer_value=value)
    return ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=value)


def _finish(future: Future) -> None:
    if not future.done():
        future.set_result(None)
