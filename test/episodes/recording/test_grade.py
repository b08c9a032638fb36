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
        (stream(lost=6, messages=994), "fair", "/joint_states: 6 of 1000 messages lost"),
        (stream(lost=11, messages=89), "poor", "/joint_states: 11 of 100 messages lost"),
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


def test_what_is_recorded_besides_the_observations_makes_no_take_poor():
    result = grade([stream(), stream(lost=90, messages=10, ahead=9, required=False)], 5.0)
    assert result.level == "fair"
    assert "/joint_states: 90 of 100 messages lost" in result.reasons


@pytest.mark.parametrize("info", [stream(lost=5, messages=995), stream(stale_s=0.1), stream(stale_s=0.0)])
def test_what_does_not_exceed_a_threshold_is_no_reason(info: StreamInfo):
    """0.5 % lost and 2 % of 5 s stale equal the bounds."""
    assert grade([info], 5.0, clipped_share=0.10, idle_share=0.30).reasons == ()


def test_the_worst_reason_comes_first_and_sets_the_level():
    """Exceeded by: limiter 60 - 10 %, idle 60 - 30 %; of one level, the larger excess comes first."""
    result = grade(
        [stream(backwards=1)],
        5.0,
        clipped_share=0.6,
        clipped_most="arm/joint2 speed (55 %)",
        idle_share=0.6,
        faults=["disk full"],
    )
    assert result.level == "poor"
    assert result.reasons == (
        "disk full",
        "the safety limiter changed 60 % of the commands, most often arm/joint2 speed (55 %)",
        "no motion was commanded for 60 % of it",
        "/joint_states: its stamps went back 1 time",
    )


def test_a_grade_is_short():
    streams = [stream(stale_s=0.2 + 0.01 * k) for k in range(7)]  # of 5 s: 4 % to 5.2 %
    reasons = grade(streams, 5.0).reasons
    assert reasons[0] == "/joint_states: stale for 0.26 s"
    assert reasons[3:] == ("/joint_states: stale for 0.23 s", "and 3 lesser reasons")


@pytest.mark.parametrize(("share", "level"), [(0.0, "good"), (0.05, "fair"), (0.5, "poor"), (1.0, "poor")])
def test_what_cannot_be_decoded_cannot_be_learnt_from(share: float, level: str):
    reason = "cam (image_raw): encoding 'x' cannot be converted to 'rgb8'"
    result = grade([stream()], 5.0, refused={"cam": (share, reason)})
    assert result.level == level
    assert result.reasons == ((f"{reason} (in {100 * share:.0f} % of the checks)",) if share else ())


def test_without_a_command_there_is_nothing_to_learn():
    result = grade([stream()], 5.0, commanded=False)
    assert (result.level, result.reasons) == (
        "poor",
        ("no command was recorded, so there is nothing to learn",),
    )


def test_a_take_in_which_nobody_drove_is_poor():
    result = grade([stream()], 5.0, driven=False)
    assert (result.level, result.reasons) == ("poor", ("no source drove, so there is nothing to learn",))


@pytest.mark.parametrize(("idle", "level"), [(0.3, "good"), (0.9, "fair"), (0.99, "poor")])
def test_a_stuck_policy_does_not_make_the_correction_poor(idle: float, level: str):
    """Training thins the frames without motion; an episode that is nothing else teaches nothing."""
    assert grade([stream()], 5.0, idle_share=idle).level == level


def test_a_correction_without_motion_is_named_by_its_labels():
    result = grade([stream()], 5.0, idle_share=0.99, idle_labels=True)
    assert (result.level, result.reasons) == ("poor", ("no motion was commanded in 99 % of the labels",))


def test_a_recovered_bag_can_be_learnt_from():
    result = grade([stream()], 5.0, cautions=["it was recovered"])
    assert (result.level, result.reasons) == ("fair", ("it was recovered",))


def test_a_very_short_episode_is_poor():
    assert grade([stream()], 0.1).reasons == ("only 0.10 s long",)


def test_bounds_in_the_wrong_order_are_rejected():
    with pytest.raises(ValueError, match=r"fair 0\.5, poor 0\.1"):
        Bounds(0.5, 0.1)


@pytest.mark.parametrize(
    ("share", "level", "reasons"),
    [
        (0.0, "good", ()),
        (0.006, "fair", ("0.60 % of the decisions and commands could not be read",)),
        (0.11, "poor", ("11.00 % of the decisions and commands could not be read",)),
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
        ("the last command had expired for 68 % of it: no labels there",),
    )


def test_a_stream_is_not_stale_for_longer_than_the_episode():
    """As with a second /clock, 463 s apart."""
    result = grade([stream(stale_s=463.0)], 6.8)
    assert (result.level, result.reasons) == ("poor", ("/joint_states: stale all the time",))
