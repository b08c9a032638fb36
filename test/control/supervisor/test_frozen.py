"""A frozen camera is reported after its time limit, until the first new frame."""

import numpy as np

from il_ros.control.supervisor.frozen import FrozenCameras
from il_ros.core import contract
from il_ros.core.synchroniser import Observation

OWN = contract.parse(
    """
name: one_camera
rate_hz: 20
observations:
  camera: {topic: image, type: sensor_msgs/msg/Image, max_age_s: 0.1, image: {width: 4, height: 4}}
actions:
  base: {topic: cmd_vel, type: geometry_msgs/msg/TwistStamped, names: [linear.x], limits: {speed: 1.0}}
""",
    "test",
)
S = 1_000_000_000


def reasons(cameras, *frames):
    """Return the reason at each tick, at 10 Hz, for frames of uniform grey."""
    return [
        cameras.reasons(Observation(tick * S // 10, {"camera": np.full((4, 4, 3), grey, np.uint8)}, {})).get(
            "camera", ""
        )
        for tick, grey in enumerate(frames, 1)
    ]


def test_a_camera_is_frozen_while_it_repeats_one_frame_for_too_long():
    found = reasons(FrozenCameras(OWN.observations, 0.2), 1, 2, 2, 2, 2, 3, 3)
    assert found == ["", "", "", "", "camera (image): frozen, the same frame for 0.30 s", "", ""]


def test_a_slow_camera_may_repeat_one_frame_up_to_its_maximum_age():
    found = reasons(FrozenCameras(OWN.observations, 0.05), 1, 1, 1)  # at most 0.1 s old
    assert found == ["", "", "camera (image): frozen, the same frame for 0.20 s"]


def test_without_a_limit_no_camera_is_frozen():
    assert not any(reasons(FrozenCameras(OWN.observations, 0.0), *[7] * 50))


def test_a_clock_that_was_set_back_restarts_the_measurement():
    cameras = FrozenCameras(OWN.observations, 0.2)
    reasons(cameras, *[7] * 3)
    assert reasons(cameras, *[7] * 3) == ["", "", ""]
