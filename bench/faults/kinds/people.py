"""What people do: emergency stop, consoles that end, a second of a node, parameters and lifecycle."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator

from fault import COMMANDER_S, CONSOLE_S, FLOOD_S, FREEZE_S, SILENT_S, Fault, Run
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from recorded import STRING
from std_srvs.srv import SetBool, Trigger
from world import NotReachedError, World

from il_ros.core import messages
from kinds.messages import PROPOSAL, odd_json, proposed, published, random

BUTTON, BOOL = "dagger_supervisor/estop", "std_msgs/msg/Bool"
GARBAGE = [*random(200), *odd_json()]


def _second(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        second = world.begin(f"second_{name}", name)
        time.sleep(FREEZE_S)
        yield
        second.terminate()
        second.wait(60)
        del world.processes[f"second_{name}"]
        if name == "dagger_supervisor":
            # beside another commander both stop; a person activates the one that stays
            change(world, name, Transition.TRANSITION_ACTIVATE)

    return run


@contextlib.contextmanager
def _second_commander(world: World) -> Iterator[None]:
    """Another node commands the base, with messages that are none; the supervisor stops, and a person activates it."""
    with published("cmd_vel", "geometry_msgs/msg/TwistStamped", [b""], 60)(world):
        yield
    world.forget()
    change(world, "dagger_supervisor", Transition.TRANSITION_ACTIVATE)


@contextlib.contextmanager
def _garbled_button(world: World) -> Iterator[None]:
    """A button sends random bytes, of which some are a press; then it says that it is released, and a person resets."""
    with published(BUTTON, BOOL, random(4), 50)(world):
        yield
    publish = world.publisher(BUTTON, BOOL)
    publish(messages.encode(BOOL, messages.make(BOOL, data=False)))
    release(world)


@contextlib.contextmanager
def _estop(world: World) -> Iterator[None]:
    publish = world.publisher("expert/proposal", PROPOSAL)
    flooding = threading.Event()

    def flood() -> None:
        while not flooding.wait(0.0005):
            publish(proposed(world, "expert", (0.0, 0.5)))

    thread = threading.Thread(target=flood)
    thread.start()
    time.sleep(0.5)
    client = world.node.create_client(SetBool, "dagger_supervisor/estop")
    world.until(client.service_is_ready, "the service ~/estop")
    world.fault_at = time.monotonic()
    client.call_async(SetBool.Request(data=True))
    time.sleep(FLOOD_S)
    flooding.set()
    thread.join()
    yield
    world.node.destroy_client(client)
    release(world)


def release(world: World) -> None:
    """Release the emergency stop, as a person does: until a decision is the policy's again."""
    press = world.node.create_client(SetBool, "dagger_supervisor/estop")
    reset = world.node.create_client(Trigger, "dagger_supervisor/reset_estop")
    called = 0.0

    def released() -> bool:
        nonlocal called
        if press.service_is_ready() and reset.service_is_ready() and time.monotonic() - called > 1.0:
            called = time.monotonic()
            press.call_async(SetBool.Request(data=False))
            reset.call_async(Trigger.Request())
        return bool(world.decisions) and world.decisions[-1][1].authority == "policy"

    try:
        world.until(released, "the release of the emergency stop")
    finally:
        world.node.destroy_client(press)
        world.node.destroy_client(reset)


class _Terminal:
    """A pseudo-terminal that is read until it is closed; `.slave`: descriptor of the console's end."""

    def __init__(self) -> None:
        self._master, self.slave = pty.openpty()
        self.shown = b""
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._read)
        self._thread.start()

    def close(self) -> None:
        """Close it, as a lost SSH connection does; a second call does nothing."""
        self._closing.set()
        self._thread.join()

    def _read(self) -> None:
        # closed by this thread: a read that waits in another one would keep it open
        while not self._closing.is_set():
            if select.select([self._master], [], [], 0.05)[0]:
                try:
                    self.shown += os.read(self._master, 65536)
                except OSError:  # the console has ended
                    break
        os.close(self._master)


def _console(end: Callable[[World, _Terminal], None]) -> Run:
    """A console is there, in a terminal of its own; then it is killed, frozen, or loses its terminal."""

    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        terminal = _Terminal()
        console = world.begin("session", terminal=terminal.slave)
        os.close(terminal.slave)
        try:
            world.until(lambda: b"ctrl-D" in terminal.shown, "the console's keys")
            time.sleep(1.0)  # its first reports to the supervisor
            world.drives()
            world.fault_at = time.monotonic()
            end(world, terminal)
            yield
        finally:
            console.kill()
            console.wait()
            del world.processes["session"]
            terminal.close()
        release(world)

    return run


def _parameter(node: str, name: str, text: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        client = world.node.create_client(SetParameters, f"{node}/set_parameters")
        world.until(client.service_is_ready, "the parameters")
        value = ParameterValue(type=ParameterType.PARAMETER_STRING, string_value=text)
        client.call_async(SetParameters.Request(parameters=[Parameter(name=name, value=value)]))
        time.sleep(1.0)
        yield
        world.node.destroy_client(client)

    return run


def change(world: World, name: str, number: int) -> None:
    """Request a lifecycle transition; a node that is in that state already refuses it."""
    client = world.node.create_client(ChangeState, f"{name}/change_state")
    world.until(client.service_is_ready, "the lifecycle")
    answers, called = [], 0.0
    while not any(answer.done() for answer in answers):  # the first response may be lost
        if time.monotonic() > called + 3.0:
            called = time.monotonic()
            answers.append(client.call_async(ChangeState.Request(transition=Transition(id=number))))
        if len(answers) > 20:
            raise NotReachedError(f"transition {number} of {name}: no answer within a minute")
        time.sleep(0.01)
    world.node.destroy_client(client)


def _lifecycle(name: str) -> Run:
    @contextlib.contextmanager
    def run(world: World) -> Iterator[None]:
        world.fault_at = time.monotonic()
        change(world, name, Transition.TRANSITION_DEACTIVATE)
        time.sleep(FLOOD_S)
        yield
        change(world, name, Transition.TRANSITION_ACTIVATE)

    return run


FAULTS = [
    *(
        Fault(f"a second {name}", _second(name))
        for name in ("recorder", "policy_server", "dagger_supervisor", "sim", "trainer")
    ),
    Fault(
        "a second commander of the base",
        _second_commander,
        "must",
        COMMANDER_S,
        says="/campaign publishes on /cmd_vel",
    ),
    Fault("console of nobody: garbage", published("dagger_supervisor/console", STRING, GARBAGE, 50)),
    Fault(
        "emergency stop: random bytes on its topic",
        _garbled_button,
        says=r"emergency stop pressed \(topic\)",
    ),
    Fault("emergency stop in a flood of proposals", _estop, "must", SILENT_S),
    Fault(
        "console killed",
        _console(lambda world, _: world.send_signal("session", signal.SIGKILL)),
        "must",
        CONSOLE_S,
        says="console .* lost",
    ),
    Fault(
        "console frozen",
        _console(lambda world, _: world.send_signal("session", signal.SIGSTOP)),
        "must",
        CONSOLE_S,
        says="console .* lost",
    ),
    Fault(
        "console's terminal closed",
        _console(lambda _, terminal: terminal.close()),
        "must",
        CONSOLE_S,
        says="console .* suspended",
    ),
    Fault("mode set to nonsense", _parameter("dagger_supervisor", "mode", "banana")),
    Fault("policy server deactivated", _lifecycle("policy_server"), "must", SILENT_S),
    Fault("recorder deactivated", _lifecycle("recorder")),
]
