"""Observations are causal, recent and complete; otherwise there is none, with the reasons."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.core import contract, messages
from il_ros.core.synchroniser import NoObservation, Observation, Synchroniser, another_clock

MS = 1_000_000
CONTRACT = contract.parse(
    """
name: t
rate_hz: 10
observations:
  joints: {topic: j, type: sensor_msgs/msg/JointState, names: [a], max_age_s: 0.1}
  array: {topic: f, type: std_msgs/msg/Float64MultiArray, size: 1, max_age_s: .inf}
actions:
  arm: {topic: c, type: std_msgs/msg/Float64MultiArray, names: [a], reference: joints, limits: {speed: 1}}
""",
    "t",
)
START = 1_000_000 * MS


def joints(stamp_ms, value):
    message = messages.make(
        "sensor_msgs/msg/JointState",
        header=messages.header(START + stamp_ms * MS),
        name=["a"],
        position=np.array([float(value)]),
    )
    return messages.encode("sensor_msgs/msg/JointState", message)


def array(value):
    message = messages.make("std_msgs/msg/Float64MultiArray", data=np.array([float(value)]))
    return messages.encode("std_msgs/msg/Float64MultiArray", message)


def filled(*stamps_and_values):
    sync = Synchroniser(CONTRACT.observations)
    sync.push("f", array(7), START - 50_000 * MS)
    for stamp_ms, value in stamps_and_values:
        sync.push("j", joints(stamp_ms, value), START + stamp_ms * MS)
    return sync


def kept(sync):
    """The buffered joint states; all have one layout."""
    (stream,) = sync._streams["j"].values()
    return stream


def sampled(sync, tick_ms):
    return sync.sample(START + tick_ms * MS)


def test_message_at_the_exact_tick_is_included_and_one_after_it_is_not():
    sync = filled((0, 1), (50, 2), (51, 3))
    out = sampled(sync, 50)
    assert out.values["joints"] == [2]
    assert out.ages_s["joints"] == 0


def test_a_late_sample_returns_the_state_at_the_tick():
    sync = filled(*[(10 * i, i) for i in range(20)])  # newest is at 190 ms
    assert sampled(sync, 95).values["joints"] == [9]
    assert sampled(sync, 95).ages_s["joints"] == pytest.approx(0.005)


def test_without_any_message_the_reason_names_the_stream():
    out = Synchroniser(CONTRACT.observations).sample(START)
    assert out == NoObservation(START, ("joints (j): nothing received", "array (f): nothing received"))


def test_a_message_is_valid_up_to_its_maximum_age_and_stale_beyond_it():
    assert isinstance(sampled(filled((0, 1)), 100), Observation)
    out = sampled(filled((0, 1)), 101)
    assert out.reasons == ("joints (j): stale, 0.101 s old at the tick; max_age_s is 0.1",)


def test_with_only_later_messages_there_is_no_observation():
    out = sampled(filled((3000, 1)), 0)
    assert "no message at or before the tick" in out.reasons[0]
    assert "3.000 s after it" in out.reasons[0]


def test_a_stream_of_another_clock_is_distinguished_from_a_late_one():
    behind, ahead = sampled(filled((-2_000_000_000, 1)), 0), sampled(filled((2_000_000_000, 1)), 0)
    for out in (behind, ahead):
        assert out.reasons[0].endswith("it is stamped by another clock: check use_sim_time")


def test_an_infinite_maximum_age_keeps_a_latched_value():
    assert sampled(filled((0, 1)), 0).values["array"] == [7]


def test_types_without_header_are_stamped_by_arrival():
    sync = filled((0, 1))
    assert sync.push("f", array(8), START + MS) == START + MS
    assert sampled(sync, 0).values["array"] == [7]
    assert sampled(sync, 1).values["array"] == [8]


def test_an_invalid_message_gives_a_reason_and_no_exception():
    sync = filled((0, np.nan))
    assert sampled(sync, 0).reasons == ("joints: position/a is nan, not a finite number",)
    sync.push("j", joints(10, 1)[:20], START)
    assert "not a sensor_msgs/msg/JointState" in sampled(sync, 10).reasons[0]


def test_messages_out_of_order_are_sorted_and_counted():
    sync = filled((0, 1), (20, 3), (10, 2), (20, 99))
    assert sync.disordered["j"] == 2
    assert sampled(sync, 15).values["joints"] == [2]
    assert sampled(sync, 20).values["joints"] == [3]  # of two messages with the same stamp, the first is kept


def test_a_clock_that_is_set_back_discards_all_messages():
    sync = filled((0, 1))
    sampled(sync, 10)
    assert sync.sample(START - 2000 * MS).reasons == (
        "the clock went back by 2.010 s; all messages were discarded",
    )
    assert "joints (j): nothing received" in sync.sample(START - 1990 * MS).reasons


def test_a_tick_shortly_before_the_last_one_is_rejected_and_no_message_is_discarded():
    sync = filled((0, 1), (50, 2))
    sampled(sync, 60)
    assert sampled(sync, 10).reasons == ("the tick is 0.050 s before the last one",)
    assert sampled(sync, 61).values["joints"] == [2]


def test_observations_cannot_be_edited():
    out = sampled(filled((0, 1)), 0)
    with pytest.raises(ValueError, match="read-only"):
        out.values["joints"][0] = 5


def test_memory_stays_bounded_with_and_without_sampling():
    sync = filled(*[(i, i) for i in range(5000)])
    assert len(kept(sync)) <= 1002  # one second at 1 kHz, and the newest message before it


@given(
    stamps=st.lists(st.integers(0, 900), min_size=1, max_size=40, unique=True),
    ticks=st.lists(st.integers(0, 900), min_size=1, max_size=20),
    data=st.data(),
)
def test_any_arrival_order_gives_the_newest_message_at_or_before_each_tick(stamps, ticks, data):
    arrivals = data.draw(st.permutations(stamps))
    sync = filled(*[(stamp, stamp) for stamp in arrivals])
    for tick in sorted(ticks):
        before = [stamp for stamp in stamps if tick - 100 <= stamp <= tick]
        out = sampled(sync, tick)
        if before:
            assert out.values["joints"] == [max(before)]
        else:
            assert isinstance(out, NoObservation)


def test_a_message_stamped_far_ahead_costs_only_itself():
    sync = filled()
    hour_ms = 3_600_000
    for index in range(1800):  # 60 s at 30 Hz; the thirtieth message is stamped an hour ahead
        at_ms = 33 * index
        stamp_ms = at_ms + hour_ms if index == 30 else at_ms
        sync.push("j", joints(stamp_ms, index), START + at_ms * MS)
    assert sync.ahead == {"j": 1, "f": 0}
    assert sync.disordered["j"] == 0
    assert len(kept(sync)) <= 32  # those of the last second, and the one before
    assert sampled(sync, 33 * 1799).values["joints"] == [1799]


def test_a_stream_that_is_always_far_ahead_is_reported_so():
    sync = filled()
    sync.push("j", joints(5_000, 1), START)
    (reason,) = sampled(sync, 0).reasons
    assert "the oldest is 5.000 s after it; if the driver's clock is wrong, set 'stamp: arrival'" in reason


def test_a_message_that_arrived_before_simulated_time_began_is_used_once_the_ticks_reach_it():
    sync = filled()
    sync.push("j", joints(0, 1), 0)  # such as a latched one; no clock yet
    assert sync.ahead["j"] == 0
    assert isinstance(sampled(sync, -100), NoObservation)
    out = sampled(sync, 50)
    assert (out.values["joints"], out.ages_s["joints"]) == ([1], 0.05)
    assert "stale, 0.150 s old" in sampled(sync, 150).reasons[0]


def test_messages_older_than_the_history_are_not_accumulated():
    sync = filled((10_000, 1))
    for index in range(500):
        sync.push("j", joints(index, index), START + 10_000 * MS)
    assert len(kept(sync)) <= 2


# ---- cameras ---------------------------------------------------------------------------------------------


def camera(fit):
    text = f"""
