"""Concurrent runs never share a ROS domain."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from il_ros.scenarios import domain


@pytest.fixture
def environment(monkeypatch):
    monkeypatch.setattr(domain, "_claimed", [])
    for name in ("ROS_DOMAIN_ID", "ROS_AUTOMATIC_DISCOVERY_RANGE"):
        monkeypatch.setenv(name, "")
    return monkeypatch


def test_two_claims_differ(environment, tmp_path):
    assert domain.isolate(tmp_path) != domain.isolate(tmp_path)


def test_the_environment_has_the_claimed_domain(environment, tmp_path):
    claimed = domain.isolate(tmp_path)
    assert domain.os.environ["ROS_DOMAIN_ID"] == str(claimed)
    assert domain.os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_a_claim_ends_with_its_process(environment, tmp_path):
    environment.setattr(domain, "DOMAINS", range(7, 8))
    code = "from il_ros.scenarios import domain; domain.DOMAINS = range(7, 8)\n"
    code += f"from pathlib import Path; print(domain.isolate(Path({str(tmp_path)!r})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.stdout == "7\n", done.stderr
    assert domain.isolate(tmp_path) == 7


def test_another_users_lock_file_is_free_when_its_user_has_ended(environment):
    """As left in /tmp by root: others can read it, not write to it."""
    nobody = 65534
    with tempfile.TemporaryDirectory() as folder:  # below pytest's own, another user may not look
        Path(folder).chmod(0o1777)
        lock = Path(folder) / "il_ros_domain_7.lock"
        lock.touch()
        lock.chmod(0o444)
        code = "import os, sys; from pathlib import Path; from il_ros.scenarios import domain\n"
        code += "domain.DOMAINS = range(7, 8)\n"
        code += f"os.geteuid() or os.seteuid({nobody})\n"
        code += f"print(domain.isolate(Path({folder!r})))"
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=200)
    assert done.stdout == "7\n", done.stderr


def test_when_all_are_claimed_the_error_names_the_folder(environment, tmp_path):
    environment.setattr(domain, "DOMAINS", range(7, 8))
    domain.isolate(tmp_path)
    with pytest.raises(OSError, match=str(tmp_path)):
        domain.isolate(tmp_path)
