"""Which command labels a tick of a bag without decisions: velocities expire, trajectories are interpolated.

A base drives at 20 Hz, a laser scan arrives 2 ms after each tick, and a twist 4 ms after it.
"""

import made_episodes as made
import numpy as np
import pytest

from il_ros.core import contract as contracts
from il_ros.core import messages
from il_ros.episodes.arrays.dataset import Dataset
from il_ros.episodes.bag.reader import BagMessage
from il_ros.episodes.layout import INFO_FILE
from il_ros.episodes.verify import verify
from il_ros.records.labelling import NoLabel

MS = made.MS
SCAN, TWIST = "sensor_msgs/msg/LaserScan", "geometry_msgs/msg/Twist"
TRAJECTORY = "trajectory_msgs/msg/JointTrajectory"
BASE = """\
name: base
rate_hz: 20
trigger: scan
observations:
  scan: {topic: scan, type: sensor_msgs/msg/LaserScan, size: 2, max_age_s: 0.2}
actions:
  base:
    topic: cmd_vel
    type: geometry_msgs/msg/Twist
    names: [linear.x, angular.z]
    limits: {lower: [-1, -2], upper: [1, 2], speed: [1, 2]}
"""
ARM = """\
name: arm
rate_hz: 20
trigger: joint_states
observations:
  joints: {topic: joint_states, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.2}
actions:
  arm: {topic: plan, type: trajectory_msgs/msg/JointTrajectory, names: [a], reference: joints, limits: {speed: 2}}
"""


def scan(tick):
    ranges = np.array([1.0, 2.0], np.float32)
    message = messages.make(SCAN, header=messages.header(made.stamp(tick)), range_max=9.0, ranges=ranges)
    return BagMessage("/scan", SCAN, messages.encode(SCAN, message), made.stamp(tick) + 2 * MS)


def twist(tick, speed, after_ms=4):
    vector = messages.make("geometry_msgs/msg/Vector3", x=speed)
    raw = messages.encode(TWIST, messages.make(TWIST, linear=vector))
    return BagMessage("/cmd_vel", TWIST, raw, made.stamp(tick) + after_ms * MS)


def joint(tick, position):
    kind = made.JOINTS
    head = messages.header(made.stamp(tick))
    raw = messages.encode(
        kind, messages.make(kind, header=head, name=["a"], position=np.array([float(position)]))
    )
    return BagMessage("/joint_states", kind, raw, made.stamp(tick) + MS)


def plan(tick, *points, after_ms=2, stamp_ns=0):
    """A trajectory of (time, position)."""
    made_points = [
        messages.make(
            "trajectory_msgs/msg/JointTrajectoryPoint",
            positions=np.array([float(position)]),
            time_from_start=messages.make(
                "builtin_interfaces/msg/Duration", sec=int(time_s), nanosec=round(time_s % 1 * 1e9)
            ),
        )
        for time_s, position in points
    ]
    message = messages.make(
        TRAJECTORY, header=messages.header(stamp_ns), joint_names=["a"], points=made_points
    )
    log_ns = made.stamp(tick) + after_ms * MS
    return BagMessage("/plan", TRAJECTORY, messages.encode(TRAJECTORY, message), log_ns)


def foreign(root, items):
    """Write a bag as another recorder does: without a description."""
    folder = made.write(root, items)
    (folder / INFO_FILE).unlink()
    return folder


def arrays(root, text):
    dataset = Dataset.open(root, contracts.parse(text, "c"), validation=0.0)
    return dataset.train[0], dataset.summary


