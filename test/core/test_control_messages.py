"""Messages of ros2_control, read from bytes that are written by hand."""

import control_definitions
import numpy as np
import pytest
from control_definitions import Cdr

from il_ros.core import codecs, contract, messages
from il_ros.core.synchroniser import NoObservation, Synchroniser

DYNAMIC, JOG = "control_msgs/msg/DynamicJointState", "control_msgs/msg/JointJog"
MULTI_DOF = "control_msgs/msg/MultiDOFCommand"
TEXT = """\
name: arm
rate_hz: 10
observations:
  state:
    topic: dynamic_joint_states
    type: control_msgs/msg/DynamicJointState
    names: [elbow, shoulder]
    fields: [position, temperature]
    max_age_s: 0.5
actions:
  it:
    topic: command
    type: TYPE
    names: [shoulder, elbow]
    limits: {speed: 1}
"""


@pytest.fixture(autouse=True)
def _known():
    control_definitions.register()


def read(command: str = JOG, extra: str = "") -> contract.Contract:
    return contract.parse(TEXT.replace("TYPE", command) + extra, "arm.yaml")


def dynamic(*, shoulder=("position", "temperature"), numbers=(1.5, 40.0)) -> bytes:
    """Return a DynamicJointState of 3.000000007 s: the shoulder, then the elbow with its interfaces reversed."""
    out = Cdr().stamp(3, 7, "base").texts("shoulder", "elbow").number("I", 2)
    out.texts(*shoulder).numbers("d", *numbers)
    return out.texts("temperature", "position").numbers("d", 41.0, -0.5).bytes()


def test_interfaces_of_joints_are_found_by_name_in_any_order():
    spec = read().observation("state")
    assert spec.elements == (
        *("position/elbow", "position/shoulder"),
        *("temperature/elbow", "temperature/shoulder"),
    )
    message = messages.decode(DYNAMIC, dynamic())
    np.testing.assert_array_equal(codecs.decode(spec, message), [-0.5, 1.5, 41.0, 40.0])


def test_a_dynamic_joint_state_is_observed_at_its_own_stamp():
    synchroniser = Synchroniser(read().observations)
    assert synchroniser.push("dynamic_joint_states", dynamic(), 3_100_000_000) == 3_000_000_007
    seen = synchroniser.sample(3_200_000_007)
    np.testing.assert_array_equal(seen.values["state"], [-0.5, 1.5, 41.0, 40.0])
    assert seen.ages_s["state"] == pytest.approx(0.2)


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (
            dynamic(shoulder=("position",), numbers=(1.0,)),
            "interface 'temperature' of 'shoulder' is missing; it has: ",
        ),
        (dynamic(numbers=(1.0,)), "joint 'shoulder' has 2 interfaces but 1 value"),
        (dynamic(shoulder=("position", "position")), "interface 'position' of 'shoulder' is named twice"),
        (dynamic(numbers=(1.0, float("nan"))), "temperature/shoulder is nan, not a finite number"),
        (
            Cdr().stamp(3, 7, "").texts("elbow").number("I", 0).bytes(),
            "joint 'shoulder' is missing; the message has: elbow",
        ),
        (
            Cdr().stamp(3, 7, "").texts("elbow", "shoulder").number("I", 0).bytes(),
            "2 joints but 0 interface_values",
        ),
    ],
)
def test_a_dynamic_joint_state_without_a_value_says_which(raw, said):
    synchroniser = Synchroniser(read().observations)
    synchroniser.push("dynamic_joint_states", raw, 3_000_000_007)
    seen = synchroniser.sample(3_000_000_007)
    assert isinstance(seen, NoObservation)
    assert said in seen.reasons[0]


def test_a_position_action_is_measured_by_a_dynamic_joint_state():
    extra = "    quantity: position\n    reference: state\n"
    own = read(MULTI_DOF, extra)
    assert own.action("it").reference_index == (1, 0)


def test_a_jog_is_the_velocities_by_joint():
    action = read().action("it")
    assert (action.quantity, action.safe) == ("velocity", "zero")
    raw = messages.encode(JOG, codecs.encode(action, [0.25, -0.5], 3_000_000_007))
    by_hand = Cdr().stamp(3, 7, "").texts("shoulder", "elbow").numbers("d").numbers("d", 0.25, -0.5)
    assert raw == by_hand.number("d", 0.0).bytes()
    turned = (
        Cdr().stamp(3, 7, "").texts("elbow", "shoulder").numbers("d").numbers("d", 1.0, 2.0).number("d", 0.1)
    )
    np.testing.assert_array_equal(codecs.decode(action, messages.decode(JOG, turned.bytes())), [2.0, 1.0])
    with pytest.raises(
        contract.ContractError, match=r"quantity: control_msgs/msg/JointJog carries velocities"
    ):
        read(JOG, "    quantity: position\n    reference: state\n")


def test_a_multi_dof_command_has_values_and_no_derivatives():
    action = read(MULTI_DOF, "    quantity: velocity\n").action("it")
    raw = messages.encode(MULTI_DOF, codecs.encode(action, [0.25, -0.5], 9))
    nan = float("nan")
    by_hand = Cdr().texts("shoulder", "elbow").numbers("d", 0.25, -0.5).numbers("d", nan, nan)
    assert raw == by_hand.bytes()
    turned = Cdr().texts("elbow", "shoulder").numbers("d", 1.0, 2.0).numbers("d").bytes()
    np.testing.assert_array_equal(codecs.decode(action, messages.decode(MULTI_DOF, turned)), [2.0, 1.0])
    short = Cdr().texts("elbow").numbers("d", 1.0).numbers("d").bytes()
    with pytest.raises(codecs.CodecError, match="degree of freedom 'shoulder' is missing"):
        codecs.decode(action, messages.decode(MULTI_DOF, short))
