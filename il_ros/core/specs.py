"""The specifications of streams that make up a contract, as frozen dataclasses.

`il_ros.core.contract` reads them from YAML; `il_ros.core.codecs` says which message types there are.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

Vector = NDArray[np.float64]

XYZ = ("x", "y", "z")
XYZW = ("x", "y", "z", "w")
_AXES = tuple(f".{axis}" for axis in XYZW)

POSE_PARTS = {"position": XYZ, "orientation": XYZW}
TWIST_PARTS = {"linear": XYZ, "angular": XYZ}
JOINT_STATE = "sensor_msgs/msg/JointState"
JOINT_TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
DYNAMIC_JOINT_STATE = "control_msgs/msg/DynamicJointState"
ARRAY = "std_msgs/msg/Float64MultiArray"
ARRAYS = (ARRAY, "std_msgs/msg/Float32MultiArray")
TRANSFORMS = "tf2_msgs/msg/TFMessage"
LASER_SCAN = "sensor_msgs/msg/LaserScan"
IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
STRING = "std_msgs/msg/String"
POSE = "geometry_msgs/msg/PoseStamped"
WRENCH = "geometry_msgs/msg/WrenchStamped"
TWISTS = ("geometry_msgs/msg/Twist", "geometry_msgs/msg/TwistStamped")

JOINT_FIELDS = ("position", "velocity", "effort")
IMAGE_ENCODINGS = ("rgb8", "mono8", "depth")
IMAGE_FITS = ("exact", "resize", "crop", "stretch")
NAN_BEAMS = ("nearest", "range_max", "range_min", "error")

EXPIRES_PERIODS, EXPIRES_LEAST_S = 5, 0.25
"""A velocity command counts for this many control periods, and at least this long, unless the contract says."""
EXPIRED = ("no_label", "stop")

QUANTITIES = ("position", "velocity", "bounded", "choice")
BOUNDED, CHOICE = QUANTITIES[2:]
"""Actions without a measured counterpart: a number within bounds (torque, throttle), or one of several choices."""

MOST_NUMBERS = 100_000
"""Numbers that all observations of a contract may have together."""
MOST_PIXELS = 1 << 24
"""Pixels of one image, on the wire or of a contract: 4096 x 4096."""
MOST_MEGAPIXELS = 64
"""Millions of pixels that all images of a contract may have together."""


def turn_of(unit: str) -> float:
    """Return a whole turn in an angle's unit: 360 for degrees, otherwise 2 pi."""
    return 360.0 if unit.strip().lower().startswith(("deg", "°")) else 2 * math.pi


@dataclass(frozen=True)
class ImageSpec:
    """Size and encoding of a camera's frames for the policy, and the handling of frames of another size.

    `fit`: exact (another size is an error), resize (same aspect ratio required), crop (to the centre, then
    resize), stretch (distort). `encoding`: rgb8 (H, W, 3) uint8, mono8 (H, W, 1) uint8, depth (H, W, 1)
    float32 metres, 0 without measurement.
    """

    width: int
    height: int
    encoding: str = "rgb8"
    fit: str = "exact"

    @property
    def shape(self) -> tuple[int, int, int]:
        """(H, W, C) of the decoded frame."""
        return (self.height, self.width, 3 if self.encoding == "rgb8" else 1)


@dataclass(frozen=True)
class ScanSpec:
    """The beams of a laser scan for the policy.

    `angles`: those of the first and the last beam, in rad; None: as each scan has them. `nan_beams`: what a beam
    without a valid measurement (NaN) is: the nearest measured one, range_max, range_min, or an error.
    """

    angles: tuple[float, float] | None = None
    nan_beams: str = "nearest"


@dataclass(frozen=True)
class StreamSpec:
    """A topic of a contract, with its unique key."""

    key: str
    topic: str
    type: str

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that its messages come on."""
        return (self.topic,)


@dataclass(frozen=True)
class ObservationSpec(StreamSpec):
    """One observation. `elements` names each number: position/joint1, linear.x, ranges/7.

    `stamp` selects the time of a message: 'header', or 'arrival' (for drivers with a wrong clock, and for
    types without a header). `max_age_s`: maximum age at a tick, in seconds.
    `continuous`: the names of joints without end, whose position is an angle, the same after each whole turn.
    `frames`: of transforms, the parent and the child: the observation is the pose of the second in the first;
    `static`: the topic of the static ones.
    """

    max_age_s: float
    names: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    elements: tuple[str, ...] = ()
    unit: str = ""
    image: ImageSpec | None = None
    stamp: str = "header"
    scan: ScanSpec = ScanSpec()
    continuous: tuple[str, ...] = ()
    frames: tuple[str, ...] = ()
    static: str = ""

    @property
    def topics(self) -> tuple[str, ...]:
        """The topics that its messages come on: of transforms, also that of the static ones."""
        return (self.topic, self.static) if self.static else (self.topic,)

    @property
    def kind(self) -> str:
        """'image', 'text' or 'numeric'."""
        if self.image is not None:
            return "image"
        return "text" if self.type == STRING else "numeric"

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one decoded observation: (D,), (H, W, C), or () for text."""
        if self.image is not None:
            return self.image.shape
        return () if self.kind == "text" else (len(self.elements),)

    @property
    def size(self) -> int:
        """Count of numbers D of a numeric observation, else 0."""
        return len(self.elements)

    @cached_property
    def turns(self) -> Vector:
        """The whole turn of each number that is the angle of a continuous joint, in its unit; 0 for the others (D,)."""
        angles = {f"position/{name}" for name in self.continuous} | set(self.continuous)
        return np.array([turn_of(self.unit) if each in angles else 0.0 for each in self.elements])

    @cached_property
    def places(self) -> dict[str, int]:
        """The index of each element."""
        return {element: place for place, element in enumerate(self.elements)}

    @property
    def dtype(self) -> np.dtype[np.generic]:
        """Type of the decoded array."""
        if self.image is not None:
            return np.dtype(np.float32 if self.image.encoding == "depth" else np.uint8)
        return np.dtype(np.str_) if self.kind == "text" else np.dtype(np.float64)


