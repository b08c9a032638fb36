"""What a codec is: how messages of one type become numbers, and numbers a command.

Packages register one for a message type in il_ros.codecs; a type without one is read by `fields.FieldsCodec`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from il_ros.core.messages import Message
from il_ros.core.specs import MOST_NUMBERS, ActionSpec, ObservationSpec, Vector
from il_ros.core.strict_yaml import Section, YamlError, brief
from il_ros.core.tables import counted

Array = np.ndarray[Any, Any]
Decoder = Callable[[Message], Array]
Encoder = Callable[[Vector, int], Message]

FITS = (
    "what fits: every type with numbers, which `fields` names by their paths (as in sensor_msgs/msg/Range or your "
    "own messages); joints: sensor_msgs/msg/JointState, control_msgs/msg/DynamicJointState; "
    "std_msgs/msg/Float64MultiArray and Float32MultiArray; sensor_msgs/msg/LaserScan; pictures: "
    "sensor_msgs/msg/Image (also depth), CompressedImage; tf2_msgs/msg/TFMessage with `frames`; text: "
    "std_msgs/msg/String"
)
"""The end of a sentence that refuses a type as an observation."""
FITS_COMMANDS = (
    "what fits: std_msgs/msg/Float64MultiArray and Float32MultiArray, Float64, Float32, Int32, Bool; "
    "trajectory_msgs/msg/JointTrajectory, sensor_msgs/msg/JointState; control_msgs/msg/JointJog, MultiDOFCommand; "
    "geometry_msgs/msg/Twist, TwistStamped, PoseStamped; and every type with numbers, which `fields` names by "
    "their paths"
)
"""The end of a sentence that refuses a type as an action."""


class CodecError(ValueError):
    """A message without the values that the contract requires; the error names what is missing."""


class UnknownTypeError(YamlError):
    """A contract names a message type whose definition is neither known nor installed."""


@dataclass(frozen=True)
class Selected:
    """What a contract selects of a message type.

    Of an observation: `names` and `fields` as in the contract, and the name of each number in `elements`. Of an
    action: `names` has the name of each number, and `fields` their paths where the codec needs them.
    """

    names: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()


class Codec:
    """The base of all codecs; it can do nothing, and each method has its error."""

    observed = False
    """Whether messages of the type can be observed."""
    commanded = False
    """Whether they can be commanded."""
    quantities: tuple[str, ...] = ("position", "velocity")
    """What the commands can be; the first one is the default."""
    unmeasured = False
    """Whether commands can also be numbers that nothing measures, and choices."""
    joints = False
    """Whether the names are joints, which may be continuous."""
    stamped: bool | None = None
    """Whether messages say the time of what they hold; None: if their definition begins with a header."""

    def select(self, type_name: str, section: Section) -> Selected:
        """Read what an observation selects; raises YamlError that names the invalid field."""
        raise section.error("type", f"{type_name} cannot be observed; {FITS}")

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the function that reads the values of an observation, `spec.shape`; made once.

        The function raises ValueError or AttributeError when a value is missing.
        """
        raise NotImplementedError(spec.type)

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read what an action commands; raises YamlError that names the invalid field."""
        raise section.error("type", f"{type_name} cannot be commanded; {FITS_COMMANDS}")

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the commanded numbers (A_k,); raises ValueError or AttributeError when one is missing."""
        raise NotImplementedError(action.type)

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the function that makes the command of values (A_k,) and a stamp in nanoseconds; made once.

        The function raises ValueError when a number does not fit.
        """
        raise NotImplementedError(action.type)


def require_finite(values: Vector, names: Sequence[str], key: str) -> Vector:
    """Return the values (A,); raises CodecError that names the first one that is not a finite number."""
    if not np.isfinite(values).all():
        index = int(np.flatnonzero(~np.isfinite(values))[0])
        raise CodecError(f"{key}: {names[index]} is {values[index]}, not a finite number")
    return values


def size_in(section: Section) -> int:
    """Read the count of numbers of an array."""
    size = section.integer("size")
    if size > MOST_NUMBERS:
        raise section.error("size", f"{brief(size)} is above {MOST_NUMBERS}, the most numbers of a contract")
    return size


def sized(values: Any, size: int, field: str) -> Vector:
    """Return an array as float64 (size,); raises ValueError when it has another number of elements."""
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (size,):
        raise ValueError(f"{field} has {counted(array.size, 'number')}; the contract says {size}")
    return array


def by_name(
    found: Sequence[str], values: Sequence[float], names: Sequence[str], part: str, what: str = "joint"
) -> Vector:
    """Return the values of `names` (A,), because their order depends on the driver.

    `found`: the names of `values` in the message. `part`: what the values are. Raises ValueError without values, when
    their number differs from that of the names, and when a name is missing or occurs twice.
    """
    if len(values) == 0:
        raise ValueError(f"the message has no '{part}'")
    if len(values) != len(found):
        raise ValueError(f"{counted(len(found), 'name')} but {counted(len(values), 'value')} of '{part}'")
    place = places(found, names, what)
    return np.array([values[place[name]] for name in names], dtype=np.float64)


def places(found: Sequence[str], names: Sequence[str], what: str = "joint") -> dict[str, int]:
    """Return the index of each name that was found; raises ValueError if one of `names` is missing or occurs twice."""
    place = {name: index for index, name in enumerate(found)}
    if len(place) < len(found):
        twice = [name for name in names if list(found).count(name) > 1]
        if twice:
            raise ValueError(f"{what} '{twice[0]}' is named twice, so its value is unknown")
    missing = [name for name in names if name not in place]
    if missing:
        raise ValueError(f"{what} '{missing[0]}' is missing; the message has: {', '.join(found)}")
    return place
