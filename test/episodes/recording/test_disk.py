"""How long the disk lasts: free space above what is kept, divided by the rate of the streams."""

import pytest

from il_ros.episodes.recording.disk import DiskTime, Written, in_words

GB = 10**9


@pytest.fixture
def disk(tmp_path):
    free = [101 * GB]
    made = DiskTime(tmp_path / "episodes" / "new", GB, lambda place: free[0])
    made.free = free
    return made


def receive(disk, *, mb_per_s, seconds, start_s=0, running=None):
    for second in range(start_s, start_s + seconds):
        disk.look(second, running)
        disk.count(round(mb_per_s * 1_000_000))
    return disk.look(start_s + seconds, running)


def test_hours_are_free_space_by_rate(disk):
    left = receive(disk, mb_per_s=10, seconds=40)
    assert (left.free_bytes, left.bytes_per_s) == (100 * GB, 10_000_000)
    assert left.hours == pytest.approx(100 * GB / 10_000_000 / 3600)  # 2.8 h


def test_before_two_seconds_the_rate_is_unknown(disk):
    assert disk.look(0.0).hours is None
    disk.count(5_000_000)
    assert disk.look(1.0).hours is None
    assert disk.look(2.0).bytes_per_s == 2_500_000


def test_it_looks_once_a_second(disk):
    disk.look(0.0)
    disk.free[0] = 2 * GB
    assert disk.look(0.9).free_bytes == 100 * GB
    assert disk.look(1.0).free_bytes == GB


def test_the_rate_is_the_present_one(disk):
    receive(disk, mb_per_s=80, seconds=60)
    left = receive(disk, mb_per_s=1, seconds=60, start_s=60)
    assert left.bytes_per_s == pytest.approx(1_000_000)


def test_a_compressed_file_lasts_longer(disk):
    half = Written(given_bytes=20_000_000, file_bytes=10_000_000, free_bytes=101 * GB)
    left = receive(disk, mb_per_s=10, seconds=10, running=half)
    assert left.bytes_per_s == pytest.approx(5_000_000)
    assert receive(disk, mb_per_s=10, seconds=5, start_s=10).bytes_per_s == pytest.approx(
        5_000_000
    )  # between episodes


def test_while_an_episode_runs_only_its_thread_asks_the_disk(disk):
    disk.look(0.0)
    disk.free[0] = 0  # asking would say so
    assert disk.look(1.0, Written(0, 0, None)).free_bytes == 100 * GB
    assert disk.look(2.0, Written(0, 0, 3 * GB)).free_bytes == 2 * GB


def test_a_disk_that_cannot_be_asked_has_no_hours(tmp_path):
    def gone(place):
        raise OSError(5, "Input/output error")

    left = receive(DiskTime(tmp_path, 0, gone), mb_per_s=1, seconds=5)
    assert (left.free_bytes, left.hours) == (None, None)


def test_nothing_received_means_no_end(disk):
    left = receive(disk, mb_per_s=0, seconds=5)
    assert (left.bytes_per_s, left.hours) == (0, None)


def test_the_warning_names_time_space_rate_and_remedy(disk):
    disk.free[0] = 7 * GB  # 6 above what is kept
    receive(disk, mb_per_s=10, seconds=5)
    assert disk.warning(600.0) == ""
    assert disk.warning(601.0).endswith(
        "new is full in 10 min: 6.0 GB left at 10.0 MB a second; `il-ros episodes prune` makes room"
    )
    disk.free[0] = GB // 2  # less than is kept
    receive(disk, mb_per_s=10, seconds=2, start_s=10)
    assert "is full in 0 min: 0 B left" in disk.warning(1.0)


@pytest.mark.parametrize(
    ("hours", "words"), [(0.2, "12 min"), (5.23, "5.2 h"), (140.4, "140 h"), (0.0, "0 min")]
)
def test_time_is_written_in_minutes_or_hours(hours, words):
    assert in_words(hours) == words
