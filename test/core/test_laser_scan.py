"""A scan gives the contract's beams by angle, whatever their number, and NaN as the contract declares."""

import numpy as np
import pytest

from il_ros.core import codecs, contract
from il_ros.core.contract_differences import differences
from il_ros.core.messages import make
from il_ros.core.strict_yaml import YamlError

TEXT = """
name: t
rate_hz: 1
observations:
  scan: {{topic: scan, type: sensor_msgs/msg/LaserScan, size: {size}, max_age_s: 1{extra}}}
actions:
  base: {{topic: c, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {{speed: 1}}}}
"""


def parsed(size, extra=""):
    return contract.parse(TEXT.format(size=size, extra=extra), "t")


def beams(size, ranges, extra="", first=-1.0, last=1.0, **fields):
    """Decode a scan whose beams go from `first` to `last`, both included."""
    ranges = np.array(ranges, np.float32)
    step = (last - first) / max(1, len(ranges) - 1)
    fields = {"angle_min": first, "angle_max": last, "angle_increment": step, **fields}
    scan = make("sensor_msgs/msg/LaserScan", range_min=0.5, range_max=8.0, ranges=ranges, **fields)
    return codecs.decode(parsed(size, extra).observation("scan"), scan)


def test_ranges_follow_rep_117():
    np.testing.assert_array_equal(beams(4, [1.0, np.inf, -np.inf, 0.05]), [1.0, 8.0, 0.5, 0.5])


def test_as_many_beams_as_the_contract_pass_unchanged_also_without_angles():
    values = [1, 2, 3, 4, 5]
    np.testing.assert_array_equal(beams(5, values, first=0.0, last=0.0, angle_increment=0.0), values)


def test_a_few_more_or_fewer_beams_are_resampled_to_the_nearest_by_angle():
    # eleven beams from -1 to 1 rad are 0.2 rad apart; the scan's beam k of ten is at -1 + 2 k / 9 rad
    ten = np.arange(1, 11) / 2
    nearest = [round(index * 0.2 * 9 / 2) for index in range(11)]
    assert nearest == [0, 1, 2, 3, 4, 4, 5, 6, 7, 8, 9]
    np.testing.assert_array_equal(beams(11, ten), ten[nearest])
    twelve = np.arange(1, 13) / 2
    np.testing.assert_array_equal(beams(11, twelve), twelve[[0, 1, 2, 3, 4, 6, 7, 8, 9, 10, 11]])


def test_many_more_beams_need_declared_angles():
    with pytest.raises(
        codecs.CodecError, match=r"ranges has 20 numbers; the contract says 10; only with 'angles: "
    ):
        beams(10, np.ones(20))
    with pytest.raises(
        codecs.CodecError, match="ranges has 2 numbers; the contract says 3, and angle_min 0 and "
    ):
        beams(3, [1, 1], first=0.0, last=0.0)
    with pytest.raises(codecs.CodecError, match="ranges has no numbers; the contract says 3"):
        beams(3, [])


def test_declared_angles_select_beams_of_any_scan():
    ranges = np.arange(21) / 4 + 0.5  # a beam each 0.1 rad from -1 to 1
    found = beams(3, ranges, ", angles: [-0.5, 0.5]")
    np.testing.assert_array_equal(found, ranges[[5, 10, 15]])
    turned = beams(3, ranges, ", angles: [0.5, -0.5]")  # clockwise
    np.testing.assert_array_equal(turned, ranges[[15, 10, 5]])
    upside_down = beams(3, ranges, ", angles: [-0.5, 0.5]", first=1.0, last=-1.0)
    np.testing.assert_array_equal(upside_down, ranges[[15, 10, 5]])


def test_angles_of_a_whole_turn_do_not_depend_on_where_the_scan_begins():
    ranges = np.arange(360) / 50 + 0.5  # a beam each degree
    degrees = np.deg2rad([0.0, 359.0])
    found = beams(3, ranges, f", angles: [{-np.pi / 2}, {np.pi / 2}]", first=degrees[0], last=degrees[1])
    np.testing.assert_allclose(found, ranges[[270, 0, 90]], rtol=1e-6)


def test_a_beam_outside_of_the_scan_is_named():
    with pytest.raises(
        codecs.CodecError, match=r"beam 0 at -1.500 rad is outside of the scan, which has 21 beams from -1"
    ):
        beams(3, np.ones(21), ", angles: [-1.5, 0.5]")
    assert beams(2, np.ones(21), ", angles: [-1.04, 1.04]").tolist() == [1, 1]  # within half a beam


def test_a_beam_without_measurement_is_that_of_its_nearest_neighbour():
    nan = np.nan
    np.testing.assert_array_equal(beams(5, [nan, 2, 3, nan, 5], first=0.0, last=0.0), [2, 2, 3, 3, 5])
    np.testing.assert_array_equal(beams(5, [1, nan, nan, 4, 5]), [1, 1, 4, 4, 5])


def test_too_wide_a_gap_has_no_neighbour():
    nan = np.nan
    with pytest.raises(
        codecs.CodecError, match=r"scan \(scan\): ranges/0 is nan, as are all up to 2 beams beside it"
    ):
        beams(5, [nan, nan, nan, 4, 5])
    narrow = np.full(101, 3.0)  # 0.02 rad apart: 0.1 rad are five beams
    narrow[:5] = nan
    np.testing.assert_array_equal(beams(101, narrow), np.full(101, 3.0))
    narrow[5] = nan
    with pytest.raises(codecs.CodecError, match="ranges/0 is nan, as are all up to 5 beams"):
        beams(101, narrow, last=1.0 - 1e-9)
    with pytest.raises(codecs.CodecError, match="ranges/0 is nan"):
        beams(3, [nan] * 3)


@pytest.mark.parametrize(("how", "value"), [("range_max", 8.0), ("range_min", 0.5)])
def test_a_beam_without_measurement_can_be_a_limit(how, value):
    found = beams(5, [1, np.nan, np.nan, np.nan, 5], f", nan_beams: {how}")
    np.testing.assert_array_equal(found, [1, value, value, value, 5])


def test_a_beam_without_measurement_can_be_an_error():
    with pytest.raises(codecs.CodecError, match="ranges/1 is nan, not a finite number"):
        beams(3, [1, np.nan, 3], ", nan_beams: error")
    assert beams(2, [1, np.nan, 3], ", nan_beams: error, angles: [-1, 1]").tolist() == [
        1,
        3,
    ]  # not one of the two


@pytest.mark.parametrize(
    ("extra", "error"),
    [
        (
            ", nan_beams: zero",
            "scan.nan_beams: 'zero' is not known",
        ),
        (", angles: [1, 1]", r"scan.angles: \[1, 1\] must be two angles in rad within one turn"),
        (", angles: [0, 7]", r"scan.angles: \[0, 7\] must be two angles"),
        (", angles: [0, .inf]", r"scan.angles: \[0, inf\] must be two angles"),
        (", angles: [0, 1, 2]", "scan.angles: has 3 values; needed: 2"),
    ],
)
def test_invalid_declarations_are_named(extra, error):
    with pytest.raises(YamlError, match=error):
        parsed(5, extra)


def test_contracts_without_the_new_keys_keep_their_hash():
    # computed by version 0.1.0
    assert parsed(5).hash == "d9f2dc30b34726d5"
    assert parsed(5, ", nan_beams: nearest").hash == parsed(5).hash
    assert parsed(5, ", nan_beams: error").hash != parsed(5).hash
    assert differences(parsed(5), parsed(5, ", nan_beams: error")) != []
