"""The short form of the campaign in bench/faults: a fault of each kind, on the real graph, in one world.

Each is safe, loses nothing before it that it may not, and the session goes on. Stopping times are not judged here.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

CAMPAIGN = Path(__file__).parents[2] / "bench" / "faults" / "campaign.py"
LONG_S = 900.0  # a busy machine takes minutes to start all nodes
pytestmark = pytest.mark.timeout(LONG_S + 60.0)  # the first test runs the campaign
SHORT = (
    "recovery killed at each of its steps",
    "recorder killed in the middle of a write",
    "policy_server killed in a swap: as it notes the new version",
    "session: disk full at its report",
    "/dev/shm full",
    "camera: picture bombs",
    "scan: a second publisher, best effort",
    "recorder: system clock set back by 3 s",
    "console killed",
    "wire to the policy: all three at once",
)


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """The rows of the short form by fault, and what the campaign printed."""
    file = tmp_path_factory.mktemp("faults") / "rows.json"
    words = ["--modes", "hg_dagger", "--one-world", "--untimed", "--json", file, "--only", *SHORT]
    done = subprocess.run([sys.executable, CAMPAIGN, *words], capture_output=True, text=True, timeout=LONG_S)
    rows = {row["fault"]: row for row in json.loads(file.read_text())} if file.exists() else {}
    return rows, done.stdout + done.stderr


@pytest.mark.parametrize("name", SHORT)
def test_a_fault_is_safe_loses_nothing_before_it_and_the_session_goes_on(ran, name):
    rows, printed = ran
    for line in printed.splitlines():
        if line.startswith(f"left out: {name}: "):  # this machine cannot have it, such as without root
            pytest.skip(line)
    assert name in rows, printed
    row = rows[name]
    assert row["wrong"] == [], printed
    assert row["goes_on_s"] is not None