def orientations_in(elements: Sequence[str]) -> tuple[int, ...]:
    """Return the places at which four elements are one orientation, also in a message: pose.orientation.x, ..."""
    return tuple(first for first in range(len(elements) - 3) if _is_orientation(elements[first : first + 4]))


def _is_orientation(names: Sequence[str]) -> bool:
    holders = {name.rpartition(".")[0] for name in names}
    part = holders.pop().rpartition(".")[2] if len(holders) == 1 else ""
    return part in ("orientation", "rotation") and tuple(name[-2:] for name in names) == _AXES


def narrowed(spec: ObservationSpec, used: Iterable[int]) -> ObservationSpec:
    """Return the observation with only the joint state fields that have one of the `used` elements (indices).

    Other observations are returned as they are. A velocity or an effort that is missing or NaN then does not
    matter to those who need the positions only.
    """
    if spec.type not in (JOINT_STATE, DYNAMIC_JOINT_STATE):
        return spec
    kept = dict.fromkeys(spec.elements[index].partition("/")[0] for index in sorted(set(used)))
    elements = tuple(f"{part}/{name}" for part in kept for name in spec.names)
    return replace(spec, fields=tuple(kept), elements=elements)


def shortest(difference: Vector, turns: Vector) -> Vector:
    """Return a difference (..., A) with the whole turns taken out: within half a turn where `turns` (A,) is above 0."""
    if not turns.any():
        return difference
    turn = np.where(turns > 0, turns, 1.0)
    return difference - np.where(turns > 0, turn * np.round(difference / turn), 0.0)


@dataclass(frozen=True)
class Limits:
    """Limits of the safety limiter, (A_k,) each, in the action's unit; infinite where not declared.

    `lower`/`upper` bound the commanded number. `speed` bounds |velocity| and `acceleration` |acceleration|:
    for a position command, those of its motion; for a velocity command, its value and its change per second. A
    bounded command is limited like a velocity: its `acceleration` is the contract's `rate`.
    """

    lower: tuple[float, ...]
    upper: tuple[float, ...]
    speed: tuple[float, ...]
    acceleration: tuple[float, ...]

    def arrays(self) -> tuple[Vector, Vector, Vector, Vector]:
        """Return lower, upper, speed, acceleration as arrays (A_k,)."""
        return (np.array(self.lower), np.array(self.upper), np.array(self.speed), np.array(self.acceleration))


@dataclass(frozen=True)
class ActionSpec(StreamSpec):
    """One action.

    `quantity`: 'position', 'velocity', 'bounded' (a number within its limits that nothing measures: torque,
    throttle) or 'choice' (one of `names`: the numbers are scores, and the command is 1 for the largest and 0 for
    the others; a message of one number has the place of that name). `mode`: the learned representation, the number
    itself ('absolute') or its difference to the measured value at the tick ('delta'); commands on the topic are always
    absolute.
    `reference`: the key of the observation that measures the same joints, and `reference_index` (A_k entries)
    their indices there; holds and ramps start from these values.
    `safe`: the behaviour without a source in authority: hold the position, zero the velocity, or stop
    (decelerate within the limits, then hold).
    `expires_s`: how long a command counts after its arrival, in seconds; None: see `Contract.expires_s`. If it is
    declared, the supervisor repeats no command of a silent source for longer.
    `expired`: the label after that: none ('no_label'), or a zero velocity ('stop').
    `home`: the position that `il-ros home` leads to, (A_k,) or empty; it has no part in the contract's meaning.
    `continuous`: the names of joints without end. Their commands go the shortest way. Position limits of such a
    joint are a whole turn, in which its commands are then kept, or absent: commands then go on from the last one.
    `paths`: where the numbers are in messages of a type without a codec of its own; see `messages.fields`.
    """

    names: tuple[str, ...]
    limits: Limits
    unit: str = ""
    quantity: str = "position"
    mode: str = "absolute"
    reference: str | None = None
    reference_index: tuple[int, ...] = ()
    safe: str = "hold"
    frame_id: str = ""
    expires_s: float | None = None
    expired: str = "no_label"
    home: tuple[float, ...] = ()
    continuous: tuple[str, ...] = ()
    paths: tuple[str, ...] = ()

    @property
    def size(self) -> int:
        """Count of numbers A_k."""
        return len(self.names)

    @cached_property
    def turns(self) -> Vector:
        """The whole turn of each continuous joint, in the action's unit; 0 for the others (A_k,)."""
        return np.array([turn_of(self.unit) if name in self.continuous else 0.0 for name in self.names])

    @property
    def is_velocity(self) -> bool:
        """True when the commanded numbers are velocities."""
        return self.quantity == "velocity"

    @property
    def is_position(self) -> bool:
        """True when the commanded numbers are positions: their motion is limited, from the measured ones on."""
        return self.quantity == "position"


WHOLE = "all"
"""The name of the one group of a contract without `groups`, and of all actions together."""


@dataclass(frozen=True)
class ActionGroup:
    """Actions under one authority, such as those of one arm: another source may drive the other groups.

    `keys`: the action keys; `columns`: the places of their numbers in the flat action vector (A,), ascending.
    """

    name: str
    keys: tuple[str, ...]
    columns: tuple[int, ...]

    @cached_property
    def index(self) -> NDArray[np.intp]:
        """The columns as an index array."""
        return np.array(self.columns, dtype=np.intp)
