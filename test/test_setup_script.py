"""`make setup`: what was chosen once stands until something else is said."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
CHOICES = ("PYTHON", "TORCH", "TORCH_INDEX", "CONSTRAINTS", "ROS_DISTRO", "VENV")


@pytest.fixture
def setup(tmp_path):
    """Return the script's run beside an environment that it finished before, with choices of its own."""
    (tmp_path / "scripts").mkdir()
    for name in ("setup.py", "scripts/setup"):
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / ".venv" / "bin" / "il-ros").touch(mode=0o755)
    chosen = (
        f"ROS_DISTRO=wheels\nTORCH=torch==0.0\nTORCH_INDEX=https://nowhere.invalid\nPYTHON={sys.executable}\n"
        "CONSTRAINTS=none\n"
    )
    texts = [(tmp_path / name).read_text() for name in ("setup.py", "scripts/setup")]
    (tmp_path / ".venv" / ".il_ros-ready").write_text(chosen + "".join(texts))

    def run(**given):
        env = {name: value for name, value in os.environ.items() if name not in CHOICES} | given
        return subprocess.run(
            [tmp_path / "scripts" / "setup"], env=env, capture_output=True, text=True, timeout=200
        )

    return run


def test_what_is_not_given_is_as_it_was_chosen_the_last_time(setup):
    ran = setup()
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")  # nothing to do


def test_what_is_given_counts(setup):
    ran = setup(PYTHON="/bin/false")
    assert ran.returncode == 1
    assert "PYTHON=/bin/false is not a Python 3.10 to 3.13" in ran.stderr


def test_a_python_that_is_not_there_is_not_called_a_wrong_version(setup):
    ran = setup(PYTHON="python3.99")
    assert ran.returncode == 1
    assert ran.stderr == (
        "setup failed: PYTHON=python3.99: not found; install it, or name another Python 3.10 to 3.13\n"
    )


def test_an_unreachable_package_index_is_named(setup, tmp_path):
    nothing = "http://127.0.0.1:9/simple"  # the port refuses every connection
    ran = setup(
        VENV=str(tmp_path / "other"), PYTHON=sys.executable, TORCH="torch==0.0", PIP_INDEX_URL=nothing,
        PIP_EXTRA_INDEX_URL="", PIP_CONFIG_FILE=os.devnull, PIP_RETRIES="1", PIP_NO_CACHE_DIR="1",
    )  # fmt: skip
    assert ran.returncode == 1
    assert "the package index was not reached; is there no network?" in ran.stderr