name: t
rate_hz: 10
observations:
  cam: {{topic: cam, type: sensor_msgs/msg/Image, image: {{width: 4, height: 4, fit: {fit}}}, max_age_s: 1}}
actions:
  base: {{topic: c, type: geometry_msgs/msg/Twist, names: [linear.x], limits: {{speed: 1}}}}
"""
    return Synchroniser(contract.parse(text, "t").observations)


def picture(sync, at_ms, width, height):
    head = {
        "header": messages.header(START + at_ms * MS),
        "width": width,
        "height": height,
        "step": 3 * width,
    }
    data = np.full(3 * width * height, 9, np.uint8)
    message = messages.make("sensor_msgs/msg/Image", encoding="rgb8", data=data, **head)
    sync.push("cam", messages.encode("sensor_msgs/msg/Image", message), START + at_ms * MS)
    return sync.sample(START + at_ms * MS)


@pytest.mark.parametrize("fit", ["crop", "stretch"])
def test_a_camera_that_changes_its_view_has_no_picture(fit):
    sync = camera(fit)
    assert isinstance(picture(sync, 0, 8, 8), Observation)
    assert isinstance(picture(sync, 10, 16, 16), Observation)  # the same view
    assert picture(sync, 20, 16, 9).reasons == (
        "cam (cam): the image is 16x9, but the first one was 8x8; an image of another aspect ratio shows another part "
        "of the scene",
    )
    assert isinstance(picture(sync, 30, 8, 8), Observation)  # each message for itself


def test_a_picture_that_does_not_fit_says_so():
    sync = camera("resize")
    assert isinstance(picture(sync, 0, 8, 8), Observation)
    assert "16x9 cannot be resized to 4x4 without distortion" in picture(sync, 10, 16, 9).reasons[0]
    assert "the image is 8x8, the contract says 4x4" in picture(camera("exact"), 0, 8, 8).reasons[0]


def test_after_the_clock_was_set_back_the_next_picture_is_the_first():
    sync = camera("crop")
    picture(sync, 5000, 8, 8)
    sync.sample(START)
    assert isinstance(picture(sync, 10, 16, 9), Observation)


@pytest.mark.parametrize(
    ("age_s", "words"),
    [
        (700.0, "check use_sim_time"),
        (1.76e9, "check use_sim_time (stamps near zero: none set, simulated time, or time since a start)"),
        (-1.76e9, "check use_sim_time (stamps in wall time, while this node follows /clock)"),
        (7200.4, "2 h behind, as in another time zone"),
        (-3595.0, "1 h ahead, as in another time zone"),
        (19_800.0, "5.5 h behind, as in another time zone"),  # India
        (7200.0 + 61, "check use_sim_time"),
        (15 * 3600.0, "check use_sim_time"),  # no zone is farther than 14 h
    ],
)
def test_the_age_of_stamps_says_what_is_wrong_with_their_clock(age_s, words):
    assert another_clock(age_s) == f"it is stamped by another clock: {words}"
