"""Declare node parameters with description, unit and range; invalid values are refused."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

from il_ros.scenarios.node_parameters import former_name

CONFIGURE, ACTIVATE = "configure", "activate"
_UNBOUNDED = {float: 1.7976931348623157e308, int: 2**63 - 1}


class ParameterError(ValueError):
    """A parameter's value is invalid; the message names the parameter, its value and the allowed values."""


def declare(
    node: Node,
    name: str,
    default: Any,
    description: str,
    *,
    unit: str = "",
    minimum: float | None = None,
    maximum: float | None = None,
    choices: Sequence[str] = (),
    read_only: bool = False,
    read_at: str = "",
) -> Any:
    """Declare a parameter and return its value (default, parameter file or command line).

    `default` also sets the type (an empty list: of strings; `Parameter.Type.DOUBLE_ARRAY`: an empty list of
    numbers); an integer given for a float is converted. `minimum` and `maximum` are inclusive; `choices` are
    the allowed words. `read_only`: can only be set at start. `read_at`: CONFIGURE or ACTIVATE, the transition
    of a managed node at which it is read; after it, a change is refused.
    Raises ParameterError when the given value has a wrong type, range or word, or uses an earlier name.
    """
    formerly = former_name(name)
    if formerly and formerly in node._parameter_overrides:
        raise ParameterError(f"parameter {formerly} is called {name} now")
    text = f"{description} [{unit}]" if unit else description
    if choices:
        text = f"{text} (one of: {', '.join(choices)})"
    descriptor = ParameterDescriptor(description=text, read_only=read_only)
    if minimum is not None or maximum is not None:
        _set_range(descriptor, type(default), minimum, maximum)
    if choices:
        descriptor.additional_constraints = f"one of: {', '.join(choices)}"
        node.add_on_set_parameters_callback(_word_check(name, tuple(choices)))
    _take_whole_numbers_as_floats(node, name, default)
    value = Parameter.Type.STRING_ARRAY if default == [] else default
    try:
        declared = node.declare_parameter(name, value, descriptor).value
    except InvalidParameterTypeException as error:
        given = node._parameter_overrides[name]
        raise ParameterError(
            f"parameter {name} is {given.value!r} ({_article(given.type_.name.lower())}), "
            f"expected {_kind(default)}. {text}"
        ) from error
    except InvalidParameterValueException as error:
        given = node._parameter_overrides[name].value if name in node._parameter_overrides else default
        raise ParameterError(
            f"parameter {name} is {given!r}, expected {_allowed(minimum, maximum, choices)}. {text}"
        ) from error
    if read_at:
        node.add_on_set_parameters_callback(_transition_check(node, name, read_at))
    return [] if declared is None else declared


def settle(node: Node, names: Sequence[str], reason: str) -> None:
    """Refuse changes of the parameters `names` from now on, with the `reason`."""
    node.add_on_set_parameters_callback(
        _refusing(node, names, lambda name: f"{name} stays {value(node, name)!r}: {reason}")
    )


def value(node: Node, name: str) -> Any:
    """Return the current value of the declared parameter `name`; an empty list if it has no value."""
    try:
        return node.get_parameter(name).value
    except ParameterUninitializedException:  # ROS has no empty string array as a default
        return []


def _article(kind: str) -> str:
    """Return a ROS type's name in words: 'an integer', 'a string array'."""
    words = kind.replace("_", " ")
    return f"an {words}" if words[0] in "aeiou" else f"a {words}"


def _kind(default: Any) -> str:
    """Describe the expected type."""
    if isinstance(default, Parameter.Type):
        return _article(default.name.lower())
    if isinstance(default, (list, tuple)):
        return f"a list of {type(default[0]).__name__ if default else 'str'}"
    return type(default).__name__


def _allowed(minimum: float | None, maximum: float | None, choices: Sequence[str]) -> str:
    """Describe the allowed values."""
    if choices:
        return f"one of {', '.join(choices)}"
    return " and ".join(
        f"{word} {bound}"
        for word, bound in (("at least", minimum), ("at most", maximum))
        if bound is not None
    )


def _set_range(
    descriptor: ParameterDescriptor, kind: type, minimum: float | None, maximum: float | None
) -> None:
    """Write an inclusive range into `descriptor`; `kind` is float or int."""
    if kind not in _UNBOUNDED:
        raise TypeError(f"only float and int parameters have a range, not {kind.__name__}")
    low = kind(-_UNBOUNDED[kind] if minimum is None else minimum)
    high = kind(_UNBOUNDED[kind] if maximum is None else maximum)
    if kind is float:
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high, step=0.0)]
    else:
        descriptor.integer_range = [IntegerRange(from_value=low, to_value=high, step=0)]


def _transition_check(node: Node, name: str, read_at: str) -> Any:
    """Return a callback that refuses a change of `name` after the transition at which it is read."""

    def reason(_name: str) -> str:
        state = node.state
        if state == "unconfigured" or (state == "inactive" and read_at == ACTIVATE):
            return ""
        whole = node.get_fully_qualified_name()
        steps = (["deactivate"] if state == "active" else []) + (["cleanup"] if read_at == CONFIGURE else [])
        how = " and ".join(f"`ros2 lifecycle set {whole} {step}`" for step in steps)
        return f"{name} is read at {read_at}, and the node is {state}: first {how}"

    return _refusing(node, (name,), reason)


def _refusing(node: Node, names: Sequence[str], reason: Callable[[str], str]) -> Any:
    """Return a set-parameters callback that refuses changes of `names` for which `reason` returns one."""

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name in names and parameter.value != value(node, parameter.name):
                why = reason(parameter.name)
                if why:
                    return SetParametersResult(successful=False, reason=why)
        return SetParametersResult(successful=True)

    return check


def _word_check(name: str, choices: tuple[str, ...]) -> Any:
    """Return a set-parameters callback that refuses values of `name` outside `choices`."""

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == name and parameter.value not in choices:
                reason = f"{name} is {parameter.value!r}, expected one of {', '.join(choices)}"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    return check


def _take_whole_numbers_as_floats(node: Node, name: str, default: Any) -> None:
    """Convert an integer override of a float: YAML and the command line parse `rate:=10` as an integer."""
    given = node._parameter_overrides.get(name)
    if given is None:
        return
    if isinstance(default, float) and given.type_ == Parameter.Type.INTEGER:
        node._parameter_overrides[name] = Parameter(name, Parameter.Type.DOUBLE, float(given.value))
    floats_wanted = isinstance(default, (list, tuple)) and default and isinstance(default[0], float)
    if floats_wanted and given.type_ == Parameter.Type.INTEGER_ARRAY:
        numbers = [float(item) for item in given.value]
        node._parameter_overrides[name] = Parameter(name, Parameter.Type.DOUBLE_ARRAY, numbers)
