"""Numbers that a message lists with the names of their joints, or in the order of the contract."""

from __future__ import annotations

import numpy as np

from il_ros.core import messages
from il_ros.core.codecs import trajectory
from il_ros.core.codecs.base import Array, Codec, Decoder, Encoder, Selected, by_name, places, size_in, sized
from il_ros.core.codecs.fields import FieldsCodec
from il_ros.core.messages import Message
from il_ros.core.specs import JOINT_FIELDS, ActionSpec, ObservationSpec, Vector
from il_ros.core.strict_yaml import Section
from il_ros.core.tables import counted

_POINT = "trajectory_msgs/msg/JointTrajectoryPoint"


class JointStateCodec(Codec):
    """sensor_msgs/msg/JointState: `fields` of the joints in `names`."""

    observed = True
    commanded = True
    joints = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `names` and `fields`."""
        names = section.texts("names")
        fields = section.texts("fields", required=False) or ("position",)
        self._check(fields, section)
        return Selected(names, fields, tuple(f"{part}/{name}" for part in fields for name in names))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the joints by name."""

        def decode(message: Message) -> Array:
            parts = [by_name(message.name, getattr(message, part), spec.names, part) for part in spec.fields]
            return np.concatenate(parts)

        return decode

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`."""
        return Selected(section.texts("names"))

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the commanded quantity of the joints by name."""
        return by_name(message.name, getattr(message, action.quantity), action.names, action.quantity)

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of a joint state with the commanded quantity."""

        def encode(values: Vector, stamp_ns: int) -> Message:
            return messages.make(
                action.type,
                header=messages.header(stamp_ns, action.frame_id),
                name=list(action.names),
                **{action.quantity: values},
            )

        return encode

    def _check(self, fields: tuple[str, ...], section: Section) -> None:
        for part in fields:
            if part not in JOINT_FIELDS:
                raise section.error("fields", f"'{part}' is not known; of: {', '.join(JOINT_FIELDS)}")


class DynamicJointStateCodec(JointStateCodec):
    """control_msgs/msg/DynamicJointState: `fields` are interfaces of the joints, such as position or temperature."""

    commanded = False
    stamped = True

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the interfaces of the joints by name."""

        def decode(message: Message) -> Array:
            place = places(message.joint_names, spec.names)
            if len(message.interface_values) != len(message.joint_names):
                raise ValueError(
                    f"{counted(len(message.joint_names), 'joint')} but "
                    f"{len(message.interface_values)} interface_values"
                )
            values = []
            for part in spec.fields:
                for name in spec.names:
                    interfaces = message.interface_values[place[name]]
                    found, numbers = list(interfaces.interface_names), interfaces.values
                    if len(found) != len(numbers):
                        raise ValueError(
                            f"joint '{name}' has {counted(len(found), 'interface')} but "
                            f"{counted(len(numbers), 'value')}"
                        )
                    if found.count(part) != 1:
                        how = "named twice" if part in found else "missing"
                        raise ValueError(
                            f"interface '{part}' of '{name}' is {how}; it has: {', '.join(found)}"
                        )
                    values.append(numbers[found.index(part)])
            return np.array(values, dtype=np.float64)

        return decode

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Refuse: the message is a state."""
        return Codec.select_action(self, type_name, section, quantity)

    def _check(self, fields: tuple[str, ...], section: Section) -> None:
        for part in fields:
            if "/" in part:
                raise section.error("fields", f"'{part}' is not an interface; write it as position")


class ArrayCodec(FieldsCodec):
    """std_msgs/msg/Float64MultiArray and Float32MultiArray: all numbers of `data`, with `names` or a `size`."""

    joints = True

    def select(self, type_name: str, section: Section) -> Selected:
        """Read `names` or `size`; with `fields`, some of the numbers by their paths."""
        if "fields" in section:
            return super().select(type_name, section)
        names = section.texts("names", required=False)
        return Selected(names, ("data",), names or tuple(f"data/{i}" for i in range(size_in(section))))

    def decoder(self, spec: ObservationSpec) -> Decoder:
        """Return the reader of the whole array, or of some numbers."""
        if spec.fields != ("data",):
            return super().decoder(spec)
        return lambda message: sized(message.data, spec.size, "data")

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`, in the order of the array."""
        return Selected(section.texts("names"))

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the array."""
        return sized(message.data, action.size, "data")

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of the array."""
        dtype = messages.make(action.type).data.dtype
        return lambda values, stamp_ns: messages.make(action.type, data=values.astype(dtype))


class JointTrajectoryCodec(Codec):
    """trajectory_msgs/msg/JointTrajectory: a command of one point, due immediately (time_from_start 0)."""

    commanded = True
    joints = True

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`."""
        return Selected(section.texts("names"))

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the last point; `trajectory.read` gives the values at a time."""
        plan = trajectory.read(action, message)
        return plan.at(plan.duration_s)

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of a trajectory of one point."""

        def encode(values: Vector, stamp_ns: int) -> Message:
            field = "positions" if action.quantity == "position" else "velocities"
            point = messages.make(_POINT, **{field: values})
            # joint_trajectory_controller starts at once on a zero stamp, and drops points in the past
            return messages.make(
                action.type,
                header=messages.header(0, action.frame_id),
                joint_names=list(action.names),
                points=[point],
            )

        return encode


class JointJogCodec(Codec):
    """control_msgs/msg/JointJog: velocities by joint. Its displacements are increments, which no bag can sum up."""

    commanded = True
    joints = True
    quantities = ("velocity",)
    stamped = True

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`."""
        return Selected(section.texts("names"))

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the velocities by name."""
        return by_name(message.joint_names, message.velocities, action.names, "velocities")

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of the velocities; `duration` is 0, until the next command."""

        def encode(values: Vector, stamp_ns: int) -> Message:
            head = messages.header(stamp_ns, action.frame_id)
            return messages.make(action.type, header=head, joint_names=list(action.names), velocities=values)

        return encode


class MultiDofCodec(Codec):
    """control_msgs/msg/MultiDOFCommand: `values` by degree of freedom; `values_dot` is NaN, which means not given."""

    commanded = True
    joints = True
    stamped = False

    def select_action(self, type_name: str, section: Section, quantity: str) -> Selected:
        """Read `names`."""
        return Selected(section.texts("names"))

    def decode_command(self, action: ActionSpec, message: Message) -> Vector:
        """Return the values by name."""
        return by_name(message.dof_names, message.values, action.names, "values", "degree of freedom")

    def encoder(self, action: ActionSpec) -> Encoder:
        """Return the maker of the values."""

        def encode(values: Vector, stamp_ns: int) -> Message:
            return messages.make(
                action.type,
                dof_names=list(action.names),
                values=values,
                values_dot=np.full(action.size, np.nan),
            )

        return encode
