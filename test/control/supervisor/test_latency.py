"""The window of durations behind the diagnostics."""

import subprocess
import sys

import numpy as np
import pytest

from il_ros.control.supervisor.latency import Latency


def test_percentiles_are_in_milliseconds_and_by_name():
    latency = Latency(("age", "inference"))
    for ms in range(101):  # 0..100 ms: p50 is 50, p99 is 99
        latency.add((ms / 1e3, 2e-3))
    summary = latency.summary()
    assert summary["age p50 [ms]"] == pytest.approx(50)
    assert summary["age p99 [ms]"] == pytest.approx(99)
    assert summary["inference p99 [ms]"] == pytest.approx(2)


def test_percentiles_are_those_of_numpy():
    durations_s = np.random.default_rng(0).exponential(1e-3, 777)
    latency = Latency(("age",))
    for each in durations_s:
        latency.add((each,))
    wanted = np.percentile(durations_s * 1e3, [50, 99])
    np.testing.assert_allclose(list(latency.summary().values()), wanted, rtol=1e-12)


def test_the_first_summary_imports_nothing():
    """An import takes tens of milliseconds, in which the node that summarises sends no command."""
    program = (
        "import sys\n"
        "from il_ros.control.supervisor.latency import Latency\n"
        "latency = Latency(('age',))\n"
        "latency.add((1e-3,))\n"
        "before = set(sys.modules)\n"
        "latency.summary()\n"
        "print(sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout == "[]\n"


def test_rows_older_than_the_window_are_dropped():
    latency = Latency(("age",), window=2)
    for value in (9.0, 1e-3, 1e-3):
        latency.add((value,))
    assert latency.summary()["age p99 [ms]"] == pytest.approx(1)


def test_before_the_first_tick_there_is_no_summary():
    assert Latency(("age",)).summary() == {}


def test_a_row_of_wrong_length_is_rejected():
    with pytest.raises(ValueError, match="1 durations are needed"):
        Latency(("age",)).add((1.0, 2.0))
