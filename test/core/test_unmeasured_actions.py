"""Actions that no observation measures: a number within bounds, and one of several choices."""

import numpy as np
import pytest

from il_ros.control.limiter.in_process import InProcessLimiter
from il_ros.core import contract
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
