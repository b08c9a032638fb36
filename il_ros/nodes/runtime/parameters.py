"""One way to declare a node's parameters: described, with a unit and a range, refused when wrong."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor, SetParametersResult
from rclpy.exceptions import (
    InvalidParameterTypeException,
    InvalidParameterValueException,
    ParameterUninitializedException,
)
from rclpy.node import Node
from rclpy.parameter import Parameter

_UNBOUNDED = {float: 1.7976931348623157e308, int: 2**63 - 1}


class ParameterError(ValueError):
    """A parameter's value can not be used; the message names it, its value and what would be right."""


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
    formerly: str = "",
) -> Any:
    """Declare a parameter and return its value (the default, or what file or command line say).

    `default` also sets the type (an empty list: of strings; `Parameter.Type.DOUBLE_ARRAY`: an empty list of
    numbers); a whole number given for a float is taken as one. `minimum` and `maximum` are inclusive;
    `choices` are the only allowed words.
    `read_only`: may be set at start, not while running. `formerly`: an earlier name of the parameter.
    Raises ParameterError when the given value has the wrong type, range or word, or the earlier name was
    given.
    """
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
            f"parameter {name} is {given.value!r} (a {given.type_.name.lower()}), "
            f"expected {_kind(default)}. {text}"
        ) from error
    except InvalidParameterValueException as error:
        given = node._parameter_overrides[name].value if name in node._parameter_overrides else default
        raise ParameterError(
            f"parameter {name} is {given!r}, expected {_allowed(minimum, maximum, choices)}. {text}"
        ) from error
    return [] if declared is None else declared


def value(node: Node, name: str) -> Any:
    """Return the present value of the declared parameter `name`; an empty list where none was given."""
    try:
        return node.get_parameter(name).value
    except ParameterUninitializedException:  # ROS can't say "an empty list of text" as a default
        return []


def _kind(default: Any) -> str:
    """Return the words for what type of value is expected."""
    if isinstance(default, Parameter.Type):
        return f"a {default.name.lower()}"
    if isinstance(default, (list, tuple)):
        return f"a list of {type(default[0]).__name__ if default else 'str'}"
    return type(default).__name__


def _allowed(minimum: float | None, maximum: float | None, choices: Sequence[str]) -> str:
    """Return the words for which values are allowed."""
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


def _word_check(name: str, choices: tuple[str, ...]) -> Any:
    """Return a set-parameters callback which refuses words outside `choices` for `name`."""

    def check(parameters: list[Parameter]) -> SetParametersResult:
        for parameter in parameters:
            if parameter.name == name and parameter.value not in choices:
                reason = f"{name} is {parameter.value!r}, expected one of {', '.join(choices)}"
                return SetParametersResult(successful=False, reason=reason)
        return SetParametersResult(successful=True)

    return check


def _take_whole_numbers_as_floats(node: Node, name: str, default: Any) -> None:
    """Let `rate:=10` be given for a float: YAML and the command line read it as an integer."""
    given = node._parameter_overrides.get(name)
    if given is None:
        return
    if isinstance(default, float) and given.type_ == Parameter.Type.INTEGER:
        node._parameter_overrides[name] = Parameter(name, Parameter.Type.DOUBLE, float(given.value))
    floats_wanted = isinstance(default, (list, tuple)) and default and isinstance(default[0], float)
    if floats_wanted and given.type_ == Parameter.Type.INTEGER_ARRAY:
        numbers = [float(item) for item in given.value]
        node._parameter_overrides[name] = Parameter(name, Parameter.Type.DOUBLE_ARRAY, numbers)
