"""The grade names each fault of a demonstration."""

import pytest

from il_ros.episodes.layout import Grade, StreamInfo
from il_ros.episodes.recording.grade import Bounds, grade

JOINTS = "sensor_msgs/msg/JointState"


def stream(**values) -> StreamInfo:
    return StreamInfo("/joint_states", JOINTS, **{"messages": 100, "required": True, **values})


def test_an_episode_without_faults_is_good():
    assert grade([stream()], 5.0, clipped_share=0.0, idle_share=0.1) == Grade(
        "good", (), clipped_share=0.0, idle_share=0.1
    )


@pytest.mark.parametrize(
    ("info", "level", "says"),
    [
        (stream(lost=1, messages=999), "fair", "/joint_states: 1 of 1000 messages lost"),
        (stream(lost=2, messages=98), "poor", "/joint_states: 2 of 100 messages lost"),
        (stream(stale_s=0.2), "fair", "/joint_states: stale for 0.20 s"),
        (stream(stale_s=3.1, silent_at_end_s=3.2), "poor", "silent for the last 3.20 s"),
        (
            stream(stale_s=3.1, silent_at_end_s=0.0, age_p50_s=944.0),
            "poor",
            "another clock: check use_sim_time",
        ),
        (stream(backwards=2), "fair", "/joint_states: its stamps went back 2 times"),
        (stream(messages=0), "poor", "/joint_states: no message"),
    ],
)
def test_the_grade_names_a_streams_fault(info: StreamInfo, level: str, says: str):
    result = grade([info], 5.0)
    assert result.level == level
    assert len(result.reasons) == 1
    assert says in result.reasons[0]


def test_the_worst_reason_comes_first_and_sets_the_level():
    result = grade([stream(backwards=1)], 5.0, clipped_share=0.6, idle_share=0.9, faults=["disk full"])
    assert result.level == "poor"
    assert result.reasons == (
        "disk full",
        "the safety limiter changed 60% of the commands",
        "no motion was commanded for 90% of it",
        "/joint_states: its stamps went back 1 time",
    )


def test_a_very_short_episode_is_poor():
    assert grade([stream()], 0.1).reasons == ("only 0.10 s long",)


def test_bounds_in_the_wrong_order_are_rejected():
    with pytest.raises(ValueError, match=r"fair 0\.5, poor 0\.1"):
        Bounds(0.5, 0.1)


@pytest.mark.parametrize(
    ("share", "level", "reasons"),
    [
        (0.0, "good", ()),
        (0.001, "fair", ("0.10% of the decisions and commands could not be read",)),
        (0.02, "poor", ("2.00% of the decisions and commands could not be read",)),
    ],
)
def test_unreadable_decisions_count_like_lost_messages(share: float, level: str, reasons: tuple[str, ...]):
    result = grade([stream()], 5.0, unreadable_share=share)
    assert (result.level, result.reasons) == (level, reasons)


def test_time_without_labels_is_graded():
    assert grade([stream()], 5.0, expired_share=0.3).level == "good"
    result = grade([stream()], 5.0, expired_share=0.68)
    assert (result.level, result.reasons) == (
        "fair",
        ("the last command had expired for 68% of it: no labels there",),
    )
