"""Settings from files and user input."""

from dataclasses import dataclass

import pytest

from il_ros.core import strict_yaml
from il_ros.core.settings import SettingsError, build, plain, require_width


@dataclass(frozen=True)
class Some:
    count: int = 1
    share: float = 0.5
    names: tuple[str, ...] = ()
    on: bool = False

    def __post_init__(self):
        if self.count < 1:
            raise ValueError(f"count is {self.count}; at least 1 is needed")


def test_absent_keys_keep_their_defaults():
    assert build(Some, {"names": ["a"]}, "f") == Some(names=("a",))
    assert build(Some, None, "f") == Some()


def test_plain_and_build_are_inverse():
    some = Some(3, 0.25, ("a", "b"), True)
    assert build(Some, plain(some), "f") == some


def test_a_number_that_yaml_parses_as_text_is_converted():
    assert build(Some, {"share": "1e-3"}, "f").share == 0.001
    assert build(Some, {"share": 1}, "f").share == 1.0


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cuont": 2}, "f: unknown key 'cuont'; did you mean 'count'"),
        ({"zzz": 2}, "f: unknown key 'zzz'; known: count, share, names, on"),
        ({"count": 2.5}, "f: count: must be a whole number, not 2.5"),
        ({"count": 10**30}, r"f: count: 10+\.* ?.*is too large; at most 2\^63 - 1 is possible"),
        ({"count": True}, "f: count: must be a whole number, not True"),
        ({"share": "half"}, "f: share: must be a number, not 'half'"),
        ({"names": "a"}, r"f: names: must be a list such as \[joints, object\], not 'a'"),
        ({"names": [1]}, "f: names: must be text, not 1"),
        ({"on": "yes"}, "f: on: must be true or false, not 'yes'"),
        ({"count": 0}, "f: count is 0; at least 1 is needed"),
        ([1], "f: must be a mapping"),
    ],
)
def test_the_error_names_the_invalid_value_and_the_expected_one(values, message):
    with pytest.raises(SettingsError, match=message):
        build(Some, values, "f")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", "nan", "1e999"])
def test_a_number_that_is_not_finite_is_refused(value):
    with pytest.raises(SettingsError, match="f: share: must be a finite number, not"):
        build(Some, {"share": strict_yaml.load(value, "f")}, "f")


def test_a_width_that_fills_the_memory_is_refused():
    require_width("hidden", 65536)
    with pytest.raises(ValueError, match="hidden is 65537; at most 65536"):
        require_width("hidden", 65537)
    with pytest.raises(ValueError, match="hidden is 0; at least 1"):
        require_width("hidden", 0)
