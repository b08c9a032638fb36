"""A contract comes from bags and checkpoints: every text ends in a contract or an error, in bounded work."""

import os
import time

import numpy as np
import pytest
from peak_memory import peak_bytes

from il_ros.core import contract, strict_yaml
from il_ros.core.strict_yaml import DEEPEST, MOST_CHARACTERS, MOST_VALUES, YamlError

SCAN = """\
name: x
rate_hz: 20
observations:
  l: {topic: l, type: sensor_msgs/msg/LaserScan, size: %s, max_age_s: 1}
actions:
  t: {topic: t, type: geometry_msgs/msg/Twist, limits: {speed: 1}}
"""
IMAGE = "  c%d: {topic: c%d, type: sensor_msgs/msg/Image, image: {width: %d, height: %d}, max_age_s: 1}\n"
ANCHORED = """\
name: &n x
rate_hz: 20
observations:
  a: {topic: a, type: sensor_msgs/msg/LaserScan, size: &s 4, max_age_s: 1}
  b: {topic: b, type: sensor_msgs/msg/LaserScan, size: *s, max_age_s: 1}
actions:
  t: {topic: t, type: geometry_msgs/msg/Twist, limits: &l {speed: 1}}
  u: {topic: u, type: geometry_msgs/msg/Twist, limits: *l}
"""


def doubling(levels):
    """Return a list whose last line stands for 10 ** levels values."""
    lines = ["a0: &a0 [lol" + ", lol" * 9 + "]"]
    lines += [f"a{n}: &a{n} [*a{n - 1}" + f", *a{n - 1}" * 9 + "]" for n in range(1, levels)]
    return "\n".join(lines) + "\n"


def bounded(text):
    """Parse a contract that is an error; return the message, and check time and memory."""
    begun_s = time.process_time()
    errors = []

    def parse():
        with pytest.raises(YamlError) as error:
            contract.parse(text, "c.yaml")
        errors.append(str(error.value))

    assert peak_bytes(parse) < 100e6
    assert time.process_time() - begun_s < 3.0  # the slowest takes half a second on a quiet machine
    assert errors[0].startswith("c.yaml:")
    assert len(errors[0]) < 2000
    return errors[0]


@pytest.mark.parametrize("make", [lambda: np.ones(15_000_000), lambda: [bytes(1000) for _ in range(120_000)]])
def test_the_measurement_finds_120_megabytes_each_time(make):
    """Also if they were taken and freed before."""
    for _ in range(2):
        assert 110e6 < peak_bytes(make) < 200e6
    assert peak_bytes(lambda: None) < 5e6


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SCAN % 3_000_000_000, "observations.l.size: 3000000000 is above 100000"),
        (SCAN % 100_001, "observations.l.size: 100001 is above 100000"),
        (SCAN % ("0x" + "f" * 9000), "observations.l.size: a number of thousands of digits is above"),
        (SCAN % ("9" * 90_000), "observations.l.size: cannot be read as a value"),
        (SCAN.replace("20", "1" + "0" * 400) % 5, "c.yaml:2: rate_hz: 1"),
        (SCAN.replace("20", "9" * 5000) % 5, "c.yaml:2: rate_hz: "),
        (SCAN.replace("20", "1.0e-305") % 5, "is below the lowest control rate, 0.001 Hz"),
        (doubling(9) + "name: *a8\n", "more than 20000 values or 20 levels, with aliases written out"),
        ("name: " + "[" * 3000, "line 1: deeper than 20 levels"),
        ("name: &a [*a]\n", "line 1: an alias stands inside of what it names"),
        ("&a {name: *a}\n", "an alias stands inside of what it names"),
        ("name: !!int abc\n", "c.yaml:1: name: cannot be read as a value: invalid literal"),
        ("name: !!python/object/apply:os.system [id]\n", "name: cannot be read as a value: could not determine"),
        ("name: 2020-13-45\n", "name: cannot be read as a value: month must be in 1..12"),
        ("name: {[1]: 2}\n", "name: cannot be read as a value: while constructing a mapping"),
        ("? [a, b]\n: 1\n", "c.yaml:1: a key must be text"),
        ("name: " + "x" * MOST_CHARACTERS, f"has 100006 characters; at most {MOST_CHARACTERS} are read"),
        ("name: [" + "x, " * 30_000 + "]", f"more than {MOST_VALUES} values"),
        ("name: 'x\n", "not YAML"),
        ("name: [" + "xyz, " * 19_000 + "]", "name: must be text, not ['xyz', 'xyz'"),
    ],
)  # fmt: skip
def test_a_large_or_deep_text_is_an_error_in_bounded_work(text, message):
    assert message in bounded(text)


def test_all_observations_together_are_bounded():
    line = "  l: {topic: l, type: sensor_msgs/msg/LaserScan, size: 60000, max_age_s: 1}\n"
    text = (SCAN % 5).replace("actions:", line.replace("l: {topic: l,", "m: {topic: m,") + "actions:")
    assert contract.parse(text, "c.yaml").observation("m").size == 60_000
    twice = text.replace("actions:", line.replace("l: {topic: l,", "n: {topic: n,") + "actions:")
    assert "the observations have more than 100000 numbers together" in bounded(twice)


def test_images_are_bounded_one_by_one_and_together():
    def images(count, width, height):
        lines = "".join(IMAGE % (n, n, width, height) for n in range(count))
        return (SCAN % 5).replace("actions:", lines + "actions:")

    assert "4097x4096 has more than 16777216 pixels" in bounded(images(1, 4097, 4096))
    contract.parse(images(3, 4096, 4096), "c.yaml")  # 50.3 million
    assert "the images have more than 64 million pixels together" in bounded(images(4, 4096, 4096))


def test_many_actions_on_a_large_scan_take_little_time():
    action = "  a%d: {topic: a%d, type: geometry_msgs/msg/Twist, reference: l, names: [linear.x], limits: {speed: 1}}\n"
    lines = "".join(action % (n, n) for n in range(500))
    assert "'l' doesn't measure 'linear.x'" in bounded(SCAN % 100_000 + lines.replace("a0:", "a:"))


def test_aliases_of_ordinary_size_are_read():
    own = contract.parse(ANCHORED, "c.yaml")
    assert own.observation("b").size == 4
    assert own.action("u").limits == own.action("t").limits


def test_the_bounds_are_exact():
    assert strict_yaml.load("[" * (DEEPEST - 1) + "1" + "]" * (DEEPEST - 1), "f") is not None
    with pytest.raises(YamlError, match="deeper than 20 levels"):
        strict_yaml.load("[" * DEEPEST + "1" + "]" * DEEPEST, "f")
    # a list of n values has n + 1
    assert len(strict_yaml.load("[" + "1, " * (MOST_VALUES - 1) + "]", "f")) == MOST_VALUES - 1
    with pytest.raises(YamlError, match="more than 20000 values"):
        strict_yaml.load("[" + "1, " * MOST_VALUES + "]", "f")


def test_aliases_of_aliases_are_bounded_in_depth():
    text = "a0: &a0 [1]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 200))
    with pytest.raises(YamlError, match="20 levels, with aliases written out"):
        strict_yaml.load(text, "f")


def test_a_contract_file_that_is_a_fifo_is_an_error_at_once(tmp_path):
    os.mkfifo(tmp_path / "c.yaml")
    with pytest.raises(contract.ContractError, match="is a FIFO, not a regular file"):
        contract.load(tmp_path / "c.yaml")
