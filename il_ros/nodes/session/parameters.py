"""The session's parameters, and the options, buttons, simulated person and driving keys made from them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rclpy.node import Node

from il_ros.core.contract import Contract
from il_ros.core.tables import counted
from il_ros.nodes.runtime.contracts import declare_contract, load_contract
from il_ros.nodes.runtime.parameters import ParameterError, declare, value
from il_ros.session import keys
from il_ros.session.person import USUAL, SimulatedPerson
from il_ros.session.relabelling.starts import read_starts
from il_ros.session.setup import SessionOptions
from il_ros.session.takes import TakeOptions
from il_ros.teleop.keyboard import Keyboard, KeyTimes

EXPERT_HELP = "        the scripted expert drives when you take over; with the expert keyboard your keys do"
SCRIPT_HELP = "        the scripted expert demonstrates each take; with the expert keyboard you do"


@dataclass(frozen=True)
class SessionSetup:
    """`contract`: None if not needed; `driving`: help lines on how to drive the robot; `goal`: of the task.

    `keyboard`: says which keys drive the robot; None where none do. `instruction_topic`: "" without instructions.
    """

    options: SessionOptions
    buttons: keys.Buttons
    person: SimulatedPerson | None
    contract: Contract | None
    driving: tuple[str, ...]
    goal: str
    keyboard: Keyboard | None = None
    instruction_topic: str = ""


def declare_session(node: Node) -> SessionSetup:
    """Declare all parameters of the session; raises ParameterError naming what is wrong."""
    mode = declare(
        node, "mode", "hg_dagger", "the supervisor's mode while the policy may drive", read_only=True
    )
    simulator = declare(
        node, "simulator", True, "a simulator runs: starts can be drawn and time paused", read_only=True
    )
    teacher = declare(node, "teacher", True, "a scripted expert drives when you take over", read_only=True)
    limit_s = declare(
        node, "time_limit_s", 0.0, "time after which an episode in the simulator fails; 0: none",
        unit="s", minimum=0.0, read_only=True,
    )  # fmt: skip
    seed = declare(node, "seed", 0, "seed of the simulator's first start", minimum=0, read_only=True)
    lines = declare(node, "joy_buttons", [], 'lines "COMMAND BUTTON", such as "next 0"', read_only=True)
    declare(node, "timeout_s", 10.0, "longest wait for a service", unit="s", minimum=0.1)
    operator = declare(
        node, "person", "you", "source of the user commands", choices=("you", "simulated"), read_only=True
    )
    episodes = declare(
        node, "episodes", 10, "episodes after which a simulated person ends the session", minimum=1,
        read_only=True,
    )  # fmt: skip
    awaits_policy = declare(
        node, "awaits_policy", False, "a simulated person starts no episode before a policy is loaded",
        read_only=True,
    )  # fmt: skip
    root = declare(
        node, "root", "episodes", "folder of the episodes, for the commands that the console prints",
        read_only=True,
    )  # fmt: skip
    learns = declare(
        node, "learns", True, "policy and trainer run beside; false: the session only records", read_only=True
    )
    countdown_s = declare(
        node, "countdown_s", 0.0, "countdown before a take (key n); 0: none", unit="s", minimum=0.0,
        read_only=True,
    )  # fmt: skip
    reset_s = declare(
        node, "reset_s", 0.0, "time to reset the scene after a take, then the next countdown begins; 0: key n "
        "begins it", unit="s", minimum=0.0, read_only=True,
    )  # fmt: skip
    takes = declare(
        node, "takes", 0, "takes after which the session ends; 0: key ctrl-D", minimum=0, read_only=True
    )
    beeps = declare(
        node, "beeps", True, "ring the terminal's bell in a countdown, at start and end", read_only=True
    )
    goal = declare(node, "goal", "", "the task, in one line shown at the start; empty: none", read_only=True)
    declare(node, "report", "", "folder of episodes to report on at the end; empty: no report")
    starts = declare(
        node, "moments", "", "file of recorded moments to label (il-ros session relabel); empty: none",
        read_only=True,
    )  # fmt: skip
    driven = declare(
        node, "driving_keys", False, "teleop_keyboard receives the keys: the help lists them", read_only=True
    )
    trainer = declare(node, "trainer", True, "a trainer runs: a key starts a training", read_only=True)
    recorder = declare(node, "recorder", True, "a recorder runs: keys record episodes", read_only=True)
    instructions = declare(
        node, "instructions", [], "what may be said to do, in words; key i says the next one", read_only=True
    )
    declare(
        node, "judge_topic", "", "ratings of the node judge: shown, and the robot comes to rest where the recorder "
        "ends an episode by them; empty: none", read_only=True,
    )  # fmt: skip
    declare_contract(node)
    try:
        buttons = keys.Buttons.parse(lines)
        instruction_topic = _instruction_topic(node, instructions)
        moments = read_starts(Path(starts)) if starts else ()
    except (ValueError, OSError) as error:
        raise ParameterError(str(error)) from error
    person: SimulatedPerson | None = None
    driving: tuple[str, ...] = ()
    keyboard: Keyboard | None = None
    contract = (
        load_contract(value(node, "contract")) if operator == "simulated" or driven or moments else None
    )
    if operator == "simulated":
        rng = np.random.default_rng(seed)
        person = SimulatedPerson(contract, USUAL, episodes, rng, awaits_policy=awaits_policy)
    elif driven:
        keyboard = Keyboard(contract, KeyTimes())
        driving = tuple(keyboard.help(alone=False).splitlines())
    elif teacher:
        driving = (EXPERT_HELP if learns else SCRIPT_HELP,)
    options = SessionOptions(
        mode, simulator, teacher, limit_s, seed, moments, trainer=trainer, recorder=recorder, root=root,
        present=operator == "you", learns=learns, takes=TakeOptions(countdown_s, reset_s, takes, beeps),
        instructions=tuple(instructions),
    )  # fmt: skip
    return SessionSetup(options, buttons, person, contract, driving, goal, keyboard, instruction_topic)


def _instruction_topic(node: Node, instructions: list[str]) -> str:
    """Return the topic of the contract's one text, "" without instructions.

    Raises ValueError if an instruction is not a line, or the contract has not one text.
    """
    if not instructions:
        return ""
    for text in instructions:
        if not text.strip() or not text.isprintable():
            raise ValueError(f"instructions: {text!r} must be one line that is not empty")
    if len(set(instructions)) < len(instructions):
        raise ValueError(f"instructions: {instructions} has a text twice")
    contract = load_contract(value(node, "contract"))
    topics = [spec.topic for spec in contract.observations if spec.kind == "text"]
    if len(topics) != 1:
        raise ValueError(
            f"instructions: contract {contract.name} has {counted(len(topics), 'text')} among its observations; one "
            "is needed, on whose topic the instructions are published (type: std_msgs/msg/String)"
        )
    return topics[0]
