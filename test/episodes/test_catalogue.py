"""The catalogue lists everything under a root, with a reason for each unusable episode."""

import os

import made_episodes as made
import pytest

from il_ros.cli.episodes.choice import entries_of
from il_ros.episodes import layout
from il_ros.episodes.catalogue import Selection, scan


def test_each_kind_of_episode_is_listed_with_its_reason(tmp_path):
    for number in range(1, 7):
        made.write(tmp_path, made.recorded(2), number)
    layout.discard(tmp_path / "episode_000002", "dropped the cube", "2026-01-01T00:00:00Z")
    cut = layout.bag_file(tmp_path / "episode_000003")
    cut.write_bytes(cut.read_bytes()[:-20])
    (tmp_path / "episode_000004" / "episode.json").write_text('{"schema": 99}')
    made.write(tmp_path, made.recorded(2), 7, complete=False)
    (tmp_path / "episode_000005" / "episode.json").unlink()
    layout.bag_file(tmp_path / "episode_000006").unlink()
    (tmp_path / ".cache").mkdir()
    (tmp_path / "notes.txt").write_text("not an episode")
    (tmp_path / "empty").mkdir()

    catalogue = scan(tmp_path)
    states = {entry.name: entry.state for entry in catalogue.entries}
    assert states == {
        "empty": "broken",
        "episode_000001": "ready",
        "episode_000002": "discarded",
        "episode_000003": "incomplete",
        "episode_000004": "broken",
        "episode_000005": "foreign",
        "episode_000006": "broken",
        "episode_000007": "incomplete",
    }
    reasons = {entry.name: entry.reason for entry in catalogue.left_out}
    assert reasons["episode_000002"] == "2026-01-01T00:00:00Z: dropped the cube"
    assert "il-ros episodes recover" in reasons["episode_000003"]
    assert "schema is 99; this version reads 1" in reasons["episode_000004"]
    assert "holds no bag" in reasons["episode_000006"]
    assert f"il-ros episodes recover {tmp_path / 'episode_000007'}" in reasons["episode_000007"]
    assert [entry.name for entry in catalogue.usable] == ["episode_000001", "episode_000005"]


def test_a_loose_bag_file_is_reported(tmp_path):
    folder = made.write(tmp_path, made.recorded(2))
    layout.bag_file(folder).rename(tmp_path / "loose.mcap")
    loose = next(entry for entry in scan(tmp_path).entries if entry.name == "loose.mcap")
    assert (loose.state, loose.usable) == ("broken", False)
    assert "put it in a folder" in loose.reason


@pytest.mark.parametrize("text", ["[" * 100_000, "5", '{"at": 5, "reason": ""}', '{"at": "now"}'])
def test_an_odd_tombstone_still_marks_the_episode_discarded(tmp_path, text):
    folder = made.write(tmp_path, made.recorded(2), 1)
    (folder / "discarded.json").write_text(text)
    (entry,) = scan(tmp_path).entries
    assert entry.state == "discarded"
    assert "discarded.json can't be read" in entry.reason


def test_a_description_that_is_no_file_makes_the_episode_broken(tmp_path):
    folder = made.write(tmp_path, made.recorded(2), 1)
    (folder / "episode.json").unlink()
    os.mkfifo(folder / "episode.json")  # opening it would wait for its writer
    (entry,) = scan(tmp_path).entries
    assert entry.state == "broken"
    assert "a FIFO, not a regular file" in entry.reason


def test_an_unreadable_tombstone_still_marks_the_episode_discarded(tmp_path):
    folder = made.write(tmp_path, made.recorded(2))
    (folder / layout.TOMBSTONE).write_text("{")
    (entry,) = scan(tmp_path).entries
    assert entry.state == "discarded"
    assert "can't be read" in entry.reason


def test_error_names_a_missing_root(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere: there is no such folder"):
        scan(tmp_path / "nowhere")
    (tmp_path / "file").write_text("")
    with pytest.raises(NotADirectoryError, match="is a file"):
        scan(tmp_path / "file")


def test_a_selection_gives_the_reason_for_a_refusal(tmp_path):
    made.write(tmp_path, made.recorded(2), outcome="failure", task="push")
    (entry,) = scan(tmp_path).entries
    assert Selection().refusal(entry) == ""
    assert Selection(("success",)).refusal(entry) == "outcome is failure; wanted: success"
    assert (
        Selection(outcomes=("failure",), tasks=("reach",)).refusal(entry) == "task is 'push'; wanted: reach"
    )
    assert Selection(outcomes=("failure",), names=("x",)).refusal(entry) == "not among the selected names"
    assert Selection(outcomes=("failure",), tasks=("push",), names=("episode_000001",)).refusal(entry) == ""


def test_an_episode_is_no_folder_of_episodes(tmp_path):
    folder = made.write(tmp_path / "mine", made.recorded(2))
    for name in ("episode.json", "metadata.yaml"):  # the bag of another recorder has no episode.json
        with pytest.raises(
            NotADirectoryError, match=f"is one episode; give the folder that holds it: {folder.parent}$"
        ):
            scan(folder)
        (folder / name).unlink()


def test_a_link_to_another_episode_does_not_count_it_twice(tmp_path):
    """In the training set and in the validation set it would hide what is memorised."""
    for number in (1, 2):
        made.write(tmp_path / "episodes", made.recorded(4), number)
    other = made.write(tmp_path / "elsewhere", made.recorded(4), 7)
    for name, target in (("a_link", "episode_000002"), ("b_link", other), ("c_link", other)):
        (tmp_path / "episodes" / name).symlink_to(target)
    entries = scan(tmp_path / "episodes").entries
    assert [(each.name, each.state) for each in entries] == [
        ("a_link", "broken"),
        ("b_link", "ready"),
        ("c_link", "broken"),
        ("episode_000001", "ready"),
        ("episode_000002", "ready"),
    ]
    assert "a_link: is a link to " in entries[0].reason
    assert entries[0].reason.endswith("episodes/episode_000002, which counts once")
    assert [each.name for each in entries_of([], tmp_path / "episodes")] == [each.name for each in entries]