def ticks(episode):
    return ((episode.ticks_ns - made.START_NS) // made.PERIOD_NS).tolist()


# ---- velocities expire


def driven(driven_ticks=60, ticks=200):
    """Driven for 3 s at 0.5 m/s; then the person releases the deadman, and the base stands still for 7 s."""
    return [scan(tick) for tick in range(ticks)] + [twist(tick, 0.5) for tick in range(driven_ticks)]


def test_a_teleop_that_stopped_sending_teaches_nothing_after_the_expiry(tmp_path):
    folder = foreign(tmp_path, driven())
    episode, summary = arrays(tmp_path, BASE)
    # the last twist arrives at 59 * 50 + 4 = 2954 ms; tick 64 at 3202 ms is 248 ms later, tick 65 is 298 ms later
    assert ticks(episode) == list(range(65))
    assert set(episode.commands[:, 0]) == {0.5}
    reason = "base (cmd_vel): its last command has expired, 0.298 s old at the tick; expires_s is 0.25"
    assert episode.skipped == {reason: 135}
    warning = (
        "contract 'base', actions.base: expires_s is not declared; a velocity command counts for 0.25 s "
        "(5 periods, at least 0.25 s)"
    )
    assert summary.warnings == (warning,)  # once, not for every frame
    report = verify(folder, contracts.parse(BASE, "c"))
    assert (report.frames, report.ticks, report.unlabelled) == (65, 200, {NoLabel.EXPIRED: 135})
    assert report.warnings.count(warning) == 1
    assert f"135 ticks without a frame: {reason}" in report.warnings


@pytest.mark.parametrize(("expires_s", "frames"), [("0.1", 62), ("0.6", 72), ("1", 80), (".inf", 200)])
def test_the_contract_says_how_long_a_velocity_counts(tmp_path, expires_s, frames):
    # 2954 + 100 = 3054: tick 61 (3052) is the last; + 600 = 3554: tick 71 (3552); + 1000 = 3954: tick 79 (3952)
    foreign(tmp_path, driven())
    episode, summary = arrays(tmp_path, BASE.replace("limits", f"expires_s: {expires_s}\n    limits"))
    assert ticks(episode) == list(range(frames))
    assert summary.warnings == ()


def test_the_contract_may_say_that_the_base_stops(tmp_path):
    foreign(tmp_path, driven())
    episode, _ = arrays(tmp_path, BASE.replace("limits", "expired: stop\n    limits"))
    np.testing.assert_array_equal(episode.commands[:, 0], [0.5] * 65 + [0.0] * 135)


def test_a_slow_teleop_within_the_expiry_labels_every_tick(tmp_path):
    items = [scan(tick) for tick in range(40)] + [twist(tick, tick) for tick in range(0, 40, 4)]  # 5 Hz
    foreign(tmp_path, items)
    episode, _ = arrays(tmp_path, BASE)
    assert episode.commands[:, 0].tolist() == [tick - tick % 4 for tick in range(40)]


def test_positions_hold_until_they_are_superseded_unless_the_contract_says_otherwise(tmp_path):
    items = [item for item in made.recorded(40, decisions=False) if "commands" not in item.topic]
    items += [
        made.command("/arm/commands", [1, 1], made.stamp(0)),
        made.command("/gripper/commands", [0.02], made.stamp(0)),
    ]
    foreign(tmp_path, items)
    assert len(arrays(tmp_path, made.TEXT)[0]) == 40
    short = made.TEXT.replace("names: [gripper], unit: m,", "names: [gripper], unit: m, expires_s: 0.5,")
    # the tick's joints arrive at 50 k + 1 ms: tick 9 at 451 ms, tick 10 at 501 ms
    assert ticks(arrays(tmp_path, short)[0]) == list(range(10))


# ---- trajectories


def moved(told):
    """4 s at 20 Hz; three moves of 0.6 rad in 1 s, told at 0.5, 1.5 and 2.5 s, which the arm follows exactly."""
    items = [joint(tick, 0.6 * np.clip(tick / 20 - 0.5, 0, 3)) for tick in range(80)]
    return items + [plan(tick, *told(0.6 * (tick / 20 - 0.5))) for tick in (10, 30, 50)]


def test_a_trajectory_of_many_points_is_interpolated_at_the_tick_and_lasts(tmp_path):
    told = lambda q: [(s, q + 0.6 * s) for s in np.linspace(0, 1, 11)]  # noqa: E731
    foreign(tmp_path, moved(told))
    episode, summary = arrays(tmp_path, ARM)
    assert ticks(episode) == list(range(10, 80))
    assert summary.skipped == {"arm (plan): no command yet": 10}
    labels = dict(zip(ticks(episode), episode.commands[:, 0], strict=True))
    # told 2 ms after tick 10, so tick 20 is 0.498 s into it
    assert labels[20] == pytest.approx(0.6 * 0.498)
    assert labels[29] == pytest.approx(0.6 * 0.948)
    # a trajectory that arrives within a tick's period counts for its end: 48 ms into it
    assert labels[10] == pytest.approx(0.6 * 0.048)
    assert labels[30] == pytest.approx(0.6 + 0.6 * 0.048)
    assert labels[79] == pytest.approx(1.8)  # until superseded
    lead = episode.commands[:, 0] - episode.observations["joints"][:, 0]
    assert lead.min() > -0.002  # 2 ms late at 0.6 rad/s: never backwards


def test_a_trajectory_whose_first_point_is_due_later_starts_at_the_measured_position(tmp_path):
    foreign(tmp_path, [joint(tick, 2.0) for tick in range(40)] + [plan(0, (1.0, 3.0))])
    episode, _ = arrays(tmp_path, ARM)
    labels = dict(zip(ticks(episode), episode.commands[:, 0], strict=True))
    assert labels[10] == pytest.approx(2.0 + 0.498)
    assert labels[20] == pytest.approx(2.998)
    assert labels[21] == 3.0


def test_without_a_measured_start_there_is_no_label_before_the_first_point(tmp_path):
    items = [joint(tick, 2.0) for tick in range(40)] + [plan(-1, (1.0, 3.0), after_ms=0)]
    foreign(tmp_path, items)
    episode, summary = arrays(tmp_path, ARM)
    assert ticks(episode) == list(range(19, 40))  # told at -50 ms: the first point is due at 950 ms, tick 19
    (reason,) = summary.skipped
    assert reason.startswith("arm (plan): its first point is due ")


def test_a_stamped_trajectory_starts_at_its_stamp_and_one_that_is_over_is_refused(tmp_path):
    stamped = plan(0, (0.5, 3.0), (1.5, 4.0), stamp_ns=made.stamp(10))
    foreign(tmp_path / "a", [joint(tick, 2.0) for tick in range(60)] + [stamped])
    episode, _ = arrays(tmp_path / "a", ARM)
    labels = dict(zip(ticks(episode), episode.commands[:, 0], strict=True))
    # from 2 rad at 2 ms to 3 rad at 1000 ms (tick 20), then to 4 rad at 2000 ms
    assert labels[10] == pytest.approx(2.0 + (500 - 2) / (1000 - 2))
    assert labels[30] == pytest.approx(3.5)
    over = plan(20, (0.1, 3.0), stamp_ns=made.stamp(10))
    foreign(tmp_path / "b", [joint(tick, 2.0) for tick in range(40)] + [plan(0, (0.0, 2.0)), over])
    episode, summary = arrays(tmp_path / "b", ARM)
    assert ticks(episode) == list(range(20))
    assert summary.skipped == {
        "arm (plan): the trajectory ended 0.402 s before it arrived; controllers refuse it": 20
    }


def test_a_trajectory_of_velocities_expires_after_its_last_point(tmp_path):
    text = ARM.replace("reference: joints", "quantity: velocity")
    point = "trajectory_msgs/msg/JointTrajectoryPoint"
    points = [
        messages.make(
            point,
            velocities=np.array([0.5]),
            time_from_start=messages.make("builtin_interfaces/msg/Duration", sec=sec),
        )
        for sec in (0, 1)
    ]
    raw = messages.encode(TRAJECTORY, messages.make(TRAJECTORY, joint_names=["a"], points=points))
    told = BagMessage("/plan", TRAJECTORY, raw, made.stamp(0) + 2 * MS)
    foreign(tmp_path, [joint(tick, 0.0) for tick in range(60)] + [told])
    episode, _ = arrays(tmp_path, text)
    assert ticks(episode) == list(range(26))  # 2 + 1000 + 250 = 1252 ms: tick 25 is the last
