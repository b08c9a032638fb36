"""The fields of messages of ros2_control, which has no Python package to install, and CDR written by hand."""

from __future__ import annotations

import struct

from il_ros.core import messages

ACTIONS = {
    "msg/GripperCommand.msg": "float64 position\nfloat64 max_effort\n",
    "action/GripperCommand.action": (
        "GripperCommand command\n---\nfloat64 position\nfloat64 effort\nbool stalled\nbool reached_goal\n---\n"
        "float64 position\nfloat64 effort\nbool stalled\nbool reached_goal\n"
    ),
    "action/ParallelGripperCommand.action": (
        "sensor_msgs/JointState command\n---\nsensor_msgs/JointState state\nbool stalled\nbool reached_goal\n---\n"
        "sensor_msgs/JointState state\n"
    ),
    "msg/JointTolerance.msg": "string name\nfloat64 position\nfloat64 velocity\nfloat64 acceleration\n",
    "msg/JointComponentTolerance.msg": (
        "string joint_name\nuint16 component\nfloat64 position\nfloat64 velocity\nfloat64 acceleration\n"
    ),
    "action/FollowJointTrajectory.action": (
        "trajectory_msgs/JointTrajectory trajectory\ntrajectory_msgs/MultiDOFJointTrajectory multi_dof_trajectory\n"
        "JointTolerance[] path_tolerance\nJointComponentTolerance[] component_path_tolerance\n"
        "JointTolerance[] goal_tolerance\nJointComponentTolerance[] component_goal_tolerance\n"
        "builtin_interfaces/Duration goal_time_tolerance\n---\nint32 error_code\nstring error_string\n---\n"
        "std_msgs/Header header\nstring[] joint_names\ntrajectory_msgs/JointTrajectoryPoint desired\n"
        "trajectory_msgs/JointTrajectoryPoint actual\ntrajectory_msgs/JointTrajectoryPoint error\nint32 index\n"
        "string[] multi_dof_joint_names\ntrajectory_msgs/MultiDOFJointTrajectoryPoint multi_dof_desired\n"
        "trajectory_msgs/MultiDOFJointTrajectoryPoint multi_dof_actual\n"
        "trajectory_msgs/MultiDOFJointTrajectoryPoint multi_dof_error\nint32 multi_dof_index\n"
    ),
}
"""The files of the action types that commands are forwarded to."""
SEPARATOR = "\n" + "=" * 80 + "\n"
INTERFACE_VALUE = "string[] interface_names\nfloat64[] values\n"
MESSAGES = {
    "DynamicJointState": "std_msgs/Header header\nstring[] joint_names\nInterfaceValue[] interface_values\n",
    "JointJog": (
        "std_msgs/Header header\nstring[] joint_names\nfloat64[] displacements\nfloat64[] velocities\n"
        "float64 duration\n"
    ),
    "MultiDOFCommand": "string[] dof_names\nfloat64[] values\nfloat64[] values_dot\n",
    "GripperCommand": "float64 position\nfloat64 max_effort\n",
}
HEADER = f"{SEPARATOR}MSG: std_msgs/Header\nbuiltin_interfaces/Time stamp\nstring frame_id\n"
TIME = f"{SEPARATOR}MSG: builtin_interfaces/Time\nint32 sec\nuint32 nanosec\n"


def schema(name: str) -> str:
    """Return the schema of a message as a bag has it."""
    nested = (
        f"{SEPARATOR}MSG: control_msgs/InterfaceValue\n{INTERFACE_VALUE}"
        if "Interface" in MESSAGES[name]
        else ""
    )
    return MESSAGES[name] + nested + (HEADER + TIME if "Header" in MESSAGES[name] else "")


def register() -> None:
    """Make the messages known, as opening a bag with them does."""
    for name in MESSAGES:
        messages.register(schema(name), f"control_msgs/msg/{name}")


class Cdr:
    """Little-endian CDR, written field by field; numbers are aligned to their size from the end of the head."""

    def __init__(self) -> None:
        self._body = bytearray()

    def number(self, form: str, *values: float) -> Cdr:
        """Append numbers of one struct format, such as 'd' or 'I'."""
        for value in values:
            self._body += bytes(-len(self._body) % struct.calcsize(form))
            self._body += struct.pack(f"<{form}", value)
        return self

    def text(self, value: str) -> Cdr:
        """Append a text with its length and its zero byte."""
        raw = value.encode() + b"\0"
        self.number("I", len(raw))
        self._body += raw
        return self

    def texts(self, *values: str) -> Cdr:
        """Append a list of texts."""
        self.number("I", len(values))
        for value in values:
            self.text(value)
        return self

    def numbers(self, form: str, *values: float) -> Cdr:
        """Append a list of numbers."""
        return self.number("I", len(values)).number(form, *values)

    def stamp(self, seconds: int, nanoseconds: int, frame: str) -> Cdr:
        """Append a header."""
        return self.number("i", seconds).number("I", nanoseconds).text(frame)

    def bytes(self) -> bytes:
        """Return the message."""
        return b"\0\1\0\0" + bytes(self._body)
