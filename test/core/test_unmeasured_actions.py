"""Actions that no observation measures: a number within bounds, and one of several choices."""

import numpy as np
import pytest

from il_ros.control.limiter.in_process import InProcessLimiter
from il_ros.core import codecs, contract, messages
from il_ros.core.contract import ContractError

TEXT = """\
name: engine
rate_hz: 10
observations:
  gauge: {topic: gauge, type: std_msgs/msg/Float64MultiArray, size: 1, max_age_s: 0.2}
actions:
  throttle:
    topic: throttle
    type: std_msgs/msg/Float64MultiArray
    names: [main, side]
    quantity: bounded
    limits: {lower: [0.0, -1.0], upper: [1.0, 1.0], rate: [5.0, .inf]}
  gear:
    topic: gear
    type: std_msgs/msg/Float64MultiArray
    names: [low, middle, high]
    quantity: choice
"""
ENGINE = contract.parse(TEXT, "engine.yaml")
SEEN = {"gauge": np.array([3.0])}


def test_they_are_declared_and_have_no_reference():
    throttle, gear = ENGINE.actions
    assert (throttle.quantity, throttle.safe, throttle.reference) == ("bounded", "zero", None)
    assert (gear.quantity, gear.safe, gear.names) == ("choice", "hold", ("low", "middle", "high"))
    assert {spec.is_position or spec.is_velocity for spec in ENGINE.actions} == {False}
    assert ENGINE.action_names[2:] == ("gear/low", "gear/middle", "gear/high")
    assert ENGINE.expires_s(throttle) == 0.5  # five periods of 0.1 s, as a velocity
    assert ENGINE.expires_s(gear) == np.inf
    assert len(ENGINE.expiry_warnings) == 1


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("quantity: bounded", "quantity: bound", "'bound' is not known; did you mean 'bounded'?"),
        ("quantity: choice", "quantity: choice\n    limits: {lower: 0, upper: 1}", "a choice has none"),
        ("names: [low, middle, high]", "names: [low]", r"\['low'\] is no choice; two names or more"),
        ("upper: [1.0, 1.0]", "upper: [1.0, .inf]", "side is from -1 to inf; two finite bounds are needed"),
        (", upper: [1.0, 1.0]", "", "a bounded action needs lower and upper"),
        ("rate: [5.0, .inf]", "speed: 5.0", "limits.speed: unknown key"),
        ("quantity: bounded", "quantity: bounded\n    reference: gauge", "nothing measures an action"),
        ("quantity: bounded", "quantity: bounded\n    safe: stop", "'stop' is not possible here; use 'hold' or 'zero'"),
        ("quantity: choice", "quantity: choice\n    safe: zero", "'zero' is not possible here; use 'hold'"),
        ("lower: [0.0, -1.0]", "lower: [0.5, -1.0]", None),
    ],
)  # fmt: skip
def test_a_contradiction_is_an_error_that_names_the_field(old, new, message):
    text = TEXT.replace(old, new, 1)
    assert text != TEXT
    if message is None:  # 0 is not within the range: the last number is held
        assert contract.parse(text, "engine.yaml").actions[0].safe == "hold"
        return
    with pytest.raises(ContractError, match=message):
        contract.parse(text, "engine.yaml")


def test_another_message_type_carries_motion():
    text = TEXT.replace(
        "throttle\n    type: std_msgs/msg/Float64MultiArray", "t\n    type: sensor_msgs/msg/JointState"
    )
    with pytest.raises(ContractError, match="'bounded' is for std_msgs/msg/Float64MultiArray"):
        contract.parse(text, "engine.yaml")


SIMPLE = """\
name: cell
rate_hz: 10
observations:
  gauge: {topic: gauge, type: std_msgs/msg/Float64MultiArray, size: 1, max_age_s: 0.2}
actions:
  it:
    topic: it
    type: std_msgs/msg/TYPE
"""


def simple(type_name, lines):
    text = SIMPLE.replace("TYPE", type_name) + "".join(f"    {line}\n" for line in lines)
    return contract.parse(text, "cell.yaml").actions[0]


@pytest.mark.parametrize(
    ("type_name", "names", "value", "sent", "commanded"),
    [
        ("Bool", "[open, closed]", [0.2, 0.7], True, [0, 1]),
        ("Bool", "[open, closed]", [1.0, 0.0], False, [1, 0]),
        ("Int32", "[low, middle, high]", [0.0, 0.1, 0.9], 2, [0, 0, 1]),
        ("Float32", "[stop, go]", [0.9, 0.1], 0.0, [1, 0]),
    ],
)
def test_a_choice_is_the_place_of_its_name_in_a_message_of_one_number(
    type_name, names, value, sent, commanded
):
    action = simple(type_name, [f"names: {names}", "quantity: choice"])
    message = codecs.encode(action, value, 7)
    assert message.data == sent
    assert codecs.decode(action, message).tolist() == commanded
    raw = codecs.command_encoder(action)(value, 7)
    assert codecs.decode(action, messages.decode(action.type, raw)).tolist() == commanded


