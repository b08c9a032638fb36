"""A JointTrajectory at a time, compared with polynomials solved by hand."""

import numpy as np
import pytest

from il_ros.core import codecs, contract, messages
from il_ros.core.codecs import trajectory

TEXT = """
name: t
rate_hz: 20
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a, b], max_age_s: 0.1}
actions:
  arm: {topic: c, type: trajectory_msgs/msg/JointTrajectory, names: [b, a], reference: joints, limits: {speed: 1}}
"""
ARM = contract.parse(TEXT, "t").action("arm")
WHEELS = contract.parse(TEXT.replace("reference: joints", "quantity: velocity"), "t").action("arm")
POINT = "trajectory_msgs/msg/JointTrajectoryPoint"


def plan(*points, action=ARM, names=("a", "b"), stamp_ns=0):
    """Points as (time, positions[, velocities[, accelerations]]), of joints a, b."""
    made = []
    for time_s, *parts in points:
        fields = dict(zip(("positions", "velocities", "accelerations"), map(np.array, parts), strict=False))
        duration = messages.make(
            "builtin_interfaces/msg/Duration", sec=int(time_s // 1), nanosec=round(time_s % 1 * 1e9)
        )
        fields = {name: values.astype(float) for name, values in fields.items()}
        made.append(messages.make(POINT, time_from_start=duration, **fields))
    message = messages.make(
        "trajectory_msgs/msg/JointTrajectory",
        header=messages.header(stamp_ns),
        joint_names=list(names),
        points=made,
    )
    return trajectory.read(action, message)


def test_positions_alone_are_interpolated_linearly_in_the_order_of_the_contract():
    line = plan((0.0, [0, 10]), (2.0, [1, 20]), (3.0, [1, 0]))
    np.testing.assert_allclose(line.at(0.5), [12.5, 0.25])  # b, a
    np.testing.assert_allclose(line.at(2.25), [15, 1])


def test_two_velocities_make_it_a_cubic():
    # p(t) = t^3 on [0, 2]: p(2) = 8, p'(2) = 12. A line would say 4 at 1 s.
    cubic = plan((0.0, [0, 0], [0, 0]), (2.0, [8, 0], [12, 0]))
    np.testing.assert_allclose(cubic.at(1.0), [0, 1])
    np.testing.assert_allclose(cubic.at(1.5), [0, 3.375])


def test_one_velocity_alone_leaves_a_line():
    np.testing.assert_allclose(plan((0.0, [0, 0], [1, 1]), (2.0, [8, 0])).at(1.0), [0, 4])


def test_accelerations_too_make_it_a_quintic():
    # p(t) = t^5 on [0, 1]: p'(1) = 5, p''(1) = 20. The cubic would say 0.5 - 0.625 = -0.125 at 0.5 s.
    quintic = plan((0.0, [0, 0], [0, 0], [0, 0]), (1.0, [1, 0], [5, 0], [20, 0]))
    np.testing.assert_allclose(quintic.at(0.5), [0, 0.03125])
    np.testing.assert_allclose(plan((0.0, [0, 0], [0, 0]), (1.0, [1, 0], [5, 0])).at(0.5), [0, -0.125])


def test_the_last_point_lasts():
    line = plan((0.0, [0, 0]), (1.0, [1, 2]))
    assert line.duration_s == 1.0
    np.testing.assert_array_equal(line.at(1.0), [2, 1])
    np.testing.assert_array_equal(line.at(1e6), [2, 1])


def test_before_the_first_point_the_controller_moves_from_the_measured_position():
    late = plan((2.0, [1, 1]), (3.0, [2, 2]))
    np.testing.assert_allclose(late.at(0.5, before=(0.0, np.array([0.0, 5.0]))), [0.25, 4.0])
    with pytest.raises(ValueError, match=r"its first point is due 1\.500 s later, and there is no measured"):
        late.at(0.5)


def test_velocities_are_interpolated_and_with_positions_are_the_derivative_of_the_cubic():
    even = plan((0.0, [], [0, 1]), (2.0, [], [4, 1]), action=WHEELS)
    np.testing.assert_allclose(even.at(0.5), [1, 1])
    cubic = plan((0.0, [0, 0], [0, 0]), (2.0, [8, 0], [12, 0]), action=WHEELS)
    np.testing.assert_allclose(cubic.at(1.0), [0, 3])  # the derivative of t^3 at 1


@pytest.mark.parametrize(
    ("points", "says"),
    [
        ([], "the trajectory has no points"),
        ([(0.0, [1])], "point 0 has 1 positions for 2 joints: a, b"),
        ([(0.0, [0, 0]), (1.0, [], [1, 1])], "point 1 has no positions"),
        ([(0.0, [0, 0]), (1.0, [1, np.nan])], "point 1 has positions that are not finite"),
        ([(1.0, [0, 0]), (1.0, [1, 1])], "time_from_start of point 1 is 1 s; it must increase from 0 on"),
    ],
)
def test_what_a_controller_refuses_is_refused(points, says):
    with pytest.raises(ValueError, match=says):
        plan(*points)


def test_a_missing_joint_and_one_named_twice_are_refused():
    with pytest.raises(ValueError, match="joint 'b' is missing; the trajectory has: a, c"):
        plan((0.0, [0, 0]), names=("a", "c"))
    with pytest.raises(ValueError, match="joint 'b' is named twice"):
        plan((0.0, [0, 0, 0]), names=("a", "b", "b"))


def test_only_motion_counts_as_motion():
    assert plan((0.0, [0, 0]), (1.0, [0, 0.1])).moves(1e-4)
    assert not plan((0.0, [7, 0]), (1.0, [7, 0])).moves(1e-4)
    assert plan((0.0, [], [0.1, 0]), action=WHEELS).moves(1e-4)


def test_the_codec_gives_the_end_and_our_own_commands_are_one_point_due_at_once():
    sent = codecs.encode(ARM, [0.5, -1.0], 7)
    np.testing.assert_array_equal(codecs.decode(ARM, sent), [0.5, -1.0])
    np.testing.assert_array_equal(trajectory.read(ARM, sent).at(0.0), [0.5, -1.0])
    assert not trajectory.read(ARM, sent).needs_start


def test_a_continuous_joint_goes_the_shortest_way_from_point_to_point():
    turning = contract.parse(
        TEXT.replace("reference: joints", "reference: joints, continuous: [a]"), "t"
    ).action("arm")
    half = np.pi - 3.0  # to the end of the turn
    way = plan((1.0, [3.0, 3.0]), (2.0, [-3.0, -3.0]), action=turning)
    np.testing.assert_allclose(way.at(1.5), [0, 3.0 + half])  # b, a
    np.testing.assert_allclose(way.at(2.0), [-3, 3.0 + 2 * half])
    np.testing.assert_allclose(
        way.at(0.5, (0.0, np.array([0.0, -3.0]))), [1.5, 3.0 + half]
    )  # from b, a measured
