"""Verification reports each fault, and nothing in a good episode."""

import dataclasses

import made_episodes as made
import pytest

from il_ros.core import contract as contracts
from il_ros.episodes import layout
from il_ros.episodes.verify import verify


def test_a_good_episode_has_no_errors_or_warnings(tmp_path):
    report = verify(made.write(tmp_path, made.recorded(10)))
    assert (report.errors, report.warnings) == ((), ())
    assert (report.messages, report.ticks, report.frames) == (50, 10, 10)
    assert report.ok


def test_an_unfinished_bag_is_an_error(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    cut = layout.bag_file(folder)
    cut.write_bytes(cut.read_bytes()[:-1])
    (error,) = verify(folder).errors
    assert "il-ros episodes recover" in error


def test_a_flipped_byte_is_an_error(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    content = bytearray(layout.bag_file(folder).read_bytes())
    content[len(content) // 3] ^= 1
    layout.bag_file(folder).write_bytes(content)
    assert "is damaged" in verify(folder).errors[0]


def test_messages_that_do_not_decode_are_counted_by_topic(tmp_path):
    items = [item._replace(raw=item.raw[:16]) if "arm" in item.topic else item for item in made.recorded(10)]
    report = verify(made.write(tmp_path, items))
    assert report.errors[0].startswith("/arm/commands: 10 messages cannot be decoded: not a std_msgs")


@pytest.mark.parametrize("says", made.odd_decisions())
def test_one_odd_decision_is_one_warning(tmp_path, says):
    report = verify(made.write(tmp_path, [*made.recorded(10), made.text(5, made.odd_decisions()[says])]))
    assert (report.ok, report.messages, report.frames) == (True, 51, 10)
    (warning,) = report.warnings
    assert "1 left out: a message of /dagger_supervisor/decision is not a " in warning
    assert says in warning


def test_metadata_of_another_encoding_is_a_warning(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    (folder / layout.METADATA_FILE).write_bytes(b"\xff\xfe")
    report = verify(folder)
    assert report.ok
    assert "`ros2 bag` needs it" in report.warnings[0]


def test_decreasing_stamps_are_a_warning(tmp_path):
    items = [
        *made.recorded(10),
        made.joints(3, log_ns=made.stamp(7.5)),
        made.joints(4, log_ns=made.stamp(8.5)),
    ]
    report = verify(made.write(tmp_path, items))
    assert report.ok
    assert report.warnings == ("/joint_states: its stamps went back 2 times",)


def test_missing_or_wrong_metadata_is_a_warning(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    path = folder / layout.METADATA_FILE
    path.write_text(path.read_text().replace("message_count: 50", "message_count: 49"))
    assert "says 49 messages, the bag has 50" in verify(folder).warnings[0]
    path.unlink()
    report = verify(folder)
    assert "`ros2 bag` needs it" in report.warnings[0]
    assert report.ok


def test_a_contract_edited_after_the_recording_is_an_error(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    info = layout.load_info(folder)
    dataclasses.replace(info, contract_text=info.contract_text.replace("0.12", "0.2")).save(folder)
    assert f"contract_hash is {info.contract_hash}, but" in verify(folder).errors[0]
    dataclasses.replace(info, contract_text="name: 3").save(folder)
    assert "contract in episode.json" in verify(folder).errors[0]


def test_an_episode_that_stops_before_it_starts_is_an_error(tmp_path):
    folder = made.write(tmp_path, made.recorded(10), started_ns=made.stamp(5), stopped_ns=made.stamp(4))
    report = verify(folder)
    assert "before it started" in report.errors[0]
    assert "no usable frame" in report.errors[1]


def test_lost_frames_are_warnings_and_no_frame_is_an_error(tmp_path):
    items = [item for item in made.recorded(10) if "camera" not in item.topic or item.log_ns < made.stamp(2)]
    report = verify(made.write(tmp_path, items))
    assert (report.ticks, report.frames) == (10, 4)
    assert report.warnings[0].startswith("6 ticks without a frame: camera (camera/image_raw): stale")
    items = [item for item in made.recorded(10) if "camera" not in item.topic] + [made.image(100)]
    assert verify(made.write(tmp_path, items, 2)).errors[0] == "no usable frame"


def test_an_episode_driven_only_by_the_policy_is_valid_without_training_labels(tmp_path):
    items = [
        *made.recorded(4, decisions=False),
        *(made.decision(tick, authority="policy") for tick in range(4)),
    ]
    report = verify(made.write(tmp_path, items))
    assert (report.ok, report.ticks, report.frames) == (True, 4, 4)


def test_an_episode_can_be_verified_under_another_contract(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    other = contracts.parse(made.TEXT.replace("topic: camera/image_raw", "topic: wrist/image_raw"), "other")
    assert "camera needs topic wrist/image_raw" in verify(folder, other).errors[0]


def test_the_recorders_faults_and_grade_are_reported(tmp_path):
    grade = layout.Grade("fair", ("/joint_states: 1 of 11 messages lost",))
    folder = made.write(tmp_path, made.recorded(10), grade=grade, faults=("disk full",))
    assert verify(folder).warnings == (
        "recorder: disk full",
        "graded fair: /joint_states: 1 of 11 messages lost",
    )


def test_a_foreign_bag_is_checked_as_far_as_possible(tmp_path):
    folder = made.write(tmp_path, made.recorded(10))
    (folder / layout.INFO_FILE).unlink()
    report = verify(folder)
    assert report.ok
    assert report.frames is None
    assert "holds no contract" in report.warnings[-1]
    # decisions can't be read without their contract, so labels come from the commands
    assert verify(folder, made.CONTRACT).frames == 10