@pytest.mark.parametrize("value", [-1, 3])
def test_a_message_without_a_choice_is_refused(value):
    action = simple("Int32", ["names: [low, middle, high]", "quantity: choice"])
    with pytest.raises(
        codecs.CodecError, match=f"data is {value}; a choice of 3 names is a whole number from 0 to 2"
    ):
        codecs.decode(action, messages.make("std_msgs/msg/Int32", data=value))


@pytest.mark.parametrize(("type_name", "value"), [("Float64", 0.75), ("Float32", 0.75), ("Int32", 1)])
def test_a_bounded_number_of_its_own_message_has_no_reference(type_name, value):
    action = simple(type_name, ["names: [valve]", "quantity: bounded", "limits: {lower: 0, upper: 2}"])
    assert (action.names, action.quantity, action.reference, action.limits.speed) == (
        ("valve",), "bounded", None, (2.0,),
    )  # fmt: skip
    message = codecs.encode(action, [0.75], 7)
    assert message.data == value  # a whole number is rounded to the nearest
    assert codecs.decode(action, message).tolist() == [value]


def test_an_array_of_small_floats_is_bounded_or_a_choice_as_its_big_brother():
    bounded = simple(
        "Float32MultiArray", ["names: [a, b]", "quantity: bounded", "limits: {lower: 0, upper: 1}"]
    )
    assert codecs.decode(bounded, codecs.encode(bounded, [0.25, 0.5], 7)).tolist() == [0.25, 0.5]
    choice = simple("Float32MultiArray", ["names: [a, b]", "quantity: choice"])
    assert codecs.decode(choice, codecs.encode(choice, [0.0, 1.0], 7)).tolist() == [0.0, 1.0]


@pytest.mark.parametrize(
    ("type_name", "lines", "message"),
    [
        (
            "Bool",
            ["quantity: bounded", "limits: {lower: 0, upper: 1}"],
            "true or false is a choice of two names",
        ),
        (
            "Bool",
            ["quantity: choice", "names: [a, b, c]"],
            "has 3 names; two are needed: data is false for the first",
        ),
        ("Int32", ["quantity: choice", "names: [a]"], r"\['a'\] is no choice; two names or more"),
        ("Int32", ["quantity: choice"], "names: missing"),
        (
            "ColorRGBA",
            ["quantity: choice", "names: [a, b]"],
            "selects 4 numbers of std_msgs/msg/ColorRGBA; a choice is one",
        ),
    ],
)
def test_what_is_no_choice_and_not_bounded_says_what_would_be(type_name, lines, message):
    with pytest.raises(ContractError, match=message):
        simple(type_name, lines)


def test_a_number_obeys_its_bounds_and_rate_and_the_largest_score_is_chosen():
    limiter = InProcessLimiter(ENGINE)
    first = limiter.limit(np.array([1.0, 3.0, 0.2, 0.7, 0.1]), SEEN)
    # from rest, 5 per second for 0.1 s allow 0.5: half of the way, for both numbers of the key
    assert first.sent == (0.5, 0.5, 0.0, 1.0, 0.0)
    assert first.limited == ("throttle/main rate", "throttle/side range")
    second = limiter.limit(np.array([0.75, -0.25, 0.4, 0.4, -2.0]), SEEN)
    assert second.sent == (0.75, -0.25, 1.0, 0.0, 0.0)  # of equal scores, the first
    assert second.limited == ()


def test_a_range_without_0_rests_at_its_nearest_number():
    text = TEXT.replace("lower: [0.0, -1.0]", "lower: [0.5, -1.0]").replace("rate: [5.0, .inf]", "rate: 1.0")
    limiter = InProcessLimiter(contract.parse(text, "engine.yaml"))
    command = limiter.limit(np.array([0.5, 0.0, 0.0, 0.0, 1.0]), SEEN)
    assert command.sent == (0.5, 0.0, 0.0, 0.0, 1.0)
    assert command.limited == ()


def test_an_emergency_stop_takes_numbers_to_0_and_repeats_the_choice():
    limiter = InProcessLimiter(ENGINE)
    limiter.limit(np.array([0.2, -0.2, 0.0, 0.0, 1.0]), SEEN)
    limiter._actuation.apply_safe(0.1, emergency=True)
    assert limiter._actuation.sent == (0.0, 0.0, 0.0, 0.0, 1.0)
