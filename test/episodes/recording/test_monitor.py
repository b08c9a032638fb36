"""Stream statistics, compared with values computed by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from il_ros.episodes.recording.monitor import Histogram, StreamMonitor

MS = 1_000_000


def monitor(**options) -> StreamMonitor:
    return StreamMonitor("/x", "sensor_msgs/msg/JointState", **options)


def test_rate_of_ten_messages_a_second():
    stream = monitor()
    for k in range(11):
        stream.observe(100 * MS * k, size=7, stamp_ns=None)
    info = stream.info(now_ns=1000 * MS)
    assert (info.messages, info.bytes, info.rate_hz, info.longest_gap_s) == (11, 77, 10.0, 0.1)
    assert info.age_p50_s is None
    assert info.silent_at_end_s == 0.0


def test_age_is_reception_minus_stamp():
    stream = monitor()
    for k in range(100):
        stream.observe(k * MS + (50 * MS if k == 99 else 2 * MS), 1, stamp_ns=k * MS)
    info = stream.info(200 * MS)
    assert info.age_p50_s == pytest.approx(0.002, rel=0.13)
    stream.observe(1000 * MS, 1, stamp_ns=950 * MS)
    assert stream.info(1000 * MS).age_p99_s == pytest.approx(0.05, rel=0.13)


def test_in_simulated_time_a_stream_is_stale_by_its_stamps_however_late_it_is_handled():
    stream = monitor(max_age_s=0.1, simulated=True)
    late = monitor(max_age_s=0.1)
    for k in range(10):  # stamps every 50 ms, handled 300 ms later
        for each in (stream, late):
            each.observe((50 * k + 300) * MS, 1, stamp_ns=50 * k * MS)
    assert stream.info(750 * MS).stale_s == 0.0
    assert late.info(750 * MS).stale_s == pytest.approx(0.45)
    stream.observe(1250 * MS, 1, stamp_ns=950 * MS)  # the last stamp was 450: fresh until 550
    assert stream.info(1250 * MS).stale_s == pytest.approx(0.4)
    for odd_ns in (1, 3600_000 * MS):  # garbage costs the time to the next message at most
        stream.observe(1260 * MS, 1, stamp_ns=odd_ns)
    stream.observe(1300 * MS, 1, stamp_ns=1000 * MS)
    assert stream.info(1300 * MS).stale_s < 0.8


def test_stale_from_max_age_after_the_stamp_until_the_next_message():
    stream = monitor(max_age_s=0.1)
    stream.observe(1000 * MS, 1, stamp_ns=980 * MS)  # fresh until 1080
    stream.observe(1300 * MS, 1, stamp_ns=1300 * MS)  # stale 1080..1300, fresh until 1400
    assert stream.info(1390 * MS).stale_s == pytest.approx(0.22)
    assert stream.info(1500 * MS).stale_s == pytest.approx(0.22 + 0.1)


def test_a_dead_publisher_is_silent_at_the_end():
    stream = monitor()
    stream.observe(1000 * MS, 1, None)
    assert stream.info(4200 * MS).silent_at_end_s == pytest.approx(3.2)


def test_decreasing_stamps_are_counted_without_affecting_other_statistics():
    stream = monitor(max_age_s=0.1)
    for log, stamp in ((100, 100), (200, 50), (300, 300)):
        stream.observe(log * MS, 1, stamp_ns=stamp * MS)
    info = stream.info(300 * MS)
    assert info.backwards == 1
    assert info.messages == 3
    assert info.stale_s == pytest.approx(0.1)  # the second was stale on arrival: fresh until 150


def test_without_messages_the_rate_is_none_not_zero():
    info = monitor(required=True).info(1000 * MS)
    assert (info.messages, info.rate_hz, info.silent_at_end_s, info.required) == (0, None, None, True)


def test_ages_below_zero_are_kept_and_do_not_make_the_stream_fresh():
    stream = monitor(max_age_s=0.1)
    for k in range(1, 4):
        stream.observe(k * 1000 * MS, 1, stamp_ns=k * 1000 * MS + (300 * MS if k < 3 else -300 * MS))
    info = stream.info(3000 * MS)
    assert info.age_p50_s == pytest.approx(-0.3, rel=0.13)
    assert info.age_p99_s == pytest.approx(0.3, rel=0.13)
    assert info.stale_s == pytest.approx(
        1.8
    )  # 0.9 s of each: a stamp ahead does not count beyond the arrival
    assert info.ahead == 0


def test_before_simulated_time_has_begun_there_is_no_age():
    stream = monitor()
    stream.observe(0, 1, stamp_ns=1050 * MS)
    info = stream.info(0)
    assert (info.messages, info.age_p50_s, info.ahead) == (1, None, 0)


def test_messages_stamped_more_than_a_second_ahead_are_counted():
    stream = monitor()
    for ahead_ms in (999, 1001, 37_000):
        stream.observe(5000 * MS, 1, stamp_ns=(5000 + ahead_ms) * MS)
    assert stream.info(5000 * MS).ahead == 2


@given(st.floats(2e-6, 900.0), st.integers(1, 50))
def test_equal_durations_are_their_own_quantiles(duration_s, count):
    histogram = Histogram()
    for _ in range(count):
        histogram.add(duration_s)
    assert histogram.quantile(0.5) == pytest.approx(duration_s)
    assert histogram.quantile(0.99) == histogram.quantile(0.01)
    below = Histogram()
    below.add(-duration_s)
    assert below.quantile(0.5) == pytest.approx(-duration_s)


def test_a_quantile_is_the_mean_of_its_bin():
    histogram = Histogram()
    for duration_s in (0.1, 1.00, 1.02, 50.0):  # 1.00 and 1.02 are in one bin, which is 12 % wide
        histogram.add(duration_s)
    assert histogram.quantile(0.5) == pytest.approx(1.01)
