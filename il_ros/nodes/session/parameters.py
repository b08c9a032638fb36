"""The session's parameters, and what they make: options, buttons, who sits there, which keys drive."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.node import Node

from il_ros.core.contract import Contract
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.parameters import ParameterError, declare, value
from il_ros.session import keys
from il_ros.session.person import USUAL, SimulatedPerson
from il_ros.session.setup import SessionOptions
from il_ros.session.starts import read_starts
from il_ros.teleop.keyboard import Keyboard, KeyTimes

TEACHER = "        the scripted teacher drives when you take over; with --expert keyboard your keys do"


@dataclass(frozen=True)
class Chosen:
    """`contract` is None where nothing needs it; `driving`: lines that tell how the robot is driven."""

    options: SessionOptions
    buttons: keys.Buttons
    person: SimulatedPerson | None
    contract: Contract | None
    driving: tuple[str, ...]


def declare_session(node: Node) -> Chosen:
    """Declare all parameters of the session; raises ParameterError naming what is wrong."""
    mode = declare(node, "mode", "hg_dagger", "the supervisor's while the policy may drive", read_only=True)
    simulator = declare(node, "simulator", True, "starts can be drawn and time held", read_only=True)
    teacher = declare(node, "teacher", True, "a scripted expert drives when you take over", read_only=True)
    limit_s = declare(
        node, "time_limit_s", 0.0, "in the simulator an episode that takes longer failed; 0: none",
        unit="s", minimum=0.0, read_only=True,
    )  # fmt: skip
    seed = declare(node, "seed", 0, "of the simulator's first start", minimum=0, read_only=True)
    lines = declare(node, "joy_buttons", [], 'lines "WISH BUTTON", such as "next 0"', read_only=True)
    declare(node, "timeout_s", 10.0, "longest wait for a service", unit="s", minimum=0.1)
    who = declare(node, "person", "you", "who presses the keys", choices=("you", "simulated"), read_only=True)
    episodes = declare(
        node, "episodes", 10, "episodes after which a simulated person ends the session", minimum=1,
        read_only=True,
    )  # fmt: skip
    declare(node, "report", "", "folder of episodes to report on at the end; empty: no report")
    starts = declare(
        node, "moments", "", "file of recorded moments to label (il-ros session relabel); empty: none",
        read_only=True,
    )  # fmt: skip
    driven = declare(
        node, "driving_keys", False, "teleop_keyboard hears the keys: say which drive", read_only=True
    )
    declare_contract(node)
    try:
        buttons = keys.Buttons.parse(lines)
        moments = read_starts(Path(starts)) if starts else ()
    except (ValueError, OSError) as error:
        raise ParameterError(str(error)) from error
    person: SimulatedPerson | None = None
    driving: tuple[str, ...] = ()
    contract = load_contract(value(node, "contract")) if who == "simulated" or driven or moments else None
    if who == "simulated":
        person = SimulatedPerson(contract, USUAL, episodes, np.random.default_rng(seed))
    elif driven:
        driving = tuple(Keyboard(contract, KeyTimes()).help(alone=False).splitlines())
    elif teacher:
        driving = (TEACHER,)
    options = SessionOptions(mode, simulator, teacher, limit_s, seed, moments)
    return Chosen(options, buttons, person, contract, driving)
