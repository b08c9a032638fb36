"""The laser scanner against distances computed by hand."""

import math

import mujoco
import numpy as np
import pytest

from il_ros.sim.tasks.laser import BEAMS, FIELD_RAD, Laser, beam_angles, laser_scan

SCENE = """<mujoco><worldbody>
  <body name="robot" pos="0 0 0.2"><geom type="sphere" size="0.1" group="1"/><site name="laser"/></body>
  <body name="turned" pos="0 0 0.2" euler="0 0 90"><site name="turned"/></body>
  <geom type="box" size="0.1 5 1" pos="{x} 0 0" group="2"/>
</worldbody></mujoco>"""


def ranges(x, site="laser"):
    model = mujoco.MjModel.from_xml_string(SCENE.format(x=x))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    return Laser(model, site).ranges(data)


def test_beams_run_from_right_to_left_over_the_whole_field():
    angles = beam_angles()
    assert len(angles) == BEAMS
    assert angles[0] == pytest.approx(-math.radians(120))
    assert angles[-1] == pytest.approx(math.radians(120))


def test_the_range_to_a_flat_wall_is_its_distance_over_the_cosine():
    seen, angles = ranges(x=1.1), beam_angles()  # its face is 1 m ahead
    front = np.abs(angles) < 1.2
    np.testing.assert_allclose(seen[front], 1.0 / np.cos(angles[front]), rtol=1e-6)


def test_no_hit_is_infinite_and_too_near_is_minus_infinite():
    assert np.isposinf(ranges(x=9.0)).all()  # REP 117
    assert np.isneginf(ranges(x=0.13)[BEAMS // 2])  # 0.03 m, below range_min
    assert np.isposinf(ranges(x=1.1)[0])  # 120 degrees to the right: away from the wall


def test_the_scan_rotates_with_the_robot():
    seen, angles = ranges(x=1.1, site="turned"), beam_angles()
    right = np.argmin(np.abs(angles + math.pi / 2))  # the wall is now to its right
    assert seen[right] == pytest.approx(1.0 / math.cos(angles[right] + math.pi / 2), rel=1e-6)


def test_the_message_describes_its_beams():
    model = mujoco.MjModel.from_xml_string(SCENE.format(x=1.1))
    data = mujoco.MjData(model)
    mujoco.mj_forward(model, data)
    scan = laser_scan(Laser(model, "laser").ranges(data), 5_000_000_007, 0.05)
    assert (scan.header.stamp.sec, scan.header.stamp.nanosec, scan.header.frame_id) == (5, 7, "laser")
    assert scan.angle_min + (len(scan.ranges) - 1) * scan.angle_increment == pytest.approx(scan.angle_max)
    assert scan.angle_max - scan.angle_min == pytest.approx(FIELD_RAD)
    assert scan.ranges.dtype == np.float32
    assert (scan.range_min, scan.range_max, scan.scan_time) == (0.05, 4.0, 0.05)
